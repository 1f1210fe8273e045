//! Connections that begin with a PROXY header: what it says, and who may use them.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { DeadlineSweeper } from "../deadlines.ts";
import { probe } from "../health/probe.ts";
import { parseProxyHeader } from "../listener/proxy-header.ts";
import type { ConnectionEnds } from "../listener/proxy-header.ts";
import { A_TEST } from "../testing/certificates.ts";
import { eventually, observedContext, RawClient, startFixture } from "../testing/fixture.ts";
import { endAll, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { startTlsUpstream, tls } from "../testing/tls-upstream.ts";
import { CLIENTS_PER_ENDPOINT_MAX } from "./client-pools.ts";
import type { AcquireResult } from "./endpoint-pool.ts";
import { PoolSet } from "./pool-set.ts";
import type { UpstreamUser } from "./upstream.ts";
import { writtenProxyHeader } from "./written-proxy-header.ts";

after(endAll);

const IPV4 = { remoteAddress: "192.0.2.1", remotePort: 56_324 };
const TO_IPV4 = { localAddress: "198.51.100.7", localPort: 443 };
const TO_IPV6 = { localAddress: "2001:db8::2", localPort: 65_535 };

interface HeaderCase {
  readonly name: string;
  readonly ends: ConnectionEnds | null;
  readonly v1: string;
  /** As the parser of the listener reads version 2. */
  readonly read: ConnectionEnds | null;
}

const HEADERS: readonly HeaderCase[] = [
  {
    name: "of IPv4",
    ends: { ...IPV4, ...TO_IPV4 },
    v1: "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443",
    read: { ...IPV4, ...TO_IPV4 },
  },
  {
    name: "of IPv6",
    ends: { remoteAddress: "2001:db8::1", remotePort: 1, ...TO_IPV6 },
    v1: "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535",
    read: { remoteAddress: "2001:db8::1", remotePort: 1, ...TO_IPV6 },
  },
  {
    name: "of IPv4 on a socket of IPv6",
    ends: { ...TO_IPV4, remoteAddress: "::ffff:192.0.2.1", remotePort: 2 },
    v1: "PROXY TCP4 192.0.2.1 198.51.100.7 2 443",
    read: { ...TO_IPV4, remoteAddress: "192.0.2.1", remotePort: 2 },
  },
  {
    name: "of both, as IPv6",
    ends: { ...IPV4, ...TO_IPV6 },
    v1: "PROXY TCP6 ::ffff:c000:201 2001:db8::2 56324 65535",
    read: { ...TO_IPV6, remoteAddress: "::ffff:192.0.2.1", remotePort: 56_324 },
  },
  {
    name: "with a zone, without it",
    ends: { remoteAddress: "fe80::1%eth0", remotePort: 3, ...TO_IPV6 },
    v1: "PROXY TCP6 fe80::1 2001:db8::2 3 65535",
    read: { remoteAddress: "fe80::1", remotePort: 3, ...TO_IPV6 },
  },
  {
    name: "of a socket that is gone",
    ends: { ...IPV4, ...TO_IPV4, remoteAddress: "" },
    v1: "",
    read: null,
  },
  { name: "of our own", ends: null, v1: "", read: null },
];

describe("a header", () => {
  for (const { name, ends, v1, read } of HEADERS) {
    test(name, () => {
      const first = writtenProxyHeader("v1", ends);
      const line = v1 === "" ? "PROXY UNKNOWN" : v1;
      assert.equal(first.toString("latin1"), `${line}\r\n`);
      assert.equal(parseProxyHeader(first).kind, "header");
      const second = writtenProxyHeader("v2", ends);
      const want = { kind: "header", length: second.length, ends: read };
      assert.deepEqual(parseProxyHeader(second), want);
    });
  }
});

/** Answers each request with the header that its connection began with. */
async function startReader(): Promise<{ readonly port: number; readonly connections: string[] }> {
  const connections: string[] = [];
  const { port } = await startRawUpstream((socket) => {
    let header = "";
    socket.on("data", (chunk: Buffer) => {
      const text = chunk.toString("latin1");
      if (header === "") {
        header = text.slice(0, text.indexOf("\r\n"));
        connections.push(header);
      }
      if (!text.includes("\r\n\r\n")) return;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${header.length}\r\n\r\n${header}`);
    });
  });
  return { port, connections };
}

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

test("a client keeps its connection, and no other client gets it", async () => {
  const upstream = await startReader();
  const to = { ...cluster("a"), policy: { proxyProtocol: "v1" as const } };
  const snapshot = gatewaySnapshot(80, [forwardRoute(to.name)], {
    clusters: { [to.name]: to },
    endpoints: { [to.name]: { endpoints: [endpoint(upstream.port)] } },
  });
  const { port, assertions } = await startFixture(snapshot);
  const clients = [await RawClient.open(port), await RawClient.open(port)];
  for (const client of [...clients, ...clients]) {
    const header = `PROXY TCP4 127.0.0.1 127.0.0.1 ${client.socket.localPort ?? 0} ${port}`;
    client.received = "";
    client.send(GET);
    assert.match(await client.until(new RegExp(`${header}$`)), /^HTTP\/1.1 200 /);
  }
  assert.equal(upstream.connections.length, 2);
  assert.deepEqual(assertions, []);
});

describe("before TLS", () => {
  test("an endpoint that accepts nothing is told of as any other", async () => {
    const gone = await startRawUpstream(() => undefined);
    gone.close();
    const to = { ...cluster("a"), policy: { proxyProtocol: "v2" as const, tls: tls() } };
    const route = forwardRoute(to.name, {
      policy: { retry: { ...NO_RETRY } },
    });
    const snapshot = gatewaySnapshot(80, [route], {
      clusters: { [to.name]: to },
      endpoints: { [to.name]: { endpoints: [endpoint(gone.port)] } },
    });
    const { port, assertions } = await startFixture(snapshot);
    const client = await RawClient.open(port);
    client.send(GET);
    assert.match(await client.until(/ECONNREFUSED/), /^HTTP\/1.1 503 [^]*ECONNREFUSED/);
    assert.deepEqual(assertions, []);
  });

  test("an endpoint that reads no header fails in TLS", async () => {
    const upstream = await startTlsUpstream(A_TEST);
    const to = { ...cluster("a"), policy: { proxyProtocol: "v2" as const, tls: tls() } };
    const snapshot = gatewaySnapshot(80, [forwardRoute(to.name)], {
      clusters: { [to.name]: to },
      endpoints: { [to.name]: { endpoints: [endpoint(upstream.port)] } },
    });
    const { port, assertions } = await startFixture(snapshot);
    const client = await RawClient.open(port);
    client.send(GET);
    assert.match(await client.until(/\r\n\r\n/), /^HTTP\/1.1 503 /);
    assert.deepEqual(upstream.requests, []);
    assert.deepEqual(assertions, []);
  });
});

const NO_RETRY = {
  ...{ retries: 0, perTryTimeoutMs: 0, on: [], statuses: [] },
  ...{ backOffBaseMs: 25, backOffMaxMs: 250 },
};

const CHECK = {
  ...{ timeoutMs: 5_000, intervalMs: 5_000, unhealthyIntervalMs: 5_000, jitterMs: 0 },
  ...{ unhealthyEdgeIntervalMs: 5_000, healthyEdgeIntervalMs: 5_000, jitterPercent: 0 },
  ...{ initialJitterMs: 0, unhealthyThreshold: 1, healthyThreshold: 1 },
};
const ASKS = [
  { kind: "http", method: "GET", path: "/", host: "", statuses: [[200, 300]], retriable: [] },
  { kind: "tcp", send: "0d0a0d0a", receive: ["32303020"] },
] as const;
for (const ask of ASKS) {
  test(`a check by ${ask.kind} says that it is nobody's`, async () => {
    const upstream = await startReader();
    const to = { ...cluster("a"), policy: { proxyProtocol: "v1" as const } };
    const { context } = observedContext(systemClock);
    const target = { check: { ...CHECK, ask }, cluster: to, endpoint: endpoint(upstream.port) };
    const outcome = await new Promise((resolve) => probe(target, context.pools, resolve));
    assert.equal(outcome, "good");
    assert.deepEqual(upstream.connections, ["PROXY UNKNOWN"]);
    context.pools.closeIdle();
  });
}

test("clients with nothing under way make room for others, and nobody else does", async () => {
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => undefined);
  });
  const set = new PoolSet(new DeadlineSweeper(systemClock), null);
  const at = { address: "127.0.0.1", port: upstream.port };
  const user = { onUpstreamReady: () => undefined, onUpstreamFailure: () => undefined };
  const acquire = (client: number): AcquireResult =>
    set
      .getOfClient(at, false, Buffer.from(`client ${client}`))
      .acquire(user as unknown as UpstreamUser, { connectTimeoutMs: 5_000, cluster: null });
  const opened = Array.from({ length: CLIENTS_PER_ENDPOINT_MAX }, (_, client) => acquire(client));
  assert.ok(opened.every(({ kind }) => kind === "connecting"));
  assert.equal(set.activeCountOfClients(at), CLIENTS_PER_ENDPOINT_MAX);
  assert.equal(acquire(-1).kind, "overflow");
  await eventually(() => upstream.connectionCount === CLIENTS_PER_ENDPOINT_MAX);
  release(opened[5]);
  const later = acquire(-1);
  assert.equal(later.kind, "connecting");
  assert.equal(set.size, CLIENTS_PER_ENDPOINT_MAX);
  for (const each of [...opened, later]) release(each);
  assert.equal(set.size, 0);
});

function release(acquired: AcquireResult | undefined): void {
  if (acquired?.kind === "connecting") acquired.connection.abort();
}
