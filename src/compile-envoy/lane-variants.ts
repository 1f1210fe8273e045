//! What is decided for the requests of one base route, as variants of it: each with what it asks
//! of the request beyond the route's own match, in the order in which they are tried.

import type { JsonObject } from "../base/json.ts";
import { isEntryRoute } from "../lane/decide.ts";
import type { Lane, Route } from "../snapshot/snapshot.ts";
import { bothOf } from "./lane-condition.ts";
import type { Clause } from "./lane-condition.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { quoted } from "./operand-pattern.ts";
import type { DecidedLane } from "./subset-keys.ts";

export interface LaneVariant {
  readonly clause: Clause;
  /** One decision for each group that decides. */
  readonly decided: readonly DecidedLane[];
  /** What the decisions write: the route is chosen anew with it. */
  readonly written: readonly (readonly [header: string, tag: string])[];
}

const UNASKED: LaneVariant = {
  clause: { headers: [], query: [], pathRegex: null },
  decided: [],
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
      const decided = [...one.decided, ...other.decided];
      return [{ clause, decided, written: [...one.written, ...other.written] }];
    }),
  );
}

/** As `lane/decide.ts`: a context, whatever it says, comes before rules. */
function groupVariants(entered: EnteredGroup, route: Route | null): LaneVariant[] {
  const { group, routeHeader, mayCarryContext, entries } = entered;
  const enter = (lane: Lane, clause: Clause): LaneVariant => ({
    clause,
    decided: [{ group: group.name, lane: lane.name }],
    written: [[routeHeader, lane.tag]],
  });
  const baseline = { ...UNASKED, decided: [{ group: group.name, lane: null }] };
  const variants: LaneVariant[] = [];
  if (mayCarryContext) {
    const tags = new Map([...group.lanes].reverse().map((lane) => [lane.tag, lane]));
    for (const [tag, lane] of tags) {
      const clause = headerClause(routeHeader, `${quoted(tag)}(?:[ \\t]*,.*)?`);
      variants.push(lane.enabled ? enter(lane, clause) : { ...baseline, clause });
    }
    variants.push({ ...baseline, clause: headerClause(routeHeader, ".+") });
  }
  const isEntry = isEntryRoute({ group }, route);
  if (isEntry) for (const { lane, clause } of entries) variants.push(enter(lane, clause));
  return [...variants, baseline];
}

function headerClause(name: string, regex: string): Clause {
  const header: JsonObject = { name, string_match: { safe_regex: { regex } } };
  return { ...UNASKED.clause, headers: [header] };
}
