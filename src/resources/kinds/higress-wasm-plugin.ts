//! extensions.higress.io WasmPlugin: a module with one configuration for all requests and others
//! for requests of certain routes, domains or services.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { anyObject, oneOf } from "./fields.ts";
import { defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { checkModuleFields, MODULE_FIELDS, PLACE_FIELDS, pluginColumns } from "./wasm-plugin.ts";
import type { WasmPluginSpec } from "./wasm-plugin.ts";

type PluginConfig = Readonly<Record<string, unknown>>;
type PlaceField = "selector" | "targetRef" | "targetRefs" | "match";

export interface HigressWasmPluginSpec extends Omit<WasmPluginSpec, PlaceField> {
  /** For requests that no rule takes. */
  readonly defaultConfig?: PluginConfig;
  readonly defaultConfigDisable?: boolean;
  readonly matchRules?: readonly MatchRule[];
}

/** The configuration for requests that any of its lists takes. */
export interface MatchRule {
  /** `namespace/name` of Ingresses: names of routes. */
  readonly ingress?: readonly string[];
  readonly domain?: readonly string[];
  readonly service?: readonly string[];
  readonly config?: PluginConfig;
  readonly configDisable?: boolean;
}

export interface HigressWasmPlugin extends Resource {
  readonly spec: HigressWasmPluginSpec;
}

/** Large enough for a rule for each route of a big gateway. */
const RULES_MAX = 10_000;

const texts = Type.Optional(Type.Array(Type.String({ minLength: 1 })));

const rule = Type.Object({
  ingress: texts,
  domain: texts,
  service: texts,
  config: Type.Optional(anyObject()),
  configDisable: Type.Optional(Type.Boolean()),
  routeType: Type.Optional(oneOf(["HTTP", "GRPC"], { honoured: ["HTTP"] })),
});

const spec = Type.Object({
  ...MODULE_FIELDS,
  priority: PLACE_FIELDS.priority,
  failStrategy: Type.Optional(oneOf(["FAIL_CLOSE", "FAIL_OPEN"])),
  phase: Type.Optional(oneOf(["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"])),
  defaultConfig: Type.Optional(anyObject()),
  defaultConfigDisable: Type.Optional(Type.Boolean()),
  matchRules: Type.Optional(Type.Array(rule, { maxItems: RULES_MAX })),
});

export const HIGRESS_WASM_PLUGIN: KindInfo = defineKind({
  kind: "WasmPlugin",
  plural: "wasmplugins",
  singular: "wasmplugin",
  group: "extensions.higress.io",
  versions: ["v1alpha1"],
  schema: Type.Object({
    spec: described<HigressWasmPluginSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: pluginColumns((object) => (object as HigressWasmPlugin).spec.url),
  check: checkHigressWasmPlugin,
});

function checkHigressWasmPlugin(object: JsonObject, report: Report): void {
  checkModuleFields(object, ["spec"], report);
  items(member(object, "spec", "matchRules")).forEach((each, index) => {
    const lists = ["ingress", "domain", "service"].map((name) => member(each, name));
    const hasTarget = lists.some((list) => list !== undefined && !isEmpty(list));
    if (hasTarget || member(each, "configDisable") === true) return;
    report({
      code: "GL0114",
      path: ["spec", "matchRules", index],
      says: "must name at least one ingress, domain or service",
      remedy: "Give defaultConfig for all requests that no rule takes.",
    });
  });
}

function isEmpty(list: unknown): boolean {
  return Array.isArray(list) && list.length === 0;
}
