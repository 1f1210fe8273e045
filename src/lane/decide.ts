//! Decides which lane a request travels in: route > forced > rule > cohort > baseline.
//!
//! Pure: one lane group and one request in, one of a few decisions made at prepare time out. It
//! reads no clock and draws nothing, so the same request gets the same lane in gateway, sidecar,
//! agent and command line.

import type { DecisionRule, Lane, LaneGroup, Route } from "../snapshot/snapshot.ts";
import { allowedAddresses } from "./allowed-addresses.ts";
import { cohortLane, explainCohort, prepareCohorts } from "./cohort.ts";
import type { CohortExplanation, CohortInput, PreparedCohorts } from "./cohort.ts";
import { contextPlace, contextTag } from "./context.ts";
import { indexGroup, indexLane } from "./group.ts";
import type { IndexedGroup, IndexedLane, LaneDecision } from "./group.ts";
import { explainRule, prepareCondition } from "./program.ts";
import type {
  ConditionOutcome,
  HeaderLookup,
  OperandLookup,
  PreparedCondition,
} from "./program.ts";
import { firstRule, indexRules } from "./rule-index.ts";
import type { RuleIndex } from "./rule-index.ts";

export type { DecisionReason, LaneDecision } from "./group.ts";

export interface PreparedLane extends IndexedLane {
  readonly byRoute: LaneDecision;
  readonly byRule: LaneDecision;
  readonly byCohort: LaneDecision;
  /** Whom neither `forcedIn` nor a rule nor a share may take into the lane; null: nobody. */
  readonly isForcedOut: PreparedCondition | null;
}

export interface PreparedLaneGroup extends IndexedGroup {
  readonly byName: ReadonlyMap<string, PreparedLane>;
  readonly byTag: ReadonlyMap<string, PreparedLane>;
  /** Enabled lanes into which some are forced, in decision order. */
  readonly forcing: RuledLanes;
  /** Enabled lanes that have a rule, in decision order. */
  readonly ruled: RuledLanes;
  /** Null: no lane has a share. */
  readonly cohorts: PreparedCohorts | null;
  /** By address: who may see in the response which lane served; null: callers on this machine. */
  readonly isTold: ((address: string) => boolean) | null;
}

/** Lanes in decision order, and the index of the rules that lead into them. */
export interface RuledLanes {
  readonly lanes: readonly PreparedLane[];
  readonly index: RuleIndex;
}

export interface DecisionInput {
  /** A trusted context header's value: the listener has stripped what clients may not send. */
  readonly context: HeaderLookup;
  readonly operand: OperandLookup;
  /** False: no lane is entered at this route, so that only the context counts. */
  readonly isEntry: boolean;
  /** Absent (in sidecars): nobody is in a share. */
  readonly cohort?: CohortInput;
}

export interface DecisionExplanation {
  readonly decision: LaneDecision;
  readonly context: {
    /** Where it stands: a header, or a member of the baggage. */
    readonly header: string;
    readonly value: string | null;
    readonly meaning: "absent" | "lane" | "closed" | "unknown";
  };
  /** Every lane that has conditions, in decision order; also those that were not reached. */
  readonly rules: readonly {
    readonly lane: string;
    readonly enabled: boolean;
    /** Null: the lane has none. */
    readonly rule: ConditionOutcome | null;
    readonly forcedIn: ConditionOutcome | null;
    readonly forcedOut: ConditionOutcome | null;
  }[];
  /** Null: no lane has a share. */
  readonly cohort: CohortExplanation | null;
  /** False: the group is not entered at this route, so no rule is asked. */
  readonly isEntry: boolean;
}

export function prepareLaneGroup(group: LaneGroup): PreparedLaneGroup {
  const prepared = group.lanes.map((lane) => prepareLane(group, lane));
  return {
    ...indexGroup(group, prepared),
    forcing: ruledLanes(prepared, ({ forcedIn }) => forcedIn ?? null),
    ruled: ruledLanes(prepared, ({ rule }) => rule),
    cohorts: group.cohorts === undefined ? null : prepareCohorts(group.cohorts),
    isTold: group.traceFrom === undefined ? null : allowedAddresses(group.traceFrom),
  };
}

