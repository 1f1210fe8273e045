//! Which requests the plug-in `plugins/lane-filter` holds back for their body: those that rules on
//! it may decide, as `dataplane/filter/collected-operands.ts` has it.

import { isEntryRoute } from "../lane/decide.ts";
import type { Gateway, Snapshot } from "../snapshot/snapshot.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { isAskedAbout } from "./lane-rematch.ts";

export interface BodyScope {
  /** A request with that header is decided already. Absent: none is. */
  readonly context?: string;
  /** Ids of the routes at which they are decided. Absent: at every one. */
  readonly routes?: readonly string[];
}

export function bodyScope(
  gateway: Gateway,
  groups: readonly EnteredGroup[],
  { routeTables }: Snapshot,
): BodyScope {
  // Where several groups would decide none does.
  const entered = groups.find((one) => one.entries.length > 0 || one.group.cohorts !== undefined);
  if (entered === undefined) return {};
  const { group, routeHeader, mayCarryContext, foundIn } = entered;
  const context = mayCarryContext ? { context: foundIn ?? routeHeader } : {};
  const all = gateway.listeners.flatMap(({ routeTable }) => {
    return routeTables[routeTable]?.virtualHosts.flatMap(({ routes }) => routes) ?? [];
  });
  // A plug-in, and a lane's header that is written, lead to another route than the first one.
  const isSettled = gateway.plugins.length === 0 && !isAskedAbout(all, [[routeHeader, ""]]);
  if (group.entryRoutes === undefined || !isSettled) return context;
  const routes = all.filter((route) => isEntryRoute({ group }, route)).map(({ id }) => id);
  return { ...context, routes: [...new Set(routes)] };
}

/** What either of them holds back. */
export function scopeOfBoth(
  one: BodyScope | undefined,
  other: BodyScope | undefined,
): BodyScope | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const { context } = one;
  const routes =
    one.routes === undefined || other.routes === undefined
      ? {}
      : { routes: [...new Set([...one.routes, ...other.routes])] };
  return context !== undefined && context === other.context ? { context, ...routes } : routes;
}
