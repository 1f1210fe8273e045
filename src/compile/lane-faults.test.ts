//! Faults between lanes: each message names both sides.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import { compile } from "./compile.ts";

const GROUP = `
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {selector: {app: a}, ports: [{port: 80}]}
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop}
spec:
  entry: {gateways: [{name: gw, namespace: istio-system}]}
  services: [{name: a}]
  fallback: chain
  ratio: {key: {header: user}}
  context: {routeHeader: x-lane}`;

const lane = (name: string, more: string, label = name): string => `
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: ${name}}
spec: {group: shop, selector: {matchLabels: {tag: ${label}}}, ${more}}`;

const deployment = (name: string, labels: string): string => `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a, ${labels}}}
    spec: {containers: [{name: a, image: a}]}`;

function messages(text: string): string[] {
  const resources: Resource[] = [];
  const lines: string[] = [];
  for (const { value, positionOf } of parseManifests(GROUP + text, "t.yaml").documents) {
    const { resource, faults } = validateResource(value, positionOf);
    if (resource !== null) resources.push(resource);
    lines.push(...faults.map(({ code, severity, message }) => `${severity} ${code} ${message}`));
  }
  const own = compile({ resources, modules: new Map() }).messages;
  const told = own.map(({ severity, code, object, message }) => {
    return `${severity} ${code} ${object?.name ?? ""}: ${message}`;
  });
  return [...lines, ...told];
}

const CASES: readonly (readonly [what: string, text: string, expected: RegExp])[] = [
  [
    "conditions that exclude each other",
    lane(
      "gray",
      'rule: {all: [{header: u, operator: "==", value: a}, {header: u, operator: "==", value: b}]}',
    ),
    /^error GL0337 gray: .*lane gray: header u == "a" contradicts header u == "b"$/,
  ],
  [
    "a rule that a wider one of an earlier lane answers",
    lane("early", "rule: {header: u, operator: prefix, value: a}") +
      lane("late", 'rule: {header: u, operator: "==", value: ab}'),
    /^warning GL0338 late: whoever meets the rule of the lane late meets that of the lane early/,
  ],
  [
    "two lanes of one tag",
    lane("one", "tag: x") + lane("two", "tag: x"),
    /^error GL0310 two: the tag x is the lane one's too/,
  ],
  [
    "two lanes of one label value",
    lane("one", "owner: a", "same") + lane("two", "owner: b", "same"),
    /^warning GL0306 two: the lane one selects the same pods \(tag=same\)/,
  ],
  [
    "a baseline pod with a lane label",
    lane("gray", "owner: a") + deployment("base", "tag: base, ASM_TRAFFIC_TAG: v1"),
    /^warning GL0308 shop: Deployment default\/base \(ASM_TRAFFIC_TAG=v1, tag=base\): in no lane/,
  ],
  [
    "a cycle of parents",
    lane("one", "parent: two") + lane("two", "parent: one"),
    /^error GL0322 one: the parents form a cycle: one -> two -> one$/,
  ],
  [
    "shares above 100 %",
    lane("one", 'ratio: {percent: "60%"}') + lane("two", 'ratio: {percent: "50%"}'),
    /^error GL0340 shop: .* 110 %: lane group default\/shop \(one 60 %, two 50 %\)$/,
  ],
  [
    "an unknown hash of a condition",
    lane("gray", 'rule: {header: u, operator: percentage, value: "5", hash: md5}'),
    /^error GL\d+ .*hash.*murmur3/,
  ],
];

for (const [what, text, expected] of CASES) {
  test(`${what}: told with both sides`, () => {
    const told = messages(text);
    assert.ok(
      told.some((line) => expected.test(line)),
      told.join("\n"),
    );
  });
}

test("a shadowed rule is not reported where the earlier lane forces some out", () => {
  const told = messages(
    lane(
      "early",
      "rule: {header: u, operator: exists}, forcedOut: [{header: v, operator: exists}]",
    ) + lane("late", 'rule: {header: u, operator: "==", value: ab}'),
  );
  assert.deepEqual(
    told.filter((line) => line.includes("GL0338")),
    [],
  );
});
