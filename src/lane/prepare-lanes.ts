//! Everything that a node knows of lanes, made ready: who is decided into which, and who serves.

import type { Snapshot } from "../snapshot/snapshot.ts";
import { prepareLaneGroup } from "./decide.ts";
import type { PreparedLaneGroup } from "./decide.ts";
import { append, prepareHops } from "./fallback.ts";
import type { PreparedLanes } from "./fallback.ts";

/** `previous` lets unchanged groups and clusters be taken over. */
export function prepareLanes(snapshot: Snapshot, previous?: PreparedLanes): PreparedLanes {
  const groups = prepareLaneGroups(snapshot, previous);
  const byGateway = new Map<string, PreparedLaneGroup[]>();
  for (const prepared of groups.values()) {
    for (const gateway of prepared.group.gateways) append(byGateway, gateway, prepared);
  }
  return { ...prepareHops(snapshot, groups.values(), previous), groups, byGateway };
}

/** In the order of their names; an unchanged group keeps its prepared form. */
function prepareLaneGroups(
  snapshot: Snapshot,
  previous?: PreparedLanes,
): Map<string, PreparedLaneGroup> {
  const groups = new Map<string, PreparedLaneGroup>();
  for (const [name, group] of Object.entries(snapshot.laneGroups).sort(byKey)) {
    const old = previous?.groups.get(name);
    groups.set(name, old?.group === group ? old : prepareLaneGroup(group));
  }
  return groups;
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
