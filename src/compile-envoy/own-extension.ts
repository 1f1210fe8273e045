//! A plug-in of our own in an Envoy's filter chain: nobody writes a WasmPlugin for it.

import type { JsonObject } from "../base/json.ts";
import type { ObjectRef } from "../snapshot/snapshot.ts";
import type { EnvoyResource, ModuleFile } from "./envoy-config.ts";
import { wasmExtension } from "./extension.ts";
import type { Extension } from "./extension.ts";
import { codeFields } from "./module-code.ts";
import { TEXT_TYPE, WASM_RUNTIME } from "./wasm-types.ts";

/** Whose chain it is in, and what of that chain: tells those of one name apart. */
export interface Place {
  readonly place: string;
  readonly source: ObjectRef;
  /** The cluster by which modules are fetched; absent: they are files of this machine. */
  readonly modules?: string | undefined;
  /** It may hold a request's head back and see its body meanwhile (Envoy 1.35 and later). */
  readonly mayHold?: true;
  /** It sees what goes to an endpoint, not what has come in. */
  readonly isUpstream?: true;
}

/** One VM for all filters of a name, so that they share its data; another module is another VM. */
export function ownExtension(
  name: string,
  module: ModuleFile,
  configuration: JsonObject,
  { place, source, modules, mayHold, isUpstream }: Place,
): Extension {
  const config: JsonObject = {
    name,
    vm_config: {
      vm_id: `${name}/${module.sha256}`,
      runtime: WASM_RUNTIME,
      ...codeFields(module, modules),
    },
    configuration: { "@type": TEXT_TYPE, value: JSON.stringify(configuration) },
    ...(mayHold === true ? { allow_on_headers_stop_iteration: true } : {}),
  };
  const fetched = modules === undefined ? {} : { fetched: module };
  const own = { name: `${name}/${place}`, source, failMode: "closed", config } as const;
  return wasmExtension({ ...own, ...fetched, ...(isUpstream === true ? { isUpstream } : {}) });
}

/** What `ownExtension` was given as configuration, as text. */
export function configurationOf({ json }: EnvoyResource): string {
  return (configOf(json)["configuration"] as JsonObject)["value"] as string;
}

export function withConfiguration(resource: EnvoyResource, text: string): EnvoyResource {
  const typed = resource.json["typed_config"] as JsonObject;
  const config = { ...configOf(resource.json), configuration: { "@type": TEXT_TYPE, value: text } };
  const json: JsonObject = { ...resource.json, typed_config: { ...typed, config } };
  return { ...resource, json, parts: resource.parts.map(({ source }) => ({ source, json })) };
}

function configOf(json: JsonObject): JsonObject {
  return (json["typed_config"] as JsonObject)["config"] as JsonObject;
}
