//! The decision program: evaluates the content rules of lanes.
//!
//! Rules are versioned data with a closed set of operands and operators, so that another
//! interpreter (the Wasm lane filter for Envoy) can be bound to this one by shared vectors. Here
//! they become functions once, at prepare time; `explainRule` walks the data itself.

import { exhausted } from "../base/assert.ts";
import type { Condition, DecisionRule, OperandKind, Test } from "../snapshot/snapshot.ts";
import {
  holdsWhenMissing,
  makePredicate,
  operandNameOf,
  percentageHash,
  percentageLimitPpm,
} from "./operators.ts";

/** Gives the value of a request header (name lower-case), or undefined. */
export type HeaderLookup = (name: string) => string | undefined;

/** Gives an operand's value as wire text, or undefined when the request does not have it. */
export type OperandLookup = (kind: OperandKind, name: string) => string | undefined;

/** A condition made ready: pure, and without allocation of its own. */
export type PreparedCondition = (read: OperandLookup) => boolean;

/** A condition's outcome with the values that it was given. */
export type ConditionOutcome =
  | {
      readonly kind: "all" | "any" | "not";
      readonly isMet: boolean;
      /** Every member, also those that did not matter any more. */
      readonly of: readonly ConditionOutcome[];
    }
  | TestOutcome;

export interface TestOutcome {
  readonly kind: "test";
  readonly test: Test;
  readonly isMet: boolean;
  /** Null: the request does not carry the operand. */
  readonly operandValue: string | null;
  /** Of the operator `percentage`, when the operand is there. */
  readonly bucket: {
    readonly hash: string;
    readonly bucketPpm: number;
    readonly limitPpm: number;
  } | null;
}

export function prepareCondition(condition: Condition): PreparedCondition {
  switch (condition.kind) {
    case "all": {
      const members = condition.of.map(prepareCondition);
      return (read) => members.every((member) => member(read));
    }
    case "any": {
      const members = condition.of.map(prepareCondition);
      return (read) => members.some((member) => member(read));
    }
    case "not": {
      const inner = prepareCondition(condition.of);
      return (read) => !inner(read);
    }
    case "test":
      return prepareTest(condition);
    default:
      return exhausted(condition);
  }
}

function prepareTest(test: Test): PreparedCondition {
  const { kind } = test.operand;
  const name = operandNameOf(test.operand);
  const predicate = makePredicate(test);
  const whenMissing = holdsWhenMissing(test.operator);
  return (read) => {
    const value = read(kind, name);
    return value === undefined ? whenMissing : predicate(value);
  };
}

/** The outcome of every condition, with the same predicates that decide. */
export function explainRule(rule: DecisionRule, read: OperandLookup): ConditionOutcome {
  return explainCondition(rule.condition, read);
}

function explainCondition(condition: Condition, read: OperandLookup): ConditionOutcome {
  switch (condition.kind) {
    case "all":
    case "any": {
      const of = condition.of.map((member) => explainCondition(member, read));
      const isMet =
        condition.kind === "all"
          ? of.every((member) => member.isMet)
          : of.some((member) => member.isMet);
      return { kind: condition.kind, isMet, of };
    }
    case "not": {
      const inner = explainCondition(condition.of, read);
      return { kind: "not", isMet: !inner.isMet, of: [inner] };
    }
    case "test":
      return explainTest(condition, read);
    default:
      return exhausted(condition);
  }
}

function explainTest(test: Test, read: OperandLookup): TestOutcome {
  const value = read(test.operand.kind, operandNameOf(test.operand));
  const isMet = value === undefined ? holdsWhenMissing(test.operator) : makePredicate(test)(value);
  const bucket =
    value === undefined || test.operator !== "percentage"
      ? null
      : { ...percentageHash(test).explain(value), limitPpm: percentageLimitPpm(test) };
  return { kind: "test", test, isMet, operandValue: value ?? null, bucket };
}
