//! What a thousand lanes with ten rules each cost for one decision, beside one lane; and what a rule
//! with a regular expression costs, of the kind that JavaScript's engine runs and of the other.
//! Run: `npx tsx bench/micro/lane-rules.ts`.

import { decideLane, prepareLaneGroup } from "../../src/lane/decide.ts";
import type { DecisionInput, PreparedLaneGroup } from "../../src/lane/decide.ts";
import type { Condition, Lane } from "../../src/snapshot/snapshot.ts";
import { LANES, fieldsOf, laneConditions, test } from "../support/lane-rules.ts";

const DECISIONS = 200_000;
const ROUNDS = 5;
/** Enough that what is remembered of one value hardly ever helps another request. */
const REQUESTS = 20_000;

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

/** Every header that rules look at is there; one in ten requests meets a rule. */
function inputs(): DecisionInput[] {
  return Array.from({ length: REQUESTS }, (_none, at) => {
    const headers = fieldsOf(at, at % 10 === 0 ? at % LANES : null);
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

const LINEAR = "[a-z]+-[0-9]+-9";
const GROUPS = "(some|any)body-[0-9]+-9";
const requests = inputs();
const rows: readonly (readonly [string, PreparedLaneGroup])[] = [
  ["one lane, one rule ==", groupOf([test("==", "x-key-0", "user-1-1")])],
  ["1,000 lanes, 10 rules each", groupOf(laneConditions(LANES, "regex"))],
  ["the same, others of versions", groupOf(laneConditions(LANES, "version"))],
  [`one lane, ${LINEAR}`, groupOf([test("regex", "x-key-0", LINEAR)])],
  [`one lane, ${GROUPS}`, groupOf([test("regex", "x-key-0", GROUPS)])],
];
for (const [name, group] of rows) {
  process.stdout.write(`${name.padEnd(40)} ${measure(group, requests).toFixed(0)} ns a decision\n`);
}
