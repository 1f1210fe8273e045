import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../base/virtual-clock.ts";
import { LOOK_MS, StallWatch } from "./stall-watch.ts";
import type { StallReason, Watched } from "./stall-watch.ts";

const PING_BYTES = 17;

interface Peer {
  /** What comes from it and what goes to it in each second. */
  readonly reads: number;
  readonly writes: number;
  readonly unsent: number;
}

function watched({ reads, writes, unsent }: Peer, clock: VirtualClock) {
  const startMs = clock.nowMs();
  const elapsed = (): number => (clock.nowMs() - startMs) / 1_000;
  const cuts: { reason: StallReason; seconds: number }[] = [];
  const one: Watched = {
    bytesRead: () => Math.floor(elapsed() * reads),
    bytesWritten: () => Math.floor(elapsed() * writes),
    unsentBytes: () => unsent,
    cut: (reason) => cuts.push({ reason, seconds: elapsed() }),
  };
  return { one, cuts };
}

const CASES: readonly (readonly [claim: string, peer: Peer, reason: StallReason | null])[] = [
  ["who has nothing to do and answers pings stays", { reads: 2, writes: 2, unsent: 0 }, null],
  ["who says nothing at all is cut", { reads: 0, writes: 2, unsent: 0 }, "silent"],
  ["who says nothing and takes nothing is cut", { reads: 0, writes: 0, unsent: 1 }, "silent"],
  [
    "who answers pings and takes nothing is cut",
    { reads: PING_BYTES, writes: PING_BYTES, unsent: 1 << 20 },
    "not_taken",
  ],
  ["who takes a little all the time stays", { reads: 2, writes: 1_000, unsent: 1 << 20 }, null],
];

for (const [claim, peer, reason] of CASES) {
  test(claim, () => {
    const clock = new VirtualClock();
    const watch = new StallWatch(clock);
    const { one, cuts } = watched(peer, clock);
    watch.add(one);
    clock.advance(120_000);
    assert.deepEqual(
      cuts.map((cut) => cut.reason),
      reason === null ? [] : [reason],
    );
    for (const { seconds } of cuts) assert.ok(seconds >= 25 && seconds <= 30, String(seconds));
    watch.remove(one);
    assert.equal(clock.pendingCount, 0);
  });
}

test("who moves now and then is not cut, and a process that stood still blames nobody", () => {
  const clock = new VirtualClock();
  const watch = new StallWatch(clock);
  let read = 0;
  let isCut = false;
  const one: Watched = {
    ...{ bytesRead: () => read, bytesWritten: () => 0, unsentBytes: () => 0 },
    cut: () => {
      isCut = true;
    },
  };
  watch.add(one);
  for (let turn = 0; turn < 5; turn += 1) {
    clock.advance(4 * LOOK_MS);
    read += 1;
    clock.advance(LOOK_MS);
  }
  assert.equal(isCut, false);
  clock.advance(5 * LOOK_MS);
  assert.equal(isCut, true);
});
