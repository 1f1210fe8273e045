//! Every field of the three kinds that bring a plug-in: a good value changes what is compiled, a
//! bad one is refused where it stands. The table must have each field of each schema.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TSchema } from "typebox";
import type { Fault } from "../resources/fault.ts";
import { HIGRESS_WASM_PLUGIN } from "../resources/kinds/higress-wasm-plugin.ts";
import type { KindInfo } from "../resources/kinds/kind.ts";
import { TRAFFIC_EXTENSION } from "../resources/kinds/traffic-extension.ts";
import { WASM_PLUGIN } from "../resources/kinds/wasm-plugin.ts";
import type { Resource } from "../resources/object.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { Plugin } from "../snapshot/snapshot.ts";
import type { LogicalGateway } from "./gateway.ts";
import { MessageList } from "./messages.ts";
import { pluginKey } from "./plugin-kinds.ts";
import { compilePlugins } from "./wasm-plugin.ts";

interface FieldCase {
  readonly good: string;
  readonly bad: string;
  /** `module`: it decides which file is fetched, see resolve-modules.test.ts. */
  readonly effect?: "module" | "none" | "warning";
}

const MODULE: Readonly<Record<string, FieldCase>> = {
  url: { good: "file:///b.wasm", bad: "gopher://a", effect: "module" },
  sha256: { good: "ab".repeat(32), bad: "abc", effect: "module" },
  pluginConfig: { good: "{a: 1}", bad: "[1]" },
  pluginName: { good: "root", bad: "{a: 1}" },
  failStrategy: { good: "FAIL_OPEN", bad: "FAIL_SOMEHOW" },
  vmConfig: { good: "{env: [{name: A, value: b}]}", bad: "{env: [{name: A}, {name: A}]}" },
  imagePullPolicy: { good: "Always", bad: "Never", effect: "module" },
  imagePullSecret: { good: "secret", bad: "{name: secret}", effect: "module" },
  type: { good: "HTTP", bad: "NETWORK", effect: "none" },
  verificationKey: { good: "key", bad: "key", effect: "warning" },
};
const PRIORITY: FieldCase = { good: "7", bad: "3000000000" };
const PLACE: Readonly<Record<string, FieldCase>> = {
  selector: { good: "{matchLabels: {istio: none}}", bad: "{matchLabels: [istio]}" },
  targetRef: { good: "{kind: Gateway, name: other}", bad: "{kind: Gateway}" },
  targetRefs: { good: "[{kind: Gateway, name: other}]", bad: "[{name: edge}]" },
  priority: PRIORITY,
  match: { good: "[{mode: SERVER}]", bad: "[{mode: BOTH}]" },
};
const PHASE: FieldCase = { good: "AUTHN", bad: "FIRST" };

const KINDS: readonly (readonly [KindInfo, at: string, Readonly<Record<string, FieldCase>>])[] = [
  [WASM_PLUGIN, "", { ...MODULE, ...PLACE, phase: PHASE }],
  [
    HIGRESS_WASM_PLUGIN,
    "",
    {
      ...MODULE,
      failStrategy: { good: "FAIL_OPEN", bad: "FAIL_RELOAD" },
      priority: PRIORITY,
      phase: PHASE,
      defaultConfig: { good: "{a: 1}", bad: "[1]" },
      defaultConfigDisable: { good: "true", bad: "maybe" },
      matchRules: { good: "[{domain: [a.com], config: {b: 1}}]", bad: "[{config: {b: 1}}]" },
    },
  ],
  [TRAFFIC_EXTENSION, "wasm", MODULE],
  [TRAFFIC_EXTENSION, "", { ...PLACE, phase: PHASE }],
];

/** What stands in the table otherwise, under `wasm`, or takes the place of it. */
const ELSEWHERE = ["wasm", "lua"];

/** What the value must be, what is wrong with the field, or what to do instead. */
const WHAT_TO_DO = / must | is required| has no effect| is not a known field |Remove|Use |Give /;

const FIRST_FIELD_LINE = 6;

/** A manifest in which the field stands on line 6, behind what the kind cannot do without. */
function manifest({ group, kind }: KindInfo, at: string, field: string, value: string): string {
  const head = [`apiVersion: ${group}/v1alpha1`, `kind: ${kind}`, "metadata: {name: p}"];
  const written = value === "" ? [] : [`${field}: ${value}`];
  const url = field === "url" ? [] : ["url: file:///a.wasm"];
  const inWasm = kind === "TrafficExtension";
  const lines =
    inWasm && at === "wasm"
      ? ["spec:", "  wasm:", ...[...written, ...url].map((line) => `    ${line}`)]
      : [
          "spec:",
          "  # The field under test.",
          ...[...written, ...(inWasm ? [`wasm: {${url.join("")}}`] : url)].map(
            (line) => `  ${line}`,
          ),
        ];
  return [...head, ...lines].join("\n");
}

function read(text: string): { readonly resource: Resource | null; readonly faults: Fault[] } {
  const parsed = parseManifests(text, "plugin.yaml");
  const [document] = parsed.documents;
  assert.ok(document !== undefined, text);
  const { resource, faults } = validateResource(document.value, document.positionOf);
  return { resource, faults: [...parsed.faults, ...faults] };
}

const EDGE = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "edge", namespace: "default" },
  spec: {
    selector: { istio: "edge" },
    servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
  },
} as const;
const GATEWAY: LogicalGateway = {
  name: "istio=edge",
  labels: { istio: "edge" },
  resources: [EDGE],
};

