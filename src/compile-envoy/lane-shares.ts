//! Shares of lanes. Those drawn anew for each request are weights of Envoy's clusters. Those that
//! keep a user in his lane are conditions on the bucket that the plug-in `plugins/lane-bucket`
//! writes.

import { DEFAULT_TABLE } from "../lane/cohort.ts";
import type { CohortDeal, CohortInterval } from "../snapshot/cohort.ts";
import type { Condition, Lane, LaneGroup } from "../snapshot/snapshot.ts";
import { bothOf } from "./lane-condition.ts";
import type { Clause } from "./lane-condition.ts";
import { laneSource } from "./lane-source.ts";
import { refusedTokens, waysOf } from "./lane-way.ts";
import type { Ways } from "./lane-way.ts";
import type { Refusals } from "./refusals.ts";

export interface LaneShare {
  readonly lane: Lane;
  readonly partsPpm: number;
}

/** By the id of the base route; null: no route takes the request. */
export type SharesAt = (routeId: string | null) => readonly LaneShare[];

export const NO_SHARES: SharesAt = () => [];

/** What a sticky share asks of the requests of one base route. */
export interface ShareEntry {
  readonly lane: Lane;
  readonly clause: Clause;
}

export type ShareEntriesAt = (routeId: string | null) => readonly ShareEntry[];

/** The shares of a group that are sticky. */
export interface StickyShares {
  readonly deal: CohortDeal;
  readonly entriesAt: ShareEntriesAt;
}

/** Written by the plug-in, and removed by the routes. */
export const BUCKET_HEADER = "x-graylane-bucket";
/** Of one base route: each is a route of Envoy's. */
const INTERVALS_MAX = 64;

export function sharesOf(group: LaneGroup, refusals: Refusals): SharesAt {
  const { cohorts, lanes } = group;
  if (cohorts === undefined || cohorts.deal !== null) return NO_SHARES;
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

/** Null: the group has none, or Envoy cannot have them. */
export function stickyShares(
  group: LaneGroup,
  by: Ways,
  { refusals, hasBuckets }: { readonly refusals: Refusals; readonly hasBuckets: boolean },
): StickyShares | null {
  const deal = group.cohorts?.deal ?? null;
  if (deal === null) return null;
  const refused = refusedDeal(deal, group, hasBuckets) ?? refusedClaim(deal, group, by);
  if (refused !== null) {
    refusals.add(group.source, `enter lanes by shares ${refused}`);
    return null;
  }
  const open = group.lanes.filter(({ enabled }) => enabled);
  const ways = new Map(open.map((lane) => [lane.name, waysInto(group, lane, by, refusals)]));
  const { tables = {}, routes = {} } = group.cohorts ?? {};
  return {
    deal,
    entriesAt: (routeId) => {
      const table = tables[routes[routeId ?? ""] ?? DEFAULT_TABLE] ?? [];
      return table.flatMap((interval) => {
        const into = ways.get(interval.lane);
        return into === undefined ? [] : entriesOf(interval, into);
      });
    },
  };
}

/** What completes "Envoy cannot enter lanes by shares …"; or null. */
function refusedDeal(
  { key }: CohortDeal,
  { cohorts }: LaneGroup,
  hasBuckets: boolean,
): string | null {
  if (!hasBuckets) return "that keep a user in his lane, without the plug-in lane-bucket";
  if (key.kind === "issuedCookie") return "of users to whom the gateway gives a cookie";
  const isTooLong = Object.values(cohorts?.tables ?? {}).some(
    (intervals) => intervals.length > INTERVALS_MAX,
  );
  return isTooLong ? `of more than ${INTERVALS_MAX} intervals` : null;
}

/** The same of a key that is a claim, which is asked for here. */
function refusedClaim(
  { key, hash, salt, modulo }: CohortDeal,
  { operands }: LaneGroup,
  { filter, removed }: Ways,
): string | null {
  if (key.kind !== "claim") return null;
  const why = refusedTokens(operands, removed);
  if (filter === null || why !== null) {
    return `of users told apart by ${why ?? "a token, without the plug-in lane-filter"}`;
  }
  const bucket = { header: BUCKET_HEADER, hash, salt, modulo };
  const what = filter.addBucket(bucket, key, operands);
  return what === null ? null : `of users told apart by ${what}`;
}

/** A lane, with the ways in which nobody is forced out of it. */
interface WaysInto {
  readonly lane: Lane;
  readonly clauses: readonly Clause[];
}

function waysInto(group: LaneGroup, lane: Lane, by: Ways, refusals: Refusals): WaysInto {
  const { forcedOut } = lane;
  const unless: Condition =
    forcedOut === undefined ? { kind: "all", of: [] } : { kind: "not", of: forcedOut.condition };
  const outcome = waysOf(unless, group, by);
  if (outcome.kind === "clauses") return { lane, clauses: outcome.clauses };
  if (hasShare(group, lane)) {
    const what = `enter the lane ${lane.name} by its share, out of which some are forced by`;
    refusals.add(laneSource(group, lane), `${what} ${outcome.what}`);
  }
  return { lane, clauses: [] };
}

function entriesOf({ fromPpm, toPpm }: CohortInterval, { lane, clauses }: WaysInto): ShareEntry[] {
  const range = { name: BUCKET_HEADER, range_match: { start: fromPpm, end: toPpm } };
  const isIn: Clause = { headers: [range], query: [], pathRegex: null };
  return clauses.flatMap((clause) => {
    const both = bothOf(isIn, clause);
    return both === null ? [] : [{ lane, clause: both }];
  });
}

function hasShare({ cohorts }: LaneGroup, { name }: Lane): boolean {
  return Object.values(cohorts?.tables ?? {})
    .flat()
    .some(({ lane }) => lane === name);
}
