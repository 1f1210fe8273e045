//! Decides which lane a request travels in: route > forced > rule > cohort > baseline.
//!
//! Pure: one lane group and one request in, one of a few decisions made at prepare time out. It
//! reads no clock and draws nothing, so the same request gets the same lane in gateway, sidecar,
//! agent and command line.

import type { Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { contextPlace, contextTag } from "./context.ts";
import { evaluateRule, explainRule } from "./program.ts";
import type { ConditionOutcome, HeaderLookup } from "./program.ts";

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

export interface PreparedLane {
  readonly lane: Lane;
  readonly byRoute: LaneDecision;
  readonly forced: LaneDecision;
  readonly byRule: LaneDecision;
}

export interface PreparedLaneGroup {
  readonly name: string;
  readonly group: LaneGroup;
  /** Lower-case. */
  readonly routeHeader: string;
  readonly byName: ReadonlyMap<string, PreparedLane>;
  /** By the value of the route header. */
  readonly byTag: ReadonlyMap<string, PreparedLane>;
  /** Enabled lanes that have a rule, in decision order. */
  readonly ruled: readonly PreparedLane[];
  readonly baseline: LaneDecision;
}

export interface DecisionInput {
  /** A trusted context header's value: the listener has stripped what clients may not send. */
  readonly context: HeaderLookup;
  readonly header: HeaderLookup;
}

export interface DecisionExplanation {
  readonly decision: LaneDecision;
  readonly context: {
    /** Where it stands: a header, or a member of the baggage. */
    readonly header: string;
    readonly value: string | null;
    readonly meaning: "absent" | "lane" | "closed" | "unknown";
  };
  /** Every lane that has a rule, in decision order; `outcome` also for those not reached. */
  readonly rules: readonly {
    readonly lane: string;
    readonly enabled: boolean;
    readonly outcome: ConditionOutcome;
  }[];
}

export function prepareLaneGroup(group: LaneGroup): PreparedLaneGroup {
  const prepared = group.lanes.map((lane) => prepareLane(group, lane));
  const byTag = new Map<string, PreparedLane>();
  for (const lane of prepared) if (!byTag.has(lane.lane.tag)) byTag.set(lane.lane.tag, lane);
  return {
    name: group.name,
    group,
    routeHeader: group.context.routeHeader.toLowerCase(),
    byName: new Map(prepared.map((lane) => [lane.lane.name, lane])),
    byTag,
    ruled: prepared.filter(({ lane }) => lane.enabled && lane.rule !== null),
    baseline: { reason: "baseline", group: group.name, lane: null, tag: null },
  };
}

function prepareLane(group: LaneGroup, lane: Lane): PreparedLane {
  const common = { group: group.name, lane: lane.name, tag: lane.tag };
  return {
    lane,
    byRoute: { reason: "route", ...common },
    forced: { reason: "forced", ...common },
    byRule: { reason: "rule", ...common },
  };
}

/**
 * The decision when the route has not already made it (`decisionByRoute`).
 *
 * A context comes before rules: else one call chain could change lanes halfway. A context that
 * names a closed or unknown lane means the baseline, not the rules.
 */
export function decideLane(group: PreparedLaneGroup, input: DecisionInput): LaneDecision {
  const tag = contextTag(group, input.context);
  if (tag !== undefined) {
    const lane = group.byTag.get(tag);
    return lane?.lane.enabled === true ? lane.forced : group.baseline;
  }
  for (const lane of group.ruled) {
    const { rule } = lane.lane;
    if (rule !== null && evaluateRule(rule, input.header)) return lane.byRule;
  }
  return group.baseline;
}

/**
 * The decision among several groups (of one gateway, or of one service): the first that is not the
 * baseline, else the first group's baseline; null when there is no group.
 */
export function decideAmong(
  groups: readonly PreparedLaneGroup[],
  input: DecisionInput,
): LaneDecision | null {
  for (const group of groups) {
    const decision = decideLane(group, input);
    if (decision.lane !== null) return decision;
  }
  return groups[0]?.baseline ?? null;
}

/** A route's destination names a lane's subset: that lane, or the baseline when it is closed. */
export function decisionByRoute(group: PreparedLaneGroup, laneName: string): LaneDecision {
  const lane = group.byName.get(laneName);
  return lane?.lane.enabled === true ? lane.byRoute : group.baseline;
}

/** The same decision as `decideLane`, with every operand it looked at. */
export function explainDecision(
  group: PreparedLaneGroup,
  input: DecisionInput,
): DecisionExplanation {
  const value = contextTag(group, input.context) ?? null;
  const rules = group.group.lanes.flatMap((lane) =>
    lane.rule === null
      ? []
      : [
          {
            lane: lane.name,
            enabled: lane.enabled,
            outcome: explainRule(lane.rule, input.header),
          },
        ],
  );
  return {
    decision: decideLane(group, input),
    context: {
      header: contextPlace(group, input.context),
      value,
      meaning: contextMeaning(group, value),
    },
    rules,
  };
}

function contextMeaning(
  group: PreparedLaneGroup,
  value: string | null,
): DecisionExplanation["context"]["meaning"] {
  if (value === null || value === "") return "absent";
  const lane = group.byTag.get(value)?.lane;
  if (lane === undefined) return "unknown";
  return lane.enabled ? "lane" : "closed";
}
