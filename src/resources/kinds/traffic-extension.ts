//! extensions.istio.io TrafficExtension: what follows WasmPlugin; the module stands in `spec.wasm`.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { notHonoured, oneOf } from "./fields.ts";
import { defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { checkModuleFields, checkPlace, MODULE_FIELDS } from "./wasm-plugin.ts";
import { PLACE_FIELDS, pluginColumns } from "./wasm-plugin.ts";
import type { WasmPluginSpec } from "./wasm-plugin.ts";

type PlaceField = "selector" | "targetRef" | "targetRefs" | "priority" | "match";

/** Where it runs beside what it runs. */
export interface TrafficExtensionSpec extends Pick<WasmPluginSpec, PlaceField> {
  readonly phase?: "UNSPECIFIED" | "UNSPECIFIED_PHASE" | "AUTHN" | "AUTHZ" | "STATS";
  readonly wasm?: Omit<WasmPluginSpec, PlaceField | "phase">;
}

export interface TrafficExtension extends Resource {
  readonly spec: TrafficExtensionSpec;
}

const spec = Type.Object({
  ...PLACE_FIELDS,
  phase: Type.Optional(oneOf(["UNSPECIFIED", "UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"])),
  wasm: Type.Optional(Type.Object(MODULE_FIELDS)),
  lua: notHonoured(),
});

export const TRAFFIC_EXTENSION: KindInfo = defineKind({
  kind: "TrafficExtension",
  plural: "trafficextensions",
  singular: "trafficextension",
  group: "extensions.istio.io",
  versions: ["v1alpha1"],
  schema: Type.Object({
    spec: described<TrafficExtensionSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: pluginColumns((object) => (object as TrafficExtension).spec.wasm?.url ?? ""),
  check: checkTrafficExtension,
});

function checkTrafficExtension(object: JsonObject, report: Report): void {
  checkModuleFields(object, ["spec", "wasm"], report);
  checkPlace(object, report);
  const hasWasm = member(object, "spec", "wasm") !== undefined;
  const hasLua = member(object, "spec", "lua") !== undefined;
  if (hasWasm !== hasLua) return;
  report({
    code: "GL0114",
    path: ["spec"],
    says: hasWasm ? "must not have both wasm and lua" : "must have wasm or lua",
    remedy: "Give spec.wasm: Lua is not run.",
  });
}
