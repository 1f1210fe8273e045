import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Condition, Operand, Operator, Test } from "../snapshot/snapshot.ts";
import { prepareCondition } from "./program.ts";
import type { OperandLookup } from "./program.ts";
import { firstRule, indexRules } from "./rule-index.ts";
import type { IndexedRule } from "./rule-index.ts";

/** Random configurations, and random requests against each. */
const CONFIGURATIONS = 2_000;
const REQUESTS_EACH = 50;

const OPERANDS: readonly Operand[] = [
  { kind: "header", name: "user" },
  { kind: "header", name: "region" },
  { kind: "cookie", name: "user" },
  { kind: "path", name: "" },
];
/** Few and alike, so that rules meet requests often. */
const VALUES = ["a", "ab", "abc", "b", "ba", "1", "10", "1.2.3", "10.0.0.1", "é", ""];
const PATTERNS = [
  "a.*",
  "ab?",
  "ab*c",
  "a|b",
  "(?i)AB",
  "[ab]+",
  "^ab$",
  "\\d+",
  "a{2}",
  "ab.",
  "",
];

const operand = fc.constantFrom(...OPERANDS);
const value = fc.constantFrom(...VALUES);

function leaf(operator: Operator, values: fc.Arbitrary<string[]>): fc.Arbitrary<Test> {
  return fc
    .tuple(operand, values)
    .map(([one, list]) => ({ kind: "test", operand: one, operator, values: list }));
}

const one = fc.tuple(value) as fc.Arbitrary<string[]>;
const some = fc.array(value, { minLength: 1, maxLength: 3 });
const none = fc.constant<string[]>([]);
const leaves = fc.oneof(
  ...(["==", "!=", "prefix", "suffix", "contains"] as const).map((each) => leaf(each, one)),
  leaf("in", some),
  leaf("notIn", some),
  leaf("exists", none),
  leaf("absent", none),
  leaf("regex", fc.tuple(fc.constantFrom(...PATTERNS)) as fc.Arbitrary<string[]>),
  leaf(">", fc.constant(["5"])),
  leaf("semver", fc.constant([">=1.0.0"])),
  leaf("cidr", fc.constant(["10.0.0.0/8"])),
  leaf("percentage", fc.tuple(fc.constantFrom("0", "30", "100")) as fc.Arbitrary<string[]>),
);

const condition = fc.letrec<{ tree: Condition }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaves,
    fc.record({ kind: fc.constant("all" as const), of: fc.array(tie("tree"), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant("any" as const), of: fc.array(tie("tree"), { maxLength: 3 }) }),
    fc.record({ kind: fc.constant("not" as const), of: tie("tree") }),
  ),
})).tree;

const rule: fc.Arbitrary<IndexedRule> = fc
  .tuple(condition, fc.option(leaves, { freq: 4, nil: undefined }))
  .map(([wanted, unless]) =>
    unless === undefined ? { condition: wanted } : { condition: wanted, unless },
  );

const request = fc.array(fc.option(value, { nil: undefined }), {
  minLength: OPERANDS.length,
  maxLength: OPERANDS.length,
});

function lookup(values: readonly (string | undefined)[]): OperandLookup {
  return (kind, name) => {
    const at = OPERANDS.findIndex((each) => each.kind === kind && each.name === name);
    const text = values[at];
    return text === undefined ? undefined : Buffer.from(text).toString("latin1");
  };
}

/** The meaning of rules: one after the other, the first that is met and not excepted. */
function firstByAsking(rules: readonly IndexedRule[], read: OperandLookup): number {
  return rules.findIndex(
    ({ condition: wanted, unless }) =>
      prepareCondition(wanted)(read) && (unless === undefined || !prepareCondition(unless)(read)),
  );
}

