//! Lanes that travel in W3C baggage: the plug-in `plugins/lane-context`, in front of the routes and
//! behind them.
//!
//! What the routes decide is written as a header of ours, which the plug-in behind them (a filter
//! of each upstream request) turns into the member. What a request carries the plug-in in front of
//! them tells by another one.

import { BAGGAGE_HEADER } from "../lane/baggage.ts";
import { strippedContext } from "../lane/client-context.ts";
import type { JsonObject } from "../base/json.ts";
import type {
  Condition,
  Gateway,
  HeaderOperations,
  LaneContext,
  LaneGroup,
  Route,
  Snapshot,
} from "../snapshot/snapshot.ts";
import type { EnvoyView, ModuleFile } from "./envoy-config.ts";
import type { Extension } from "./extension.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { ownExtension } from "./own-extension.ts";
import type { Place } from "./own-extension.ts";

const NAME = "graylane.lane-context";
/** On a call that leaves the mesh. */
export const OUTSIDE_HEADER = "x-graylane-outside";

/** Tells the routes which tag a request carries. Lower-case, as the route header is. */
export function foundHeader(routeHeader: string): string {
  return `x-graylane-found-${routeHeader}`;
}

/** Tells the plug-in which tag the routes have written. */
export function toldHeader(routeHeader: string): string {
  return `x-graylane-told-${routeHeader.toLowerCase()}`;
}

type BaggageContext = Extract<LaneContext, { readonly mode: "baggage" }>;
export interface BaggageGroup extends LaneGroup {
  readonly context: BaggageContext;
}

/** Whether the group's lanes are in baggage, as Envoys can read it. */
export function isInBaggage(group: LaneGroup): group is BaggageGroup {
  return group.context.mode === "baggage" && group.signature === undefined;
}

