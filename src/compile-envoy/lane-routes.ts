//! A virtual host's routes in Envoy's words: each as often as lanes may be entered at it.
//!
//! The order is that of the base routes; the variants of one are tried before the next, its plain
//! form last. So a request has the base route that it has in the embedded gateway.

import type { JsonObject } from "../base/json.ts";
import type { ObjectRef, Route, RouteMatch } from "../snapshot/snapshot.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { isAskedAbout, matchesOf, rematches } from "./lane-rematch.ts";
import { NO_SHARES } from "./lane-shares.ts";
import { laneSource } from "./lane-source.ts";
import { laneVariants } from "./lane-variants.ts";
import type { LaneVariant } from "./lane-variants.ts";
import { joinMatches } from "./match-join.ts";
import { compileAction } from "./route-action.ts";
import type { ActionContext } from "./route-action.ts";
import { withoutConfusion } from "./route-match.ts";

const NO_ROUTE: JsonObject = { direct_response: { status: 404 } };

export interface CompiledRoute {
  readonly json: JsonObject;
  /** The objects that it was made from. */
  readonly sources: readonly ObjectRef[];
}

export function compileRoutes(
  all: readonly Route[],
  entered: readonly EnteredGroup[],
  context: ActionContext,
): CompiledRoute[] {
  const routes = all.map((route) => ({ ...route, matches: withoutConfusion(route.matches) }));
  const groups = entered.map((group) => withoutFoundShares(group, routes, context));
  const compiled = routes.flatMap((base, index) =>
    variantsOf(base, routes, groups, context).flatMap((variant) =>
      matchesOf(base).flatMap((match) => {
        const given = { base, match, variant, context };
        return rematches(routes, index, match, variant.written).flatMap((next) =>
          compileVariant(given, next.route, next.match),
        );
      }),
    ),
  );
  return [...compiled, ...compileFound(routes, groups, context)];
}

/** A draw among a route's clusters comes too late to find another route. */
function withoutFoundShares(
  entered: EnteredGroup,
  routes: readonly Route[],
  { refusals }: ActionContext,
): EnteredGroup {
  const { group, routeHeader, sharesAt } = entered;
  if (sharesAt === NO_SHARES || !isAskedAbout(routes, [[routeHeader, ""]])) return entered;
  refusals.add(group.source, "enter lanes by shares beside routes that ask for the lane's header");
  return { ...entered, sharesAt: NO_SHARES };
}

/** For requests that no route takes before a lane's header is written on them. */
function compileFound(
  routes: readonly Route[],
  groups: readonly EnteredGroup[],
  context: ActionContext,
): CompiledRoute[] {
  const variants = laneVariants(null, groups);
  if (!variants.some(({ written }) => isAskedAbout(routes, written))) return [];
  return variants.flatMap((variant) => {
    const given = { base: null, match: {}, variant, context };
    return rematches(routes, routes.length, given.match, variant.written).flatMap((next) =>
      compileVariant(given, next.route, next.match),
    );
  });
}

/** Only the plain one where it makes no difference which lane a request is in. */
function variantsOf(
  base: Route,
  routes: readonly Route[],
  groups: readonly EnteredGroup[],
  { refusals }: ActionContext,
): LaneVariant[] {
  const variants = laneVariants(base, groups);
  const isAsked = variants.some(({ written }) => isAskedAbout(routes, written));
  if (base.action.kind !== "forward" && !isAsked) return variants.slice(-1);
  if (!isAsked || !namesSomeLanes(base)) return variants;
  refusals.add(
    base.source,
    "enter lanes at a route of which only some destinations name a lane, beside routes that ask " +
      "for the lane's header",
  );
  return variants.slice(-1);
}

function namesSomeLanes({ action }: Route): boolean {
  if (action.kind !== "forward") return false;
  const lanes = action.destinations.map(({ target }) =>
    target.kind === "cluster" && target.subset?.kind === "lane" ? target.subset.group : null,
  );
  return new Set(lanes).size > 1;
}

interface Given {
  /** Null: no route takes the request. */
  readonly base: Route | null;
  readonly match: RouteMatch;
  readonly variant: LaneVariant;
  readonly context: ActionContext;
}

function compileVariant(given: Given, taken: Route | null, more: RouteMatch): CompiledRoute[] {
  const { base, match, variant, context } = given;
  const isBase = taken === base;
  const lanes = laneSources(variant, context);
  const json = joinMatches({
    own: isBase ? { ...match, ...more } : more,
    others: isBase ? [] : [match],
    clause: variant.clause,
    rewrites: rewritesPath(taken),
  });
  if (json === null) {
    const route = (base ?? taken)?.id ?? "";
    const what = `enter the lane by the path at the route ${route}, which asks about it as well`;
    for (const source of lanes) context.refusals.add(source, what);
    return [];
  }
  if (taken === null) return [{ json: { match: json, ...NO_ROUTE }, sources: lanes }];
  const action = compileAction(taken, context, variant.draws);
  return [{ json: { name: taken.id, match: json, ...action }, sources: [taken.source, ...lanes] }];
}

function rewritesPath(route: Route | null): boolean {
  return route?.policy?.rewrite !== undefined || route?.action.kind === "redirect";
}

function laneSources({ draws }: LaneVariant, { snapshot }: ActionContext): ObjectRef[] {
  const decided = draws.flatMap((draw) => draw.decided);
  return decided.flatMap(({ group: groupName, lane: laneName }) => {
    const group = snapshot.laneGroups[groupName];
    const lane = group?.lanes.find(({ name }) => name === laneName);
    return group === undefined || lane === undefined ? [] : [laneSource(group, lane)];
  });
}
