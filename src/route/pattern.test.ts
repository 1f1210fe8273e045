import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RE2JS } from "re2js";

import { PatternError, preparePattern, toSafeRegExp } from "./pattern.ts";

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

test("groups, alternation and two quantifiers never reach JavaScript's engine", () => {
  for (const pattern of ["(a+)+", "a|b", "a*a*", "a+b+", "[^a]*", "\\w+", "a{2}", "a**", "[z-a]"]) {
    assert.equal(toSafeRegExp(pattern), null, pattern);
  }
});

test("a pattern of the safe subset means in JavaScript what it means in RE2", () => {
  const atom = fc.constantFrom("a", "b", "/", "\\.", ".", "\\d", "[a-z]", "[0-9._-]", "-");
  const pattern = fc
    .tuple(fc.array(atom, { maxLength: 4 }), fc.constantFrom("", "*", "+", "?"), fc.array(atom))
    .map(
      ([head, quantifier, tail]) =>
        (head.length === 0 ? "" : head.join("") + quantifier) + tail.join(""),
    );
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "-", "7", "\r", "\n", "é") });
  fc.assert(
    fc.property(pattern, text, (source, subject) => {
      const safe = toSafeRegExp(source);
      assert.ok(safe, source);
      assert.equal(safe.test(subject), RE2JS.compile(source).matches(subject), source);
    }),
  );
});
