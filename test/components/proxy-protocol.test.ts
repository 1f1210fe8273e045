//! Every header of the PROXY protocol through our gateway and through real Envoy, HAProxy and nginx:
//! who the client is after it, by the X-Forwarded-For that the upstream gets; and the headers that
//! our gateway writes, as Envoy, HAProxy and nginx read them.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { after, test } from "node:test";
import { probe } from "../../src/dataplane/health/probe.ts";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import { startFixture } from "../../src/dataplane/testing/fixture.ts";
import type { Fixture } from "../../src/dataplane/testing/fixture.ts";
import { endAll, startRawUpstream } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { tls } from "../../src/dataplane/testing/tls-upstream.ts";
import type { Cluster } from "../../src/snapshot/snapshot.ts";
import { PROXY_CASES } from "../fuzz/proxy-cases.ts";
import type { ProxyCase } from "../fuzz/proxy-cases.ts";
import { behindProxies } from "../support/our-front.ts";
import { startFronts, startRealFronts, stopFronts } from "../support/raw-fronts.ts";

after(endAll);

/** A proxy that waits for more of a header is left after this: it has forwarded nothing. */
const SILENT_MS_MAX = 1_500;

/** Envoy tells another address of this machine in the place of a loopback one. */
const OWN: ReadonlySet<string> = new Set([
  ...["nobody", ""],
  ...Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  ),
]);

function answer(socket: Socket): void {
  socket.once("data", (chunk: Buffer) => {
    const told = /x-forwarded-for: (\S*)\r\n/i.exec(chunk.toString("latin1"))?.[1] ?? "nobody";
    socket.end(
      `HTTP/1.1 200 OK\r\nContent-Length: ${told.length}\r\nConnection: close\r\n\r\n${told}`,
    );
  });
}

async function verdictOf(port: number, { header }: ProxyCase): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(SILENT_MS_MAX, () => socket.destroy());
  socket.on("error", () => undefined);
  socket.write(header);
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString("latin1")));
  await new Promise((resolve) => socket.once("close", resolve));
  if (!got.startsWith("HTTP/1.1 200")) return "closed";
  const told = got.slice(got.indexOf("\r\n\r\n") + 4);
  return OWN.has(told) ? "own" : told;
}

test("after each header the client is the same as in Envoy, but for what is listed", async (context) => {
  const plan = { downstream: "http1", upstream: "http1", proxyProtocol: true } as const;
  const { subjects, missing } = await startFronts(plan, () => startRawUpstream(answer));
  for (const reason of missing) context.diagnostic(`left out: ${reason}`);
  const verdicts = await Promise.all(
    subjects.map(async ({ front }) => {
      const own = PROXY_CASES.map((one) => verdictOf(front.port, one));
      return { name: front.name, own: await Promise.all(own) };
    }),
  );
  await stopFronts(subjects);
  for (const [index, { name }] of PROXY_CASES.entries()) {
    const row = verdicts.map((each) => `${each.name} ${each.own[index] ?? ""}`);
    context.diagnostic(`${name}: ${row.join(", ")}`);
  }
  const of = (name: string): readonly string[] | undefined =>
    verdicts.find((each) => each.name === name)?.own;
  assert.deepEqual(
    of("Graylane"),
    PROXY_CASES.map(({ want }) => want),
  );
  const envoy = of("Envoy");
  if (envoy === undefined) return;
  const differences = PROXY_CASES.flatMap(({ name, want, envoy: theirs = want }, index) =>
    envoy[index] === theirs ? [] : `${name}: Envoy ${envoy[index] ?? ""}, not ${theirs}`,
  );
  assert.deepEqual(differences, []);
});

/** From clients of both families to a port of IPv4 and of IPv6. */
const CLIENTS = [
  { header: "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", address: "192.0.2.1" },
  { header: "PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\n", address: "2001:db8::1" },
] as const;

const CHECK = {
  ...{ timeoutMs: 5_000, intervalMs: 5_000, unhealthyIntervalMs: 5_000, jitterMs: 0 },
  ...{ unhealthyEdgeIntervalMs: 5_000, healthyEdgeIntervalMs: 5_000, jitterPercent: 0 },
  ...{ initialJitterMs: 0, unhealthyThreshold: 1, healthyThreshold: 1 },
  ask: { kind: "http", method: "GET", path: "/", host: "", statuses: [[200, 300]], retriable: [] },
} as const;

/** Answers whom the receiver takes for the client, on connections that stay. */
function answerLast(socket: Socket): void {
  socket.on("data", (chunk: Buffer) => {
    const told =
      /x-forwarded-for: (?:.*,)? ?([^\s,]*)\r\n/i.exec(chunk.toString("latin1"))?.[1] ?? "";
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${told.length}\r\n\r\n${told}`);
  });
}

async function startSender(to: Cluster, receiver: number): Promise<Fixture> {
  const snapshot = gatewaySnapshot(80, [forwardRoute(to.name)], {
    clusters: { [to.name]: to },
    endpoints: { [to.name]: { endpoints: [endpoint(receiver)] } },
  });
  return startFixture(behindProxies(snapshot));
}

async function toldBy(port: number, header: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`${header}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  let got = "";
  socket.on("data", (chunk: Buffer) => (got += chunk.toString("latin1")));
  await new Promise((resolve) => socket.once("close", resolve));
  return `${got.slice(9, 12)} ${got.slice(got.indexOf("\r\n\r\n") + 4)}`;
}

function checked(to: Cluster, receiver: number, { context }: Fixture): Promise<string> {
  return new Promise((resolve) => {
    probe({ check: CHECK, cluster: to, endpoint: endpoint(receiver) }, context.pools, resolve);
  });
}

const WAYS = [
  { name: "HTTP/1.1", downstream: "http1", isTls: false },
  { name: "HTTP/2", downstream: "http2", isTls: false },
  { name: "TLS", downstream: "http1", isTls: true },
] as const;

for (const { name, downstream, isTls } of WAYS) {
  test(`Envoy, HAProxy and nginx are told of clients before ${name}`, async (context) => {
    const plan = { downstream, upstream: "http1", proxyProtocol: true } as const;
    const secured = isTls ? { ...plan, tls: A_TEST } : plan;
    const { subjects, missing } = await startRealFronts(secured, () =>
      startRawUpstream(answerLast),
    );
    for (const reason of missing) context.diagnostic(`left out: ${reason}`);
    after(() => stopFronts(subjects));
    for (const { front } of subjects) {
      for (const proxyProtocol of ["v1", "v2"] as const) {
        const policy = { proxyProtocol, ...(isTls ? { tls: tls() } : {}) };
        const protocol = downstream === "http2" ? { protocol: "h2" as const } : {};
        const to = { ...cluster("a"), policy, ...protocol };
        const sender = await startSender(to, front.port);
        const told = await Promise.all(CLIENTS.map(({ header }) => toldBy(sender.port, header)));
        const want = CLIENTS.map(({ address }) => `200 ${address}`);
        assert.deepEqual(told, want, `${front.name} ${proxyProtocol}`);
        assert.equal(await checked(to, front.port, sender), "good", `${front.name} is well`);
        assert.deepEqual(sender.assertions, []);
      }
    }
  });
}
