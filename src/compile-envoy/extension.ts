//! A Wasm plug-in in Envoy's words: a resource of its own (ECDS), and its place in a listener. So a
//! new version or configuration of it is no change of the listener, and ends no connection.
//!
//! https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/extension

import type { JsonObject } from "../base/json.ts";
import type { ObjectRef } from "../snapshot/snapshot.ts";
import { FROM_ADS } from "./envoy-config.ts";
import type { EnvoyResource, ModuleFile, ResourcePart } from "./envoy-config.ts";
import { WASM_TYPE } from "./wasm-types.ts";

const FAULT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
/** What stands in for a plug-in that Envoy has never taken: it does as the fail mode says. */
const STAND_INS = {
  open: { "@type": FAULT_TYPE },
  closed: {
    "@type": FAULT_TYPE,
    abort: { http_status: 503, percentage: { numerator: 100, denominator: "HUNDRED" } },
  },
} as const satisfies Readonly<Record<string, JsonObject>>;
/** A listener serves nobody before its plug-ins are there: they may be what keeps people out. */
const SOURCE: JsonObject = { ...FROM_ADS, initial_fetch_timeout: "0s" };

/** A plug-in in the chain of a listener. */
export interface Extension {
  readonly resource: EnvoyResource;
  /** Its place in the listener. */
  readonly filter: ResourcePart;
}

export interface WasmPlugin {
  readonly name: string;
  readonly source: ObjectRef;
  readonly failMode: "closed" | "open";
  /** It is a filter of upstream requests. */
  readonly isUpstream?: true;
  /** `envoy.extensions.wasm.v3.PluginConfig` but for what `failMode` says. */
  readonly config: JsonObject;
  /** What the Envoy has to fetch; absent: its code is a file. */
  readonly fetched?: ModuleFile;
}

/** The resource's name. */
export function extensionKey(plugin: string): string {
  return `plugin|${plugin}`;
}

export function wasmExtension({ config, ...plugin }: WasmPlugin): Extension {
  const failure = { failure_policy: plugin.failMode === "open" ? "FAIL_OPEN" : "FAIL_RELOAD" };
  const typed = { "@type": WASM_TYPE, config: { ...config, ...failure } };
  return filterExtension({ ...plugin, typed });
}

/** A filter of Envoy's own, as `typed` has it. */
export interface HttpFilter extends Omit<WasmPlugin, "config"> {
  readonly typed: { readonly "@type": string } & JsonObject;
}

export function filterExtension(filter: HttpFilter): Extension {
  const { name, source, failMode, typed, fetched, isUpstream = false } = filter;
  const key = extensionKey(name);
  const json: JsonObject = { name: key, typed_config: typed };
  const instead: JsonObject = { name: key, typed_config: STAND_INS[failMode] };
  const named = { name: key, needs: [] };
  const standIn = { ...named, json: instead, parts: [{ source, json: instead }] };
  const fetches = fetched === undefined ? {} : { fetches: [fetched] };
  const where = isUpstream ? { isUpstream } : {};
  const resource = { ...named, json, parts: [{ source, json }], standIn, ...fetches, ...where };
  return { resource, filter: { source, json: placeOf(resource) } };
}

/** What stands for it in a listener. */
export function placeOf({ name, json, standIn, isUpstream }: EnvoyResource): JsonObject {
  // Nothing can stand in for it there: a fault is no filter of upstream requests.
  if (isUpstream === true) {
    return { name, config_discovery: { config_source: SOURCE, type_urls: [WASM_TYPE] } };
  }
  const { "@type": type = WASM_TYPE } = json["typed_config"] as JsonObject;
  return {
    name,
    config_discovery: {
      config_source: SOURCE,
      default_config: standIn?.json["typed_config"] ?? STAND_INS.closed,
      type_urls: [type, FAULT_TYPE],
    },
  };
}
