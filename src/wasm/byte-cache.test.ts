import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteCache } from "./byte-cache.ts";
import { fieldName, latin1 } from "./field-text.ts";

test("the same bytes at another place give the same value, made once", () => {
  let made = 0;
  const cache = new ByteCache((bytes) => {
    made += 1;
    return latin1(bytes);
  });
  const memory = Buffer.from("..x-user-id...x-user-id", "latin1");
  assert.equal(cache.get(memory, 2, 9), "x-user-id");
  assert.equal(cache.get(memory, 14, 9), "x-user-id");
  assert.equal(made, 1);
});

test("bytes that want the same slot never get each other's value", () => {
  const cache = new ByteCache(latin1);
  const texts = Array.from({ length: 5000 }, (_, index) => `n${index}-${index * 7919}`);
  for (let round = 0; round < 2; round++) {
    for (const text of texts) {
      const bytes = Buffer.from(text, "latin1");
      assert.equal(cache.get(bytes, 0, bytes.length), text);
    }
  }
});

test("bytes that change in place give another value, and the first one stays right", () => {
  const cache = new ByteCache(latin1);
  // Only the second byte differs: both texts want the same slot.
  const memory = Buffer.from("a1cdefgh", "latin1");
  assert.equal(cache.get(memory, 0, 8), "a1cdefgh");
  memory[1] = 0x32;
  assert.equal(cache.get(memory, 0, 8), "a2cdefgh");
  assert.equal(cache.get(Buffer.from("a1cdefgh", "latin1"), 0, 8), "a1cdefgh");
});

test("no bytes and very many bytes are made each time", () => {
  const cache = new ByteCache(latin1);
  const long = Buffer.alloc(100_000, "a");
  assert.equal(cache.get(long, 5, 0), "");
  assert.equal(cache.get(long, 0, long.length), long.toString("latin1"));
});

for (const [bytes, name] of [
  ["X-User-Id", "x-user-id"],
  [":authority", ":authority"],
  ["", null],
  [":", null],
  ["a b", null],
  ["a\r\n", null],
  ["a\n", null],
  ["é", null],
] as const) {
  test(`the name ${JSON.stringify(bytes)} reads as ${JSON.stringify(name)}`, () => {
    assert.equal(fieldName(Buffer.from(bytes, "latin1")), name);
  });
}
