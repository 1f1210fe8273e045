import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";

import { FakeClock } from "../../base/fake-clock.ts";
import type { Cluster, Route } from "../../snapshot/snapshot.ts";
import type { OutlierDetection, RetryPolicy } from "../../snapshot/routing.ts";
import { RawClient, eventually, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { endAll, sendRaw, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const RETRY: RetryPolicy = {
  retries: 2,
  perTryTimeoutMs: 0,
  on: ["5xx"],
  statuses: [],
  backOffBaseMs: 1,
  backOffMaxMs: 10,
};
const OUTLIERS: OutlierDetection = {
  consecutive5xx: 1,
  consecutiveGatewayErrors: 0,
  intervalMs: 10_000,
  baseEjectionMs: 60_000,
  ejectedPercentMax: 100,
  healthyPercentMin: 0,
};
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const LAST_GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const ERROR = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nbad";

interface Setup extends Fixture {
  readonly client: RawClient;
  /** What each try brought to the upstream. */
  readonly seen: string[];
}

/** Each try is answered by the next of `answers`, the last one again and again. */
async function start(
  answers: readonly ((socket: Socket) => void)[],
  changes: {
    readonly route?: Partial<Route>;
    readonly cluster?: Partial<Cluster>;
    readonly clock?: FakeClock;
    readonly mirrorPort?: number;
  } = {},
): Promise<Setup> {
  const seen: string[] = [];
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", (bytes: Buffer) => {
      const answer = answers[Math.min(seen.length, answers.length - 1)];
      seen.push(bytes.toString("latin1"));
      answer?.(socket);
    });
  });
  const app = { ...cluster("app"), ...changes.cluster };
  const copy = cluster("copy");
  const endpoints = {
    [app.name]: { endpoints: [endpoint(upstream.port)] },
    [copy.name]: { endpoints: [endpoint(changes.mirrorPort ?? 1)] },
  };
  const clusters = { [app.name]: app, [copy.name]: copy };
  const routes = [forwardRoute(app.name, changes.route)];
  const snapshot = gatewaySnapshot(80, routes, { clusters, endpoints });
  const fixture = await startFixture(snapshot, changes.clock);
  return { ...fixture, client: await RawClient.open(fixture.port), seen };
}

const answer = (text: string) => (socket: Socket) => {
  socket.write(text);
};
const hangUp = (socket: Socket): void => {
  socket.destroy();
};
const silence = (): void => undefined;
const retrying = (changes: Partial<RetryPolicy> = {}): Partial<Route> => ({
  policy: { retry: { ...RETRY, ...changes } },
});

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";

test("an answer that the policy names is tried again, the client sees the good one", async () => {
  const { client, records } = await start([answer(ERROR), answer(OK)], { route: retrying() });
  client.send(GET);
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
  await eventually(() => records.length === 1);
  assert.equal(records[0]?.attempts, 2);
});

const grpc = (status: string): string =>
  `HTTP/1.1 200 OK\r\ngrpc-status: ${status}\r\ncontent-length: 0\r\n\r\n`;
const GRPC_STATUSES = [
  ["1", "cancelled"],
  ["4", "deadline-exceeded"],
  ["8", "resource-exhausted"],
  ["13", "internal"],
  ["14", "unavailable"],
] as const;
for (const [status, condition] of GRPC_STATUSES) {
  test(`an answer of gRPC is tried again when ${condition} is in the policy`, async () => {
    const route = retrying({ on: [condition] });
    const { client, seen } = await start([answer(grpc(status)), answer(OK)], { route });
    client.send(GET);
    assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
    assert.equal(seen.length, 2);
  });
}

test("another answer of gRPC, or without that in the policy, is the client's", async () => {
  const on = ["cancelled", "5xx"] as const;
  for (const status of ["0", "5", "14", "constructor"]) {
    const { client, seen } = await start([answer(grpc(status))], { route: retrying({ on }) });
    client.send(GET);
    assert.match(await client.until(/\r\n\r\n$/), new RegExp(`grpc-status: ${status}\r\n`));
    assert.equal(seen.length, 1);
  }
});

test("when the tries are used up, the client gets the last answer as it is", async () => {
  const { client, seen } = await start([answer(ERROR)], { route: retrying() });
  client.send(GET);
  assert.match(await client.until(/bad$/), /^HTTP\/1.1 503 /);
  assert.equal(seen.length, 3);
});

test("an answer that the policy does not name is not tried again", async () => {
  const route = retrying({ on: ["connect-failure"], statuses: [429] });
  const { client, seen } = await start([answer(ERROR)], { route });
  client.send(GET);
  await client.until(/bad$/);
  assert.equal(seen.length, 1);
});

test("a body is sent again whole", async () => {
  const { client, seen } = await start([hangUp, answer(ERROR), answer(OK)], { route: retrying() });
  client.send(POST);
  await client.until(/ok$/);
  assert.equal(seen.length, 3);
  for (const text of seen) assert.match(text, /\r\n\r\nhello$/);
});

