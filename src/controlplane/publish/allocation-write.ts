//! Who is in which share of a lane group, as part of the group's `status`.

import { contentHash } from "../../base/canonical-json.ts";
import type { Resource } from "../../resources/object.ts";
import { isRecord } from "./inputs.ts";
import type { StatusWrite } from "./object-status.ts";

/** The statuses of lane groups that do not say yet who is in which share. */
export function allocationWrites(
  resources: readonly Resource[],
  allocations: ReadonlyMap<string, unknown> = new Map(),
): StatusWrite[] {
  if (allocations.size === 0) return [];
  return resources.flatMap((resource) => {
    if (resource.kind !== "LaneGroup") return [];
    const { namespace = "", name } = resource.metadata;
    const allocation = allocations.get(`${namespace}/${name}`);
    const current = isRecord(resource.status) ? resource.status : {};
    if (
      allocation === undefined ||
      contentHash(allocation) === contentHash(current["allocation"] ?? null)
    ) {
      return [];
    }
    return [{ resource, status: { ...current, allocation } }];
  });
}
