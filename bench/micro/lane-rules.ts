//! What a thousand lanes with ten rules each cost for one decision, beside one lane; and what one
//! rule with a regular expression costs. Run: `npx tsx bench/micro/lane-rules.ts`.

import { SeededPrng } from "../../src/base/prng.ts";
import { decideLane, prepareLaneGroup } from "../../src/lane/decide.ts";
import type { DecisionInput, PreparedLaneGroup } from "../../src/lane/decide.ts";
import type { Condition, Lane, Operator } from "../../src/snapshot/snapshot.ts";

const LANES = 1_000;
const RULES_EACH = 10;
/** Headers that rules look at. */
const KEYS = 10;
/** Of 100 rules, those that are neither ==, in nor prefix. */
const OTHER_PERCENT = 5;
const DECISIONS = 200_000;
const ROUNDS = 5;

function test(operator: Operator, name: string, ...values: readonly string[]): Condition {
  return { kind: "test", operand: { kind: "header", name }, operator, values };
}

function ruleOf(prng: SeededPrng, lane: number, rule: number): Condition {
  const key = `x-key-${prng.below(KEYS)}`;
  const own = `user-${lane}-${rule}`;
  if (prng.below(100) < OTHER_PERCENT) return test("regex", key, `${own}-[a-z]+`);
  switch (prng.below(3)) {
    case 0:
      return test("==", key, own);
    case 1:
      return test("in", key, own, `${own}-other`);
    default:
      return test("prefix", key, `${own}-`);
  }
}

function groupOf(conditions: readonly Condition[]): PreparedLaneGroup {
  const lanes = conditions.map((condition, index): Lane => ({
    name: `lane-${index}`,
    tag: `lane-${index}`,
    selector: {},
    services: [],
    enabled: true,
    rule: { programVersion: 2, condition },
  }));
  return prepareLaneGroup({
    name: "default/bench",
    source: { kind: "LaneGroup", namespace: "default", name: "bench" },
    gateways: [],
    services: [],
    baseline: { kind: "untagged", labelKeys: [] },
    fallback: "permissive",
    serviceFallback: {},
    context: { mode: "header", routeHeader: "x-lane" },
    stripFromClients: true,
    lanes,
  });
}

function manyLanes(): PreparedLaneGroup {
  const prng = new SeededPrng(1);
  return groupOf(
    Array.from({ length: LANES }, (_none, lane) => ({
      kind: "any",
      of: Array.from({ length: RULES_EACH }, (_nothing, rule) => ruleOf(prng, lane, rule)),
    })),
  );
}

/** Every header that rules look at is there; one in ten requests meets a rule. */
function inputs(): DecisionInput[] {
  return Array.from({ length: 1_000 }, (_none, at) => {
    const headers: Record<string, string> = {};
    for (let key = 0; key < KEYS; key += 1) {
      headers[`x-key-${key}`] = at % 10 === 0 ? `user-${at}-3` : `somebody-${at}-${key}`;
    }
    return {
      context: (name) => headers[name],
      operand: (_kind, name) => headers[name],
      isEntry: true,
    };
  });
}

/** Nanoseconds of one decision, the median of the rounds. */
function measure(group: PreparedLaneGroup, requests: readonly DecisionInput[]): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startNs = process.hrtime.bigint();
    for (let count = 0; count < DECISIONS; count += 1) {
      const input = requests[count % requests.length];
      if (input !== undefined) decideLane(group, input);
    }
    return Number(process.hrtime.bigint() - startNs) / DECISIONS;
  });
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? NaN;
}

const requests = inputs();
const rows: readonly (readonly [string, PreparedLaneGroup])[] = [
  ["one lane, one rule ==", groupOf([test("==", "x-key-0", "user-1-1")])],
  [`${LANES} lanes, ${RULES_EACH} rules each`, manyLanes()],
  ["one lane, one regular expression", groupOf([test("regex", "x-key-0", "[a-z]+-[0-9]+-9")])],
];
for (const [name, group] of rows) {
  process.stdout.write(`${name.padEnd(40)} ${measure(group, requests).toFixed(0)} ns a decision\n`);
}
