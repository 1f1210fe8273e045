//! The conditions of a route in Envoy's words.

import type { JsonObject } from "../base/json.ts";
import { preparePattern } from "../route/pattern.ts";
import type { HeaderMatch, RouteMatch, StringMatch } from "../snapshot/snapshot.ts";

/** Of one route, when it is split for what Envoy's matchers confuse. */
const MATCHES_MAX = 64;

export interface FieldMatchers {
  readonly headers: readonly JsonObject[];
  readonly query: readonly JsonObject[];
}

/** All that a match asks beside the path. */
export function compileFields(match: RouteMatch): FieldMatchers {
  const headers: JsonObject[] = [];
  if (match.method !== undefined) headers.push(headerMatcher(":method", match.method));
  if (match.authority !== undefined) headers.push(headerMatcher(":authority", match.authority));
  for (const field of match.headers ?? []) headers.push(fieldMatcher(field));
  for (const field of match.withoutHeaders ?? []) headers.push(absentMatcher(field));
  return { headers, query: (match.queryParams ?? []).map(queryMatcher) };
}

export function pathMatcher(uri: StringMatch | undefined): JsonObject {
  if (uri === undefined) return { prefix: "/" };
  if (uri.kind === "regex") return { safe_regex: { regex: regexOf(uri) } };
  const folding = uri.ignoreCase === true ? { case_sensitive: false } : {};
  return { [uri.kind === "exact" ? "path" : "prefix"]: uri.value, ...folding };
}

export function headerMatcher(name: string, match: StringMatch): JsonObject {
  return { name, string_match: stringMatcher(match) };
}

function fieldMatcher({ name, match }: HeaderMatch): JsonObject {
  return match.kind === "present" ? { name, present_match: true } : headerMatcher(name, match);
}

/** Envoy's inverted matchers fail without the field, unless a missing one counts as empty. */
function absentMatcher(field: HeaderMatch): JsonObject {
  const { name, match } = field;
  if (match.kind === "present" || isAlways(match)) {
    return { name, present_match: true, invert_match: true };
  }
  return { ...fieldMatcher(field), invert_match: true, treat_missing_header_as_empty: true };
}

function isAlways({ kind, value }: StringMatch): boolean {
  return kind === "prefix" && value === "";
}

/** A missing field and an empty one would be taken for the same, which they are not. */
export function confusesEmpty(match: RouteMatch): boolean {
  return confusing(match).length > 0;
}

/** `matches` such that none confuses a missing field with an empty one: it is missing, or there. */
export function withoutConfusion(matches: readonly RouteMatch[]): readonly RouteMatch[] {
  if (!matches.some(confusesEmpty)) return matches;
  const split = matches.flatMap((match) => {
    const [field] = confusing(match);
    if (field === undefined) return [match];
    const { headers = [], withoutHeaders = [] } = match;
    const there: HeaderMatch = { name: field.name, match: { kind: "present" } };
    const others = withoutHeaders.filter((one) => one !== field);
    return [
      { ...match, withoutHeaders: [...others, there] },
      { ...match, headers: [...headers, there] },
    ];
  });
  return split.length > MATCHES_MAX ? matches : withoutConfusion(split);
}

function confusing({ headers = [], withoutHeaders = [] }: RouteMatch): readonly HeaderMatch[] {
  return withoutHeaders.filter(
    ({ name, match }) =>
      match.kind !== "present" &&
      !isAlways(match) &&
      !headers.some((one) => one.name === name) &&
      preparePattern(match)(""),
  );
}

function queryMatcher({ name, match }: HeaderMatch): JsonObject {
  if (match.kind === "present") return { name, present_match: true };
  return { name, string_match: stringMatcher(match) };
}

export function stringMatcher(match: StringMatch): JsonObject {
  if (match.kind === "regex") return { safe_regex: { regex: regexOf(match) } };
  // An empty prefix matches everything, which Envoy takes for a mistake.
  if (isAlways(match)) return { safe_regex: { regex: "(?s).*" } };
  const folding = match.ignoreCase === true ? { ignore_case: true } : {};
  return { [match.kind]: match.value, ...folding };
}

function regexOf({ value, ignoreCase }: StringMatch): string {
  return ignoreCase === true ? `(?i)${value}` : value;
}
