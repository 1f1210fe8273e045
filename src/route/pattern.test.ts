import assert from "node:assert/strict";
import { test } from "node:test";

import { PatternError, preparePattern } from "./pattern.ts";

const cases = [
  { kind: "regex", value: "v[0-9]+", text: "v12", want: true },
  { kind: "regex", value: "v[0-9]+", text: "xv12", want: false },
  { kind: "regex", value: "a|b", text: "ab", want: false },
  { kind: "regex", value: "(a+)+b", text: "a".repeat(50), want: false },
  { kind: "regex", value: "/api/.*", text: "/api/x\u2028y", want: true },
  { kind: "regex", value: "gray", text: "GRAY", ignoreCase: true, want: true },
  { kind: "exact", value: "Gray", text: "gRAY", ignoreCase: true, want: true },
  { kind: "exact", value: "gray", text: "gray1", want: false },
  { kind: "prefix", value: "/A", text: "/ab", ignoreCase: true, want: true },
  { kind: "prefix", value: "/a", text: "/", want: false },
] as const;
for (const { text, want, ...match } of cases) {
  test(`${match.kind} "${match.value}" ${want ? "takes" : "refuses"} "${text.slice(0, 9)}"`, () => {
    assert.equal(preparePattern(match)(text), want);
  });
}

test("a regular expression that is not RE2 is refused with its text", () => {
  assert.throws(() => preparePattern({ kind: "regex", value: "(?=x)(" }), PatternError);
});
