import assert from "node:assert/strict";
import { test } from "node:test";
import { fnv1a32 } from "./fnv1a.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const vectors = [
  { text: "", hash: 0x811c9dc5 },
  { text: "a", hash: 0xe40c292c },
  { text: "foobar", hash: 0xbf9cf968 },
];

for (const { text, hash } of vectors) {
  test(`the published FNV-1a vector of "${text}" holds`, () => {
    assert.equal(fnv1a32(bytes(text)), hash);
  });
}

test("the users of the hash-tagging walk-through fall into the buckets its text implies", () => {
  const users = ["jason", "bob", "stacy", "jessie", "vance", "jack", "111"];
  assert.deepEqual(
    users.map((user) => fnv1a32(bytes(user)) % 100),
    [76, 44, 25, 16, 54, 2, 2],
  );
});
