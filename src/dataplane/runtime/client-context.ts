//! Which lane context a client may not send at a listener.
//!
//! Also that of lane groups which are not entered there: a service behind the listener may call a
//! member of theirs, and the lane would be entered one hop later.

import type { PreparedLaneGroup } from "../../lane/decide.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import type { RouteTable } from "../../snapshot/snapshot.ts";

/** `own`: the groups entered at the listener. What one of them lets in is let in. */
export function strippedHeaders(
  own: readonly PreparedLaneGroup[],
  lanes: PreparedLanes,
  table: RouteTable,
): string[] {
  const admitted = new Set(own.filter(isAdmitting).map(({ routeHeader }) => routeHeader));
  const foreign = [...lanes.groups.values()].filter(
    (group) =>
      !own.includes(group) &&
      !isAdmitting(group) &&
      !admitted.has(group.routeHeader) &&
      !matchesOn(table, group.routeHeader),
  );
  const stripped = [...own.filter((group) => !isAdmitting(group)), ...foreign];
  return [...new Set(stripped.map(({ routeHeader }) => routeHeader))];
}

export function strippedBaggageKeys(
  own: readonly PreparedLaneGroup[],
  lanes: PreparedLanes,
): string[] {
  const keysOf = (groups: readonly PreparedLaneGroup[], strips: boolean): string[] =>
    groups.flatMap(({ group: { context } }) =>
      context.mode === "baggage" && context.stripFromClients === strips ? [context.baggageKey] : [],
    );
  const admitted = keysOf(own, false);
  const foreign = [...lanes.groups.values()].filter((group) => !own.includes(group));
  const strippedElsewhere = keysOf(foreign, true).filter((key) => !admitted.includes(key));
  return [...new Set([...keysOf(own, true), ...strippedElsewhere])];
}

function isAdmitting({ group }: PreparedLaneGroup): boolean {
  return !group.stripFromClients;
}

/** Then the route's YAML means what it means in Istio. */
function matchesOn({ virtualHosts }: RouteTable, header: string): boolean {
  const matches = virtualHosts.flatMap(({ routes }) => routes.flatMap((route) => route.matches));
  return matches.some(({ headers = [], withoutHeaders = [] }) =>
    [...headers, ...withoutHeaders].some(({ name }) => name === header),
  );
}
