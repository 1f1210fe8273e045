import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Condition, Operator, Test } from "../snapshot/snapshot.ts";
import { toWireText } from "./key-hash.ts";
import { explainRule, prepareCondition } from "./program.ts";
import type { OperandLookup } from "./program.ts";

const name = { kind: "header", name: "name" } as const;

function testOf(operator: Operator, ...values: readonly string[]): Test {
  return { kind: "test", operand: name, operator, values };
}

const given =
  (value: string | undefined): OperandLookup =>
  () =>
    value === undefined ? undefined : toWireText(value);

const THIRTY_TWO = "[0-9a-zA-Z]{32}";

/** Every operator: values that meet it, values that do not, and what a missing operand means. */
const TABLE: readonly {
  readonly test: Test;
  readonly met: readonly string[];
  readonly notMet: readonly string[];
  readonly whenMissing: boolean;
}[] = [
  {
    test: testOf("==", "xiaoming"),
    met: ["xiaoming"],
    notMet: ["xiaoming1", "Xiaoming", ""],
    whenMissing: false,
  },
  {
    test: testOf("!=", "xiaoming"),
    met: ["xiaoming1", "", "xiaohong"],
    notMet: ["xiaoming"],
    whenMissing: true,
  },
  {
    test: testOf("in", "xiaoming", "xiaohong"),
    met: ["xiaoming", "xiaohong"],
    notMet: ["xiao", "xiaoming,xiaohong", ""],
    whenMissing: false,
  },
  {
    test: testOf("notIn", "xiaoming", "xiaohong"),
    met: ["xiaobai", ""],
    notMet: ["xiaohong"],
    whenMissing: true,
  },
  { test: testOf("prefix", "xiao"), met: ["xiao", "xiaobai"], notMet: ["xia"], whenMissing: false },
  {
    test: testOf("suffix", "ming"),
    met: ["ming", "xiaoming"],
    notMet: ["min"],
    whenMissing: false,
  },
  { test: testOf("contains", "om"), met: ["xiaoming", "om"], notMet: ["mo"], whenMissing: false },
  { test: testOf("==", "李雷"), met: ["李雷"], notMet: ["李"], whenMissing: false },
  {
    test: testOf("regex", THIRTY_TWO),
    met: ["1234567890abcdef1234567890ABCDEF"],
    // A full match: a longer text that only holds one is none.
    notMet: ["1234567890abcdef1234567890ABCDE", "1234567890abcdef1234567890ABCDEFx", ""],
    whenMissing: false,
  },
  { test: testOf("exists"), met: ["x", ""], notMet: [], whenMissing: false },
  { test: testOf("absent"), met: [], notMet: ["x", ""], whenMissing: true },
  { test: testOf("<", "10"), met: ["9.99", "-3"], notMet: ["10", "x", ""], whenMissing: false },
  { test: testOf("<=", "10"), met: ["10", "10.0"], notMet: ["10.01"], whenMissing: false },
  { test: testOf(">", "10"), met: ["10.5"], notMet: ["10", "1e9", "0x20"], whenMissing: false },
  { test: testOf(">=", "10"), met: ["10", "+11"], notMet: ["9", " 11"], whenMissing: false },
  {
    test: testOf("semver", ">=2.1.0 <3.0.0"),
    met: ["2.1.0", "2.9.12", "v2.5.0", "2.2.0-beta.1"],
    notMet: ["2.0.9", "3.0.0", "2.1", "latest"],
    whenMissing: false,
  },
  {
    test: testOf("cidr", "10.1.0.0/16", "2001:db8::/32", "192.0.2.7"),
    met: ["10.1.255.3", "2001:db8::1", "192.0.2.7", "::ffff:10.1.0.1"],
    notMet: ["10.2.0.1", "192.0.2.8", "2001:db9::", "10.1.0", "host"],
    whenMissing: false,
  },
  // FNV-1a 32 modulo 100: 111 is 2, jack 2, jessie 16, jason 76 (docs/lanes.md, hash functions).
  {
    test: testOf("percentage", "10"),
    met: ["111", "jack"],
    notMet: ["jessie", "jason"],
    whenMissing: false,
  },
  { test: testOf("percentage", "0"), met: [], notMet: ["111", "jack", ""], whenMissing: false },
  { test: testOf("percentage", "100"), met: ["jason", ""], notMet: [], whenMissing: false },
  { test: testOf("percentage", "2"), met: [], notMet: ["111", "jack"], whenMissing: false },
  { test: testOf("percentage", "3"), met: ["111", "jack"], notMet: [], whenMissing: false },
  // SHA-256 modulo 100: 1 is 15, 11 is 48.
  {
    test: { ...testOf("percentage", "16"), hash: "sha256" },
    met: ["1"],
    notMet: ["11"],
    whenMissing: false,
  },
];

