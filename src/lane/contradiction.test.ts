import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../base/prng.ts";
import type { Condition, Operator, Test } from "../snapshot/snapshot.ts";
import { findContradiction, isImplied } from "./contradiction.ts";
import { prepareCondition } from "./program.ts";

const is = (operator: Operator, ...values: readonly string[]): Test => ({
  kind: "test",
  operand: { kind: "header", name: "user" },
  operator,
  values,
});
const other: Test = { ...is("==", "x"), operand: { kind: "header", name: "region" } };
const all = (...of: readonly Condition[]): Condition => ({ kind: "all", of });
const any = (...of: readonly Condition[]): Condition => ({ kind: "any", of });
const not = (of: Condition): Condition => ({ kind: "not", of });

const IMPOSSIBLE: readonly (readonly [name: string, condition: Condition])[] = [
  ["two values", all(is("==", "a"), is("==", "b"))],
  ["lists with nothing in common", all(is("in", "a", "b"), is("in", "c"))],
  ["a value without a wanted prefix", all(is("==", "abc"), is("prefix", "b"))],
  ["a value that the regular expression does not match", all(is("regex", "[0-9]+"), is("==", "a"))],
  ["there and absent", all(is("exists"), is("absent"))],
  ["absent and equal", all(is("absent"), is("==", "a"))],
  ["below and above", all(is("<", "5"), is(">=", "5"))],
  ["two prefixes", all(is("prefix", "/a"), is("prefix", "/b"))],
  ["a test and its negation", all(is("regex", "a+"), not(is("regex", "a+")))],
  ["a percentage beyond another", all(is("percentage", "10"), not(is("percentage", "20")))],
  ["each alternative", all(any(is("==", "a"), is("==", "b")), is("==", "c"))],
  ["beneath other conditions", all(other, all(is("==", "a")), not(is("==", "a")))],
];

const POSSIBLE: readonly (readonly [name: string, condition: Condition])[] = [
  ["one alternative", all(any(is("==", "a"), is("==", "b")), is("==", "b"))],
  ["two operands", all(is("==", "a"), other)],
  ["missing in both", all(is("!=", "a"), is("absent"))],
  ["numbers that meet", all(is("<=", "5"), is(">=", "5"))],
  ["nobody by percentage", is("percentage", "0")],
  ["an `all` without a member", all()],
];

for (const [name, condition] of IMPOSSIBLE) {
  test(`no request meets ${name}`, () => {
    assert.notEqual(findContradiction(condition), null);
  });
}

for (const [name, condition] of POSSIBLE) {
  test(`nothing is claimed of ${name}`, () => {
    assert.equal(findContradiction(condition), null);
  });
}

const IMPLIED: readonly (readonly [later: Condition, earlier: Condition, isImplied: boolean])[] = [
  [is("==", "a"), is("in", "a", "b"), true],
  [is("in", "a", "c"), is("in", "a", "b"), false],
  [is("prefix", "/a/b"), is("prefix", "/a"), true],
  [is("prefix", "/a"), is("prefix", "/a/b"), false],
  [is("==", "a"), is("exists"), true],
  [is("percentage", "10"), is("percentage", "30"), true],
  [all(is("==", "a"), other), is("==", "a"), true],
  [is("==", "a"), all(is("==", "a"), other), false],
  [is("absent"), is("!=", "a"), true],
  [is("==", "a"), any(other, is("==", "a")), true],
];

for (const [later, earlier, expected] of IMPLIED) {
  const text = `${JSON.stringify(later)} and ${JSON.stringify(earlier)}`;
  test(`${expected ? "implied" : "not implied"}: ${text}`, () => {
    assert.equal(isImplied(later, earlier), expected);
  });
}

test("what is proven holds for random rules and every value that they name", () => {
  const prng = new SeededPrng(4);
  const values = ["a", "ab", "b", "5", "10", "", "a5"];
  const pick = <T>(list: readonly T[]): T => list[prng.below(list.length)] as T;
  const operators: readonly Operator[] = [
    ...(["==", "!=", "prefix", "suffix", "contains", "<", ">=", "percentage", "regex"] as const),
    ...(["exists", "absent", "in", "notIn"] as const),
  ];
  const random = (depth: number): Condition => {
    const kind = depth === 0 ? 0 : prng.below(4);
    if (kind === 0) {
      const operator = pick(operators);
      if (operator === "exists" || operator === "absent") return is(operator);
      if (["<", ">=", "percentage"].includes(operator)) return is(operator, pick(["5", "10"]));
      return operator === "in" || operator === "notIn"
        ? is(operator, pick(values), pick(values))
        : is(operator, pick(values));
    }
    if (kind === 1) return not(random(depth - 1));
    const of = Array.from({ length: 1 + prng.below(3) }, () => random(depth - 1));
    return kind === 2 ? all(...of) : any(...of);
  };
  let foundCount = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const condition = random(2);
    if (findContradiction(condition) === null) continue;
    foundCount += 1;
    const holds = prepareCondition(condition);
    for (const value of [undefined, ...values, "7", "10.5", "abab", "zzz"]) {
      assert.equal(
        holds(() => value),
        false,
        `${String(value)}: ${JSON.stringify(condition)}`,
      );
    }
  }
  assert.ok(foundCount > 500, String(foundCount));
});
