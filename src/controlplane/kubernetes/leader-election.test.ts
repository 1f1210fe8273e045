import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { FakeCluster, settle } from "./fake-cluster.ts";
import { LEASE_SECONDS, LeaderElection, RENEW_DEADLINE_MS } from "./leader-election.ts";

let cluster: FakeCluster;
let clock: FakeClock;

beforeEach(() => {
  cluster = new FakeCluster();
  clock = new FakeClock();
});

async function replica(identity: string, client: FakeCluster = cluster): Promise<LeaderElection> {
  const election = new LeaderElection({
    ...{ client, clock, prng: new SeededPrng(1), logger: silentLogger },
    ...{ namespace: "system", name: "graylane", identity, onChange: () => undefined },
  });
  election.start();
  await pass(3);
  return election;
}

async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await settle();
    clock.advance(1_000);
  }
  await settle();
}

/** One that asks through it does not reach the server while it is cut off. */
function cutOff(isCut: () => boolean): FakeCluster {
  const cut = Object.create(cluster) as FakeCluster;
  cut.ask = (ask) => (isCut() ? Promise.reject(new Error("cut off")) : cluster.ask(ask));
  cut.watch = (ask) => cluster.watch(ask);
  return cut;
}

test("the first leads, and the second asks nothing but its watch", async () => {
  const first = await replica("a");
  const second = await replica("b");
  const before = cluster.asked.length;
  await pass(60);
  assert.deepEqual([first.isLeader, second.isLeader], [true, false]);
  const since = cluster.asked.slice(before);
  assert.ok(since.length >= 10 && since.length <= 13, `${since.length} renewals in a minute`);
  assert.ok(since.every((path) => path.startsWith("PUT ")));
});

test("who ends gives the Lease back, and the other has it within two seconds", async () => {
  const first = await replica("a");
  const second = await replica("b");
  await first.stop();
  await pass(2);
  assert.ok(second.isLeader);
});

test("one that is cut off leads no more before another takes its Lease", async () => {
  let isCut = false;
  const first = await replica(
    "a",
    cutOff(() => isCut),
  );
  const second = await replica("b");
  isCut = true;
  let bothSeconds = 0;
  let lostAfterMs = 0;
  for (let second_ = 0; second_ < LEASE_SECONDS + 5; second_ += 1) {
    await pass(1);
    if (first.isLeader) lostAfterMs += 1_000;
    if (first.isLeader && second.isLeader) bothSeconds += 1;
  }
  assert.equal(bothSeconds, 0);
  assert.ok(lostAfterMs <= RENEW_DEADLINE_MS + 2_000, `led for ${lostAfterMs} ms`);
  assert.ok(second.isLeader, "the other leads");
  isCut = false;
  await pass(60);
  assert.deepEqual([first.isLeader, second.isLeader], [false, true]);
});

test("of two that want a free Lease at once, one has it", async () => {
  const both = await Promise.all([replica("a"), replica("b")]);
  await pass(5);
  assert.equal(both.filter(({ isLeader }) => isLeader).length, 1);
});
