//! WasmPlugins to plug-ins and to each gateway's filter order.

import { canonicalJson } from "../base/canonical-json.ts";
import type { WasmPlugin } from "../resources/kinds/wasm-plugin.ts";
import { refOf } from "../resources/object.ts";
import type { Plugin } from "../snapshot/snapshot.ts";
import type { LogicalGateway } from "./gateway.ts";
import { compareTexts } from "./messages.ts";
import type { MessageList } from "./messages.ts";
import { hasLabels, keyOf, namespaceOf } from "./resource-index.ts";

/** A module that workers can load, or why there is none. */
export type ModuleResult =
  | { readonly sha256: string; readonly path: string }
  | { readonly code?: string; readonly error: string; readonly remedy: string };

/** What plug-ins mean for the gateways. */
export interface Plugins {
  readonly plugins: Readonly<Record<string, Plugin>>;
  /** By logical gateway: names in filter order. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** By logical gateway: why it must answer 503, a plug-in that may not be left out is missing. */
  readonly blocked: ReadonlyMap<string, Blocked>;
  /** By logical gateway: the resources that apply there, also those without a module. */
  readonly applied: ReadonlyMap<string, readonly WasmPlugin[]>;
}

export interface Blocked {
  readonly plugin: WasmPlugin;
  readonly message: string;
}

export interface PluginInput {
  readonly wasmPlugins: readonly WasmPlugin[];
  readonly gateways: readonly LogicalGateway[];
  readonly modules: ReadonlyMap<string, ModuleResult>;
  /** What runs now: a plug-in whose new module cannot be had keeps its last good one. */
  readonly lastGood: Readonly<Record<string, Plugin>>;
  readonly messages: MessageList;
}

/** Istio's root namespace: a plug-in there applies to gateways of every namespace. */
const ROOT_NAMESPACE = "istio-system";
const PHASE_ORDER = ["AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE"];

export function compilePlugins(input: PluginInput): Plugins {
  const plugins: Record<string, Plugin> = {};
  const blocked = new Map<string, Blocked>();
  const applied = new Map<string, readonly WasmPlugin[]>();
  const chains = new Map<string, readonly string[]>();
  const inOrder = [...input.wasmPlugins].sort(compareFilters);
  for (const resource of inOrder) {
    const plugin = pluginOf(resource, input);
    if (plugin !== null) plugins[keyOf(resource)] = plugin;
    reportNoGateway(resource, input);
  }
  for (const gateway of input.gateways) {
    const here = inOrder.filter((resource) => appliesTo(resource, gateway));
    applied.set(gateway.name, here);
    chains.set(
      gateway.name,
      here.map(keyOf).filter((name) => Object.hasOwn(plugins, name)),
    );
    const missing = here.find(
      (resource) => failMode(resource) === "closed" && !Object.hasOwn(plugins, keyOf(resource)),
    );
    if (missing !== undefined) {
      blocked.set(gateway.name, {
        plugin: missing,
        message:
          `plug-in ${keyOf(missing)} has no module and its failStrategy is FAIL_CLOSE, ` +
          "so the gateway lets no request pass",
      });
    }
  }
  return { plugins, chains, blocked, applied };
}

/** AUTHN, AUTHZ, STATS, unspecified; in a phase priority falling, then name and namespace. */
function compareFilters(a: WasmPlugin, b: WasmPlugin): number {
  return (
    phaseOf(a) - phaseOf(b) ||
    (b.spec.priority ?? 0) - (a.spec.priority ?? 0) ||
    compareTexts(a.metadata.name, b.metadata.name) ||
    compareTexts(namespaceOf(a), namespaceOf(b))
  );
}

function phaseOf({ spec }: WasmPlugin): number {
  return PHASE_ORDER.indexOf(spec.phase ?? "UNSPECIFIED_PHASE");
}

export function failMode({ spec }: WasmPlugin): Plugin["failMode"] {
  return spec.failStrategy === "FAIL_OPEN" ? "open" : "closed";
}

/** Labels match the selector, and the plug-in is in the root namespace or in the gateway's. */
function appliesTo(resource: WasmPlugin, gateway: LogicalGateway): boolean {
  const namespace = namespaceOf(resource);
  if (!hasLabels(gateway.labels, resource.spec.selector?.matchLabels ?? {})) return false;
  return (
    namespace === ROOT_NAMESPACE ||
    gateway.resources.some((member) => namespaceOf(member) === namespace)
  );
}

/**
 * The plug-in, with its last good module when the one asked for cannot be had. Null: there is none;
 * the fail mode says what that means.
 */
function pluginOf(resource: WasmPlugin, input: PluginInput): Plugin | null {
  const name = keyOf(resource);
  const module = input.modules.get(name) ?? {
    error: "the module has not been looked up",
    remedy: "",
  };
  if ("sha256" in module) return describePlugin(resource, module);
  const last = Object.hasOwn(input.lastGood, name) ? input.lastGood[name] : undefined;
  const outcome =
    last !== undefined
      ? "the module and configuration that ran before keep serving"
      : failMode(resource) === "open"
        ? "requests are served without it (FAIL_OPEN)"
        : "the gateway answers 503 (FAIL_CLOSE)";
  input.messages.add(resource, {
    severity: "error",
    code: module.code ?? "GL0420",
    path: "spec.url",
    message: `${module.error}; ${outcome}`,
    remedy: module.remedy,
  });
  return last ?? null;
}

function describePlugin(
  resource: WasmPlugin,
  module: Extract<ModuleResult, { sha256: string }>,
): Plugin {
  const { spec } = resource;
  const env = (spec.vmConfig?.env ?? [])
    .filter(({ valueFrom }) => valueFrom !== "HOST")
    .map(({ name, value = "" }) => [name, value] as const);
  return {
    name: keyOf(resource),
    source: refOf(resource),
    module: { sha256: module.sha256, path: module.path },
    configuration: spec.pluginConfig === undefined ? "" : canonicalJson(spec.pluginConfig),
    rootId: spec.pluginName ?? "",
    vmId: "",
    failMode: failMode(resource),
    env: Object.fromEntries(env),
  };
}

function reportNoGateway(resource: WasmPlugin, { gateways, messages }: PluginInput): void {
  (resource.spec.vmConfig?.env ?? []).forEach((entry, index) => {
    if (entry.valueFrom !== "HOST") return;
    messages.add(resource, {
      severity: "warning",
      code: "GL0423",
      path: `spec.vmConfig.env[${index}].valueFrom`,
      message: `the variable ${entry.name} is left out: plug-ins get no values of the host`,
      remedy: "Write the value itself (valueFrom: INLINE).",
    });
  });
  if (gateways.some((gateway) => appliesTo(resource, gateway))) return;
  messages.add(resource, {
    severity: "warning",
    code: "GL0421",
    path: "spec.selector.matchLabels",
    message: "the plug-in selects no gateway, so it never runs",
    remedy:
      `Its labels must be among a Gateway's selector, and its namespace ${ROOT_NAMESPACE} ` +
      "or the Gateway's.",
  });
}
