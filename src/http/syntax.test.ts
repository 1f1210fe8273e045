import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isAuthority,
  isFieldName,
  isFieldValue,
  isMethod,
  isTarget,
  trimBlanks,
} from "./syntax.ts";

const cases: readonly [check: (text: string) => boolean, yes: string[], no: string[]][] = [
  [isFieldName, ["a", "X-A", "!#$%&'*+-.^_`|~"], ["", "a b", "a:", "é", "a\0", "Ā"]],
  [isMethod, ["GET", "M-SEARCH"], ["", "G T", "GET\r"]],
  [
    isFieldValue,
    ["", "a b", "a\tb", "é"],
    [" a", "a ", "\ta", "a\r\nb", "a\nb", "a\0", "\x7f", "Ā"],
  ],
  [isTarget, ["/", "*", '/a?"|'], ["", "/a b", "/#", "/é", "/\x7f", "/\r\n"]],
  [
    isAuthority,
    ["", "a", "a:", "a:80", "[::1]:80", "a%41"],
    ["a b", "a:65536", "u@a", "[::1", "a%4"],
  ],
];

for (const [check, yes, no] of cases) {
  test(`${check.name} takes what the grammar has and nothing else`, () => {
    for (const text of yes) assert.equal(check(text), true, JSON.stringify(text));
    for (const text of no) assert.equal(check(text), false, JSON.stringify(text));
  });
}

test("an authority that was right once does not make a wrong one right", () => {
  assert.equal(isAuthority("a.test"), true);
  assert.equal(isAuthority("a.test/"), false);
  assert.equal(isAuthority("a.test"), true);
});

test("only space and tab are white space", () => {
  assert.equal(trimBlanks(" \ta b\t "), "a b");
  assert.equal(trimBlanks("\xa0a\x0b"), "\xa0a\x0b");
});