/** By name. None for an Envoy that has no plug-in for it. */
export function baggageGroups({ laneGroups }: Snapshot, view: EnvoyView): BaggageGroup[] {
  if (view.laneContext === undefined) return [];
  return Object.values(laneGroups)
    .filter(isInBaggage)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The headers of ours that nobody else may send. */
export function ownContextHeaders(baggage: readonly BaggageGroup[]): string[] {
  const names = baggage.flatMap(({ context: { routeHeader } }) => [
    foundHeader(routeHeader.toLowerCase()),
    toldHeader(routeHeader),
  ]);
  return names.length === 0 ? [] : [...new Set([...names, OUTSIDE_HEADER])];
}

/** What tells the plug-in that a call leaves the mesh. */
export function leavingMark(baggage: readonly BaggageGroup[]): HeaderOperations["set"] {
  return baggage.length === 0 ? [] : [[OUTSIDE_HEADER, "1"]];
}

/** What completes "Envoy cannot …": a decision changes what this part reads; null: none does. */
export function refusedBaggage(
  group: LaneGroup,
  gateway: Gateway,
  { routeTables, laneGroups }: Snapshot,
): string | null {
  if (!isInBaggage(group)) return null;
  const routes = gateway.listeners.flatMap(({ routeTable }) => {
    return routeTables[routeTable]?.virtualHosts.flatMap((host) => host.routes) ?? [];
  });
  if (routes.some(asksForBaggage)) return "write W3C baggage beside routes that ask for it";
  const others = Object.values(laneGroups).filter(
    ({ name, gateways }) => name !== group.name && gateways.includes(gateway.name),
  );
  const rules = others.flatMap(({ lanes }) =>
    lanes.flatMap(({ rule, forcedIn, forcedOut }) => [rule, forcedIn, forcedOut]),
  );
  const isRead = rules.some((rule) => rule != null && readsBaggage(rule.condition));
  return isRead ? "write W3C baggage beside another group's rules on it" : null;
}

function asksForBaggage({ matches }: Route): boolean {
  return matches.some(({ headers = [], withoutHeaders = [] }) =>
    [...headers, ...withoutHeaders].some(({ name }) => name === BAGGAGE_HEADER),
  );
}

function readsBaggage(condition: Condition): boolean {
  if (condition.kind === "not") return readsBaggage(condition.of);
  if (condition.kind !== "test") return condition.of.some(readsBaggage);
  const { kind, name } = condition.operand;
  return kind === "header" && name.toLowerCase() === BAGGAGE_HEADER;
}

interface Filters {
  /** In front of everything else of ours and of others. */
  readonly first: readonly Extension[];
  /** Behind the gateway's plug-ins. */
  readonly last: readonly Extension[];
  /** Of the requests to endpoints. */
  readonly upstream: readonly Extension[];
}

const NO_FILTERS: Filters = { first: [], last: [], upstream: [] };

interface GivenGateway {
  readonly gateway: Gateway;
  readonly snapshot: Snapshot;
  readonly groups: readonly EnteredGroup[];
  /** As of the Envoy's `ActionContext`. */
  readonly baggage: readonly BaggageGroup[];
  readonly module: ModuleFile | undefined;
  readonly at: Place;
}

export function gatewayContexts(given: GivenGateway): Filters {
  const { gateway, snapshot, groups, baggage: all, module, at } = given;
  if (module === undefined || all.length === 0) return NO_FILTERS;
  const filter = (side: string, configuration: JsonObject): Extension =>
    ownExtension(NAME, module, configuration, { ...at, place: `${at.place}/${side}` });
  const removedMembers = [...strippedContext(gateway, snapshot).baggageKeys];
  const found = groups.flatMap(({ group, mayCarryContext }) =>
    isInBaggage(group) && mayCarryContext ? [findStep(group)] : [],
  );
  const first =
    removedMembers.length === 0 ? [] : [filter("first", { removedMembers, groups: [] })];
  const last = found.length === 0 ? [] : [filter("last", { groups: found })];
  return { first, last, upstream: [upstreamFilter(module, all, at)] };
}

interface GivenSidecar {
  readonly groups: readonly EnteredGroup[];
  /** As of the Envoy's `ActionContext`. */
  readonly baggage: readonly BaggageGroup[];
  readonly module: ModuleFile | undefined;
  readonly at: Place;
}

/** Of what an app calls. */
export function sidecarContexts(given: GivenSidecar): Filters {
  const { groups, baggage: all, module, at } = given;
  if (module === undefined || all.length === 0) return NO_FILTERS;
  const steps = groups.flatMap(({ group, fixed }): JsonObject[] => {
    if (!isInBaggage(group)) return [];
    if (fixed === undefined) return [{ step: "carry", ...placesOf(group), ...commaTags(group) }];
    if (fixed === null) return [{ step: "remove", ...placesOf(group) }];
    return [{ step: "write", ...placesOf(group), tag: fixed.tag }];
  });
  return {
    first: [ownExtension(NAME, module, { groups: steps }, at)],
    ...{ last: [], upstream: [upstreamFilter(module, all, at)] },
  };
}

function upstreamFilter(module: ModuleFile, all: readonly BaggageGroup[], at: Place): Extension {
  const groups = all.map((group) => ({
    ...{ step: "tell", ...placesOf(group), header: toldHeader(group.context.routeHeader) },
  }));
  const configuration = { groups, outside: OUTSIDE_HEADER };
  const place = `${at.place}/upstream`;
  return ownExtension(NAME, module, configuration, { ...at, place, isUpstream: true });
}

function findStep(group: BaggageGroup): JsonObject {
  const places = placesOf(group);
  const header = foundHeader(group.context.routeHeader.toLowerCase());
  return { step: "find", ...places, header, ...commaTags(group) };
}

function placesOf({ context: { routeHeader, baggageKey } }: BaggageGroup): JsonObject {
  return { routeHeader: routeHeader.toLowerCase(), member: baggageKey };
}

function commaTags({ lanes }: LaneGroup): JsonObject {
  const tags = lanes.flatMap(({ tag }) => (tag.includes(",") ? [tag] : []));
  return tags.length === 0 ? {} : { tags };
}
