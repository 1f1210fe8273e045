//! One string matcher of a route, made ready to run.
//!
//! Regular expressions have RE2 syntax and match the whole text. They run on re2js, which takes
//! linear time; a pattern that JavaScript's own engine provably runs in linear time goes there,
//! because that is many times faster.

import { RE2JS } from "re2js";

import { exhausted } from "../base/assert.ts";
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
  const safe = ignoreCase ? null : toSafeRegExp(value);
  if (safe !== null) return (text) => safe.test(text);
  try {
    const compiled = RE2JS.compile(value, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
    return (text) => compiled.testExact(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PatternError(`"${value}" is not a regular expression of RE2 syntax: ${why}`, {
      cause,
    });
  }
}

/** What follows is one of these, each with an optional quantifier; nothing else is proven safe. */
const ATOM =
  /(?:[A-Za-z0-9_ \-/:;,=@%&~!"'<>]|\\[.\-/?+*()[\]{}|^$\\]|\\d|\.|\[[A-Za-z0-9_./:-]+\])/;
const QUANTIFIED = new RegExp(`(${ATOM.source})([*+?]?)`, "y");
/** A range inside a class must be one that both engines read alike. */
const RANGES = /^(?:A-Z|a-z|0-9|[A-Za-z0-9_./:])*-?$/;

/**
 * The pattern as a JavaScript RegExp, or null when it is not in the safe subset.
 *
 * The subset: a sequence of single-character atoms, no group, no alternation, at most one
 * quantifier. A backtracking engine then tries at most one length per character, each against a
 * tail of fixed length, so time is bounded by text times pattern.
 */
export function toSafeRegExp(pattern: string): RegExp | null {
  let source = "";
  let quantifiers = "";
  QUANTIFIED.lastIndex = 0;
  for (let end = 0; end < pattern.length; end = QUANTIFIED.lastIndex) {
    const found = QUANTIFIED.exec(pattern);
    if (found === null) return null;
    const [, atom = "", quantifier = ""] = found;
    if (atom.startsWith("[") && !RANGES.test(atom.slice(1, -1))) return null;
    quantifiers += quantifier;
    // RE2's dot excludes only the line feed; JavaScript's excludes three characters more.
    source += (atom === "." ? "[^\\n]" : atom) + quantifier;
  }
  return quantifiers.length > 1 ? null : new RegExp(`^${source}$`);
}
