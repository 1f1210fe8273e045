import assert from "node:assert/strict";
import { test } from "node:test";
import { allBegun, endEach, stopAll } from "./ending.ts";

const fail = (what: string) => (): Promise<never> => Promise.reject(new Error(what));

test("each step is taken, whatever became of those before it, and all faults are told", async () => {
  const taken: string[] = [];
  const steps = [() => taken.push("a"), fail("b"), () => taken.push("c"), fail("d")];
  await assert.rejects(endEach(...steps), /Error: b; Error: d/);
  assert.deepEqual(taken, ["a", "c"]);
  await assert.rejects(endEach(fail("alone")), { message: "alone" });
});

test("all are stopped, also those behind one that cannot be", async () => {
  const stopped: string[] = [];
  const all = [{ stop: fail("stuck") }, { stop: () => stopped.push("b") }];
  await assert.rejects(stopAll(all), { message: "stuck" });
  assert.deepEqual(stopped, ["b"]);
});

test("what begins beside one that fails has begun before the failure is told", async () => {
  let hasBegun = false;
  const slow = new Promise<void>((resolve) => {
    setImmediate(() => {
      hasBegun = true;
      resolve();
    });
  });
  await assert.rejects(allBegun([fail("first")(), slow]), { message: "first" });
  assert.equal(hasBegun, true);
});
