//! Which requests enter which lanes at one gateway, as lists that Envoy's routes are made from.

import { strippedContext } from "../lane/client-context.ts";
import type { Condition, Gateway, Lane, LaneGroup, Snapshot } from "../snapshot/snapshot.ts";
import type { FilterProgram } from "./filter-program.ts";
import type { Clause } from "./lane-condition.ts";
import { foundHeader, isInBaggage } from "./lane-context.ts";
import { NO_SHARES, sharesOf, stickyShares } from "./lane-shares.ts";
import type { SharesAt, StickyShares } from "./lane-shares.ts";
import { laneSource } from "./lane-source.ts";
import { waysOf } from "./lane-way.ts";
import type { Ways } from "./lane-way.ts";
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
  /** The routes remove the header: whoever has sent it is not believed. */
  readonly isRemoved: boolean;
  /** Whether the header counts when a route is chosen: from a client, or by a plug-in. */
  readonly mayCarryContext: boolean;
  /** Where a request's tag stands, and nothing else; null: in the route header, before a comma. */
  readonly foundIn: string | null;
  /** Decided already, whatever a request says: the lane, or null for the baseline. */
  readonly fixed?: Lane | null;
  /** The first that is met decides. */
  readonly entries: readonly LaneEntry[];
  /** What lanes take of the requests that nothing else has decided. */
  readonly sharesAt: SharesAt;
  /** The same of shares that are sticky; null: none are. */
  readonly sticky: StickyShares | null;
}

interface Given {
  readonly refusals: Refusals;
  /** The plug-in that tells buckets is there. */
  readonly hasBuckets: boolean;
  /** The plug-in that reads and writes baggage is there. */
  readonly hasContexts: boolean;
  /** What completes "Envoy cannot …" for a group at this place; null: nothing. */
  readonly refusedHere?: (group: LaneGroup) => string | null;
  /** Collects what the lane filter decides; null: there is none. */
  readonly filter: FilterProgram | null;
}

/** The lane groups of a gateway, by name. */
export function enteredGroups(gateway: Gateway, snapshot: Snapshot, given: Given): EnteredGroup[] {
  const { refusals } = given;
  const groups = Object.values(snapshot.laneGroups)
    .filter(({ gateways }) => gateways.includes(gateway.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const removed = new Set(removedByRoutes(gateway, snapshot));
  const entered = groups.map((group) => enteredGroup(group, removed, given));
  const deciding = entered.filter(
    ({ group, entries }) => entries.length > 0 || group.cohorts !== undefined,
  );
  if (deciding.length <= 1) return entered;
  given.filter?.clear();
  for (const { group } of deciding) {
    refusals.add(group.source, "enter lanes of several groups at one gateway by rules or shares");
  }
  return entered.map((one) => ({ ...one, entries: [], sharesAt: NO_SHARES, sticky: null }));
}

/**
 * The lane headers that routes remove, since clients may not send them. Where plug-ins may write
 * one, the listener removes it before; but a listener's change does not reach connections that are
 * open already.
 */
export function removedByRoutes(gateway: Gateway, snapshot: Snapshot): readonly string[] {
  return gateway.plugins.length > 0 ? [] : strippedContext(gateway, snapshot).headers;
}

function enteredGroup(group: LaneGroup, removed: ReadonlySet<string>, given: Given): EnteredGroup {
  const { refusals, filter } = given;
  const ways = { removed, filter };
  const isRefused = refuseContext(group, given);
  const routeHeader = group.context.routeHeader.toLowerCase();
  const isRemoved = removed.has(routeHeader);
  return {
    group,
    routeHeader,
    isRemoved,
    mayCarryContext: !isRefused && !isRemoved,
    foundIn: isInBaggage(group) ? foundHeader(routeHeader) : null,
    entries: isRefused ? [] : entriesOf(group, ways, refusals),
    sharesAt: isRefused ? NO_SHARES : sharesOf(group, refusals),
    sticky: isRefused ? null : stickyShares(group, ways, given),
  };
}

/** Whether the group's lanes cannot travel. */
export function refuseContext(
  group: LaneGroup,
  { refusals, refusedHere, hasContexts }: Pick<Given, "refusals" | "refusedHere" | "hasContexts">,
): boolean {
  const { signature, context, source } = group;
  const here = refusedHere?.(group) ?? null;
  if (signature !== undefined) refusals.add(source, "sign the context of lanes");
  const isMissing = context.mode === "baggage" && !hasContexts;
  if (isMissing) refusals.add(source, "write W3C baggage");
  if (here !== null) refusals.add(source, here);
  return signature !== undefined || isMissing || here !== null;
}

function entriesOf(group: LaneGroup, ways: Ways, refusals: Refusals): LaneEntry[] {
  const open = group.lanes.filter(({ enabled }) => enabled);
  const forcing = open.flatMap((lane) => laneEntries(group, lane, lane.forcedIn?.condition));
  const ruled = open.flatMap((lane) => laneEntries(group, lane, lane.rule?.condition));
  return [...forcing, ...ruled];

  function laneEntries(of: LaneGroup, lane: Lane, rule: Condition | undefined): LaneEntry[] {
    if (rule === undefined) return [];
    const outcome = waysOf(withoutForcedOut(rule, lane), of, ways);
    if (outcome.kind === "clauses") return outcome.clauses.map((clause) => ({ lane, clause }));
    refusals.add(laneSource(of, lane), `enter the lane ${lane.name} by ${outcome.what}`);
    return [];
  }
}

function withoutForcedOut(rule: Condition, { forcedOut }: Lane): Condition {
  if (forcedOut === undefined) return rule;
  return { kind: "all", of: [rule, { kind: "not", of: forcedOut.condition }] };
}
