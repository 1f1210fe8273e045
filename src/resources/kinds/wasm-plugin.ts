//! extensions.istio.io WasmPlugin: a Proxy-Wasm module, where it runs, and its configuration.

import Type from "../typebox.ts";
import type { TSchema, TUnsafe } from "typebox";
import type { Resource } from "../object.ts";
import { anyObject, labels, notHonoured, oneOf, port, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { Column, JsonObject, KindInfo, Path, Report } from "./kind.ts";
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
  /** Absent: `Always` for the tag `latest` and for no tag, else `IfNotPresent`. */
  readonly imagePullPolicy?: "UNSPECIFIED_POLICY" | "IfNotPresent" | "Always";
  /** A Secret of the same namespace, of the type `kubernetes.io/dockerconfigjson`. */
  readonly imagePullSecret?: string;
  /** Which traffic, as the proxy sees it; any entry suffices. Absent: all of it. */
  readonly match?: readonly TrafficMatch[];
  readonly targetRef?: TargetRef;
  /** In place of `selector`: gateways by name. */
  readonly targetRefs?: readonly TargetRef[];
}

export interface WasmEnv {
  readonly name: string;
  readonly value?: string;
  /** `HOST`: the value in the environment of the worker. */
  readonly valueFrom?: "INLINE" | "HOST";
}

export interface TrafficMatch {
  /** What a gateway carries is `CLIENT` traffic (Istio: outbound). */
  readonly mode?: "UNDEFINED" | "CLIENT" | "SERVER" | "CLIENT_AND_SERVER";
  readonly ports?: readonly { readonly number: number }[];
}

export interface TargetRef {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface WasmPlugin extends Resource {
  readonly spec: WasmPluginSpec;
}

const ENV_MAX = 256;
const TARGET_REFS_MAX = 16;

const env = Type.Object({
  name: text(),
  value: Type.Optional(Type.String()),
  valueFrom: Type.Optional(oneOf(["INLINE", "HOST"])),
});

const target = Type.Object({
  group: Type.Optional(Type.String()),
  kind: text(),
  name: text(),
  namespace: Type.Optional(Type.String()),
});

type PlaceField = "selector" | "targetRef" | "targetRefs" | "priority" | "match";

/** The schemas of the fields of an interface. */
type SchemasOf<Fields> = {
  readonly [Name in keyof Fields]-?: undefined extends Fields[Name]
    ? TUnsafe<Exclude<Fields[Name], undefined>> & { "~optional": true }
    : TUnsafe<Fields[Name]>;
};

/** Fields that are checked and then of no further use. */
interface Checked {
  readonly type?: string;
  readonly verificationKey?: unknown;
}

type ModuleFields = SchemasOf<Omit<WasmPluginSpec, PlaceField | "phase"> & Checked>;

/** Of the three kinds: what names the module and how it is run. Internal to the kinds. */
export const MODULE_FIELDS: ModuleFields = schemas<ModuleFields>({
  url: text("module-url"),
  sha256: Type.Optional(Type.Unsafe<string>({ type: "string", format: "sha256" })),
  pluginConfig: Type.Optional(anyObject()),
  pluginName: Type.Optional(text()),
  failStrategy: Type.Optional(oneOf(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"])),
  vmConfig: Type.Optional(
    Type.Object({
      env: Type.Optional(Type.Array(env, { maxItems: ENV_MAX, uniqueBy: ["name"] })),
    }),
  ),
  imagePullPolicy: Type.Optional(oneOf(["UNSPECIFIED_POLICY", "IfNotPresent", "Always"])),
  imagePullSecret: Type.Optional(text()),
  type: Type.Optional(oneOf(["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"])),
  verificationKey: notHonoured(),
});

type PlaceFields = SchemasOf<Pick<WasmPluginSpec, PlaceField>>;

/** Of both kinds of Istio: where a plug-in runs. Internal to the kinds. */
export const PLACE_FIELDS: PlaceFields = schemas<PlaceFields>({
  selector: Type.Optional(Type.Object({ matchLabels: Type.Optional(labels()) })),
  targetRef: Type.Optional(target),
  targetRefs: Type.Optional(Type.Array(target, { maxItems: TARGET_REFS_MAX })),
  priority: Type.Optional(Type.Integer({ minimum: -2_147_483_648, maximum: 2_147_483_647 })),
  match: Type.Optional(
    Type.Array(
      Type.Object({
        mode: Type.Optional(oneOf(["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"])),
        ports: Type.Optional(Type.Array(Type.Object({ number: port() }))),
      }),
    ),
  ),
});

/** The types are those of the interface: TypeBox's own would have to be written out to export. */
function schemas<Schemas>(written: Readonly<Record<keyof Schemas, TSchema>>): Schemas {
  return written as unknown as Schemas;
}

const spec = Type.Object({
  ...MODULE_FIELDS,
  ...PLACE_FIELDS,
  phase: Type.Optional(oneOf(["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"])),
});

export const WASM_PLUGIN: KindInfo = defineKind({
  kind: "WasmPlugin",
  plural: "wasmplugins",
  singular: "wasmplugin",
  group: "extensions.istio.io",
  versions: ["v1alpha1"],
  schema: Type.Object({ spec: described<WasmPluginSpec, typeof spec>(spec), status: anyStatus() }),
  columns: pluginColumns((object) => (object as WasmPlugin).spec.url),
  check: checkWasmPlugin,
});

function checkWasmPlugin(object: JsonObject, report: Report): void {
  checkModuleFields(object, ["spec"], report);
  checkPlace(object, report);
}

/** PHASE, PRIORITY, READY, REASON, URL. */
export function pluginColumns(url: (object: Resource) => string): readonly Column[] {
  return [
    column("PHASE", (object) => textOf(member(object.spec, "phase"))),
    column("PRIORITY", (object) => textOf(member(object.spec, "priority") ?? 0)),
    column("READY", (object) => textOf(member(acceptance(object), "status"))),
    column("REASON", (object) => textOf(member(acceptance(object), "reason"))),
    column("URL", url),
  ];
}

/** The condition that the publisher writes. */
function acceptance(object: Resource): unknown {
  return items(member(object.status, "conditions")).find(
    (condition) => member(condition, "type") === "Accepted",
  );
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** What the schema of the module's fields cannot say; `at` is where they stand. */
export function checkModuleFields(object: JsonObject, at: Path, report: Report): void {
  items(member(object, ...at, "vmConfig", "env")).forEach((each, index) => {
    if (member(each, "valueFrom") !== "HOST" || member(each, "value") === undefined) return;
    report({
      code: "GL0114",
      path: [...at, "vmConfig", "env", index, "value"],
      says: "must not be given with valueFrom: HOST",
      remedy: "Remove value, or valueFrom.",
    });
  });
  if (member(object, ...at, "type") === "NETWORK") {
    report({
      code: "GL0425",
      path: [...at, "type"],
      says: "is NETWORK: plug-ins for TCP connections are not run by gateways",
      remedy: "Use a plug-in for HTTP, with type: HTTP or without a type.",
    });
  }
}

/** `selector` and `targetRefs` exclude each other, as in Istio. */
export function checkPlace(object: JsonObject, report: Report): void {
  const hasTargets =
    member(object, "spec", "targetRef") !== undefined ||
    items(member(object, "spec", "targetRefs")).length > 0;
  if (!hasTargets || member(object, "spec", "selector") === undefined) return;
  report({
    code: "GL0114",
    path: ["spec", "targetRefs"],
    says: "must not be given together with selector",
    remedy: "Name the gateways in one of the two ways.",
  });
}
