import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import { createServer as createPlain } from "node:net";
import { after, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { HealthCheck, HealthQuestion } from "../../snapshot/routing.ts";
import type { Cluster, Snapshot } from "../../snapshot/snapshot.ts";
import { eventually, observedContext, RawClient, startFixture } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { listening } from "../testing/tls-upstream.ts";
import { HealthChecks } from "./health-checks.ts";

after(endAll);

const A = cluster("a");
const HTTP: HealthQuestion = {
  kind: "http",
  method: "GET",
  path: "/healthz",
  host: "",
  statuses: [[200, 201]],
  retriable: [],
};

/** So long that the virtual clock, which runs ahead, never gets there. */
const LONG_MS = 1_000_000_000;

function checking(ask: HealthQuestion, timeoutMs = LONG_MS): HealthCheck {
  return {
    ...{ timeoutMs, intervalMs: 1_000, unhealthyIntervalMs: 1_000, jitterMs: 0 },
    ...{ unhealthyEdgeIntervalMs: 1_000, healthyEdgeIntervalMs: 1_000, jitterPercent: 0 },
    ...{ initialJitterMs: 0, unhealthyThreshold: 2, healthyThreshold: 1, ask },
  };
}

function snapshotOf(ask: HealthQuestion, ports: readonly number[], more: Partial<Cluster> = {}) {
  const to = { ...A, policy: { healthCheck: checking(ask) }, ...more };
  return gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: to },
    endpoints: { [A.name]: { endpoints: ports.map((port) => endpoint(port)) } },
  });
}

/** An app that says its name, and whether it is well. */
async function startApp(name: string): Promise<{ port: number; status: number; asked: string[] }> {
  const server = createServer((request, response) => {
    const isCheck = request.url === "/healthz";
    if (isCheck) app.asked.push(`${request.method} ${request.headers.host}`);
    response.writeHead(isCheck ? app.status : 200);
    response.end(`${name} said`);
  });
  const app = { port: await listening(server), status: 200, asked: [] as string[] };
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return app;
}

