//! A virtual host's routes in Envoy's words: each as often as lanes may be entered at it.
//!
//! The order is that of the base routes; the variants of one are tried before the next, its plain
//! form last. So a request has the base route that it has in the embedded gateway.

import type { JsonObject } from "../base/json.ts";
import type { ObjectRef, Route, RouteMatch } from "../snapshot/snapshot.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { laneSource } from "./lane-entry.ts";
import { isAskedAbout, matchesOf, rematches } from "./lane-rematch.ts";
import { laneVariants } from "./lane-variants.ts";
import type { LaneVariant } from "./lane-variants.ts";
import { joinMatches } from "./match-join.ts";
import { compileAction } from "./route-action.ts";
import type { ActionContext } from "./route-action.ts";

const NO_ROUTE: JsonObject = { direct_response: { status: 404 } };

export interface CompiledRoute {
  readonly json: JsonObject;
  /** The objects that it was made from. */
  readonly sources: readonly ObjectRef[];
}

export function compileRoutes(
  routes: readonly Route[],
  groups: readonly EnteredGroup[],
  context: ActionContext,
): CompiledRoute[] {
  return routes.flatMap((base, index) =>
    variantsOf(base, routes, groups, context).flatMap((variant) =>
      matchesOf(base).flatMap((match) => {
        const given = { base, match, variant, context };
        return rematches(routes, index, match, variant.written).flatMap((next) =>
          compileVariant(given, next.route, next.match),
        );
      }),
    ),
  );
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
  readonly base: Route;
  readonly match: RouteMatch;
  readonly variant: LaneVariant;
  readonly context: ActionContext;
}

function compileVariant(
  { base, match, variant, context }: Given,
  taken: Route | null,
  more: RouteMatch,
): CompiledRoute[] {
  const route = taken ?? base;
  const isBase = taken === base;
  const json = joinMatches({
    own: isBase ? { ...match, ...more } : more,
    others: isBase ? [] : [match],
    clause: variant.clause,
    rewrites: route.policy?.rewrite !== undefined || route.action.kind === "redirect",
  });
  if (json === null) {
    const what = `enter the lane by the path at the route ${base.id}, which asks about it as well`;
    for (const source of laneSources(variant, context)) context.refusals.add(source, what);
    return [];
  }
  const action = taken === null ? NO_ROUTE : compileAction(taken, context, variant.decided);
  const sources = [route.source, ...laneSources(variant, context)];
  return [{ json: { name: route.id, match: json, ...action }, sources }];
}

function laneSources({ decided }: LaneVariant, { snapshot }: ActionContext): ObjectRef[] {
  return decided.flatMap(({ group: groupName, lane: laneName }) => {
    const group = snapshot.laneGroups[groupName];
    const lane = group?.lanes.find(({ name }) => name === laneName);
    return group === undefined || lane === undefined ? [] : [laneSource(group, lane)];
  });
}
