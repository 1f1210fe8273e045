//! Which requests enter which lanes at one gateway, as lists that Envoy's routes are made from.

import type {
  Condition,
  Gateway,
  Lane,
  LaneGroup,
  ObjectRef,
  Snapshot,
} from "../snapshot/snapshot.ts";
import { clausesOf } from "./lane-condition.ts";
import type { Clause } from "./lane-condition.ts";
import type { Refusals } from "./refusals.ts";

/** One way into a lane. */
export interface LaneEntry {
  readonly lane: Lane;
  readonly clause: Clause;
}

export interface EnteredGroup {
  readonly group: LaneGroup;
  /** Lower-case. */
  readonly routeHeader: string;
  /** Whether the header can be there when a route is chosen: from a client, or by a plug-in. */
  readonly mayCarryContext: boolean;
  /** The first that is met decides. */
  readonly entries: readonly LaneEntry[];
}

/** The lane groups of a gateway, by name. */
export function enteredGroups(
  gateway: Gateway,
  { laneGroups }: Snapshot,
  refusals: Refusals,
): EnteredGroup[] {
  const groups = Object.values(laneGroups)
    .filter(({ gateways }) => gateways.includes(gateway.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const entered = groups.map((group) => enteredGroup(group, gateway, refusals));
  const deciding = entered.filter(({ entries }) => entries.length > 0);
  if (deciding.length <= 1) return entered;
  for (const { group } of deciding) {
    refusals.add(group.source, "enter lanes of several groups by rules at one gateway");
  }
  return entered.map((one) => ({ ...one, entries: [] }));
}

function enteredGroup(group: LaneGroup, { plugins }: Gateway, refusals: Refusals): EnteredGroup {
  const isRefused = refuseContext(group, refusals);
  return {
    group,
    routeHeader: group.context.routeHeader.toLowerCase(),
    mayCarryContext: !isRefused && (!group.stripFromClients || plugins.length > 0),
    entries: isRefused ? [] : entriesOf(group, refusals),
  };
}

function refuseContext(group: LaneGroup, refusals: Refusals): boolean {
  if (group.cohorts !== undefined) refusals.add(group.source, "enter lanes by shares");
  if (group.signature !== undefined) refusals.add(group.source, "sign the context of lanes");
  if (group.context.mode === "baggage") refusals.add(group.source, "write W3C baggage");
  return group.signature !== undefined || group.context.mode === "baggage";
}

function entriesOf(group: LaneGroup, refusals: Refusals): LaneEntry[] {
  const open = group.lanes.filter(({ enabled }) => enabled);
  const forcing = open.flatMap((lane) => laneEntries(group, lane, lane.forcedIn?.condition));
  const ruled = open.flatMap((lane) => laneEntries(group, lane, lane.rule?.condition));
  return [...forcing, ...ruled];

  function laneEntries(of: LaneGroup, lane: Lane, rule: Condition | undefined): LaneEntry[] {
    if (rule === undefined) return [];
    const outcome = clausesOf(withoutForcedOut(rule, lane));
    if (outcome.kind === "clauses") return outcome.clauses.map((clause) => ({ lane, clause }));
    refusals.add(laneSource(of, lane), `enter the lane ${lane.name} by ${outcome.what}`);
    return [];
  }
}

function withoutForcedOut(rule: Condition, { forcedOut }: Lane): Condition {
  if (forcedOut === undefined) return rule;
  return { kind: "all", of: [rule, { kind: "not", of: forcedOut.condition }] };
}

/** Lanes are of their group's namespace; ASM's are known by their group. */
export function laneSource({ source }: LaneGroup, { name }: Lane): ObjectRef {
  if (source.kind !== "LaneGroup") return source;
  return { kind: "Lane", namespace: source.namespace, name };
}
