//! The route that a request takes once a lane's header is written on it.
//!
//! The embedded gateway matches the route anew then. Here that is worked out beforehand: conditions
//! on the header have an outcome already, and routes without any decide as they did before.

import { preparePattern } from "../route/pattern.ts";
import type { HeaderMatch, Route, RouteMatch } from "../snapshot/snapshot.ts";

/** A route to try, in order; `match` is what it asks beside the header. Null: no route is left. */
export interface Rematch {
  readonly match: RouteMatch;
  readonly route: Route | null;
}

export type Written = readonly (readonly [header: string, tag: string])[];

const ANY: RouteMatch = {};

/**
 * For a request that took the route at `index` of `routes` by `base` before it was written on. An
 * index behind them all: no route took it.
 */
export function rematches(
  routes: readonly Route[],
  index: number,
  base: RouteMatch,
  written: Written,
): Rematch[] {
  const route = routes[index] ?? null;
  if (!isAskedAbout(routes, written)) return [{ match: ANY, route }];
  const found: Rematch[] = [];
  for (const [position, candidate] of routes.entries()) {
    if (position <= index && !mentions(candidate, written)) {
      // It decides as before: those before the base route have not matched.
      if (position < index) continue;
      return [...found, { match: ANY, route: candidate }];
    }
    for (const match of matchesOf(candidate)) {
      if (!isStillMet(match, written)) continue;
      const rest = position === index && match === base ? ANY : withoutWritten(match, written);
      found.push({ match: rest, route: candidate });
      if (Object.keys(rest).length === 0) return found;
    }
  }
  return [...found, { match: ANY, route: null }];
}

/** Whether a route asks about a header that is written. */
export function isAskedAbout(routes: readonly Route[], written: Written): boolean {
  return written.length > 0 && routes.some((route) => mentions(route, written));
}

export function matchesOf({ matches }: Route): readonly RouteMatch[] {
  return matches.length === 0 ? [ANY] : matches;
}

function mentions({ matches }: Route, written: Written): boolean {
  const isWritten = ({ name }: HeaderMatch): boolean => written.some(([header]) => header === name);
  return matches.some(
    ({ headers = [], withoutHeaders = [] }) =>
      headers.some(isWritten) || withoutHeaders.some(isWritten),
  );
}

function isStillMet(match: RouteMatch, written: Written): boolean {
  return written.every(([header, tag]) => {
    const ofHeader = ({ name }: HeaderMatch): boolean => name === header;
    const isMet = ({ match: wanted }: HeaderMatch): boolean =>
      wanted.kind === "present" || preparePattern(wanted)(tag);
    const { headers = [], withoutHeaders = [] } = match;
    return headers.filter(ofHeader).every(isMet) && !withoutHeaders.filter(ofHeader).some(isMet);
  });
}

function withoutWritten(match: RouteMatch, written: Written): RouteMatch {
  const isOther = ({ name }: HeaderMatch): boolean => written.every(([header]) => header !== name);
  const { headers = [], withoutHeaders = [], ...rest } = match;
  const left = headers.filter(isOther);
  const leftOut = withoutHeaders.filter(isOther);
  return {
    ...rest,
    ...(left.length === 0 ? {} : { headers: left }),
    ...(leftOut.length === 0 ? {} : { withoutHeaders: leftOut }),
  };
}
