//! What a lane group reads of requests, so that nothing is made ready that nobody asks for.

import type { Condition, DecisionRule, LaneGroup, OperandKind } from "../snapshot/snapshot.ts";

/** The operands of every condition of an open lane, and of the key of sticky shares. */
export function operandKindsOf({ lanes, cohorts }: LaneGroup): ReadonlySet<OperandKind> {
  const kinds = new Set<OperandKind>();
  for (const { enabled, rule, forcedIn, forcedOut } of lanes) {
    if (enabled) for (const each of [rule, forcedIn, forcedOut]) addKinds(each, kinds);
  }
  const key = cohorts?.deal?.key;
  if (key !== undefined && key.kind !== "issuedCookie") kinds.add(key.kind);
  return kinds;
}

/** The operands of one rule. */
export function operandKindsOfRule(rule: DecisionRule): ReadonlySet<OperandKind> {
  const kinds = new Set<OperandKind>();
  addKinds(rule, kinds);
  return kinds;
}

function addKinds(rule: DecisionRule | null | undefined, kinds: Set<OperandKind>): void {
  if (rule !== null && rule !== undefined) visit(rule.condition, kinds);
}

function visit(condition: Condition, kinds: Set<OperandKind>): void {
  switch (condition.kind) {
    case "test":
      kinds.add(condition.operand.kind);
      return;
    case "not":
      visit(condition.of, kinds);
      return;
    default:
      for (const member of condition.of) visit(member, kinds);
  }
}
