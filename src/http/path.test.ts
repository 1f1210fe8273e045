import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BASE_PATH_RULES, normalizeTarget } from "./path.ts";
import type { PathRules } from "./path.ts";

const BASE = BASE_PATH_RULES;
const MERGE: PathRules = { ...BASE, mergeSlashes: true };
const DECODE: PathRules = { ...MERGE, escapedSlashes: "decode" };
const REJECT: PathRules = { ...BASE, escapedSlashes: "reject" };
const NONE: PathRules = { ...BASE, normalize: false };

/** Target, and what Envoy 1.40 sends on: normalised; slashes merged, too; `%2F` decoded, too. */
type Row = readonly [target: string, base: string, merge?: string, decode?: string];

const AS_ENVOY: readonly Row[] = [
  ["/", "/"],
  ["/a/./b", "/a/b"],
  ["/a/../b", "/b"],
  ["/..", "/"],
  ["/../..", "/"],
  ["/a/.", "/a/"],
  ["/a/..", "/"],
  ["/a/b/..", "/a/"],
  ["/a//b", "/a//b", "/a/b"],
  ["//a", "//a", "/a"],
  ["/a//../b", "/a/b"],
  ["/%2e%2e/a", "/a"],
  ["/a/%2E%2e/b", "/b"],
  ["/a/.%2e/b", "/b"],
  ["/a%2fb", "/a%2fb", "/a%2fb", "/a/b"],
  ["/a%5Cb", "/a%5Cb", "/a%5Cb", "/a/b"],
  ["/a\\..\\b", "/b"],
  ["/a/%2e%2e%2fb", "/a/..%2fb", "/a/..%2fb", "/b"],
  ["/%41%42%7e%2d%5F", "/AB~-_"],
  ["/%zz", "/%zz"],
  ["/%", "/%"],
  ["/a%0ab", "/a%0ab"],
  ['/a"<>`{}|^b', "/a%22%3C%3E%60%7B%7D%7C%5Eb"],
  ["/a..", "/a.."],
  ["/..a", "/..a"],
  ["/a/.../b", "/a/.../b"],
  ["/a?x=/../y", "/a?x=/../y"],
  ["/a/../b?x=//y", "/b?x=//y"],
  ["/a//b?x=//y%2f", "/a//b?x=//y%2f", "/a/b?x=//y%2f"],
  ["/a%2f?x=%2f", "/a%2f?x=%2f", "/a%2f?x=%2f", "/a/?x=%2f"],
  ["/?/../a", "/?/../a"],
  ["/a/..?a", "/?a"],
  ["/a%252e%252e/b", "/a%252e%252e/b"],
  ["/%25%32%65", "/%252e"],
  ["/a/..;/b", "/b"],
  ["/a/.;/b", "/a/b"],
  ["/a;x/../b", "/b"],
  ["/a/...;/b", "/a/...;/b"],
  ["/a/b/../../../c", "/c"],
  ["/a%2f%2fb", "/a%2f%2fb", "/a%2f%2fb", "/a/b"],
  ["/%2F..%2fa", "/%2F..%2fa", "/%2F..%2fa", "/a"],
];

describe("a path is brought to the form that Envoy gives it", () => {
  for (const [target, base, merge = base, decode = merge] of AS_ENVOY) {
    test(target, () => {
      assert.equal(normalizeTarget(target, BASE), base);
      assert.equal(normalizeTarget(target, MERGE), merge);
      assert.equal(normalizeTarget(target, DECODE), decode);
      assert.equal(normalizeTarget(target, NONE), target);
    });
  }

  test("an encoded NUL is refused, and an encoded slash where the rules say so", () => {
    assert.equal(normalizeTarget("/a%00", BASE), null);
    assert.equal(normalizeTarget("/a%2Fb", REJECT), null);
    assert.equal(normalizeTarget("/a%5cb?x", REJECT), null);
    assert.equal(normalizeTarget("/a?x=%2F%00", REJECT), "/a?x=%2F%00");
  });

  test("twice gives what once gives, also where it does not in Envoy", () => {
    for (const target of ["/a/%2e%2e;/b", "/a\\%2e\\..;x/c", "/%2e%2e%2f", "/a%5c..%5cb"]) {
      for (const rules of [BASE, MERGE, DECODE]) {
        const once = normalizeTarget(target, rules) ?? "";
        assert.equal(normalizeTarget(once, rules), once, target);
      }
    }
  });

  test("a target that is no path stays", () => {
    assert.equal(normalizeTarget("*", DECODE), "*");
  });
});
