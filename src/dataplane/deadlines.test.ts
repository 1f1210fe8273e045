import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { FakeClock } from "../base/fake-clock.ts";
import { RunningClock } from "../base/running-clock.ts";
import type { RetryPolicy } from "../snapshot/routing.ts";
import type { Route } from "../snapshot/snapshot.ts";
import { DeadlineSweeper } from "./deadlines.ts";
import type { Expirable } from "./deadlines.ts";
import { eventually, RawClient, startFixture, turn } from "./testing/fixture.ts";
import type { Fixture } from "./testing/fixture.ts";
import { endAll, startRawUpstream } from "./testing/harness.ts";
import type { RawUpstream } from "./testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "./testing/snapshot-maker.ts";

const A = cluster("a");
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
const ONCE_MORE: RetryPolicy = {
  ...{ retries: 1, on: ["reset"], statuses: [], perTryTimeoutMs: 2_000 },
  ...{ backOffBaseMs: 25, backOffMaxMs: 250 },
};

after(endAll);

interface Setup extends Fixture {
  readonly clock: FakeClock;
  readonly client: RawClient;
  readonly upstream: RawUpstream;
  /** Of each request that came, the connection. */
  readonly asked: Socket[];
}

/** An upstream that says nothing by itself. */
async function start(route: Partial<Route> = {}): Promise<Setup> {
  const asked: Socket[] = [];
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => asked.push(socket));
  });
  const clock = new FakeClock();
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name, route)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(upstream.port)] } },
  });
  const fixture = await startFixture(snapshot, clock);
  const client = await RawClient.open(fixture.port);
  return { ...fixture, clock, client, upstream, asked };
}

/** As in a process that goes on after SIGCONT: what is due fires before anything is read. */
function stopped(clock: FakeClock, forMs: number): void {
  clock.stop(forMs);
  clock.advance(0);
}

async function exchanged({ client, asked }: Setup, request = GET): Promise<void> {
  const count = asked.length;
  client.received = "";
  client.send(request);
  await eventually(() => asked.length > count);
  asked.at(-1)?.write(OK);
  assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
}

const waits: readonly {
  readonly name: string;
  readonly route: Partial<Route>;
  readonly limitMs: number;
}[] = [
  { name: "the answer within a route's time limit", route: { timeoutMs: 5_000 }, limitMs: 5_000 },
  { name: "the answer of one try", route: { policy: { retry: ONCE_MORE } }, limitMs: 2_000 },
  { name: "an answer at all", route: {}, limitMs: 300_000 },
];

for (const { name, route, limitMs } of waits) {
  test(`a worker that is stopped while it waits for ${name} waits on`, async () => {
    const setup = await start(route);
    const { client, clock, asked } = setup;
    client.send(GET);
    await eventually(() => asked.length === 1);
    clock.advance(limitMs / 2);
    stopped(clock, 2 * limitMs);
    stopped(clock, 3_600_000);
    for (let turns = 0; turns < 20; turns++) await turn();
    assert.equal(client.received, "");
    assert.equal(asked.length, 1);
    asked[0]?.write(OK);
    assert.match(await client.until(/ok$/), /^HTTP\/1.1 200 /);
  });

  test(`a worker that was stopped gives up ${name} when it has run for so long`, async () => {
    const { client, clock, asked } = await start(route);
    client.send(GET);
    await eventually(() => asked.length === 1);
    stopped(clock, limitMs);
    clock.advance(limitMs + 500);
    await eventually(() => client.received !== "" || asked.length === 2);
    if (asked.length === 1) assert.match(client.received, /^HTTP\/1.1 504 /);
  });
}

test("a client whose head was under way when its worker was stopped is not too slow", async () => {
  const setup = await start();
  const { client, clock, asked } = setup;
  client.send(GET.slice(0, 10));
  for (let turns = 0; turns < 20; turns++) await turn();
  stopped(clock, 60_000);
  client.send(GET.slice(10));
  await eventually(() => asked.length === 1 || client.received !== "");
  assert.equal(client.received, "");
});

const rests = [
  { name: "for longer than a connection may be idle", stopMs: 61_000, connections: 2 },
  { name: "for less", stopMs: 30_000, connections: 1 },
];

for (const { name, stopMs, connections } of rests) {
  for (const request of [GET, POST]) {
    const [method = ""] = request.split(" ");
    const how = connections === 1 ? "the idle connection" : "a new connection";
    test(`after a stop ${name} a ${method} goes out on ${how}`, async () => {
      const setup = await start();
      await exchanged(setup);
      // The client's connection is not idle for longer than the worker ran, either.
      setup.clock.stop(stopMs);
      await exchanged(setup, request);
      assert.equal(setup.upstream.connectionCount, connections);
      // What was left of the old one is closed.
      await eventually(() => setup.context.sweeper.size === 2);
    });
  }
}

test("time in which a process computes is not lost, nor is a short pause", () => {
  const clock = new FakeClock();
  let cpuMs = 0;
  const running = new RunningClock(clock, () => cpuMs);
  clock.stop(400);
  assert.equal(running.monotonicMs(), clock.monotonicMs(), "a short pause");
  clock.stop(3_000);
  cpuMs += 2_000;
  assert.equal(running.monotonicMs(), clock.monotonicMs() - 1_000, "two of three seconds computed");
  clock.stop(3_600_000);
  assert.equal(running.monotonicMs(), clock.monotonicMs() - 3_601_000, "an hour's sleep");
  clock.jump(3_600_000);
  assert.equal(running.lostMs, 3_601_000, "the wall clock is nobody's deadline");
});

test("a timer fires when the process has run for so long, once, or never when cancelled", () => {
  const clock = new FakeClock();
  const running = new RunningClock(clock);
  const fired: number[] = [];
  running.after(1_000, () => fired.push(1));
  const cancelled = running.after(1_000, () => fired.push(2));
  stopped(clock, 5_000);
  assert.deepEqual(fired, []);
  cancelled.cancel();
  for (let count = 0; count < 20; count++) {
    clock.advance(100);
    running.beat();
  }
  assert.deepEqual(fired, [1]);
  assert.equal(clock.pendingCount, 0);
});

test("deadlines that are due at once are met by fifties, with turns of all else between", () => {
  const clock = new FakeClock();
  const expired = new Set<number>();
  const timersSet: { delayMs: number; expired: number }[] = [];
  const timers: Clock = {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, run) => {
      timersSet.push({ delayMs, expired: expired.size });
      return clock.after(delayMs, run);
    },
  };
  const sweeper = new DeadlineSweeper(timers);
  for (let index = 0; index < 120; index++) {
    const member: Expirable = {
      deadlineMs: clock.monotonicMs() + 100,
      onDeadline: () => {
        expired.add(index);
        sweeper.remove(member);
      },
    };
    sweeper.add(member);
  }
  clock.advance(250);
  assert.deepEqual(timersSet, [
    { delayMs: 250, expired: 0 },
    { delayMs: 0, expired: 50 },
    { delayMs: 0, expired: 100 },
    { delayMs: 250, expired: 120 },
  ]);
  assert.equal(sweeper.size, 0);
});
