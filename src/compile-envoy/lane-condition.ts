//! The rules of lanes as matchers of Envoy's routes.
//!
//! A rule becomes alternatives, each of which is a list of matchers that all have to match. What
//! Envoy's matchers would not decide as `lane/program.ts` does is refused.

import type { JsonObject } from "../base/json.ts";
import { holdsWhenMissing, makePredicate } from "../lane/operators.ts";
import type { Condition, Operator, Test } from "../snapshot/snapshot.ts";
import { Inexpressible } from "./inexpressible.ts";
import { cookiePattern, otherwiseSpelled, quoted } from "./operand-pattern.ts";

/** One way of meeting a rule: everything in it has to match. */
export interface Clause {
  readonly headers: readonly JsonObject[];
  readonly query: readonly JsonObject[];
  /** On the path without query: Envoy has one such pattern in a route. Null: none. */
  readonly pathRegex: string | null;
}

export type ClauseOutcome =
  | { readonly kind: "clauses"; readonly clauses: readonly Clause[] }
  /** `what` completes "Envoy cannot enter the lane by …". */
  | { readonly kind: "refused"; readonly what: string };

/** Alternatives of one rule: each is a route of its own, at every route where lanes are entered. */
export const ALTERNATIVES_MAX = 64;

/** Every request meets it. */
export const UNASKED: Clause = { headers: [], query: [], pathRegex: null };
/** What the operator denies; those that deny nothing are not here. */
const DENIED: Readonly<Partial<Record<Operator, Operator>>> = {
  "!=": "==",
  notIn: "in",
  absent: "exists",
};
const TEXT_OPERATORS: ReadonlySet<Operator> = new Set<Operator>([
  "==",
  "in",
  "prefix",
  "suffix",
  "contains",
  "exists",
]);
/** What nobody percent-encodes in the name of a parameter. */
const PLAIN_NAME = /^[A-Za-z0-9._~-]+$/;

export function clausesOf(condition: Condition): ClauseOutcome {
  try {
    return { kind: "clauses", clauses: alternatives(condition, true) };
  } catch (error) {
    if (error instanceof Inexpressible) return { kind: "refused", what: error.message };
    throw error;
  }
}

/** To rules the headers named in `removed` (lower-case) are missing, whatever a client has sent. */
export function withoutRemoved(condition: Condition, removed: ReadonlySet<string>): Condition {
  const inner = (one: Condition): Condition => withoutRemoved(one, removed);
  if (removed.size === 0) return condition;
  if (condition.kind === "not") return { kind: "not", of: inner(condition.of) };
  if (condition.kind !== "test") return { kind: condition.kind, of: condition.of.map(inner) };
  const { operand, operator } = condition;
  if (operand.kind !== "header" || !removed.has(operand.name)) return condition;
  return { kind: holdsWhenMissing(operator) ? "all" : "any", of: [] };
}

/** Null: there is no route of Envoy's that would match both. */
export function bothOf(a: Clause, b: Clause): Clause | null {
  if (a.pathRegex !== null && b.pathRegex !== null && a.pathRegex !== b.pathRegex) return null;
  return {
    headers: [...a.headers, ...b.headers],
    query: [...a.query, ...b.query],
    pathRegex: a.pathRegex ?? b.pathRegex,
  };
}

function alternatives(condition: Condition, isWanted: boolean): readonly Clause[] {
  if (condition.kind === "test") return literal(condition, isWanted);
  if (condition.kind === "not") return alternatives(condition.of, !isWanted);
  const members = condition.of.map((member) => alternatives(member, isWanted));
  const isUnion = (condition.kind === "any") === isWanted;
  return isUnion ? limited(members.flat()) : members.reduce(product, [UNASKED]);
}

function product(left: readonly Clause[], right: readonly Clause[]): readonly Clause[] {
  return limited(left.flatMap((one) => right.map((other) => joined(one, other))));
}

function joined(one: Clause, other: Clause): Clause {
  const both = bothOf(one, other);
  if (both === null) throw new Inexpressible("two regular expressions on one path");
  return both;
}

function limited(clauses: readonly Clause[]): readonly Clause[] {
  if (clauses.length <= ALTERNATIVES_MAX) return clauses;
  throw new Inexpressible(`a rule of more than ${ALTERNATIVES_MAX} alternatives`);
}

/** A missing operand meets no test, and so whatever denies one. */
function literal(test: Test, isWanted: boolean): readonly Clause[] {
  const denied = DENIED[test.operator];
  if (denied !== undefined) return literal({ ...test, operator: denied }, !isWanted);
  switch (test.operand.kind) {
    case "header":
      return headerLiteral(test, isWanted);
    case "cookie":
      return cookieLiteral(test, isWanted);
    case "query":
      return queryLiteral(test, isWanted);
    case "method":
      return [clause(matcher(":method", textMatch(test, "the method"), isWanted))];
    case "path":
      return pathLiteral(test, isWanted);
    case "host":
      return hostLiteral(test, isWanted);
    default:
      throw new Inexpressible(`the operand ${test.operand.kind}`);
  }
}

