//! The lane groups as a sidecar sees them: nothing enters a lane there, but a call may carry one.

import { carriedHeaderOf } from "../lane/context.ts";
import { decisionByCaller, indexGroup, indexLane } from "../lane/group.ts";
import type { IndexedGroup } from "../lane/group.ts";
import type { LaneGroup, Snapshot, Workload } from "../snapshot/snapshot.ts";
import { refuseContext } from "./lane-entry.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { NO_SHARES } from "./lane-shares.ts";
import { laneSource } from "./lane-source.ts";
import type { Refusals } from "./refusals.ts";
import type { ActionContext } from "./route-action.ts";

/** Of each lane group, by name. */
export function sidecarGroups(
  { labels }: Workload,
  { snapshot, refusals, view }: ActionContext,
  hasMemory: boolean,
): EnteredGroup[] {
  return groupsOf(snapshot).map((indexed) => {
    const { group, routeHeader } = indexed;
    const isRefused = refuseSidecar(group, {
      ...{ refusals, hasMemory, hasContexts: view.laneContext !== undefined },
    });
    // The plug-in has written the tag to the route header.
    const common = {
      foundIn: null,
      group,
      routeHeader,
      entries: [],
      sharesAt: NO_SHARES,
      sticky: null,
    };
    if (group.isolated !== true || isRefused) {
      return { ...common, isRemoved: false, mayCarryContext: !isRefused };
    }
    const { lane: name } = decisionByCaller(indexed, labels);
    const fixed = name === null ? null : (indexed.byName.get(name)?.lane ?? null);
    return { ...common, isRemoved: true, mayCarryContext: false, fixed };
  });
}

/** What an app's agent is to carry on; `""`: nothing. */
export function carriedHeaders(snapshot: Snapshot): string {
  return [...new Set(groupsOf(snapshot).map(carriedHeaderOf))].sort().join(",");
}

/** Lower-case names of what carries lanes, by header, or in baggage that nothing else can edit. */
export function contextHeaders({ snapshot, baggage }: ActionContext): string[] {
  const names = groupsOf(snapshot).flatMap((group) =>
    group.group.context.mode === "baggage" && !baggage.some(({ name }) => name === group.name)
      ? [group.routeHeader, carriedHeaderOf(group)]
      : [group.routeHeader],
  );
  return [...new Set(names)].sort();
}

function groupsOf({ laneGroups }: Snapshot): IndexedGroup[] {
  return Object.values(laneGroups)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((group) =>
      indexGroup(
        group,
        group.lanes.map((lane) => indexLane(group, lane)),
      ),
    );
}

interface Plugins {
  readonly refusals: Refusals;
  readonly hasMemory: boolean;
  readonly hasContexts: boolean;
}

function refuseSidecar(group: LaneGroup, { hasMemory, ...given }: Plugins): boolean {
  const { refusals } = given;
  const isRefused = refuseContext(group, given);
  if (group.context.mode === "traceId" && group.isolated !== true) {
    if (!hasMemory) refusals.add(group.source, "remember the lane by a trace id in a sidecar");
    for (const lane of group.lanes.filter(({ tag }) => tag.includes(","))) {
      refusals.add(laneSource(group, lane), "remember a lane whose tag has a comma in a sidecar");
    }
  }
  if (group.outsideHosts !== undefined) {
    refusals.add(group.source, "send the context of lanes to hosts outside the mesh");
  }
  return isRefused;
}
