//! Finds rules that no request can meet, and rules that an earlier one always answers first.
//!
//! What is found is proven: a rule is brought into alternatives of tests that must all hold, and
//! each alternative is refuted by at most two of its tests. A rule of which nothing is found may
//! still be impossible (two regular expressions, say): nothing is claimed of it.

import type { Condition, Operator, Test } from "../snapshot/snapshot.ts";
import { toWireText } from "./key-hash.ts";
import { holdsWhenMissing, makePredicate } from "./operators.ts";
import type { Predicate } from "./operators.ts";
import { testText } from "./test-text.ts";

/** Alternatives that are looked at; of a rule with more nothing is claimed. */
const ALTERNATIVES_MAX = 256;

/** A test that must hold, or must not. */
interface Literal {
  readonly test: Test;
  readonly isWanted: boolean;
}

/** Two tests that cannot both come out as they would have to, in words. */
export interface Contradiction {
  readonly first: string;
  readonly second: string;
}

/** The first contradiction, when no request at all can meet the condition; else null. */
export function findContradiction(condition: Condition): Contradiction | null {
  const alternatives = alternativesOf(condition, true);
  if (alternatives === null) return null;
  let found: Contradiction | null = null;
  for (const literals of alternatives) {
    const refuted = refute(literals);
    if (refuted === null) return null;
    found ??= refuted;
  }
  return found;
}

/** Whether every request that meets `later` meets `earlier` too, as far as can be proven. */
export function isImplied(later: Condition, earlier: Condition): boolean {
  const both: Condition = { kind: "all", of: [later, { kind: "not", of: earlier }] };
  return findContradiction(both) !== null && findContradiction(later) === null;
}

/** Null: too many. */
function alternativesOf(condition: Condition, isWanted: boolean): Literal[][] | null {
  if (condition.kind === "test") return [[{ test: condition, isWanted }]];
  if (condition.kind === "not") return alternativesOf(condition.of, !isWanted);
  const members: Literal[][][] = [];
  for (const member of condition.of) {
    const alternatives = alternativesOf(member, isWanted);
    if (alternatives === null) return null;
    members.push(alternatives);
  }
  // Not all of them: one of them not.
  const isConjunction = (condition.kind === "all") === isWanted;
  if (isConjunction) return product(members);
  const union = members.flat();
  return union.length > ALTERNATIVES_MAX ? null : union;
}

function product(members: readonly Literal[][][]): Literal[][] | null {
  let result: Literal[][] = [[]];
  for (const alternatives of members) {
    if (result.length * alternatives.length > ALTERNATIVES_MAX) return null;
    result = result.flatMap((before) => alternatives.map((more) => [...before, ...more]));
  }
  return result;
}

/** Two of the tests that cannot both come out so, or null. */
function refute(literals: readonly Literal[]): Contradiction | null {
  const byOperand = new Map<string, Literal[]>();
  for (const literal of literals) {
    const key = JSON.stringify(literal.test.operand);
    const own = byOperand.get(key);
    if (own === undefined) byOperand.set(key, [literal]);
    else own.push(literal);
  }
  for (const own of byOperand.values()) {
    for (const [index, first] of own.entries()) {
      for (const second of own.slice(index + 1)) {
        if (isImpossible(first, second)) {
          return { first: literalText(first), second: literalText(second) };
        }
      }
    }
  }
  return null;
}

function literalText({ test, isWanted }: Literal): string {
  return isWanted ? testText(test) : `not ${testText(test)}`;
}

/** Of two tests of one operand. */
function isImpossible(first: Literal, second: Literal): boolean {
  if (mayMiss(first) && mayMiss(second)) return false;
  const values = valuesOf(first) ?? valuesOf(second);
  if (values !== null) return !values.some((value) => holds(first, value) && holds(second, value));
  if (!mayBeThere(first) || !mayBeThere(second)) return true;
  return areApart(first, second) || areApart(second, first);
}

function mayMiss({ test, isWanted }: Literal): boolean {
  return holdsWhenMissing(test.operator) === isWanted;
}

function mayBeThere({ test, isWanted }: Literal): boolean {
  return isWanted ? test.operator !== "absent" : test.operator !== "exists";
}

/** The only values that a present operand may have, when they can be listed. */
function valuesOf({ test, isWanted }: Literal): readonly string[] | null {
  const lists = isWanted ? ["==", "in"] : ["!=", "notIn"];
  return lists.includes(test.operator) ? test.values.map(toWireText) : null;
}

function holds({ test, isWanted }: Literal, value: string): boolean {
  return predicateOf(test)(value) === isWanted;
}

/** A regular expression is compiled once, however many pairs it stands in. */
const predicates = new WeakMap<Test, Predicate>();

function predicateOf(test: Test): Predicate {
  const known = predicates.get(test);
  if (known !== undefined) return known;
  const made = makePredicate(test);
  predicates.set(test, made);
  return made;
}

/** Of two tests without a list of values: whether what one asks for the other excludes. */
function areApart(one: Literal, other: Literal): boolean {
  if (!one.isWanted) return false;
  return other.isWanted ? areDisjoint(one.test, other.test) : isWithin(one.test, other.test);
}

function areDisjoint(one: Test, other: Test): boolean {
  const [a, b] = [valueOf(one), valueOf(other)];
  if (one.operator === "prefix" && other.operator === "prefix") {
    return !a.startsWith(b) && !b.startsWith(a);
  }
  if (one.operator === "suffix" && other.operator === "suffix") {
    return !a.endsWith(b) && !b.endsWith(a);
  }
  if (!one.operator.startsWith("<") || !other.operator.startsWith(">")) return false;
  const touches = one.operator === "<=" && other.operator === ">=";
  return touches ? Number(a) < Number(b) : Number(a) <= Number(b);
}

/** Of the values of a narrow and a wide test: what satisfies the first satisfies the second. */
type Within = (narrow: string, wide: string) => boolean;

const AT_MOST: Within = (narrow, wide) => Number(narrow) <= Number(wide);
const AT_LEAST: Within = (narrow, wide) => Number(narrow) >= Number(wide);
const STARTS: Within = (narrow, wide) => narrow.startsWith(wide);
const ENDS: Within = (narrow, wide) => narrow.endsWith(wide);
const INCLUDES: Within = (narrow, wide) => narrow.includes(wide);

/** By the wide test's operator, then the narrow one's. */
const WITHIN: Readonly<Partial<Record<Operator, Readonly<Partial<Record<Operator, Within>>>>>> = {
  prefix: { prefix: STARTS },
  suffix: { suffix: ENDS },
  contains: { prefix: INCLUDES, suffix: INCLUDES, contains: INCLUDES },
  percentage: { percentage: AT_MOST },
  "<": { "<": AT_MOST },
  "<=": { "<": AT_MOST, "<=": AT_MOST },
  ">": { ">": AT_LEAST },
  ">=": { ">": AT_LEAST, ">=": AT_LEAST },
};

/** Whether `narrow` can hold only where `wide` does. */
function isWithin(narrow: Test, wide: Test): boolean {
  if ((narrow.hash ?? "fnv1a") !== (wide.hash ?? "fnv1a")) return false;
  if (narrow.operator === wide.operator && isSameList(narrow.values, wide.values)) return true;
  return WITHIN[wide.operator]?.[narrow.operator]?.(valueOf(narrow), valueOf(wide)) === true;
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}

function valueOf({ values }: Test): string {
  return values[0] ?? "";
}