function headerLiteral(test: Test, isWanted: boolean): readonly Clause[] {
  const { name } = test.operand;
  if (name === "host") throw new Inexpressible("the header host; the operand host can be used");
  if (test.operator === "exists") return [clause(presence(name, isWanted))];
  const match = textMatch(test, `the header ${name}`);
  if (isWanted) return [clause(matcher(name, match, true))];
  const denied = matcher(name, match, false);
  // To Envoy's inverted matchers a missing field is no match, or an empty one.
  if (makePredicate(test)("")) return [clause(presence(name, false)), clause(denied)];
  return [clause({ ...denied, treat_missing_header_as_empty: true })];
}

function cookieLiteral(test: Test, isWanted: boolean): readonly Clause[] {
  const { operator, operand, values } = test;
  if (!TEXT_OPERATORS.has(operator)) throw new Inexpressible(`${operator} on a cookie`);
  if (values.some((value) => value !== value.trim())) {
    throw new Inexpressible("a cookie's value with spaces around it");
  }
  const possible = values.filter((value) => !value.includes(";"));
  if (possible.length === 0 && operator !== "exists") return constant(!isWanted);
  const match = regex(cookiePattern(operand.name, valuePattern(operator, possible, "[^;]*")));
  const found = matcher("cookie", match, isWanted);
  return [clause(isWanted ? found : { ...found, treat_missing_header_as_empty: true })];
}

function queryLiteral(test: Test, isWanted: boolean): readonly Clause[] {
  const { operator, values } = test;
  const { name } = test.operand;
  if (!PLAIN_NAME.test(name)) {
    throw new Inexpressible(`the query parameter ${name}, whose name is percent-encoded`);
  }
  if (operator === "exists" && !isWanted) {
    const pattern = `[^?]*\\?(?:.*&)?${quoted(name)}(?:[=&].*)?`;
    return [clause(matcher(":path", regex(pattern), false))];
  }
  if (!isWanted) throw new Inexpressible("what a query parameter is not");
  if (operator === "exists") return [{ ...UNASKED, query: [{ name, present_match: true }] }];
  const patterns = values.map(otherwiseSpelled);
  if (!["==", "in", "prefix"].includes(operator) || patterns.includes(null)) {
    throw new Inexpressible(`${operator} on a query parameter, which may be percent-encoded`);
  }
  const rest = operator === "prefix" ? ".*" : "";
  const match = regex(`(?:${patterns.join("|")})${rest}`);
  return [{ ...UNASKED, query: [{ name, string_match: match }] }];
}

/** Envoy's `:path` has the query, too. */
function pathLiteral(test: Test, isWanted: boolean): readonly Clause[] {
  const { operator, values } = test;
  if (operator === "exists") return constant(isWanted);
  if (operator === "regex") {
    if (!isWanted) throw new Inexpressible("a regular expression that the path must not match");
    return [{ ...UNASKED, pathRegex: values[0] ?? "" }];
  }
  if (!TEXT_OPERATORS.has(operator)) throw new Inexpressible(`${operator} on the path`);
  const possible = values.filter((value) => !value.includes("?"));
  if (possible.length === 0) return constant(!isWanted);
  const pattern = `${valuePattern(operator, possible, "[^?]*")}(?:\\?.*)?`;
  return [clause(matcher(":path", regex(pattern), isWanted))];
}

function hostLiteral(test: Test, isWanted: boolean): readonly Clause[] {
  const { operator, values } = test;
  if (operator === "exists") return constant(isWanted);
  if (operator !== "==" && operator !== "in") throw new Inexpressible(`${operator} on the host`);
  const possible = values.filter((value) => value === value.toLowerCase() && !value.endsWith("."));
  if (possible.length === 0) return constant(!isWanted);
  const pattern = `(?i:${possible.map(quoted).join("|")})\\.?(?::[0-9]*)?`;
  return [clause(matcher(":authority", regex(pattern), isWanted))];
}

/** `any`: what may stand around the text, where the operator lets it. */
function valuePattern(operator: Operator, values: readonly string[], any: string): string {
  const before = operator === "suffix" || operator === "contains" ? any : "";
  const after = operator === "prefix" || operator === "contains" ? any : "";
  if (operator === "exists") return any;
  return `${before}(?:${values.map(quoted).join("|")})${after}`;
}

function textMatch(test: Test, where: string): JsonObject {
  const { operator, values } = test;
  const [value = ""] = values;
  if (operator === "==") return { exact: value };
  if (operator === "regex") return regex(value === "" ? "(?:)" : value);
  if (!TEXT_OPERATORS.has(operator)) throw new Inexpressible(`${operator} on ${where}`);
  if (operator === "in") return regex(`(?:${values.map(quoted).join("|")})`);
  // Envoy takes an empty text for a mistake; everything has it.
  if (operator === "exists" || value === "") return regex(".*");
  return { [operator]: value };
}

function clause(header: JsonObject): Clause {
  return { ...UNASKED, headers: [header] };
}

/** No alternative at all is never met. */
function constant(isMet: boolean): readonly Clause[] {
  return isMet ? [UNASKED] : [];
}

function matcher(name: string, match: JsonObject, isWanted: boolean): JsonObject {
  return { name, string_match: match, ...(isWanted ? {} : { invert_match: true }) };
}

function presence(name: string, isWanted: boolean): JsonObject {
  return { name, present_match: true, ...(isWanted ? {} : { invert_match: true }) };
}

function regex(pattern: string): JsonObject {
  return { safe_regex: { regex: pattern } };
}
