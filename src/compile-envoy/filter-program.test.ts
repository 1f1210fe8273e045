import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import type { Condition, OperandSources } from "../snapshot/snapshot.ts";
import type { EnvoyResources } from "./envoy-config.ts";
import type { BodyScope } from "./body-scope.ts";
import { FilterProgram, LANE_FILTER, RULES_MAX, withRulesOf } from "./filter-program.ts";
import { configurationOf, ownExtension } from "./own-extension.ts";

const SOURCE = { kind: "Gateway", namespace: "default", name: "edge" };
const MODULE = { path: "/lane-filter.wasm", sha256: "01" };

function condition(version: string): Condition {
  const operand = { kind: "header", name: "x-version" } as const;
  return { kind: "test", operand, operator: "==", values: [version] };
}

function pluginOf(
  versions: readonly string[],
  name = LANE_FILTER,
  scope: BodyScope | null = null,
): EnvoyResources {
  const program = new FilterProgram();
  for (const version of versions) program.add(condition(version), undefined);
  if (scope !== null) program.add(BODY, undefined);
  const at = { place: "a=b", source: SOURCE, mayHold: true } as const;
  const { resource } = ownExtension(name, MODULE, program.configuration(scope ?? {}), at);
  return { [resource.name]: resource };
}

const BODY: Condition = {
  kind: "test",
  operand: { kind: "bodyJson", name: "items[0].sku" },
  operator: "exists",
  values: [],
};

function bodyIn(plugins: EnvoyResources): unknown {
  const [resource] = Object.values(plugins);
  assert.ok(resource !== undefined);
  return (JSON.parse(configurationOf(resource)) as { readonly body?: unknown }).body;
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

test("a rule on the body comes with its path in steps, and the limit of its lane group", () => {
  const program = new FilterProgram();
  assert.equal(program.readsBody, false);
  program.add({ kind: "not", of: BODY }, { trustedHops: 0, bodyBytesMax: 9 });
  assert.equal(program.readsBody, true);
  const text = JSON.stringify(program.configuration({ context: "x-lane" }));
  assert.match(text, /"bytesMax":9,"steps":\["items",0,"sku"\]/);
  assert.match(text, /"body":\{"context":"x-lane"\}\}$/);
});

const KEY = { kind: "inline", jwks: keySet() } as const;
const TOKENS: OperandSources = {
  ...{ trustedHops: 0, tokens: { keys: KEY, from: { kind: "cookie", name: "id" } } },
};

function keySet(): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return JSON.stringify({ keys: [publicKey.export({ format: "jwk" })] });
}

function withShare(): EnvoyResources {
  const program = new FilterProgram();
  const key = { kind: "claim", name: "sub" } as const;
  const bucket = { header: "x-bucket", hash: "murmur3", salt: "a", modulo: 1 };
  assert.equal(program.addBucket(bucket, key, TOKENS), null);
  assert.equal(program.isEmpty, false);
  const at = { place: "a=b", source: SOURCE, mayHold: true } as const;
  const { resource } = ownExtension(LANE_FILTER, MODULE, program.configuration(), at);
  return { [resource.name]: resource };
}

test("while routes change, claims are read and buckets told as old routes need it", () => {
  const [merged] = Object.values(withRulesOf(withShare(), pluginOf(["1.2.1"])));
  assert.ok(merged !== undefined);
  const text = configurationOf(merged);
  assert.match(text, /"claims":\{"header":"x-graylane-claims"\}/);
  assert.match(text, /"bucket":\{"header":"x-bucket".*"key":\{"kind":"claim"/);
});

test("keys at an address are refused until they were fetched", () => {
  const keys = { kind: "remote", uri: "http://id.test" } as const;
  const from = { kind: "cookie", name: "id" } as const;
  const key = { kind: "claim", name: "sub" } as const;
  const sources = { trustedHops: 0, tokens: { keys, from } };
  const what = new FilterProgram().addBucket({}, key, sources);
  assert.match(what ?? "", /claims of tokens whose keys \(jwksUri\) could not be fetched yet/);
  const fetched = { ...keys, fetched: keySet() };
  const program = new FilterProgram();
  const bucket = { header: "x-bucket", hash: "murmur3", salt: "a", modulo: 1 };
  const had = { trustedHops: 0, tokens: { keys: fetched, from } };
  assert.equal(program.addBucket(bucket, key, had), null);
  assert.match(program.tokens?.keys.jwks ?? "", /"crv":"P-256"/);
});

for (const [title, olds, news, merged] of [
  ["of old routes alone", { routes: ["a"] }, null, { routes: ["a"] }],
  ["of new routes alone", null, { context: "x" }, { context: "x" }],
  ["of both at some routes", { routes: ["a", "b"] }, { routes: ["b", "c"] }, ["a", "b", "c"]],
  ["of which one is at every route", { context: "x", routes: ["a"] }, { context: "x" }, "x"],
  ["with other contexts", { context: "x" }, { context: "y" }, {}],
] as const satisfies readonly (readonly [string, BodyScope | null, BodyScope | null, unknown])[]) {
  test(`while routes change, bodies wait as rules ${title} need it`, () => {
    const before = pluginOf(["1.1.1"], LANE_FILTER, olds);
    const both = withRulesOf(before, pluginOf(["1.2.1"], LANE_FILTER, news));
    const want = Array.isArray(merged)
      ? { routes: merged }
      : merged === "x"
        ? { context: "x" }
        : merged;
    assert.deepEqual(bodyIn(both), want);
    assert.match(JSON.stringify(both), /"allow_on_headers_stop_iteration":true/);
  });
}