test("a body that was too long to keep is not sent again", async () => {
  const length = 600_000;
  const bytes = new Map<Socket, number>();
  const count = (socket: Socket): void => {
    if (bytes.has(socket)) return;
    bytes.set(socket, 0);
    socket.on("data", (more: Buffer) => {
      const sum = (bytes.get(socket) ?? 0) + more.length;
      bytes.set(socket, sum);
      if (sum > length / 1.5) socket.destroy();
    });
  };
  const { client } = await start([count], { route: retrying() });
  client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`);
  client.send("x".repeat(length));
  assert.match(await client.until(/upstream_reset/), /^HTTP\/1.1 502 /);
  assert.equal(bytes.size, 1);
});

test("without a policy a POST whose bytes were sent is never sent again", async () => {
  const { client, seen } = await start([hangUp, answer(OK)]);
  client.send(POST);
  assert.match(await client.until(/upstream_reset/), /^HTTP\/1.1 502 /);
  assert.equal(seen.length, 1);
});

test("a try that takes too long is given up, and another one may succeed", async () => {
  const route = retrying({ perTryTimeoutMs: 20, on: ["reset"] });
  const { client, seen } = await start([silence, answer(OK)], { route });
  client.send(GET);
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
  assert.equal(seen.length, 2);
});

test("when no try answers in its time, the answer is 504", async () => {
  const route = retrying({ perTryTimeoutMs: 20, retries: 1 });
  const { client, seen } = await start([silence], { route });
  client.send(GET);
  assert.match(await client.until(/upstream_timeout/), /^HTTP\/1.1 504 /);
  assert.equal(seen.length, 2);
});

test("a cluster that always fails gets at most a fifth more than its requests", async () => {
  const clock = new FakeClock();
  const route = retrying({ backOffBaseMs: 1, backOffMaxMs: 1 });
  const { client, seen } = await start([answer(ERROR)], { route, clock });
  const requests = 200;
  for (let index = 1; index <= requests; index++) {
    client.send(GET);
    await eventually(() => {
      clock.advance(0);
      return client.received.split("bad").length > index;
    });
  }
  const saved = 50;
  assert.ok(seen.length <= requests * 1.2 + saved, `${seen.length} tries`);
  assert.ok(seen.length > requests * 1.1, `${seen.length} tries`);
});

test("more requests at once than the cluster allows are answered 503", async () => {
  const policy = { connections: { requestsMax: 1 } };
  const { client, port } = await start([silence], { cluster: { policy } });
  client.send(GET);
  const second = await RawClient.open(port);
  await eventually(() => client.socket.bytesWritten > 0);
  second.send(GET);
  assert.match(await second.until(/upstream_overflow/), /^HTTP\/1.1 503 /);
});

test("a request waits for its cluster's one connection, and no more than may wait", async () => {
  const policy = { connections: { connectionsMax: 1, pendingMax: 1 } };
  const sockets: Socket[] = [];
  const keep = (socket: Socket): void => {
    sockets.push(socket);
  };
  const { client, port, seen } = await start([keep, answer(OK)], { cluster: { policy } });
  client.send(GET);
  await eventually(() => seen.length === 1);
  const second = await RawClient.open(port);
  second.send(GET);
  await eventually(() => second.socket.bytesWritten > 0);
  const third = await RawClient.open(port);
  third.send(GET);
  const refused = await Promise.race([
    third.until(/upstream_overflow/),
    second.until(/upstream_overflow/),
  ]);
  assert.match(refused, /^HTTP\/1.1 503 /);
  sockets[0]?.write(OK);
  await client.until(/ok$/);
  await eventually(() => seen.length === 2);
});

test("a connection carries no more requests than the cluster allows", async () => {
  const policy = { connections: { requestsPerConnectionMax: 1 } };
  const sockets = new Set<Socket>();
  const serve = (socket: Socket): void => {
    sockets.add(socket);
    socket.write(OK);
  };
  const { client } = await start([serve], { cluster: { policy } });
  client.send(GET);
  await client.until(/ok$/);
  client.send(GET);
  await client.until(/ok[^]*ok$/);
  assert.equal(sockets.size, 2);
});

test("an endpoint that keeps failing is left out; with no other the answer is 503", async () => {
  const policy = { outliers: OUTLIERS };
  const { client, seen } = await start([answer(ERROR)], { cluster: { policy } });
  client.send(GET);
  await client.until(/bad$/);
  client.send(GET);
  assert.match(await client.until(/no_endpoint/), /bad.*HTTP\/1.1 503 /s);
  assert.equal(seen.length, 1);
});

describe("a request whose connects all fail", () => {
  const tries = 5;
  const cases = [
    { name: "counts each try once", consecutive5xx: tries + 1, want: [] },
    { name: "ejects when as many tries failed", consecutive5xx: tries, want: ["127.0.0.1:1"] },
  ];
  for (const { name, consecutive5xx, want } of cases) {
    test(name, async () => {
      const clock = new FakeClock();
      const policy = { outliers: { ...OUTLIERS, consecutive5xx } };
      const app = { ...cluster("app"), policy };
      const fixture = await startFixture(
        gatewaySnapshot(80, [forwardRoute(app.name)], {
          clusters: { [app.name]: app },
          endpoints: { [app.name]: { endpoints: [endpoint(1)] } },
        }),
        clock,
      );
      const client = await RawClient.open(fixture.port);
      client.send(GET);
      await eventually(() => {
        clock.advance(10);
        return client.received.includes(`${tries} tries`);
      });
      const { clusters } = fixture.context.pools;
      assert.deepEqual(clusters.ejected(clock.monotonicMs()), want);
    });
  }
});

test("a client without the cookie of a hashing balancer is given one", async () => {
  const key = { kind: "cookie", name: "pod", path: "/", ttlSeconds: 60 } as const;
  const policy = { loadBalancer: { kind: "ring-hash", key, ringSizeMin: 8 } as const };
  const { client } = await start([answer(OK)], { cluster: { policy } });
  client.send(GET);
  const first = await client.until(/ok$/);
  assert.match(first, /\r\nset-cookie: pod=[0-9a-f]{16}; Max-Age=60; Path=\/; HttpOnly\r\n/);
  client.send("GET / HTTP/1.1\r\nhost: a\r\ncookie: x=1; pod=7\r\n\r\n");
  const second = (await client.until(/ok[^]*ok$/)).slice(first.length);
  assert.doesNotMatch(second, /set-cookie/);
});

test("a mirror gets a copy with its body, and its answer goes to nobody", async () => {
  let copied = "";
  const mirror = await startRawUpstream((socket) => {
    socket.on("data", (bytes: Buffer) => {
      copied += bytes.toString("latin1");
      socket.write("HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\nnope");
    });
  });
  const target = { kind: "cluster", cluster: cluster("copy").name, subset: null } as const;
  const requestHeaders = { remove: [], set: [["x-lane", "gray"] as const], add: [] };
  const mirrors = [{ target, sharePpm: 1_000_000, requestHeaders }];
  const changes = { route: { policy: { mirrors } }, mirrorPort: mirror.port };
  const { client, seen } = await start([answer(OK)], changes);
  client.send(POST);
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
  await eventually(() => copied.endsWith("hello"));
  assert.match(copied, /\r\nhost: a-shadow\r\n/);
  assert.match(copied, /\r\nx-lane: gray\r\n/);
  assert.doesNotMatch(seen[0] ?? "", /x-lane/);
});

test("a mirror that cannot be reached costs the request nothing", async () => {
  const target = { kind: "cluster", cluster: cluster("copy").name, subset: null } as const;
  const requestHeaders = { remove: [], set: [], add: [] };
  const policy = { mirrors: [{ target, sharePpm: 1_000_000, requestHeaders }] };
  const { client } = await start([answer(OK)], { route: { policy } });
  client.send(POST);
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
});

test("a GET whose idle connection is dead is sent on a new one: all idle ones may be", async () => {
  const idleCount = 5;
  const waiting: Socket[] = [];
  const upstream = await startRawUpstream((socket, index) => {
    let requestCount = 0;
    socket.on("data", () => {
      requestCount += 1;
      if (index < idleCount && requestCount > 1) socket.destroy();
      else if (index >= idleCount) socket.write(OK);
      else if (waiting.push(socket) === idleCount) for (const one of waiting) one.write(OK);
    });
  });
  const gateway = await startFixture(
    gatewaySnapshot(80, [forwardRoute("default/a")], {
      clusters: { "default/a": cluster("a") },
      endpoints: { "default/a": { endpoints: [endpoint(upstream.port)] } },
    }),
  );
  const clients = Array.from({ length: idleCount }, () => sendRaw(gateway.port, LAST_GET));
  for (const answer of await Promise.all(clients)) assert.match(answer, /200 OK/);
  assert.match(await sendRaw(gateway.port, LAST_GET), /200 OK/);
  assert.equal(upstream.connectionCount, idleCount + 1);
  upstream.close();
});

for (const { name, countMin, tries } of [
  { name: "a budget of no retries lets none happen", countMin: 0, tries: 1 },
  { name: "a budget of one retry lets a request use all of its own", countMin: 1, tries: 3 },
]) {
  test(name, async () => {
    const policy = { retryBudget: { percent: 0, countMin } };
    const { client, seen } = await start([answer(ERROR)], {
      route: retrying(),
      cluster: { policy },
    });
    client.send(GET);
    assert.match(await client.until(/bad$/), /^HTTP\/1.1 503 /);
    assert.equal(seen.length, tries);
  });
}
