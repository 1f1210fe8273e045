//! The decision program: evaluates the content rules of lanes.
//!
//! Rules are versioned data with a closed operator set, so that another interpreter (the Wasm lane
//! filter for Envoy) can be bound to this one by shared vectors.

import type { Condition, DecisionRule } from "../snapshot/snapshot.ts";

/** Gives the value of a request header (name lower-case), or undefined. */
export type HeaderLookup = (name: string) => string | undefined;

/** A condition's outcome with the value that it was given. */
export interface ConditionOutcome {
  readonly condition: Condition;
  /** Null: the request does not carry the operand. */
  readonly operandValue: string | null;
  readonly isMet: boolean;
}

export function evaluateRule(rule: DecisionRule, header: HeaderLookup): boolean {
  return evaluateCondition(rule.condition, operandOf(rule.condition, header));
}

export function explainRule(rule: DecisionRule, header: HeaderLookup): ConditionOutcome {
  const { condition } = rule;
  const value = operandOf(condition, header);
  return { condition, operandValue: value ?? null, isMet: evaluateCondition(condition, value) };
}

function operandOf(condition: Condition, header: HeaderLookup): string | undefined {
  return header(condition.operand.name);
}

/** By operator. A missing operand makes every positive operator false. */
const OPERATORS: Readonly<
  Record<Condition["operator"], (value: string | undefined, wanted: string) => boolean>
> = {
  "==": (value, wanted) => value === wanted,
};

function evaluateCondition(condition: Condition, value: string | undefined): boolean {
  return OPERATORS[condition.operator](value, condition.value);
}
