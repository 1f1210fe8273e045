//! The rules of Lane objects to the decision program.

import { operatorOf, NAMED_OPERANDS, PLAIN_OPERANDS } from "../resources/kinds/lane-rule.ts";
import type { LaneCondition, LaneRule } from "../resources/kinds/lane-rule.ts";
import type { Condition, DecisionRule, Operand, Operator, Test } from "../snapshot/snapshot.ts";

/** The rule has been checked (`checkRule`). */
export function compileRule(rule: LaneRule): DecisionRule {
  return { programVersion: 2, condition: compileCondition(rule) };
}

/** True when one of the rules is met; undefined when there is none. */
export function compileAny(rules: readonly LaneRule[] | undefined): DecisionRule | undefined {
  const [first, ...more] = rules ?? [];
  if (first === undefined) return undefined;
  if (more.length === 0) return compileRule(first);
  return { programVersion: 2, condition: anyOf([first, ...more].map(compileCondition)) };
}

/** Met when one of them is. */
export function anyOf(of: readonly Condition[]): Condition {
  return { kind: "any", of };
}

function compileCondition(rule: LaneRule): Condition {
  if ("all" in rule) return { kind: "all", of: rule.all.map(compileCondition) };
  if ("any" in rule) return anyOf(rule.any.map(compileCondition));
  if ("not" in rule) return { kind: "not", of: compileCondition(rule.not) };
  return compileTest(rule);
}

function compileTest(condition: LaneCondition): Test {
  const { value, values, hash } = condition;
  const given = values ?? (value === undefined ? [] : [String(value)]);
  return {
    kind: "test",
    operand: operandOf(condition),
    operator: operatorOf(condition.operator) as Operator,
    values: [...new Set(given)],
    ...(hash === undefined ? {} : { hash }),
  };
}

function operandOf(condition: LaneCondition): Operand {
  for (const kind of NAMED_OPERANDS) {
    const name = condition[kind];
    if (name !== undefined) return { kind, name: kind === "header" ? name.toLowerCase() : name };
  }
  const kind = PLAIN_OPERANDS.find((name) => condition[name] === true) ?? "path";
  return { kind, name: "" };
}
