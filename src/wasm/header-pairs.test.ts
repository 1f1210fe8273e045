import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePairs, encodePairs } from "./header-pairs.ts";
import type { HeaderPair } from "./header-pairs.ts";

const PAIRS: readonly HeaderPair[] = [
  [":path", "/"],
  ["x-a", ""],
  ["x-a", "\xe4\xff"],
];

test("pairs come back as they were", () => {
  assert.deepEqual(decodePairs(encodePairs(PAIRS)), PAIRS);
  assert.deepEqual([...encodePairs([])], [0, 0, 0, 0]);
});

test("every cut, every wrong count and one byte too many is an empty list", () => {
  const whole = encodePairs(PAIRS);
  for (let length = 0; length < whole.length; length++) {
    assert.deepEqual(decodePairs(whole.subarray(0, length)), [], `cut at ${length}`);
  }
  assert.deepEqual(decodePairs(Buffer.concat([whole, Buffer.from([0])])), []);
  const wrong = Buffer.from(whole);
  wrong.writeUInt32LE(0xffff_ffff, 0);
  assert.deepEqual(decodePairs(wrong), []);
});

test("sizes that point far outside are an empty list", () => {
  const bytes = Buffer.from(encodePairs(PAIRS));
  bytes.writeUInt32LE(0xffff_fff0, 8);
  assert.deepEqual(decodePairs(bytes), []);
});

test("a name or value that would split a message is refused as a whole", () => {
  assert.equal(decodePairs(encodePairs([["a", "b\r\nc: d"]])), null);
  assert.equal(decodePairs(encodePairs([["a:", "b"]])), null);
});
