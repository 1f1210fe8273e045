//! The trace-id table of a sidecar: the plug-in `plugins/lane-memory`, in both of its listeners.

import type { JsonObject } from "../base/json.ts";
import type { ModuleFile } from "./envoy-config.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { ownFilter } from "./own-filter.ts";

const NAME = "graylane.lane-memory";

/** None where no group needs it. */
export function memoryFilters(
  side: "inbound" | "outbound",
  groups: readonly EnteredGroup[],
  module: ModuleFile,
): JsonObject[] {
  const kept = groups.flatMap(({ group, routeHeader, mayCarryContext }) => {
    const { name, context } = group;
    if (!mayCarryContext || context.mode !== "traceId") return [];
    // Nothing of lanes: each change of a listener costs open connections.
    return [{ name, routeHeader, traceHeader: context.traceHeader.toLowerCase() }];
  });
  if (kept.length === 0) return [];
  return [ownFilter(NAME, module, { side, groups: kept })];
}
