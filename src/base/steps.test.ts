import assert from "node:assert/strict";
import { test } from "node:test";
import { runInTurns, runNow } from "./steps.ts";
import type { Steps } from "./steps.ts";

function* countTo(last: number, seen: number[]): Steps<string> {
  for (let count = 1; count <= last; count++) {
    if (count > 1) yield;
    seen.push(count);
  }
  return "done";
}

test("steps that run now are all done when the call returns", () => {
  const seen: number[] = [];
  assert.equal(runNow(countTo(3, seen)), "done");
  assert.deepEqual(seen, [1, 2, 3]);
});

test("between steps that run in turns others have theirs", async () => {
  const seen: number[] = [];
  const running = runInTurns(countTo(3, seen));
  assert.deepEqual(seen, [1]);
  setImmediate(() => seen.push(0));
  assert.equal(await running, "done");
  assert.deepEqual(
    seen.filter((count) => count > 0),
    [1, 2, 3],
  );
  assert.notEqual(seen.at(-1), 0);
});

test("what a step throws comes out", async () => {
  function* failing(): Steps<void> {
    yield;
    throw new Error("no");
  }
  assert.throws(() => {
    runNow(failing());
  }, /no/);
  await assert.rejects(runInTurns(failing()), /no/);
});
