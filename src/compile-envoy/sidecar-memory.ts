//! The trace-id table of a sidecar: the plug-in `plugins/lane-memory`, in both of its listeners.

import type { JsonObject } from "../base/json.ts";
import type { ModuleFile } from "./envoy-config.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { TEXT_TYPE, WASM_TYPE } from "./wasm-types.ts";

const NAME = "graylane.lane-memory";

/** None where no group needs it. */
export function memoryFilters(
  side: "inbound" | "outbound",
  groups: readonly EnteredGroup[],
  { path, sha256 }: ModuleFile,
): JsonObject[] {
  const kept = groups.flatMap(({ group, routeHeader, mayCarryContext }) => {
    const { name, context } = group;
    if (!mayCarryContext || context.mode !== "traceId") return [];
    // Nothing of lanes: each change of a listener costs open connections.
    return [{ name, routeHeader, traceHeader: context.traceHeader.toLowerCase() }];
  });
  if (kept.length === 0) return [];
  const config: JsonObject = {
    name: NAME,
    failure_policy: "FAIL_RELOAD",
    // One VM for both listeners, so that they share the table; another module is another VM.
    vm_config: {
      vm_id: `${NAME}/${sha256}`,
      runtime: "envoy.wasm.runtime.v8",
      code: { local: { filename: path } },
    },
    configuration: { "@type": TEXT_TYPE, value: JSON.stringify({ side, groups: kept }) },
  };
  return [{ name: NAME, typed_config: { "@type": WASM_TYPE, config } }];
}
