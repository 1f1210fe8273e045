//! The three kinds that bring a plug-in, in one form: that of Istio's WasmPlugin.
//!
//! Higress' WasmPlugin is translated as Higress does it: the rules become `_rules_` in the
//! plug-in's configuration, and Higress' SDK matches them inside the plug-in.

import { withExactNumbers } from "../resources/exact-numbers.ts";
import type { HigressWasmPlugin, MatchRule } from "../resources/kinds/higress-wasm-plugin.ts";
import type { TrafficExtension } from "../resources/kinds/traffic-extension.ts";
import type { WasmPlugin } from "../resources/kinds/wasm-plugin.ts";
import type { Resource } from "../resources/object.ts";
import { keyOf } from "./resource-index.ts";

const HIGRESS = "extensions.higress.io";

/** Whether the resource is of a kind that brings a plug-in. */
export function bringsPlugin(resource: Resource): boolean {
  return resource.kind === "WasmPlugin" || resource.kind === "TrafficExtension";
}

/**
 * What the plug-in is called in the snapshot, in messages and in metrics: `namespace/name`, and the
 * kind after an `@` when it is not Istio's WasmPlugin, so that the kinds cannot collide.
 */
export function pluginKey(resource: Resource): string {
  if (resource.kind === "TrafficExtension") return `${keyOf(resource)}@trafficextension`;
  return isHigress(resource) ? `${keyOf(resource)}@higress` : keyOf(resource);
}

/** Higress' gateway takes Higress' plug-ins, whatever their namespace and its labels. */
export function isHigress({ apiVersion }: Resource): boolean {
  return apiVersion.startsWith(`${HIGRESS}/`);
}

/** Where the module's fields stand, for messages. */
export function modulePath(resource: Resource): string {
  return resource.kind === "TrafficExtension" ? "spec.wasm" : "spec";
}

/**
 * The plug-in in Istio's form, with its own kind and name. Null: it brings none (a TrafficExtension
 * with a Lua script; a Higress plug-in that is switched off everywhere).
 */
export function asIstioPlugin(written: Resource): WasmPlugin | null {
  const resource = withExactNumbers(written);
  if (resource.kind === "TrafficExtension") return ofTrafficExtension(resource as TrafficExtension);
  return isHigress(resource) ? ofHigress(resource as HigressWasmPlugin) : (resource as WasmPlugin);
}

function ofTrafficExtension(resource: TrafficExtension): WasmPlugin | null {
  const { wasm, phase, ...place } = resource.spec;
  if (wasm === undefined) return null;
  const isUnspecified = phase === undefined || phase === "UNSPECIFIED";
  return {
    ...resource,
    spec: { ...place, ...wasm, ...(isUnspecified ? {} : { phase }) },
  };
}

function ofHigress(resource: HigressWasmPlugin): WasmPlugin | null {
  const { defaultConfig, defaultConfigDisable, matchRules, ...spec } = resource.spec;
  if (spec.pluginConfig !== undefined) return { ...resource, spec };
  const rules = (matchRules ?? []).filter(({ configDisable }) => configDisable !== true);
  if (rules.length === 0 && defaultConfigDisable === true) return null;
  const common = defaultConfigDisable === true ? undefined : defaultConfig;
  if (rules.length === 0) {
    return { ...resource, spec: { ...spec, ...(common && { pluginConfig: common }) } };
  }
  const pluginConfig = { ...common, _rules_: rules.map(ruleOf) };
  return { ...resource, spec: { ...spec, pluginConfig } };
}

function ruleOf({ ingress, domain, service, config }: MatchRule): Record<string, unknown> {
  const rule: Record<string, unknown> = { ...config };
  if (ingress !== undefined && ingress.length > 0) rule["_match_route_"] = ingress;
  if (service !== undefined && service.length > 0) rule["_match_service_"] = service;
  if (domain !== undefined && domain.length > 0) rule["_match_domain_"] = domain;
  return rule;
}
