import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RE2JS } from "re2js";

import { fullMatcher, toLinearRegExp } from "./full-match.ts";

const cases = [
  { pattern: "v[0-9]+", text: "v12", want: true },
  { pattern: "v[0-9]+", text: "xv12", want: false },
  { pattern: "a|b", text: "ab", want: false },
  { pattern: "(a+)+b", text: "a".repeat(50), want: false },
  { pattern: "/api/.*", text: "/api/x\u2028y", want: true },
  { pattern: "^[A-Za-z0-9]{32}$", text: "0123456789abcdefABCDEF0123456789", want: true },
  { pattern: "^[A-Za-z0-9]{32}$", text: "0123456789abcdefABCDEF012345678", want: false },
  { pattern: "[a-z]+-[0-9]+-9", text: "user-17-9", want: true },
  { pattern: ".*beta.*", text: "1.2-beta.3", want: true },
  { pattern: ".*beta.*", text: "1.2-bet", want: false },
  { pattern: ".*beta.*", text: "1.2-beta\n", want: false },
  { pattern: "\\s", text: "\u00a0", want: false },
  { pattern: "", text: "", want: true },
] as const;
for (const { pattern, text, want } of cases) {
  test(`"${pattern}" ${want ? "takes" : "refuses"} "${text.slice(0, 9)}" whole`, () => {
    assert.equal(fullMatcher(pattern)(text), want);
  });
}

for (const pattern of ["(", "a{2,1}", "a{1001}", "a**", "[z-a]", "(?=x)", "\\1"]) {
  test(`"${pattern}", which is not RE2, is refused`, () => {
    assert.throws(() => fullMatcher(pattern));
  });
}

test("what could take more than linear time never reaches JavaScript's engine", () => {
  const patterns = ["(a+)+", "a|b", "a*a*", "a+b?a+", ".*-.*", "\\w+\\d+", "[a-z]*x[a-z]*", "a+?"];
  for (const pattern of patterns) assert.equal(toLinearRegExp(pattern), null, pattern);
});

test("several repetitions reach JavaScript's engine where none can take another's bytes", () => {
  for (const pattern of ["[a-z]+-[0-9]+", "\\d*[a-z]*", "v\\d+\\.\\d+\\.\\d+", "[^-]*-[^-]*"]) {
    assert.ok(toLinearRegExp(pattern), pattern);
  }
});

test("a pattern of the safe subset means in JavaScript what it means in RE2", () => {
  const atom = fc.constantFrom(
    ...[
      "a",
      "b",
      "/",
      "\\.",
      ".",
      "\\d",
      "\\w",
      "\\s",
      "[a-z]",
      "[0-9._-]",
      "[^b-]",
      "[\\d-]",
      "-",
    ],
  );
  const repeat = fc.constantFrom("", "", "*", "+", "?", "{2}", "{0,2}", "{1,}");
  const pattern = fc
    .array(
      fc.tuple(atom, repeat).map((parts) => parts.join("")),
      { maxLength: 5 },
    )
    .map((steps) => steps.join(""));
  const text = fc.string({ unit: fc.constantFrom("a", "b", "/", ".", "-", "7", "\r", "\n", "é") });
  let inSubset = 0;
  fc.assert(
    fc.property(pattern, text, (source, subject) => {
      const linear = toLinearRegExp(source);
      if (linear === null) return;
      inSubset += 1;
      assert.equal(linear.test(subject), RE2JS.compile(source).matches(subject), source);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(inSubset > 1_000, `${inSubset} patterns were compared`);
});
