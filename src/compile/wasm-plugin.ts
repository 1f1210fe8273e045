//! WasmPlugins to plug-ins and to each gateway's filter order.

import { exactJson } from "../resources/exact-numbers.ts";
import type { TargetRef, TrafficMatch } from "../resources/kinds/wasm-plugin.ts";
import type { WasmPlugin } from "../resources/kinds/wasm-plugin.ts";
import { refOf } from "../resources/object.ts";
import type { Resource } from "../resources/object.ts";
import type { Plugin, Snapshot } from "../snapshot/snapshot.ts";
import type { LogicalGateway } from "./gateway.ts";
import type { Severity } from "../resources/fault.ts";
import { compareTexts } from "./messages.ts";
import type { MessageList } from "./messages.ts";
import { asIstioPlugin, isHigress, modulePath, pluginKey } from "./plugin-kinds.ts";
import { hasLabels, namespaceOf } from "./resource-index.ts";

/** A module that workers can load, or why there is none. */
export type ModuleResult =
  | {
      readonly sha256: string;
      readonly path: string;
      /** Something is wrong although there is a module: a kept one, since a newer cannot be had. */
      readonly warning?: ModuleProblem;
    }
  | (ModuleProblem & {
      /** It is not known yet: it is being fetched, or nobody may ask the network. */
      readonly isPending?: boolean;
    });

export interface ModuleProblem {
  readonly code?: string;
  readonly error: string;
  readonly remedy: string;
}

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

/** The last part of the id of a route that stands for all routes of a blocked gateway. */
export const BLOCKED = "blocked";

/** Logical gateways that answer requests, and not 503 for want of a plug-in. */
export function servingGateways({ gateways, routeTables }: Snapshot): string[] {
  const isBlocked = (table: string): boolean =>
    routeTables[table]?.virtualHosts.some(({ routes }) =>
      routes.some(({ id }) => id.endsWith(`/${BLOCKED}`)),
    ) ?? false;
  return Object.values(gateways)
    .filter(({ listeners }) => !listeners.some(({ routeTable }) => isBlocked(routeTable)))
    .map(({ name }) => name);
}

