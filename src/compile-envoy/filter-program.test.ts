import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "../snapshot/snapshot.ts";
import type { EnvoyResources } from "./envoy-config.ts";
import { FilterProgram, LANE_FILTER, RULES_MAX, withRulesOf } from "./filter-program.ts";
import { configurationOf, ownExtension } from "./own-extension.ts";

const SOURCE = { kind: "Gateway", namespace: "default", name: "edge" };
const MODULE = { path: "/lane-filter.wasm", sha256: "01" };

function condition(version: string): Condition {
  const operand = { kind: "header", name: "x-version" } as const;
  return { kind: "test", operand, operator: "==", values: [version] };
}

function pluginOf(versions: readonly string[], name = LANE_FILTER): EnvoyResources {
  const program = new FilterProgram();
  for (const version of versions) program.add(condition(version), 0);
  const at = { place: "a=b", source: SOURCE };
  const { resource } = ownExtension(name, MODULE, program.configuration(), at);
  return { [resource.name]: resource };
}

function versionsIn(plugins: EnvoyResources): string[] {
  return Object.values(plugins).flatMap((resource) => {
    const { rules } = JSON.parse(configurationOf(resource)) as { readonly rules: object[] };
    return rules.map((rule) => /\d\.\d+\.\d/.exec(JSON.stringify(rule))?.[0] ?? "");
  });
}

test("while routes change, the lane filter tells of the old rules besides the new ones", () => {
  const merged = withRulesOf(pluginOf(["1.1.1", "1.2.1"]), pluginOf(["1.2.1", "1.3.1"]));
  assert.deepEqual(versionsIn(merged), ["1.2.1", "1.3.1", "1.1.1"]);
  const [resource] = Object.values(merged);
  assert.deepEqual(resource?.parts[0]?.json, resource?.json, "what a refusal is told by");
});

test("a lane filter that knows all old rules, or could not take both, is the new one", () => {
  const wider = pluginOf(["1.1.1", "1.2.1"]);
  assert.deepEqual(withRulesOf(pluginOf(["1.2.1"]), wider), wider);
  const many = pluginOf(Array.from({ length: RULES_MAX }, (_, minor) => `2.${minor}.1`));
  assert.deepEqual(withRulesOf(wider, many), many);
  assert.deepEqual(withRulesOf({}, wider), wider);
});

test("another plug-in is what it is to be", () => {
  const [olds, news] = [["1.1.1"], ["1.2.1"]].map((one) => pluginOf(one, "graylane.other"));
  assert.deepEqual(withRulesOf(olds ?? {}, news ?? {}), news);
});