async function ask(port: number): Promise<string> {
  const client = await RawClient.open(port);
  client.send("GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
  return client.closed();
}

/** Lets the clock run until it is so. */
async function within(clock: FakeClock, isTrue: () => boolean): Promise<void> {
  await eventually(() => {
    clock.advance(100);
    return isTrue();
  });
}

test("an endpoint that fails its check gets nothing until it is well again", async () => {
  const clock = new FakeClock();
  const [one, two] = [await startApp("one"), await startApp("two")];
  const snapshot = snapshotOf(HTTP, [one.port, two.port]);
  const { port, context, assertions } = await startFixture(snapshot, clock);
  const { clusters } = context.pools;
  await within(clock, () => one.asked.length > 0 && two.asked.length > 0);
  assert.equal(one.asked[0], `GET ${A.host}`);
  one.status = 503;
  await within(clock, () => clusters.unhealthy().length === 1);
  for (let count = 0; count < 8; count++) assert.match(await ask(port), /two said\r\n/);
  two.status = 500;
  await within(clock, () => clusters.unhealthy().length === 2);
  assert.match(await ask(port), /^HTTP\/1.1 503 [^]*service default\/a has no ready endpoint/);
  one.status = 200;
  await within(clock, () => clusters.unhealthy().length === 1);
  for (let count = 0; count < 8; count++) assert.match(await ask(port), /one said\r\n/);
  assert.deepEqual(assertions, []);
});

test("with too few that are well, the panic threshold lets all of them serve", async () => {
  const clock = new FakeClock();
  const app = await startApp("one");
  app.status = 500;
  const outliers = {
    ...{ consecutive5xx: 0, consecutiveGatewayErrors: 0, intervalMs: 1, baseEjectionMs: 1 },
    ...{ ejectedPercentMax: 100, healthyPercentMin: 50 },
  };
  const policy = { healthCheck: checking(HTTP), outliers };
  const { port, context } = await startFixture(snapshotOf(HTTP, [app.port], { policy }), clock);
  await within(clock, () => context.pools.clusters.unhealthy().length === 1);
  assert.match(await ask(port), /one said\r\n/);
});

test("an endpoint that does not answer in time fails its check", async () => {
  const clock = new FakeClock();
  const server = createPlain(() => undefined);
  const port = await listening(server);
  atEnd(() => server.close());
  const policy = { healthCheck: checking(HTTP, 1_000) };
  const { context } = await startFixture(snapshotOf(HTTP, [port], { policy }), clock);
  await within(clock, () => context.pools.clusters.unhealthy().length === 1);
});

test("checks end with the cluster that asks for them, and begin anew", async () => {
  const clock = new FakeClock();
  const app = await startApp("one");
  const { context } = observedContext(clock);
  const checks = new HealthChecks(context);
  checks.update(snapshotOf(HTTP, [app.port]));
  await within(clock, () => app.asked.length === 2);
  const gone: Snapshot = snapshotOf(HTTP, [app.port], { policy: {} });
  checks.update(gone);
  assert.equal(context.pools.clusters.health.size, 0);
  clock.advance(60_000);
  checks.update(snapshotOf(HTTP, [app.port]));
  await within(clock, () => app.asked.length === 3);
  checks.stop();
  context.pools.closeIdle();
});

describe("an endpoint that joins later", () => {
  test("serves after its first good check, not before", async () => {
    const clock = new FakeClock();
    const [one, two] = [await startApp("one"), await startApp("two")];
    const { context } = observedContext(clock);
    const checks = new HealthChecks(context);
    const first = snapshotOf(HTTP, [one.port]);
    checks.update(first);
    const set = { [A.name]: { endpoints: [endpoint(one.port), endpoint(two.port)] } };
    checks.update({ ...first, endpoints: set });
    assert.deepEqual(context.pools.clusters.unhealthy(), [`127.0.0.1:${two.port}`]);
    await within(clock, () => context.pools.clusters.unhealthy().length === 0);
    checks.stop();
    context.pools.closeIdle();
  });
});

describe("a check of gRPC", () => {
  for (const { name, status, isWell } of [
    { name: "takes SERVING", status: 1, isWell: true },
    { name: "does not take NOT_SERVING", status: 2, isWell: false },
  ]) {
    test(name, async () => {
      const clock = new FakeClock();
      const seen: unknown[] = [];
      const server = createHttp2Server();
      server.on("stream", (stream: ServerHttp2Stream, headers) => {
        stream.on("data", (bytes: Buffer) => {
          seen.push(headers[":path"], bytes.toString("hex"));
          stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
          stream.on("wantTrailers", () => {
            stream.sendTrailers({ "grpc-status": "0" });
          });
          stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, status]));
        });
      });
      const port = await listening(server);
      atEnd(() => server.close());
      const { context } = observedContext(clock);
      const checks = new HealthChecks(context);
      checks.update(snapshotOf({ kind: "grpc", service: "ab", authority: "" }, [port]));
      await within(clock, () => seen.length >= 6);
      assert.deepEqual(seen.slice(0, 2), ["/grpc.health.v1.Health/Check", "00000000040a026162"]);
      assert.equal(context.pools.clusters.unhealthy().length === 0, isWell);
      checks.stop();
      context.pools.closeIdle();
    });
  }
});

describe("a check of TCP", () => {
  for (const { name, send, receive, isWell } of [
    { name: "is content with a connection", send: "", receive: [], isWell: true },
    { name: "finds what is to be received", send: "70696e67", receive: ["70", "67"], isWell: true },
    { name: "misses what is not sent", send: "70696e67", receive: ["67", "70"], isWell: false },
  ]) {
    test(name, async () => {
      const clock = new FakeClock();
      let asked = 0;
      const server = createPlain((socket) => {
        asked += 1;
        socket.on("error", () => undefined);
        socket.on("data", (bytes: Buffer) => socket.end(bytes));
      });
      const port = await listening(server);
      atEnd(() => server.close());
      const { context } = observedContext(clock);
      const checks = new HealthChecks(context);
      checks.update(snapshotOf({ kind: "tcp", send, receive }, [port]));
      await within(clock, () => asked >= 3);
      assert.equal(context.pools.clusters.unhealthy().length === 0, isWell);
      checks.stop();
    });
  }
});
