//! Which lane context a client may not send at a gateway.
//!
//! Also that of lane groups which are not entered there: a service behind the gateway may call a
//! member of theirs, and the lane would be entered one hop later.

import type { Gateway, LaneGroup, Snapshot } from "../snapshot/snapshot.ts";

export interface StrippedContext {
  /** Lower-case, sorted. */
  readonly headers: readonly string[];
  /** Members of the baggage. */
  readonly baggageKeys: readonly string[];
}

/** What one of the gateway's own groups lets in is let in. */
export function strippedContext(gateway: Gateway, snapshot: Snapshot): StrippedContext {
  const all = Object.values(snapshot.laneGroups);
  const isOwn = ({ gateways }: LaneGroup): boolean => gateways.includes(gateway.name);
  const own = all.filter(isOwn);
  const foreign = all.filter((group) => !isOwn(group));
  return {
    headers: headersOf(own, foreign, () => askedHeaders(gateway, snapshot)),
    baggageKeys: baggageKeysOf(own, foreign),
  };
}

function headersOf(
  own: readonly LaneGroup[],
  foreign: readonly LaneGroup[],
  asked: () => ReadonlySet<string>,
): string[] {
  const admitted = new Set(own.filter(isAdmitting).map(routeHeaderOf));
  const elsewhere = foreign
    .filter((group) => !isAdmitting(group))
    .map(routeHeaderOf)
    .filter((header) => !admitted.has(header));
  // Where a route asks for it its YAML means what it means in Istio.
  const known = elsewhere.length === 0 ? admitted : asked();
  const stripped = own.filter((group) => !isAdmitting(group)).map(routeHeaderOf);
  return [...new Set([...stripped, ...elsewhere.filter((one) => !known.has(one))])].sort();
}

function baggageKeysOf(own: readonly LaneGroup[], foreign: readonly LaneGroup[]): string[] {
  const keysOf = (groups: readonly LaneGroup[], strips: boolean): string[] =>
    groups.flatMap(({ context }) =>
      context.mode === "baggage" && context.stripFromClients === strips ? [context.baggageKey] : [],
    );
  const admitted = keysOf(own, false);
  const elsewhere = keysOf(foreign, true).filter((key) => !admitted.includes(key));
  return [...new Set([...keysOf(own, true), ...elsewhere])];
}

function isAdmitting({ stripFromClients }: LaneGroup): boolean {
  return !stripFromClients;
}

function routeHeaderOf({ context }: LaneGroup): string {
  return context.routeHeader.toLowerCase();
}

/** The headers that a route of the gateway asks for, or for whose absence. */
function askedHeaders({ listeners }: Gateway, { routeTables }: Snapshot): Set<string> {
  const names = new Set<string>();
  for (const routeTable of new Set(listeners.map((listener) => listener.routeTable))) {
    for (const { routes } of routeTables[routeTable]?.virtualHosts ?? []) {
      for (const { headers = [], withoutHeaders = [] } of routes.flatMap((one) => one.matches)) {
        for (const { name } of headers) names.add(name);
        for (const { name } of withoutHeaders) names.add(name);
      }
    }
  }
  return names;
}
