import assert from "node:assert/strict";
import { test } from "node:test";
import { isPercentage, sharePpm } from "./share.ts";

const exact = [
  ["0%", 0],
  ["100%", 1_000_000],
  ["30%", 300_000],
  ["0.1%", 1_000],
  ["1‰", 1_000],
  ["0.5‰", 500],
  ["0.001‰", 1],
  ["1000‰", 1_000_000],
  ["0.0001%", 1],
  ["53%", 530_000],
  ["58.3333%", 583_333],
] as const;

for (const [percent, ppm] of exact) {
  test(`${percent} is exactly ${ppm} parts per million`, () => {
    assert.ok(isPercentage(percent));
    assert.equal(sharePpm({ percent }), ppm);
  });
}

for (const percent of [
  "30",
  "-1%",
  "101%",
  "1001‰",
  "0.00001%",
  "0.0001‰",
  "1e1%",
  "%",
  ".5%",
  "",
]) {
  test(`"${percent}" is no percentage`, () => {
    assert.equal(isPercentage(percent), false);
  });
}

test("parts per million go before a percentage, and nothing is 0", () => {
  assert.equal(sharePpm({ ppm: 7 }), 7);
  assert.equal(sharePpm({}), 0);
});
