//! Where shares stand in the order of a decision, and whom they may not take.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { laneGroupOf } from "../snapshot/testing/lane-maker.ts";
import type { CohortInput } from "./cohort.ts";
import { decideLane, explainDecision, prepareLaneGroup } from "./decide.ts";
import type { DecisionInput } from "./decide.ts";

function lane(name: string, more: Partial<Lane> = {}): Lane {
  const selector = { "alicloud.service.tag": name };
  return { name, tag: name, selector, services: [], enabled: true, rule: null, ...more };
}

function header(name: string, value: string): NonNullable<Lane["forcedOut"]> {
  const operand = { kind: "header", name } as const;
  const condition = { kind: "test", operand, operator: "==", values: [value] } as const;
  return { programVersion: 2, condition };
}

const ALL = { fromPpm: 0, toPpm: 1_000_000, lane: "gray" };

function groupOf(gray: Partial<Lane> = {}): LaneGroup {
  return laneGroupOf({
    gateways: [],
    baseline: { kind: "untagged", labelKeys: [] },
    cohorts: { deal: null, tables: { "*": [ALL] }, routes: {} },
    lanes: [lane("blue", { rule: header("colour", "blue") }), lane("gray", gray)],
  });
}

function input(headers: Readonly<Record<string, string>>, isEntry = true): DecisionInput {
  const operand: DecisionInput["operand"] = (kind, name) =>
    kind === "header" ? headers[name] : undefined;
  const cohort: CohortInput = {
    routeId: null,
    read: operand,
    issueId: () => undefined,
    below: () => 4_711,
  };
  return { context: (name) => headers[name], operand, isEntry, cohort };
}

const cases = [
  { title: "a share takes who meets no rule", headers: {}, want: "cohort gray" },
  { title: "a rule goes before a share", headers: { colour: "blue" }, want: "rule blue" },
  { title: "a context goes before a share", headers: { "x-lane": "blue" }, want: "forced blue" },
  {
    title: "a context that names no lane is the baseline, whatever share there is",
    headers: { "x-lane": "gone" },
    want: "baseline -",
  },
] as const;

for (const { title, headers, want } of cases) {
  test(title, () => {
    const group = prepareLaneGroup(groupOf());
    const { reason, lane: name } = decideLane(group, input(headers));
    assert.equal(`${reason} ${name ?? "-"}`, want);
    assert.equal(explainDecision(group, input(headers)).decision.reason, reason);
  });
}

test("a share never takes who is forced out of the lane, and a closed lane takes nobody", () => {
  const out = prepareLaneGroup(groupOf({ forcedOut: header("staff", "yes") }));
  assert.equal(decideLane(out, input({ staff: "yes" })).reason, "baseline");
  assert.equal(decideLane(out, input({ staff: "no" })).reason, "cohort");
  const closed = prepareLaneGroup(groupOf({ enabled: false }));
  assert.equal(decideLane(closed, input({})).reason, "baseline");
});

test("where the group is not entered, and in sidecars, nobody is in a share", () => {
  const group = prepareLaneGroup(groupOf());
  assert.equal(decideLane(group, input({}, false)).reason, "baseline");
  const { context, operand } = input({});
  assert.equal(decideLane(group, { context, operand, isEntry: true }).reason, "baseline");
});