/** What becomes of the plug-in, beside a neighbour that it may come before or after. */
function compiled(resource: Resource): string {
  const neighbour = read(manifest(WASM_PLUGIN, "", "priority", "3")).resource;
  assert.ok(neighbour !== null);
  const other = { ...neighbour, metadata: { name: "neighbour" } };
  const messages = new MessageList();
  const { plugins, chains, blocked } = compilePlugins({
    resources: [resource, other],
    gateways: [GATEWAY],
    modules: new Map(
      [resource, other].map((each) => [
        pluginKey(each),
        { sha256: "ab".repeat(32), path: "/a.wasm" },
      ]),
    ),
    lastGood: {},
    servingGateways: new Set(),
    messages,
  });
  return JSON.stringify([plugins, [...chains], [...blocked], messages.sorted()]);
}

for (const [kind, at, fields] of KINDS) {
  const name = `${kind.group} ${kind.kind}${at === "" ? "" : ` ${at}`}`;
  for (const [field, { good, bad, effect = "compiled" }] of Object.entries(fields)) {
    test(`${name}: ${field} takes effect, or is refused where it stands`, () => {
      const plain = read(manifest(kind, at, field === "url" ? "none" : field, "")).resource;
      const { resource, faults } = read(manifest(kind, at, field, good));
      assert.ok(plain !== null && resource !== null);
      const warnings = effect === "warning" ? 1 : 0;
      assert.equal(faults.length, warnings, JSON.stringify(faults));
      if (effect === "compiled") assert.notEqual(compiled(resource), compiled(plain));
      const refused = effect === "warning" ? faults : read(manifest(kind, at, field, bad)).faults;
      const path = ["spec", ...(at === "" ? [] : [at]), field].join(".");
      assert.ok(refused.length > 0);
      for (const fault of refused) {
        assert.equal(fault.severity, effect === "warning" ? "warning" : "error");
        assert.ok(fault.path.startsWith(path), fault.path);
        assert.equal(fault.position?.file, "plugin.yaml");
        assert.equal(fault.position.line, FIRST_FIELD_LINE);
        assert.ok(fault.position.column > 0);
        assert.match(`${fault.message} ${fault.remedy}`, WHAT_TO_DO);
      }
    });
  }
  test(`${name}: every field of the schema is in the table, and no other is taken`, () => {
    const known = Object.keys(fields);
    const missing = namesOf(kind.schema, at).filter(
      (field) => !known.includes(field) && !ELSEWHERE.includes(field),
    );
    assert.deepEqual(missing, []);
    const [fault] = read(manifest(kind, at, "unheardOf", "1")).faults;
    assert.equal(fault?.position?.line, FIRST_FIELD_LINE);
    assert.match(`${fault.message} ${fault.remedy}`, WHAT_TO_DO);
  });
}

test("a rule for gRPC alone is said to take requests of any protocol", () => {
  const rule = (type: string): string => `[{domain: [a.com], routeType: ${type}}]`;
  const told = (type: string): readonly (readonly [string, string, number | undefined])[] =>
    read(manifest(HIGRESS_WASM_PLUGIN, "", "matchRules", rule(type))).faults.map((fault) => [
      fault.severity,
      fault.path,
      fault.position?.line,
    ]);
  assert.deepEqual(told("HTTP"), []);
  assert.deepEqual(told("GRPC"), [["warning", "spec.matchRules[0].routeType", FIRST_FIELD_LINE]]);
});

for (const { rule, want } of [
  { rule: "{ingress: [default/a], config: {n: 1}}", want: { _match_route_: ["default/a"], n: 1 } },
  { rule: "{domain: ['*.a.com'], config: {n: 1}}", want: { _match_domain_: ["*.a.com"], n: 1 } },
  {
    rule: "{service: [a.default.svc.cluster.local:80, b.dns], config: {n: 1}}",
    want: { _match_service_: ["a.default.svc.cluster.local:80", "b.dns"], n: 1 },
  },
  {
    rule: "{service: [b.dns], domain: [a.com], ingress: [a], config: {n: 1}}",
    want: { _match_route_: ["a"], _match_domain_: ["a.com"], _match_service_: ["b.dns"], n: 1 },
  },
]) {
  test(`the plug-in is told whom a rule of Higress' is for: ${Object.keys(want).join()}`, () => {
    const { resource, faults } = read(manifest(HIGRESS_WASM_PLUGIN, "", "matchRules", `[${rule}]`));
    assert.deepEqual(faults, []);
    assert.ok(resource !== null);
    const [plugins] = JSON.parse(compiled(resource)) as [Record<string, Plugin>];
    const { configuration = "" } = plugins[pluginKey(resource)] ?? {};
    assert.deepEqual(JSON.parse(configuration), { _rules_: [want] });
  });
}

test("a Lua script is said not to be run", () => {
  const text = `apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: p}
spec:
  lua: {inlineCode: "x"}`;
  const [fault] = read(text).faults;
  assert.equal(fault?.severity, "warning");
  assert.equal(fault.position?.line, 5);
});

function namesOf(schema: TSchema, at: string): string[] {
  type Node = { readonly properties?: Readonly<Record<string, Node>> };
  const spec = (schema as Node).properties?.["spec"];
  const node = at === "" ? spec : spec?.properties?.[at];
  return Object.keys(node?.properties ?? {});
}
