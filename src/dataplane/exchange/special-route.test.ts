import assert from "node:assert/strict";
import { after, test } from "node:test";

import { FakeClock } from "../../base/fake-clock.ts";
import type { Route } from "../../snapshot/snapshot.ts";
import type { RoutePolicy } from "../../snapshot/routing.ts";
import { RawClient, eventually, startFixture } from "../testing/fixture.ts";
import { endAll, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

interface Setup {
  readonly client: RawClient;
  readonly seen: string[];
  readonly records: readonly { flags: string; path: string }[];
}

/** A gateway with one route, to an upstream that answers 200 with `content-length: 2`. */
async function start(changes: Partial<Route>, clock?: FakeClock): Promise<Setup> {
  const seen: string[] = [];
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", (bytes: Buffer) => {
      seen.push(bytes.toString("latin1"));
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-from: app\r\n\r\nok");
    });
  });
  const app = cluster("app");
  const snapshot = gatewaySnapshot(80, [forwardRoute(app.name, changes)], {
    clusters: { [app.name]: app },
    endpoints: { [app.name]: { endpoints: [endpoint(upstream.port)] } },
  });
  const { port, records } = await startFixture(snapshot, clock);
  return { client: await RawClient.open(port), seen, records };
}

const get = (path: string, fields = ""): string =>
  `GET ${path} HTTP/1.1\r\nhost: shop.example.com\r\n${fields}\r\n`;

test("a rewritten request reaches the upstream under its new path and host", async () => {
  const policy: RoutePolicy = { rewrite: { uri: "/v2/", authority: "inner.example" } };
  const matches = [{ uri: { kind: "prefix" as const, value: "/api/" } }];
  const { client, seen, records } = await start({ policy, matches });
  client.send(get("/api/cart?a=1"));
  await client.until(/ok$/);
  assert.match(seen[0] ?? "", /^GET \/v2\/cart\?a=1 HTTP\/1.1\r\n/);
  assert.match(seen[0] ?? "", /\r\nhost: inner\.example\r\n/);
  assert.match(seen[0] ?? "", /\r\nx-envoy-original-path: \/api\/cart\?a=1\r\n/);
  await eventually(() => records.length === 1);
  assert.equal(records[0]?.path, "/api/cart?a=1");
});

test("a redirect is answered without an upstream", async () => {
  const action = { kind: "redirect" as const, status: 308, scheme: "https", path: "/new" };
  const { client, seen } = await start({ action });
  client.send(get("/old?a=1"));
  const answer = await client.until(/\r\n\r\n/);
  assert.match(answer, /^HTTP\/1.1 308 Permanent Redirect\r\n/);
  assert.match(answer, /\r\nlocation: https:\/\/shop\.example\.com\/new\?a=1\r\n/);
  assert.deepEqual(seen, []);
});

test("an abort is answered with its status and flagged", async () => {
  const policy: RoutePolicy = { fault: { abort: { status: 418, sharePpm: 1_000_000 } } };
  const { client, records } = await start({ policy });
  client.send(get("/"));
  assert.match(await client.until(/fault_injected/), /^HTTP\/1.1 418 /);
  await eventually(() => records.length === 1);
  assert.equal(records[0]?.flags, "fault_injected");
});

test("a delay holds the request up, and only for its time", async () => {
  const clock = new FakeClock();
  const policy: RoutePolicy = { fault: { delay: { delayMs: 5_000, sharePpm: 1_000_000 } } };
  const { client, seen } = await start({ policy }, clock);
  client.send(get("/"));
  await eventually(() => clock.pendingCount > 1);
  clock.advance(4_999);
  assert.deepEqual(seen, []);
  clock.advance(1);
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
});

test("a share of 0 injects nothing", async () => {
  const none = { sharePpm: 0 };
  const fault = { abort: { status: 500, ...none }, delay: { delayMs: 1e9, ...none } };
  const { client } = await start({ policy: { fault } });
  client.send(get("/"));
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
});

const cors: RoutePolicy = {
  cors: {
    allowOrigins: [{ kind: "exact", value: "https://app.example" }],
    allowMethods: "GET,PUT",
    allowHeaders: "x-token",
    exposeHeaders: "x-from",
    maxAge: "600",
    allowCredentials: true,
    unmatchedPreflights: "forward",
  },
};
const preflight = (origin: string): string =>
  `OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: ${origin}\r\n` +
  "access-control-request-method: PUT\r\n\r\n";

test("a preflight of an allowed origin is answered at the gateway", async () => {
  const { client, seen } = await start({ policy: cors });
  client.send(preflight("https://app.example"));
  const answer = await client.until(/\r\n\r\n/);
  assert.match(answer, /^HTTP\/1.1 200 /);
  for (const field of [
    "allow-origin: https://app.example",
    "allow-credentials: true",
    "allow-methods: GET,PUT",
    "allow-headers: x-token",
    "max-age: 600",
  ]) {
    assert.ok(answer.includes(`\r\naccess-control-${field}\r\n`), field);
  }
  assert.deepEqual(seen, []);
});

test("a preflight of another origin goes on to the upstream, or is answered bare", async () => {
  const forwarded = await start({ policy: cors });
  forwarded.client.send(preflight("https://evil.example"));
  assert.match(await forwarded.client.until(/ok$/), /\r\nx-from: app\r\n/);
  const policy = { cors: { ...cors.cors!, unmatchedPreflights: "ignore" as const } };
  const ignored = await start({ policy });
  ignored.client.send(preflight("https://evil.example"));
  const answer = await ignored.client.until(/\r\n\r\n/);
  assert.match(answer, /^HTTP\/1.1 200 /);
  assert.doesNotMatch(answer, /access-control-/);
  assert.deepEqual(ignored.seen, []);
});

test("a response to an allowed origin may be read there", async () => {
  const { client } = await start({ policy: cors });
  client.send(get("/", "origin: https://app.example\r\n"));
  const answer = await client.until(/ok$/);
  assert.match(answer, /\r\naccess-control-allow-origin: https:\/\/app\.example\r\n/);
  assert.match(answer, /\r\naccess-control-expose-headers: x-from\r\n/);
});
