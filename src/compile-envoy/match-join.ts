//! Several matches as one match of Envoy's, which has room for one condition on the path: others
//! become conditions on `:path`, which has the query, too.

import type { JsonObject } from "../base/json.ts";
import type { RouteMatch, StringMatch } from "../snapshot/snapshot.ts";
import type { Clause } from "./lane-condition.ts";
import { quoted } from "./operand-pattern.ts";
import { compileFields, headerMatcher, pathMatcher } from "./route-match.ts";

export interface JoinedMatches {
  /** Of the route that is taken: what a rewrite of its path refers to. */
  readonly own: RouteMatch;
  readonly others: readonly RouteMatch[];
  readonly clause: Clause;
  readonly rewrites: boolean;
}

/** Null: Envoy has no words for it. */
export function joinMatches(joined: JoinedMatches): JsonObject | null {
  const { own, others, clause } = joined;
  const paths = pathsOf(joined);
  const main = mainPath(joined, paths);
  if (main === null) return null;
  const headers: JsonObject[] = [];
  const query: JsonObject[] = [];
  for (const match of [own, ...others]) {
    const fields = compileFields(match);
    headers.push(...fields.headers);
    query.push(...fields.query);
  }
  headers.push(...clause.headers);
  query.push(...clause.query);
  for (const path of paths) if (path !== main.uri) headers.push(onWholePath(path));
  return {
    ...pathMatcher(main.uri),
    ...(headers.length === 0 ? {} : { headers }),
    ...(query.length === 0 ? {} : { query_parameters: query }),
  };
}

/** That of the route first. */
function pathsOf({ own, others, clause }: JoinedMatches): StringMatch[] {
  const { pathRegex } = clause;
  const asked = [own, ...others].flatMap(({ uri }) => (uri === undefined ? [] : [uri]));
  const all = pathRegex === null ? asked : [...asked, { kind: "regex", value: pathRegex } as const];
  return all.filter(({ kind, value }) => kind !== "prefix" || value !== "/");
}

/** What is matched without the query: a regular expression if there is one, else the route's. */
function mainPath(
  { own, rewrites }: JoinedMatches,
  paths: readonly StringMatch[],
): Pick<RouteMatch, "uri"> | null {
  const [regex, ...more] = paths.filter(({ kind }) => kind === "regex");
  if (more.length > 0 || (rewrites && regex !== undefined && regex !== own.uri)) return null;
  const uri = regex ?? (rewrites ? own.uri : paths[0]);
  return uri === undefined ? {} : { uri };
}

/** For those that are no regular expressions. */
function onWholePath({ kind, value, ignoreCase }: StringMatch): JsonObject {
  const folding = ignoreCase === true ? { ignoreCase } : {};
  if (kind === "prefix") return headerMatcher(":path", { kind, value, ...folding });
  const pattern = `${quoted(value)}(?:\\?.*)?`;
  return headerMatcher(":path", { kind: "regex", value: pattern, ...folding });
}
