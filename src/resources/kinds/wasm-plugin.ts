//! extensions.istio.io WasmPlugin: a Proxy-Wasm module, where it runs, and its configuration.

import Type from "typebox";
import type { Resource } from "../object.ts";
import {
  accepted,
  anyObject,
  labels,
  notHonoured,
  notHonouredFields,
  oneOf,
  text,
} from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

export interface WasmPluginSpec {
  /** Absent: every gateway. */
  readonly selector?: { readonly matchLabels?: Labels };
  /** `oci://` when it has no scheme; else `http(s)://` or `file://`. */
  readonly url: string;
  /** 64 hexadecimal digits. */
  readonly sha256?: string;
  readonly pluginConfig?: Readonly<Record<string, unknown>>;
  /** Envoy's root id. */
  readonly pluginName?: string;
  /** The insertion phase. */
  readonly phase?: "UNSPECIFIED_PHASE" | "AUTHN" | "AUTHZ" | "STATS";
  /** Larger runs first; 0 when absent. */
  readonly priority?: number;
  readonly failStrategy?: "FAIL_CLOSE" | "FAIL_OPEN" | "FAIL_RELOAD";
  readonly vmConfig?: { readonly env?: readonly WasmEnv[] };
}

export interface WasmEnv {
  readonly name: string;
  readonly value?: string;
  /** `HOST`: the value of our own environment. */
  readonly valueFrom?: "INLINE" | "HOST";
}

export interface WasmPlugin extends Resource {
  readonly spec: WasmPluginSpec;
}

const ENV_MAX = 256;

const env = Type.Object({
  name: text(),
  value: Type.Optional(Type.String()),
  valueFrom: Type.Optional(oneOf(["INLINE", "HOST"])),
});

const spec = Type.Object({
  selector: Type.Optional(Type.Object({ matchLabels: Type.Optional(labels()) })),
  url: text("module-url"),
  sha256: Type.Optional(Type.Unsafe<string>({ type: "string", format: "sha256" })),
  pluginConfig: Type.Optional(anyObject()),
  pluginName: Type.Optional(text()),
  phase: Type.Optional(oneOf(["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"])),
  priority: Type.Optional(Type.Integer({ minimum: -2_147_483_648, maximum: 2_147_483_647 })),
  failStrategy: Type.Optional(
    oneOf(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"], { honoured: ["FAIL_CLOSE", "FAIL_OPEN"] }),
  ),
  vmConfig: Type.Optional(
    Type.Object({
      env: Type.Optional(Type.Array(env, { maxItems: ENV_MAX, uniqueBy: ["name"] })),
    }),
  ),
  imagePullPolicy: Type.Optional(oneOf(["UNSPECIFIED_POLICY", "IfNotPresent", "Always"])),
  imagePullSecret: accepted(),
  type: Type.Optional(
    oneOf(["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"], {
      honoured: ["UNSPECIFIED_PLUGIN_TYPE", "HTTP"],
    }),
  ),
  verificationKey: notHonoured(),
  ...notHonouredFields("match", "targetRef", "targetRefs"),
});

export const WASM_PLUGIN: KindInfo = defineKind({
  kind: "WasmPlugin",
  plural: "wasmplugins",
  singular: "wasmplugin",
  group: "extensions.istio.io",
  versions: ["v1alpha1"],
  schema: Type.Object({ spec: described<WasmPluginSpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("PHASE", (object) => (object as WasmPlugin).spec.phase ?? ""),
    column("PRIORITY", (object) => String((object as WasmPlugin).spec.priority ?? 0)),
    column("URL", (object) => (object as WasmPlugin).spec.url),
  ],
  check: checkWasmPlugin,
});

function checkWasmPlugin(object: JsonObject, report: Report): void {
  items(member(object, "spec", "vmConfig", "env")).forEach((each, index) => {
    if (member(each, "valueFrom") !== "HOST" || member(each, "value") === undefined) return;
    report({
      code: "GL0114",
      path: ["spec", "vmConfig", "env", index, "value"],
      says: "must not be given with valueFrom: HOST",
      remedy: "Remove value, or valueFrom.",
    });
  });
}
