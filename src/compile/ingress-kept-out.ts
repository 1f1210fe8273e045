//! Who is kept out of the canaries of one path: each canary's header is asked before its cookie,
//! and both before its weight; what one canary's says does not count for another.

import type { RouteMatch } from "../snapshot/snapshot.ts";
import type { Canary } from "./ingress-canary.ts";

/**
 * Canaries of one path that can be kept out of independently: every combination is a route. The
 * weights of further ones count for nobody.
 */
export const KEPT_OUT_APART_MAX = 5;

/** What leads into a canary by its cookie, where its header does not keep out of it. */
export function cookieMatches({ header, cookie }: Canary): readonly RouteMatch[] {
  const withoutHeaders = header.out.flatMap(({ headers = [] }) => headers);
  if (withoutHeaders.length === 0) return cookie.in;
  return cookie.in.map((match) => ({ ...match, withoutHeaders }));
}

export interface KeptOut<Rule> {
  readonly matches: readonly RouteMatch[];
  readonly isOut: (rule: Rule) => boolean;
}

interface Group {
  readonly key: string;
  readonly outs: readonly RouteMatch[];
}

interface WithCanary {
  readonly canary: Canary | null;
}

/** Those who are kept out of the most canaries first. Nobody is kept out by having neither. */
export function keptOut<Rule extends WithCanary>(rules: readonly Rule[]): KeptOut<Rule>[] {
  const groups = groupsOf(rules).slice(0, KEPT_OUT_APART_MAX);
  return subsetsOf(groups)
    .sort((a, b) => b.length - a.length)
    .map((subset) => {
      const keys = new Set(subset.map(({ key }) => key));
      return { matches: allOf(subset), isOut: (rule) => keys.has(keyOf(rule)) };
    });
}

/** Canaries beyond the limit. */
export function notApart<Rule extends WithCanary>(rules: readonly Rule[]): Rule[] {
  const beyond = new Set(
    groupsOf(rules)
      .slice(KEPT_OUT_APART_MAX)
      .map(({ key }) => key),
  );
  return rules.filter((rule) => beyond.has(keyOf(rule)));
}

function groupsOf(rules: readonly WithCanary[]): Group[] {
  const groups = new Map<string, Group>();
  for (const rule of rules) {
    const outs = outsOf(rule);
    const key = keyOf(rule);
    if (outs.length > 0) groups.set(key, { key, outs });
  }
  return [...groups.values()];
}

function outsOf({ canary }: WithCanary): readonly RouteMatch[] {
  return canary === null ? [] : [...canary.header.out, ...canary.cookie.out];
}

function keyOf(rule: WithCanary): string {
  return JSON.stringify(outsOf(rule));
}

/** All but the empty one. */
function subsetsOf(groups: readonly Group[]): Group[][] {
  return groups.reduce<Group[][]>(
    (found, group) => [...found, [group], ...found.map((subset) => [...subset, group])],
    [],
  );
}

/** One condition of each group, in every combination. */
function allOf(groups: readonly Group[]): RouteMatch[] {
  return groups.reduce<RouteMatch[]>(
    (found, { outs }) => found.flatMap((match) => outs.map((out) => both(match, out))),
    [{}],
  );
}

function both(a: RouteMatch, b: RouteMatch): RouteMatch {
  return { headers: [...(a.headers ?? []), ...(b.headers ?? [])] };
}