export interface PluginInput {
  /** Of each kind that brings a plug-in. */
  readonly resources: readonly Resource[];
  readonly gateways: readonly LogicalGateway[];
  readonly modules: ReadonlyMap<string, ModuleResult>;
  /** What runs now: a plug-in whose new module cannot be had keeps its last good one. */
  readonly lastGood: Readonly<Record<string, Plugin>>;
  /** Logical gateways of the snapshot that runs now. */
  readonly servingGateways: ReadonlySet<string>;
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
  const inOrder = input.resources
    .flatMap((resource) => asIstioPlugin(resource) ?? [])
    .sort(compareFilters);
  for (const resource of inOrder) {
    const plugin = pluginOf(resource, input);
    if (plugin !== null) plugins[pluginKey(resource)] = plugin;
    reportPlace(resource, input);
  }
  for (const gateway of input.gateways) {
    const here = inOrder.filter((resource) => appliesTo(resource, gateway));
    applied.set(gateway.name, here);
    chains.set(
      gateway.name,
      here.map(pluginKey).filter((name) => Object.hasOwn(plugins, name)),
    );
    const missing = here.find(
      (resource) =>
        failMode(resource) === "closed" &&
        !Object.hasOwn(plugins, pluginKey(resource)) &&
        !mayWait(resource, gateway, input),
    );
    if (missing !== undefined) {
      blocked.set(gateway.name, {
        plugin: missing,
        message:
          `plug-in ${pluginKey(missing)} has no module and its failStrategy is FAIL_CLOSE, ` +
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

/**
 * A plug-in that is new and still being fetched does not stop a gateway that serves already: it
 * serves as before until the module is there (Istio: the old listener until the new one is warm).
 */
function mayWait(resource: WasmPlugin, gateway: LogicalGateway, input: PluginInput): boolean {
  const module = input.modules.get(pluginKey(resource));
  const isPending = module !== undefined && "error" in module && module.isPending === true;
  return isPending && input.servingGateways.has(gateway.name);
}

/**
 * The traffic matches, and either a target names the gateway, or its labels match the selector and
 * the plug-in is in the root namespace or in the gateway's.
 */
function appliesTo(resource: WasmPlugin, gateway: LogicalGateway): boolean {
  if (isHigress(resource)) return true;
  const { selector, match = [] } = resource.spec;
  if (!isMatched(match, gateway)) return false;
  const targets = targetsOf(resource);
  if (targets.length > 0) return targets.some((target) => isTarget(target, resource, gateway));
  const namespace = namespaceOf(resource);
  if (!hasLabels(gateway.labels, selector?.matchLabels ?? {})) return false;
  return (
    namespace === ROOT_NAMESPACE ||
    gateway.resources.some((member) => namespaceOf(member) === namespace)
  );
}

function targetsOf({ spec }: WasmPlugin): readonly TargetRef[] {
  return [...(spec.targetRefs ?? []), ...(spec.targetRef === undefined ? [] : [spec.targetRef])];
}

/** A Gateway of either API group, in the plug-in's own namespace. */
function isTarget(target: TargetRef, resource: WasmPlugin, gateway: LogicalGateway): boolean {
  return (
    target.kind === "Gateway" &&
    gateway.resources.some(
      (member) =>
        member.metadata.name === target.name && namespaceOf(member) === namespaceOf(resource),
    )
  );
}

function isMatched(match: readonly TrafficMatch[], gateway: LogicalGateway): boolean {
  return match.length === 0 || match.some((one) => matchesTraffic(one, gateway));
}

/** What a gateway carries is client traffic. */
function matchesTraffic({ mode, ports = [] }: TrafficMatch, gateway: LogicalGateway): boolean {
  if (mode === "SERVER") return false;
  const own = portsOf(gateway);
  return ports.length === 0 || ports.some(({ number }) => own.includes(number));
}

function portsOf(gateway: LogicalGateway): number[] {
  return gateway.resources.flatMap(({ spec }) => spec.servers.map(({ port }) => port.number));
}

/**
 * The plug-in, with its last good module when the one asked for cannot be had. Null: there is none;
 * the fail mode says what that means.
 */
function pluginOf(resource: WasmPlugin, input: PluginInput): Plugin | null {
  const name = pluginKey(resource);
  const module = input.modules.get(name) ?? {
    error: "the module has not been looked up",
    remedy: "",
  };
  if ("sha256" in module) {
    if (module.warning !== undefined) report(resource, input, module.warning, "warning");
    return describePlugin(resource, module);
  }
  const last = Object.hasOwn(input.lastGood, name) ? input.lastGood[name] : undefined;
  const outcome =
    last !== undefined
      ? "the module and configuration that ran before keep serving"
      : failMode(resource) === "open"
        ? "requests are served without it (FAIL_OPEN)"
        : module.isPending === true
          ? "a gateway that serves already goes on without it until then"
          : "the gateway answers 503 (FAIL_CLOSE)";
  const severity = module.isPending === true ? "info" : "error";
  report(resource, input, { ...module, error: `${module.error}; ${outcome}` }, severity);
  return last ?? null;
}

function report(
  resource: WasmPlugin,
  { messages }: PluginInput,
  problem: ModuleProblem,
  severity: Severity,
): void {
  const { code = "GL0420", error, remedy } = problem;
  const path = `${modulePath(resource)}.url`;
  messages.add(resource, { severity, code, path, message: error, remedy });
}

function describePlugin(
  resource: WasmPlugin,
  module: Extract<ModuleResult, { sha256: string }>,
): Plugin {
  const { spec } = resource;
  const env = spec.vmConfig?.env ?? [];
  const inline = env.filter(({ valueFrom }) => valueFrom !== "HOST");
  const host = env.filter(({ valueFrom }) => valueFrom === "HOST");
  return {
    name: pluginKey(resource),
    source: refOf(resource),
    module: { sha256: module.sha256, path: module.path },
    configuration: spec.pluginConfig === undefined ? "" : exactJson(spec.pluginConfig),
    rootId: spec.pluginName ?? "",
    vmId: "",
    failMode: failMode(resource),
    env: Object.fromEntries(inline.map(({ name, value = "" }) => [name, value])),
    ...(host.length > 0 && { hostEnv: host.map(({ name }) => name) }),
  };
}

/** The field that no gateway meets, and what would. */
function whyNowhere(
  resource: WasmPlugin,
  gateways: readonly LogicalGateway[],
): { readonly path: string; readonly remedy: string } {
  const { selector, match = [], targetRef, targetRefs } = resource.spec;
  if (match.length > 0 && !gateways.some((gateway) => isMatched(match, gateway))) {
    const remedy = "Gateways carry CLIENT traffic, at the ports that Gateway resources name.";
    return { path: "spec.match", remedy };
  }
  if (targetRefs !== undefined || targetRef !== undefined) {
    const path = targetRefs === undefined ? "spec.targetRef" : "spec.targetRefs";
    return { path, remedy: "Name a Gateway of the plug-in's own namespace." };
  }
  return {
    path: selector === undefined ? "metadata.namespace" : "spec.selector.matchLabels",
    remedy:
      `Its labels must be among a Gateway's selector, and its namespace ${ROOT_NAMESPACE} ` +
      "or the Gateway's.",
  };
}

function reportPlace(resource: WasmPlugin, { gateways, messages }: PluginInput): void {
  const chosen = gateways.filter((gateway) => appliesTo(resource, gateway));
  const { spec } = resource;
  if (chosen.length === 0) {
    const message = "the plug-in selects no gateway, so it never runs";
    const where = whyNowhere(resource, gateways);
    messages.add(resource, { severity: "warning", code: "GL0421", message, ...where });
  }
  const matches = (spec.match ?? []).filter(({ mode }) => mode !== "SERVER");
  if (matches.length === 0 || matches.some(({ ports = [] }) => ports.length === 0)) return;
  const named = matches.flatMap(({ ports = [] }) => ports.map(({ number }) => number));
  const also = chosen.flatMap(portsOf).filter((port) => !named.includes(port));
  if (also.length === 0) return;
  messages.add(resource, {
    severity: "warning",
    code: "GL0426",
    path: "spec.match",
    message: `the plug-in runs on port ${also.join(", ")} too: a gateway has one filter chain`,
    remedy: "Give the ports a Gateway with another selector.",
  });
}
