import assert from "node:assert/strict";
import { test } from "node:test";

import type { Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { laneGroupOf } from "../snapshot/testing/lane-maker.ts";
import { decideAmong, decideLane, decisionByRoute, explainDecision } from "./decide.ts";
import { prepareLaneGroup } from "./decide.ts";

function lane(name: string, more: Partial<Lane> = {}): Lane {
  const selector = { "alicloud.service.tag": name };
  return { name, tag: name, selector, services: [], enabled: true, rule: null, ...more };
}

function ruleOn(name: string, value: string): Pick<Lane, "rule"> {
  const operand = { kind: "header", name } as const;
  const condition = { kind: "test", operand, operator: "==", values: [value] } as const;
  return { rule: { programVersion: 2, condition } };
}

function groupOf(lanes: readonly Lane[], more: Partial<LaneGroup> = {}): LaneGroup {
  return laneGroupOf({
    name: "default/mse-order",
    baseline: { kind: "untagged", labelKeys: ["alicloud.service.tag"] },
    context: { mode: "header", routeHeader: "X-Mse-Tag" },
    lanes,
    ...more,
  });
}

const input = (headers: Readonly<Record<string, string>>) => ({
  context: (name: string) => headers[name],
  operand: (kind: string, name: string) => (kind === "header" ? headers[name] : undefined),
  isEntry: true,
});

const prepared = prepareLaneGroup(
  groupOf([
    lane("gray", { ...ruleOn("canary", "gray"), tag: "gray-tag" }),
    lane("closed", { ...ruleOn("canary", "closed"), enabled: false }),
    lane("second", ruleOn("canary", "gray")),
    lane("quiet"),
  ]),
);

const cases = [
  { title: "no header is the baseline", headers: {}, want: ["baseline", null, null] },
  {
    title: "the first rule that matches wins",
    headers: { canary: "gray" },
    want: ["rule", "gray", "gray-tag"],
  },
  {
    title: "a context is read by tag, not by name, and wins over rules",
    headers: { "x-mse-tag": "second", canary: "gray" },
    want: ["forced", "second", "second"],
  },
  {
    title: "a context that names no lane is the baseline although a rule matches",
    headers: { "x-mse-tag": "gray", canary: "gray" },
    want: ["baseline", null, null],
  },
  {
    title: "a context of a closed lane is the baseline",
    headers: { "x-mse-tag": "closed" },
    want: ["baseline", null, null],
  },
  {
    title: "a closed lane's rule takes nobody",
    headers: { canary: "closed" },
    want: ["baseline", null, null],
  },
  {
    title: "an empty context is no context",
    headers: { "x-mse-tag": "", canary: "gray" },
    want: ["rule", "gray", "gray-tag"],
  },
] as const;
for (const { title, headers, want } of cases) {
  test(title, () => {
    const { reason, lane: name, tag } = decideLane(prepared, input(headers));
    assert.deepEqual([reason, name, tag], want);
  });
}

test("a route that names a lane decides for it, or for the baseline when it is closed", () => {
  assert.equal(decisionByRoute(prepared, "quiet").reason, "route");
  assert.equal(decisionByRoute(prepared, "closed"), prepared.baseline);
  assert.equal(decisionByRoute(prepared, "gone"), prepared.baseline);
});

test("of several groups the first that is not the baseline decides", () => {
  const other = prepareLaneGroup(
    groupOf([lane("blue", ruleOn("colour", "blue"))], { name: "default/other" }),
  );
  const groups = [prepared, other];
  assert.equal(decideAmong(groups, input({ colour: "blue" }))?.group, "default/other");
  assert.equal(decideAmong(groups, input({})), prepared.baseline);
  assert.equal(decideAmong([], input({})), null);
});

test("the explanation names the context, and every rule with the value it was given", () => {
  const explained = explainDecision(prepared, input({ canary: "gray", "x-mse-tag": "closed" }));
  assert.equal(explained.decision.reason, "baseline");
  assert.deepEqual(explained.context, {
    header: "x-mse-tag",
    value: "closed",
    meaning: "closed",
  });
  assert.deepEqual(
    explained.rules.map(({ lane: name, enabled, rule }) => [name, enabled, rule?.isMet]),
    [
      ["gray", true, true],
      ["closed", false, false],
      ["second", true, true],
    ],
  );
  const [first] = explained.rules;
  assert.equal(first?.rule?.kind === "test" ? first.rule.operandValue : null, "gray");
  assert.equal(explainDecision(prepared, input({})).context.meaning, "absent");
});
