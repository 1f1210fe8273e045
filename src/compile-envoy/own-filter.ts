//! A plug-in of our own in an Envoy's filter chain: nobody writes a WasmPlugin for it.

import type { JsonObject } from "../base/json.ts";
import type { ModuleFile } from "./envoy-config.ts";
import { TEXT_TYPE, WASM_RUNTIME, WASM_TYPE } from "./wasm-types.ts";

/** One VM for all filters of a name, so that they share its data; another module is another VM. */
export function ownFilter(
  name: string,
  { path, sha256 }: ModuleFile,
  configuration: JsonObject,
): JsonObject {
  const config: JsonObject = {
    name,
    failure_policy: "FAIL_RELOAD",
    vm_config: {
      vm_id: `${name}/${sha256}`,
      runtime: WASM_RUNTIME,
      code: { local: { filename: path } },
    },
    configuration: { "@type": TEXT_TYPE, value: JSON.stringify(configuration) },
  };
  return { name, typed_config: { "@type": WASM_TYPE, config } };
}
