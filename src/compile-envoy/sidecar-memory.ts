//! The trace-id table of a sidecar: the plug-in `plugins/lane-memory`, in both of its listeners.

import type { ObjectRef } from "../snapshot/snapshot.ts";
import type { ModuleFile } from "./envoy-config.ts";
import type { Extension } from "./extension.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { ownExtension } from "./own-extension.ts";

const NAME = "graylane.lane-memory";

interface Given {
  readonly source: ObjectRef;
  readonly groups: readonly EnteredGroup[];
  readonly module: ModuleFile;
  readonly modules: string | undefined;
}

/** None where no group needs it. */
export function memoryExtensions(
  side: "inbound" | "outbound",
  { source, groups, module, modules }: Given,
): Extension[] {
  const kept = groups.flatMap(({ group, routeHeader, mayCarryContext }) => {
    const { name, context } = group;
    if (!mayCarryContext || context.mode !== "traceId") return [];
    // Nothing of lanes: they come and go, and what the table holds outlives them.
    return [{ name, routeHeader, traceHeader: context.traceHeader.toLowerCase() }];
  });
  if (kept.length === 0) return [];
  return [ownExtension(NAME, module, { side, groups: kept }, { place: side, source, modules })];
}
