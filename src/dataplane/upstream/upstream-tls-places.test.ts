//! TLS to endpoints wherever a worker calls one beside a gateway's own requests.

import assert from "node:assert/strict";
import { createSecureServer } from "node:http2";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { freePort } from "../../base/testing/free-port.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { GrpcSink } from "../../wasm/grpc-calls.ts";
import type { HttpCallResponse } from "../../wasm/http-calls.ts";
import { A_TEST, B_TEST } from "../testing/certificates.ts";
import { eventually, observedContext, RawClient, startFixture } from "../testing/fixture.ts";
import { atEnd, endAll, preparer, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { listening, startTlsUpstream, tls } from "../testing/tls-upstream.ts";
import type { TlsUpstream } from "../testing/tls-upstream.ts";
import { PluginCalls } from "../worker/plugin-calls.ts";
import { PluginClusters } from "../worker/plugin-clusters.ts";
import { SidecarRole } from "../worker/sidecar-role.ts";

after(endAll);

const IN_TLS = { ...cluster("b"), policy: { tls: tls() } };

/** The one cluster whose endpoint is to be spoken to in TLS. */
function meshTo(port: number): Pick<Snapshot, "clusters" | "endpoints"> {
  return {
    clusters: { [IN_TLS.name]: IN_TLS },
    endpoints: { [IN_TLS.name]: { endpoints: [endpoint(port)] } },
  };
}

describe("a pod's sidecar", () => {
  const { context, assertions } = observedContext(systemClock);
  const role = new SidecarRole(context, preparer());
  let outbound = 0;
  let number = 0;

  async function call(upstream: TlsUpstream): Promise<string> {
    number += 1;
    const workload = {
      name: "pod",
      namespace: "default",
      labels: {},
      address: "127.0.0.1",
      inbound: [],
      outbound: { address: "127.0.0.1", port: outbound },
    };
    const workloads = { "default/pod": workload };
    const snapshot = { ...EMPTY_SNAPSHOT, ...meshTo(upstream.port), workloads };
    assert.equal(await role.configure({ ...snapshot, version: String(number) }), null);
    assert.equal(role.podFailure("default/pod"), null);
    return sendRaw(outbound, "GET / HTTP/1.1\r\nHost: b:8000\r\nConnection: close\r\n\r\n");
  }

  before(async () => {
    outbound = await freePort();
  });
  after(async () => {
    await role.configure({ ...EMPTY_SNAPSHOT, version: "end" });
    context.pools.closeIdle();
    assert.deepEqual(assertions, []);
  });

  test("calls a service in TLS with its server name", async () => {
    const upstream = await startTlsUpstream(A_TEST);
    assert.match(await call(upstream), /^HTTP\/1.1 200 [^]*#1\.$/);
    const [socket] = upstream.connections;
    assert.equal((socket as unknown as { servername: unknown }).servername, "a.test");
    assert.match(upstream.requests[0] ?? "", /^GET \/ HTTP\/1\.1\r\n/);
  });

  test("sends nothing to an endpoint whose certificate is for another", async () => {
    const upstream = await startTlsUpstream(B_TEST);
    assert.match(await call(upstream), /^HTTP\/1.1 503 [^]*its certificate is for DNS:b\.test/);
    assert.deepEqual(upstream.requests, []);
  });
});

describe("a mirror", () => {
  const CASES = [
    { name: "in TLS gets its copy there", pair: A_TEST, copies: 1 },
    { name: "whose certificate is for another gets nothing", pair: B_TEST, copies: 0 },
  ];
  for (const { name, pair, copies } of CASES) {
    test(name, async () => {
      const upstream = await startTlsUpstream(pair);
      const app = cluster("app");
      const own = await startRawUpstream((socket) => {
        socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown"));
      });
      const target = { kind: "cluster", cluster: IN_TLS.name, subset: null } as const;
      const requestHeaders = { remove: [], set: [], add: [] };
      const mirrors = [{ target, sharePpm: 1_000_000, requestHeaders }];
      const mesh = meshTo(upstream.port);
      const snapshot = gatewaySnapshot(80, [forwardRoute(app.name, { policy: { mirrors } })], {
        clusters: { ...mesh.clusters, [app.name]: app },
        endpoints: { ...mesh.endpoints, [app.name]: { endpoints: [endpoint(own.port)] } },
      });
      const { port, context, assertions } = await startFixture(snapshot);
      const client = await RawClient.open(port);
      client.send("GET /x HTTP/1.1\r\nhost: shop\r\n\r\n");
      assert.match(await client.until(/own$/), /^HTTP\/1.1 200 /);
      // The handshake has ended when the pool of a refused endpoint is gone.
      await eventually(() => upstream.requests.length > 0 || context.pools.size === 1);
      assert.equal(upstream.requests.length, copies);
      if (copies > 0) assert.match(upstream.requests[0] ?? "", /\r\nhost: shop-shadow\r\n/);
      assert.deepEqual(assertions, []);
    });
  }
});

describe("a plug-in's own call", () => {
  async function callsTo(port: number): Promise<PluginCalls> {
    const { context } = observedContext(systemClock);
    const clusters = new PluginClusters(context.prng);
    const snapshot = { ...EMPTY_SNAPSHOT, ...meshTo(port) };
    clusters.use(await preparer(context).prepareGateway(snapshot, null));
    atEnd(() => {
      context.pools.closeIdle();
    });
    return new PluginCalls(context, clusters);
  }

  async function ask(port: number): Promise<string> {
    const calls = await callsTo(port);
    const from = { cluster: IN_TLS.name, method: "GET", path: "/", authority: "b" };
    const nothing = { headers: [], body: Buffer.alloc(0), trailers: [], timeoutMs: 0 };
    const answer = await new Promise<HttpCallResponse | null>((resolve) => {
      assert.notEqual(calls.start({ ...from, ...nothing }, resolve), null);
    });
    const status = answer?.headers.find((pair) => pair[0] === ":status")?.[1] ?? "none";
    return `${status} ${Buffer.from(answer?.body ?? []).toString()}`;
  }

  test("goes out in TLS", async () => {
    const upstream = await startTlsUpstream(A_TEST);
    assert.equal(await ask(upstream.port), "200 #1.");
  });

  test("is answered 503 where the certificate is for another, and nothing is sent", async () => {
    const upstream = await startTlsUpstream(B_TEST);
    assert.match(await ask(upstream.port), /^503 /);
    assert.deepEqual(upstream.requests, []);
  });

  test("of gRPC goes out in TLS, with ALPN", async () => {
    const pair = { cert: A_TEST.certificate, key: A_TEST.privateKey };
    const server = createSecureServer(pair);
    const seen: unknown[] = [];
    server.on("stream", (stream, headers) => {
      seen.push(headers[":scheme"], headers[":path"]);
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true });
    });
    const port = await listening(server);
    atEnd(() => server.close());
    const calls = await callsTo(port);
    const status = await new Promise<number>((resolve) => {
      const nothing = (): void => undefined;
      const sink: GrpcSink = {
        onInitialMetadata: nothing,
        onMessage: nothing,
        onTrailingMetadata: nothing,
        onClose: resolve,
      };
      const to = { cluster: IN_TLS.name, authority: null, service: "test.Echo", method: "Unary" };
      calls.startGrpc({ ...to, metadata: [], timeoutMs: 0 }, sink);
    });
    assert.equal(status, 0);
    assert.deepEqual(seen, ["https", "/test.Echo/Unary"]);
  });
});