test(`the index finds what asking every rule finds, in ${CONFIGURATIONS} configurations`, () => {
  let foundCount = 0;
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 12 }),
      fc.array(request, { minLength: REQUESTS_EACH, maxLength: REQUESTS_EACH }),
      (rules, requests) => {
        const index = indexRules(rules);
        for (const values of requests) {
          const read = lookup(values);
          const wanted = firstByAsking(rules, read);
          assert.equal(firstRule(index, read), wanted, JSON.stringify(values));
          if (wanted > 0) foundCount += 1;
        }
      },
    ),
    { numRuns: CONFIGURATIONS, seed: 20_261_121 },
  );
  // Else the rules met too little to show anything.
  assert.ok(foundCount > CONFIGURATIONS, `${foundCount} requests met a rule after the first`);
});

function equals(operandName: string, ...values: readonly string[]): Test {
  const operator = values.length === 1 ? "==" : "in";
  return { kind: "test", operand: { kind: "header", name: operandName }, operator, values };
}

test("of a thousand rules on one header only those of its value are evaluated", () => {
  const costly = (): Test => ({
    kind: "test",
    operand: { kind: "header", name: "costly" },
    operator: "regex",
    values: [".*x"],
  });
  const rules = Array.from({ length: 1_000 }, (_none, at) => ({
    condition: { kind: "all" as const, of: [costly(), equals("user", `user-${at}`)] },
  }));
  const index = indexRules(rules);
  let reads = 0;
  const read: OperandLookup = (_kind, name) => {
    reads += 1;
    return name === "user" ? "user-777" : "yx";
  };
  assert.equal(firstRule(index, read), 777);
  assert.ok(reads <= 3, `${reads} operands were read`);
});

/** That the value alone decides: none of them is found by value or prefix. */
const byValueAlone = fc.oneof(
  ...(["suffix", "contains"] as const).map((each) => leaf(each, one)),
  leaf("regex", fc.tuple(fc.constantFrom(...PATTERNS)) as fc.Arbitrary<string[]>),
  leaf(">", fc.tuple(fc.constantFrom("0", "5")) as fc.Arbitrary<string[]>),
  leaf("semver", fc.constant([">=1.0.0"])),
  leaf("percentage", fc.tuple(fc.constantFrom("0", "30", "100")) as fc.Arbitrary<string[]>),
);

test("what is remembered of values changes no outcome", () => {
  let foundCount = 0;
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ condition: fc.oneof({ weight: 9, arbitrary: byValueAlone }, condition) }),
        { minLength: 40, maxLength: 60 },
      ),
      fc.array(request, { minLength: REQUESTS_EACH, maxLength: REQUESTS_EACH }),
      (rules, requests) => {
        const index = indexRules(rules);
        for (const values of requests) {
          const read = lookup(values);
          const wanted = firstByAsking(rules, read);
          assert.equal(firstRule(index, read), wanted, JSON.stringify(values));
          if (wanted > 0) foundCount += 1;
        }
      },
    ),
    { numRuns: 200, seed: 20_261_121 },
  );
  assert.ok(foundCount > 200, `${foundCount} requests met a rule after the first`);
});

test("of many conditions on one header a value is tried once, while it is among the last", () => {
  const rules = Array.from({ length: 100 }, (_none, at) => ({
    condition: {
      kind: "test",
      operand: OPERANDS[0],
      operator: ">",
      values: [`${1_000 - at}`],
    } as Test,
  }));
  const index = indexRules(rules);
  const ask = (value: string): { readonly position: number; readonly reads: number } => {
    let reads = 0;
    const position = firstRule(index, () => {
      reads += 1;
      return value;
    });
    return { position, reads };
  };
  // One read to look the value up, and one for each condition that is tried.
  assert.deepEqual(ask("950"), { position: 51, reads: 53 });
  assert.deepEqual(ask("950"), { position: 51, reads: 1 });
  for (let other = 0; other < 5_000; other += 1) ask(`v${other}`);
  assert.deepEqual(ask("950"), { position: 51, reads: 53 }, "forgotten after many others");
  const long = "9".repeat(5_000);
  for (let count = 0; count < 2; count += 1) {
    assert.deepEqual(ask(long), { position: -1, reads: 101 }, "too long to be remembered");
  }
});
