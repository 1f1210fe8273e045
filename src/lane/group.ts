//! What every hop behind the gateway needs of a lane group: its lanes by name and by tag.
//!
//! Needs nothing but the group: an app's agent loads it, and must not load the rules' libraries.

import type { Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { isInLane } from "./membership.ts";

/** Why a request is in its lane. These words are in the log, the metrics and explain. */
export type DecisionReason = "route" | "forced" | "rule" | "cohort" | "baseline";

export interface LaneDecision {
  readonly reason: DecisionReason;
  /** Key of the group in the snapshot. */
  readonly group: string;
  /** The lane's name; null is the baseline. */
  readonly lane: string | null;
  /**
   * Value to set the route header to. Null (baseline): leave the header as it is, since a rule of
   * the user's that matches on it must keep matching.
   */
  readonly tag: string | null;
}

export interface IndexedLane {
  readonly lane: Lane;
  readonly forced: LaneDecision;
}

export interface IndexedGroup {
  readonly name: string;
  readonly group: LaneGroup;
  /** Lower-case. */
  readonly routeHeader: string;
  readonly byName: ReadonlyMap<string, IndexedLane>;
  /** By the value of the route header. */
  readonly byTag: ReadonlyMap<string, IndexedLane>;
  readonly baseline: LaneDecision;
}

export function indexLane(group: LaneGroup, lane: Lane): IndexedLane {
  const forced = { reason: "forced", group: group.name, lane: lane.name, tag: lane.tag } as const;
  return { lane, forced };
}

/** `lanes`: the group's own, in its order. */
export function indexGroup<Each extends IndexedLane>(
  group: LaneGroup,
  lanes: readonly Each[],
): IndexedGroup & {
  readonly byName: ReadonlyMap<string, Each>;
  readonly byTag: ReadonlyMap<string, Each>;
} {
  const byTag = new Map<string, Each>();
  for (const lane of lanes) if (!byTag.has(lane.lane.tag)) byTag.set(lane.lane.tag, lane);
  return {
    name: group.name,
    group,
    routeHeader: group.context.routeHeader.toLowerCase(),
    byName: new Map(lanes.map((lane) => [lane.lane.name, lane])),
    byTag,
    baseline: { reason: "baseline", group: group.name, lane: null, tag: null },
  };
}

/**
 * The decision of an isolated group for what a pod calls: the open lane that the pod is in,
 * whatever its request carries (ASM's strict mode). A pod of no lane calls the baseline.
 */
export function decisionByCaller(
  group: IndexedGroup,
  labels: Readonly<Record<string, string>>,
): LaneDecision {
  for (const { lane, forced } of group.byName.values()) {
    if (lane.enabled && isInLane({ labels }, lane)) return forced;
  }
  return group.baseline;
}

/**
 * The decision for a call between services, of one group more, whose tag the call carries. Of
 * several groups the first, by name, that knows a lane for the hop decides.
 */
export function withGroup(
  decision: LaneDecision | null,
  group: IndexedGroup,
  tag: string | undefined,
): LaneDecision {
  if (decision !== null && decision.lane !== null) return decision;
  const lane = tag === undefined ? undefined : group.byTag.get(tag);
  return lane?.lane.enabled === true ? lane.forced : group.baseline;
}
