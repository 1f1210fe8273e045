//! Shares of lanes that are drawn anew for each request: weights of Envoy's clusters.

import { DEFAULT_TABLE } from "../lane/cohort.ts";
import type { Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { laneSource } from "./lane-source.ts";
import type { Refusals } from "./refusals.ts";

export interface LaneShare {
  readonly lane: Lane;
  readonly partsPpm: number;
}

/** By the id of the base route; null: no route takes the request. */
export type SharesAt = (routeId: string | null) => readonly LaneShare[];

export const NO_SHARES: SharesAt = () => [];

export function sharesOf(group: LaneGroup, refusals: Refusals): SharesAt {
  const { cohorts, lanes } = group;
  if (cohorts === undefined) return NO_SHARES;
  if (cohorts.deal !== null) {
    refusals.add(group.source, "enter lanes by shares that keep a user in his lane");
    return NO_SHARES;
  }
  const entered = new Map<string, Lane>();
  for (const lane of lanes) {
    if (!lane.enabled) continue;
    if (lane.forcedOut === undefined) entered.set(lane.name, lane);
    else if (hasShare(group, lane)) {
      const what = `enter the lane ${lane.name} by its share, as some are forced out of it`;
      refusals.add(laneSource(group, lane), what);
    }
  }
  return (routeId) => {
    const table = cohorts.routes[routeId ?? ""] ?? DEFAULT_TABLE;
    const parts = new Map<Lane, number>();
    for (const { lane: name, fromPpm, toPpm } of cohorts.tables[table] ?? []) {
      const lane = entered.get(name);
      if (lane !== undefined) parts.set(lane, (parts.get(lane) ?? 0) + toPpm - fromPpm);
    }
    return [...parts].map(([lane, partsPpm]) => ({ lane, partsPpm }));
  };
}

function hasShare({ cohorts }: LaneGroup, { name }: Lane): boolean {
  return Object.values(cohorts?.tables ?? {})
    .flat()
    .some(({ lane }) => lane === name);
}
