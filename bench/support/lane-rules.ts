//! A thousand lanes with ten rules each, and what requests carry for them.

import { SeededPrng } from "../../src/base/prng.ts";
import type { Condition, Operator } from "../../src/snapshot/snapshot.ts";

export const LANES = 1_000;
const RULES_EACH = 10;
/** Headers that rules look at: all of them are on every request. */
const KEYS = 10;
/** Of 100 rules, those that are neither `==`, `in` nor `prefix`. */
const OTHER_PERCENT = 5;
const ENTRY_KEY = "x-key-0";
/** The last two headers have few values, as versions and regions have. */
const VERSION_KEY = "x-key-8";
const VERSIONS = 30;
const REGION_KEY = "x-key-9";
const REGIONS = 8;

export function test(operator: Operator, name: string, ...values: readonly string[]): Condition {
  return { kind: "test", operand: { kind: "header", name }, operator, values };
}

/** Which rules are among the others: with a fixed start, or such that hang on nothing but a value. */
export type OtherRules = "regex" | "version";

/** The rules of each lane: it takes one of them, and the first is met by `fieldsOf(..., lane)`. */
export function laneConditions(lanes: number, others: OtherRules): Condition[] {
  const prng = new SeededPrng(1);
  return Array.from({ length: lanes }, (_none, lane) => ({
    kind: "any",
    of: Array.from({ length: RULES_EACH }, (_nothing, rule) => {
      const own = `user-${lane}-${rule}`;
      if (rule === 0) return test("==", ENTRY_KEY, own);
      return prng.below(100) < OTHER_PERCENT ? other(prng, own, others) : common(prng, own);
    }),
  }));
}

function common(prng: SeededPrng, own: string): Condition {
  const key = `x-key-${prng.below(KEYS)}`;
  switch (prng.below(3)) {
    case 0:
      return test("==", key, own);
    case 1:
      return test("in", key, own, `${own}-other`);
    default:
      return test("prefix", key, `${own}-`);
  }
}

function other(prng: SeededPrng, own: string, others: OtherRules): Condition {
  if (others === "regex") return test("regex", `x-key-${prng.below(KEYS)}`, `${own}-[a-z]+`);
  switch (prng.below(3)) {
    case 0:
      return test("semver", VERSION_KEY, `>=3.${prng.below(50)}.0`);
    case 1:
      return test("regex", VERSION_KEY, `.*-(rc|beta)\\.${prng.below(50)}`);
    default:
      return test("suffix", REGION_KEY, `-${own}`);
  }
}

/** Whether requests' users are named otherwise than those of rules, or are more of the same. */
export type Likeness = "unlike" | "alike";

/** The header fields of a request: nobody's, or such that meet a rule of the lane. */
export function fieldsOf(
  at: number,
  lane: number | null,
  likeness: Likeness = "unlike",
): Record<string, string> {
  const fields: Record<string, string> = {};
  const user = likeness === "alike" ? `user-${LANES + at}` : `somebody-${at}`;
  for (let key = 0; key < KEYS; key += 1) fields[`x-key-${key}`] = `${user}-${key}`;
  fields[VERSION_KEY] = `2.${at % VERSIONS}.0`;
  fields[REGION_KEY] = `region-${at % REGIONS}`;
  if (lane !== null) fields[ENTRY_KEY] = `user-${lane}-0`;
  return fields;
}
