import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJsonPath, textAt } from "./json-path.ts";

const DOCUMENT = JSON.parse(`{
  "user": {"id": 4711, "tags": ["a", "b"], "vip": true, "none": null},
  "items": [{"sku": "x1"}, {"sku": "x2"}],
  "https://shop.example/roles": ["admin"],
  "mixed": ["a", {"b": 1}]
}`) as unknown;

const FOUND: readonly (readonly [path: string, text: string | undefined])[] = [
  ["user.id", "4711"],
  ["$.user.id", "4711"],
  ["user.vip", "true"],
  ["user.tags", "a,b"],
  ["user.tags[1]", "b"],
  ["items[1].sku", "x2"],
  ['$["items"][0]["sku"]', "x1"],
  ['["https://shop.example/roles"][0]', "admin"],
  ["user.none", undefined],
  ["user", undefined],
  ["mixed", undefined],
  ["user.id.more", undefined],
  ["items[9].sku", undefined],
  ["items.length", undefined],
  ["user.constructor", undefined],
  ["__proto__.user", undefined],
];

for (const [path, text] of FOUND) {
  test(`${path} is ${text ?? "nothing"}`, () => {
    const steps = parseJsonPath(path);
    assert.ok(steps !== null);
    assert.equal(textAt(DOCUMENT, steps), text);
  });
}

for (const path of [
  "",
  "$",
  ".a",
  "a.",
  "a..b",
  "a[",
  "a[x]",
  "a b",
  'a["\\x"]',
  "a[-1]",
  "a[*]",
]) {
  test(`${JSON.stringify(path)} is no path`, () => {
    assert.equal(parseJsonPath(path), null);
  });
}

test("a path has at most 32 steps", () => {
  assert.equal(parseJsonPath("a.".repeat(32) + "a"), null);
  assert.equal(parseJsonPath("a.".repeat(31) + "a")?.length, 32);
});
