import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteCache } from "./byte-cache.ts";
import { fieldName, latin1 } from "./field-text.ts";

function memoryOf(text: string): { readonly bytes: Buffer; readonly view: DataView } {
  const bytes = Buffer.from(text, "latin1");
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

test("the same bytes at another place give the same value, made once", () => {
  let made = 0;
  const cache = new ByteCache((bytes) => {
    made += 1;
    return latin1(bytes);
  });
  const { view } = memoryOf("..x-user-id...x-user-id");
  assert.equal(cache.get(view, 2, 9), "x-user-id");
  assert.equal(cache.get(view, 14, 9), "x-user-id");
  assert.equal(made, 1);
});

test("bytes that want the same slot never get each other's value", () => {
  const cache = new ByteCache(latin1);
  const texts = Array.from({ length: 5000 }, (_, index) => `n${index}-${index * 7919}`);
  for (let round = 0; round < 2; round++) {
    for (const text of texts) assert.equal(cache.get(memoryOf(text).view, 0, text.length), text);
  }
});

for (let length = 1; length <= 65; length++) {
  test(`each of ${length} bytes is compared`, () => {
    const cache = new ByteCache(latin1);
    const text = "q".repeat(length);
    for (let at = 0; at < length; at++) {
      const { bytes, view } = memoryOf(text);
      assert.equal(cache.get(view, 0, length), text);
      bytes[at] = 0x7a;
      assert.equal(cache.get(view, 0, length), bytes.toString("latin1"));
    }
  });
}

test("a short key is not taken for a longer one", () => {
  const cache = new ByteCache(latin1);
  const { view } = memoryOf("aaaaaaaaaaaa");
  for (let length = 1; length <= 12; length++) {
    assert.equal(cache.get(view, 0, length), "a".repeat(length));
  }
});

test("no bytes and very many bytes are made each time", () => {
  const cache = new ByteCache(latin1);
  const { bytes, view } = memoryOf("a".repeat(100_000));
  assert.equal(cache.get(view, 5, 0), "");
  assert.equal(cache.get(view, 0, bytes.length), bytes.toString("latin1"));
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
