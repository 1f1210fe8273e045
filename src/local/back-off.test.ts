import assert from "node:assert/strict";
import { test } from "node:test";
import { BackOff, HEALTHY_AFTER_MS } from "./back-off.ts";

test("the first restart is immediate, then 1 s doubles to 60 s", () => {
  const backOff = new BackOff();
  const delays = Array.from({ length: 9 }, () => backOff.next(100));
  assert.deepEqual(delays, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
});

test("ten minutes of health begin the series anew", () => {
  const backOff = new BackOff();
  for (let crash = 0; crash < 5; crash++) backOff.next(100);
  assert.equal(backOff.next(HEALTHY_AFTER_MS - 1), 16_000);
  assert.equal(backOff.next(HEALTHY_AFTER_MS), 0);
  assert.equal(backOff.next(100), 1_000);
});
