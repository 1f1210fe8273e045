import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { FairTurns, TURN_MS_MAX } from "./fair-turns.ts";

/** Turns that the test makes. */
function turns(): {
  readonly fair: FairTurns;
  readonly clock: FakeClock;
  readonly turn: () => void;
} {
  const clock = new FakeClock();
  let awaited: (() => void)[] = [];
  const fair = new FairTurns(clock, (run) => {
    awaited.push(run);
  });
  const turn = (): void => {
    const all = awaited;
    awaited = [];
    assert.ok(all.length <= 1, "one call back for each turn");
    for (const run of all) run();
  };
  return { fair, clock, turn };
}

test("tasks are done in their order, as many in a turn as fit into its time", () => {
  const { fair, clock, turn } = turns();
  const done: number[] = [];
  for (let index = 0; index < 10; index++) {
    fair.add(() => {
      done.push(index);
      clock.advance(TURN_MS_MAX / 2);
    });
  }
  assert.equal(done.length, 0);
  turn();
  assert.equal(done.join(), "0,1");
  fair.add(() => {
    done.push(10);
  });
  for (let count = 0; count < 4; count++) turn();
  assert.equal(done.join(), "0,1,2,3,4,5,6,7,8,9");
  turn();
  assert.equal(done.at(-1), 10);
});

test("a task that is added by a task is done, in this turn or the next", () => {
  const { fair, turn } = turns();
  let isDone = false;
  fair.add(() => {
    fair.add(() => {
      isDone = true;
    });
  });
  turn();
  turn();
  assert.ok(isDone);
});

test("a task that throws costs no other task", () => {
  const { fair, turn } = turns();
  let count = 0;
  fair.add(() => {
    throw new Error("first");
  });
  fair.add(() => {
    count += 1;
  });
  assert.throws(turn, /first/);
  turn();
  assert.equal(count, 1);
});
