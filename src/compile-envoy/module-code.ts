//! Where an Envoy has the code of a plug-in from: a file of its own machine, or the control plane's
//! store of modules, which it asks by the digest.
//!
//! https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/wasm/v3/wasm.proto

import type { JsonObject } from "../base/json.ts";
import type { EnvoyResource, ModuleFile } from "./envoy-config.ts";

/** Of the store: behind it come the digest and `.wasm`. */
export const MODULES_PATH = "/wasm/sha256/";
const HOST = "modules.graylane";
/** How long Envoy waits for all of a module. */
const FETCH_TIMEOUT = "60s";

/**
 * Fields of `VmConfig`. `cluster`: by which the store is reached; absent: the Envoy is on this
 * machine.
 *
 * Without `nack_on_code_cache_miss` Envoy takes a new version at once, drops the old one and, where
 * the listener is there already, fetches nothing: the plug-in is gone, whatever its fail mode.
 */
export function codeFields({ path, sha256 }: ModuleFile, cluster: string | undefined): JsonObject {
  if (cluster === undefined) return { code: { local: { filename: path } } };
  const uri = `http://${HOST}${MODULES_PATH}${sha256}.wasm`;
  const remote = { http_uri: { uri, cluster, timeout: FETCH_TIMEOUT }, sha256 };
  return { code: { remote }, nack_on_code_cache_miss: true };
}

/**
 * The same to whoever compares, and another to Envoy, which else passes over what it has refused:
 * the code may be there now.
 */
export function triedAgain(resource: EnvoyResource, attempt: number): EnvoyResource {
  const text = JSON.stringify(resource.json);
  const sha256 = resource.fetches?.[0]?.sha256 ?? "";
  const address = `${MODULES_PATH}${sha256}.wasm`;
  const json = JSON.parse(
    text.replaceAll(`${address}"`, `${address}?attempt=${attempt}"`),
  ) as JsonObject;
  return { ...resource, json, retryOf: resource };
}
