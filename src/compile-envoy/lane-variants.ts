//! What is decided for the requests of one base route, as variants of it: each with what it asks
//! of the request beyond the route's own match, in the order in which they are tried.

import type { JsonObject } from "../base/json.ts";
import { isEntryRoute } from "../lane/decide.ts";
import { PPM_TOTAL } from "../lane/key-hash.ts";
import type { Lane, Route } from "../snapshot/snapshot.ts";
import { bothOf } from "./lane-condition.ts";
import type { Clause } from "./lane-condition.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { quoted } from "./operand-pattern.ts";
import type { DecidedLane } from "./subset-keys.ts";

export interface LaneVariant {
  readonly clause: Clause;
  /** One of them is drawn for each request; together a million parts. */
  readonly draws: readonly LaneDraw[];
  /** What the decisions write: the route is chosen anew with it. */
  readonly written: readonly (readonly [header: string, tag: string])[];
}

export interface LaneDraw {
  readonly partsPpm: number;
  /** One decision for each group that decides. */
  readonly decided: readonly DecidedLane[];
}

export const NOTHING_DECIDED: readonly LaneDraw[] = [{ partsPpm: PPM_TOTAL, decided: [] }];

const UNASKED: LaneVariant = {
  clause: { headers: [], query: [], pathRegex: null },
  draws: NOTHING_DECIDED,
  written: [],
};

/** The last one asks nothing. `route` is null where none takes the request. */
export function laneVariants(route: Route | null, groups: readonly EnteredGroup[]): LaneVariant[] {
  const asked = groups.filter(({ group }) => route === null || !isNamedBy(route, group.name));
  return asked.reduce((before, group) => combined(before, groupVariants(group, route)), [UNASKED]);
}

/** Every destination names a lane of the group: it is not asked. */
function isNamedBy({ action }: Route, group: string): boolean {
  if (action.kind !== "forward" || action.destinations.length === 0) return false;
  return action.destinations.every(
    ({ target }) =>
      target.kind === "cluster" && target.subset?.kind === "lane" && target.subset.group === group,
  );
}

function combined(before: readonly LaneVariant[], next: readonly LaneVariant[]): LaneVariant[] {
  return before.flatMap((one) =>
    next.flatMap((other) => {
      const clause = bothOf(one.clause, other.clause);
      if (clause === null) return [];
      const draws = bothDraws(one.draws, other.draws);
      return [{ clause, draws, written: [...one.written, ...other.written] }];
    }),
  );
}

/** At most one group of a gateway draws. */
function bothDraws(some: readonly LaneDraw[], others: readonly LaneDraw[]): LaneDraw[] {
  return some.flatMap((one) =>
    others.map((other) => ({
      partsPpm: Math.min(one.partsPpm, other.partsPpm),
      decided: [...one.decided, ...other.decided],
    })),
  );
}

/** As `lane/decide.ts`: a context, whatever it says, comes before rules. */
function groupVariants(entered: EnteredGroup, route: Route | null): LaneVariant[] {
  const { group, entries, sticky, fixed } = entered;
  const baseline = baselineOf(entered);
  if (fixed === null) return [baseline];
  if (fixed !== undefined) return [enter(entered, fixed, UNASKED.clause)];
  const variants = contextVariants(entered);
  const isEntry = isEntryRoute({ group }, route);
  if (!isEntry) return [...variants, baseline];
  const shares = sticky?.entriesAt(route?.id ?? null) ?? [];
  for (const { lane, clause } of [...entries, ...shares]) {
    variants.push(enter(entered, lane, clause));
  }
  return [...variants, { ...baseline, draws: shareDraws(entered, route) }];
}

function enter({ group, routeHeader }: EnteredGroup, lane: Lane, clause: Clause): LaneVariant {
  return {
    clause,
    draws: [draw(group.name, lane.name)],
    written: [[routeHeader, lane.tag]],
  };
}

function baselineOf({ group }: EnteredGroup): LaneVariant {
  return { ...UNASKED, draws: [draw(group.name, null)] };
}

/** For requests that carry a tag. */
function contextVariants(entered: EnteredGroup): LaneVariant[] {
  const { group, routeHeader, mayCarryContext, foundIn } = entered;
  if (!mayCarryContext) return [];
  const place = foundIn ?? routeHeader;
  const baseline = baselineOf(entered);
  const tags = new Map([...group.lanes].reverse().map((lane) => [lane.tag, lane]));
  // A whole value that is a tag goes before its part before the comma.
  const lists = [...tags].filter(([tag]) => tag.includes(","));
  const others = [...tags].filter(([tag]) => !tag.includes(","));
  const variants = [...lists, ...others].map(([tag, lane], index): LaneVariant => {
    const rest = foundIn === null && index >= lists.length ? "(?:[ \\t]*,.*)?" : "";
    const clause = headerClause(place, `${quoted(tag)}${rest}`);
    return lane.enabled ? enter(entered, lane, clause) : { ...baseline, clause };
  });
  return [...variants, { ...baseline, clause: headerClause(place, ".+") }];
}

/** Those in no share are drawn for the baseline. */
function shareDraws({ group, sharesAt }: EnteredGroup, route: Route | null): LaneDraw[] {
  const shares = sharesAt(route?.id ?? null);
  const drawn = shares.map(({ lane, partsPpm }) => draw(group.name, lane.name, partsPpm));
  const rest = shares.reduce((left, { partsPpm }) => left - partsPpm, PPM_TOTAL);
  return rest === 0 ? drawn : [...drawn, draw(group.name, null, rest)];
}

function draw(group: string, lane: string | null, partsPpm = PPM_TOTAL): LaneDraw {
  return { partsPpm, decided: [{ group, lane }] };
}

function headerClause(name: string, regex: string): Clause {
  const header: JsonObject = { name, string_match: { safe_regex: { regex } } };
  return { ...UNASKED.clause, headers: [header] };
}