function ruledLanes(
  prepared: readonly PreparedLane[],
  ruleOf: (lane: Lane) => DecisionRule | null,
): RuledLanes {
  const lanes = prepared.filter(({ lane }) => lane.enabled && ruleOf(lane) !== null);
  const rules = lanes.flatMap(({ lane }) => {
    const condition = ruleOf(lane)?.condition;
    if (condition === undefined) return [];
    const unless = lane.forcedOut?.condition;
    return [unless === undefined ? { condition } : { condition, unless }];
  });
  return { lanes, index: indexRules(rules) };
}

function firstLane({ lanes, index }: RuledLanes, read: OperandLookup): PreparedLane | undefined {
  if (lanes.length === 0) return undefined;
  const position = firstRule(index, read);
  return position === -1 ? undefined : lanes[position];
}

function prepareLane(group: LaneGroup, lane: Lane): PreparedLane {
  const common = { group: group.name, lane: lane.name, tag: lane.tag };
  return {
    ...indexLane(group, lane),
    byRoute: { reason: "route", ...common },
    byRule: { reason: "rule", ...common },
    byCohort: { reason: "cohort", ...common },
    isForcedOut: lane.forcedOut === undefined ? null : prepareCondition(lane.forcedOut.condition),
  };
}

/** Whether a decision may need more than the context: else no operand has to be looked for. */
export function asksOperands({ forcing, ruled, cohorts }: PreparedLaneGroup): boolean {
  return forcing.lanes.length > 0 || ruled.lanes.length > 0 || cohorts !== null;
}

/** Whether lanes of the group are entered at the route; null: no route matches. */
export function isEntryRoute(
  { group }: Pick<PreparedLaneGroup, "group">,
  route: Pick<Route, "label" | "source"> | null,
): boolean {
  const { entryRoutes } = group;
  if (entryRoutes === undefined) return true;
  if (route === null) return false;
  const { label, source } = route;
  return entryRoutes.some(
    (entry) =>
      entry.virtualService === `${source.namespace}/${source.name}` &&
      (entry.kind === undefined || entry.kind === source.kind) &&
      (entry.route === null || entry.route === label),
  );
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
  if (!input.isEntry) return group.baseline;
  const forced = firstLane(group.forcing, input.operand);
  if (forced !== undefined) return forced.forced;
  const ruled = firstLane(group.ruled, input.operand);
  if (ruled !== undefined) return ruled.byRule;
  return decideByCohort(group, input);
}

function decideByCohort(group: PreparedLaneGroup, input: DecisionInput): LaneDecision {
  if (group.cohorts === null || input.cohort === undefined) return group.baseline;
  const lane = group.byName.get(cohortLane(group.cohorts, input.cohort) ?? "");
  if (lane?.lane.enabled !== true || lane.isForcedOut?.(input.operand) === true) {
    return group.baseline;
  }
  return lane.byCohort;
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
    lane.rule === null && lane.forcedIn === undefined && lane.forcedOut === undefined
      ? []
      : [
          {
            lane: lane.name,
            enabled: lane.enabled,
            rule: outcomeOf(lane.rule, input),
            forcedIn: outcomeOf(lane.forcedIn, input),
            forcedOut: outcomeOf(lane.forcedOut, input),
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
    cohort:
      group.cohorts === null || input.cohort === undefined
        ? null
        : explainCohort(group.cohorts, input.cohort),
    isEntry: input.isEntry,
  };
}

function outcomeOf(
  rule: DecisionRule | null | undefined,
  input: DecisionInput,
): ConditionOutcome | null {
  return rule === null || rule === undefined ? null : explainRule(rule, input.operand);
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
