//! One string matcher of a route, made ready to run.
//!
//! Regular expressions have RE2 syntax and match the whole text, in linear time.

import { RE2JS } from "re2js";

import { exhausted } from "../base/assert.ts";
import { fullMatcher } from "../base/full-match.ts";
import type { StringMatch } from "../snapshot/snapshot.ts";

/** True when the text satisfies the matcher. */
export type Pattern = (text: string) => boolean;

/** A regular expression that does not compile. `compile` refuses such, so this is a late guard. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

/** Throws `PatternError` when a regular expression is not valid RE2. */
export function preparePattern(match: StringMatch): Pattern {
  const { kind, value } = match;
  const ignoreCase = match.ignoreCase === true;
  const folded = ignoreCase ? value.toLowerCase() : value;
  switch (kind) {
    case "exact":
      return ignoreCase ? (text) => text.toLowerCase() === folded : (text) => text === value;
    case "prefix":
      return ignoreCase
        ? (text) => text.toLowerCase().startsWith(folded)
        : (text) => text.startsWith(value);
    case "regex":
      return prepareRegex(value, ignoreCase);
    default:
      return exhausted(kind);
  }
}

function prepareRegex(value: string, ignoreCase: boolean): Pattern {
  try {
    if (!ignoreCase) return fullMatcher(value);
    const compiled = RE2JS.compile(value, RE2JS.CASE_INSENSITIVE);
    return (text) => compiled.testExact(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PatternError(`"${value}" is not a regular expression of RE2 syntax: ${why}`, {
      cause,
    });
  }
}
