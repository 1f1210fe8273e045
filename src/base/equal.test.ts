import assert from "node:assert/strict";
import { test } from "node:test";
import { isEqual, keepEqual } from "./equal.ts";

const value: Readonly<Record<string, object>> = {
  a: { list: [1, { x: 1 }], text: "t" },
  b: { c: null },
};

test("copies are equal, in any order of their members", () => {
  assert.ok(isEqual(value, structuredClone(value)));
  assert.ok(isEqual({ a: 1, b: [2] }, { b: [2], a: 1 }));
});

const UNLIKE: readonly (readonly [what: string, one: unknown, other: unknown])[] = [
  ["a member more", { a: 1 }, { a: 1, b: 2 }],
  ["a member less", { a: 1, b: 2 }, { a: 1 }],
  ["a member by another name", { a: undefined }, { b: undefined }],
  ["an item more", [1], [1, 2]],
  ["an item less", [1, 2], [1]],
  ["an item within", value, { ...value, a: { list: [1, { x: 2 }], text: "t" } }],
  ["a list for an object", {}, []],
  ["an object for a list", [], {}],
  ["null for an object", {}, null],
  ["a text for a number", { a: 1 }, { a: "1" }],
  ["a member that Object has anyway", { toString: {} }, {}],
];
for (const [what, one, other] of UNLIKE) {
  test(`${what} is a difference`, () => {
    assert.equal(isEqual(one, other), false);
    assert.equal(isEqual(other, one), false);
  });
}

test("entries that equal those before are those before", () => {
  assert.equal(keepEqual<object>(value, { ...structuredClone(value), b: { c: null } }), value);
  const changed = keepEqual<object>(value, { ...structuredClone(value), b: { c: 1 } });
  assert.equal(changed["a"], value["a"]);
  assert.deepEqual(changed["b"], { c: 1 });
  const { b, ...rest } = value;
  assert.notEqual(b, undefined);
  assert.deepEqual(keepEqual(value, rest), rest);
});