describe("every operator has a defined outcome", () => {
  for (const { test: tested, met, notMet, whenMissing } of TABLE) {
    const title = `${tested.operator} ${tested.values.join(", ")} ${tested.hash ?? ""}`.trim();
    test(title, () => {
      const isMet = prepareCondition(tested);
      for (const value of met) assert.equal(isMet(given(value)), true, `met by "${value}"`);
      for (const value of notMet) assert.equal(isMet(given(value)), false, `not by "${value}"`);
      assert.equal(isMet(given(undefined)), whenMissing, "when the operand is missing");
    });

    test(`NOT inverts ${title}, also for a missing operand`, () => {
      const isMet = prepareCondition({ kind: "not", of: tested });
      for (const value of met) assert.equal(isMet(given(value)), false);
      for (const value of notMet) assert.equal(isMet(given(value)), true);
      assert.equal(isMet(given(undefined)), !whenMissing);
    });
  }
});

const isMing = testOf("==", "xiaoming");
const isXiao = testOf("prefix", "xiao");

test("meet all and meet any are AND and OR, and may nest", () => {
  const all: Condition = { kind: "all", of: [isMing, isXiao] };
  const any: Condition = { kind: "any", of: [testOf("==", "bob"), isXiao] };
  const nested: Condition = { kind: "all", of: [any, { kind: "not", of: isMing }] };
  const check = (condition: Condition, value: string): boolean =>
    prepareCondition(condition)(given(value));
  assert.deepEqual([check(all, "xiaoming"), check(all, "xiaohong")], [true, false]);
  assert.deepEqual(
    [check(any, "bob"), check(any, "xiaohong"), check(any, "x")],
    [true, true, false],
  );
  assert.deepEqual([check(nested, "xiaohong"), check(nested, "xiaoming")], [true, false]);
});

test("an empty all holds and an empty any does not", () => {
  assert.equal(prepareCondition({ kind: "all", of: [] })(given(undefined)), true);
  assert.equal(prepareCondition({ kind: "any", of: [] })(given(undefined)), false);
});

test("a condition after the one that settles the outcome is not read", () => {
  let reads = 0;
  const read: OperandLookup = () => {
    reads += 1;
    return "xiaoming";
  };
  prepareCondition({ kind: "any", of: [isMing, isXiao] })(read);
  assert.equal(reads, 1);
});

test("the explanation tells every condition with its value, bucket and limit", () => {
  const condition: Condition = { kind: "any", of: [isMing, testOf("percentage", "10")] };
  const outcome = explainRule({ programVersion: 2, condition }, given("111"));
  assert.equal(outcome.isMet, true);
  assert.ok(outcome.kind === "any");
  const [first, second] = outcome.of;
  assert.ok(first?.kind === "test" && second?.kind === "test");
  assert.deepEqual([first.isMet, first.operandValue, first.bucket], [false, "111", null]);
  assert.deepEqual([second.bucket?.bucketPpm, second.bucket?.limitPpm], [20_000, 100_000]);
});
