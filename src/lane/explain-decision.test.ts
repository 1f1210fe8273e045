import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../base/prng.ts";
import type { Prng } from "../base/prng.ts";
import type {
  Condition,
  DecisionRule,
  Lane,
  LaneGroup,
  Operator,
  Test,
} from "../snapshot/snapshot.ts";
import { laneGroupOf } from "../snapshot/testing/lane-maker.ts";
import { decideLane, explainDecision, prepareLaneGroup } from "./decide.ts";
import type { DecisionExplanation, DecisionInput } from "./decide.ts";

const SEED = 20_261_121;
const CONFIGURATIONS = 5_000;
const REQUESTS_EACH = 20;
const LANES_MAX = 6;

const VALUES = ["a", "ab", "b", "10", "1.2.3", "10.0.0.1", ""];
const NAMES = ["user", "region", "version"];
const SINGLE: readonly Operator[] = ["==", "!=", "prefix", "suffix", "contains", "percentage", "<"];
const BARE: readonly Operator[] = ["exists", "absent"];

function pick<T>(prng: Prng, values: readonly T[]): T {
  return values[prng.below(values.length)] as T;
}

function randomTest(prng: Prng): Test {
  const operand = { kind: "header", name: pick(prng, NAMES) } as const;
  switch (prng.below(4)) {
    case 0:
      return { kind: "test", operand, operator: pick(prng, BARE), values: [] };
    case 1: {
      const values = [pick(prng, VALUES), pick(prng, VALUES)];
      return { kind: "test", operand, operator: pick(prng, ["in", "notIn"] as const), values };
    }
    default: {
      const operator = pick(prng, SINGLE);
      const isNumber = operator === "percentage" || operator === "<";
      const values = [isNumber ? String(prng.below(101)) : pick(prng, VALUES)];
      return { kind: "test", operand, operator, values };
    }
  }
}

function randomCondition(prng: Prng, depth: number): Condition {
  const kind = depth === 0 ? 0 : prng.below(4);
  if (kind === 0) return randomTest(prng);
  if (kind === 1) return { kind: "not", of: randomCondition(prng, depth - 1) };
  const of = Array.from({ length: 1 + prng.below(3) }, () => randomCondition(prng, depth - 1));
  return { kind: kind === 2 ? "all" : "any", of };
}

function randomRule(prng: Prng): DecisionRule {
  return { programVersion: 2, condition: randomCondition(prng, 2) };
}

function randomLane(prng: Prng, index: number): Lane {
  return {
    name: `lane-${index}`,
    tag: `tag-${index}`,
    selector: {},
    services: [],
    enabled: prng.below(5) > 0,
    rule: prng.below(5) > 0 ? randomRule(prng) : null,
    ...(prng.below(4) === 0 ? { forcedIn: randomRule(prng) } : {}),
    ...(prng.below(4) === 0 ? { forcedOut: randomRule(prng) } : {}),
  };
}

function groupOf(lanes: readonly Lane[]): LaneGroup {
  return laneGroupOf({
    gateways: [],
    baseline: { kind: "untagged", labelKeys: [] },
    lanes,
  });
}

function randomInput(prng: Prng): DecisionInput {
  const headers: Record<string, string> = {};
  for (const name of NAMES) if (prng.below(4) > 0) headers[name] = pick(prng, VALUES);
  if (prng.below(8) === 0) headers["x-lane"] = `tag-${prng.below(LANES_MAX + 2)}`;
  return {
    context: (name) => headers[name],
    operand: (kind, name) => (kind === "header" ? headers[name] : undefined),
    isEntry: prng.below(20) > 0,
  };
}

/** The lane that the outcomes of the explanation lead to, by the order in docs/lanes.md. */
function laneByExplanation({ context, rules, isEntry }: DecisionExplanation): string | null {
  if (context.meaning === "lane") return `lane-${context.value?.slice("tag-".length) ?? ""}`;
  if (context.meaning !== "absent" || !isEntry) return null;
  const open = rules.filter(({ enabled, forcedOut }) => enabled && forcedOut?.isMet !== true);
  const forced = open.find(({ forcedIn }) => forcedIn?.isMet === true);
  return (forced ?? open.find(({ rule }) => rule?.isMet === true))?.lane ?? null;
}

test(`explanation and decision agree on ${CONFIGURATIONS * REQUESTS_EACH} random requests`, () => {
  const prng = new SeededPrng(SEED);
  const reasons = new Map<string, number>();
  for (let round = 0; round < CONFIGURATIONS; round += 1) {
    const count = 1 + prng.below(LANES_MAX);
    const lanes = Array.from({ length: count }, (_none, index) => randomLane(prng, index));
    const group = prepareLaneGroup(groupOf(lanes));
    for (let request = 0; request < REQUESTS_EACH; request += 1) {
      const input = randomInput(prng);
      const decision = decideLane(group, input);
      const explained = explainDecision(group, input);
      const where = `seed ${SEED}, configuration ${round}, request ${request}`;
      assert.equal(explained.decision, decision, where);
      assert.equal(laneByExplanation(explained), decision.lane, where);
      reasons.set(decision.reason, (reasons.get(decision.reason) ?? 0) + 1);
    }
  }
  for (const reason of ["forced", "rule", "baseline"]) {
    assert.ok((reasons.get(reason) ?? 0) > 1_000, `${reason}: ${reasons.get(reason) ?? 0}`);
  }
});
