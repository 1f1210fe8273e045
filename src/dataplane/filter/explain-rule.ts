//! The outcomes of lanes' conditions in words, for people who ask why.

import type { DecisionExplanation } from "../../lane/decide.ts";
import { operandNameOf } from "../../lane/operators.ts";
import type { ConditionOutcome, TestOutcome } from "../../lane/program.ts";
import { cut, testText } from "../../lane/test-text.ts";
import type { Operand } from "../../snapshot/snapshot.ts";
import type { ExplainedCondition } from "./explain.ts";

/** Why a request does not have such an operand; `""`: there is no more to say. */
export type WhyMissing = (operand: Operand) => string;

/** A line for each of the lane's rule, `forcedIn` and `forcedOut`. */
export function explainedRule(
  each: DecisionExplanation["rules"][number],
  whyMissing: WhyMissing,
): string[] {
  const closed = each.enabled ? "" : " (the lane is closed)";
  const lines: string[] = [];
  const add = (what: string, outcome: ConditionOutcome | null): void => {
    if (outcome === null) return;
    lines.push(`lane ${each.lane}${closed}${what}: ${describeOutcome(outcome, whyMissing)}`);
  };
  add(" forced out", each.forcedOut);
  add(" forced in", each.forcedIn);
  add("", each.rule);
  return lines;
}

/** The same for programs. */
export function explainedConditions(
  group: string,
  each: DecisionExplanation["rules"][number],
  whyMissing: WhyMissing,
): ExplainedCondition[] {
  const { lane, enabled } = each;
  return (["forcedOut", "forcedIn", "rule"] as const).flatMap((what) => {
    const outcome = each[what];
    if (outcome === null) return [];
    const text = describeOutcome(outcome, whyMissing);
    return { group, lane, what, enabled, isMet: outcome.isMet, text };
  });
}

/** `header canary == "gray" (absent: not met)`, nested in brackets. */
function describeOutcome(outcome: ConditionOutcome, whyMissing: WhyMissing): string {
  if (outcome.kind === "test") return describeTest(outcome, whyMissing);
  const members = outcome.of.map((member) => describeOutcome(member, whyMissing));
  const state = outcome.isMet ? "met" : "not met";
  return `${outcome.kind} [${members.join("; ")}] (${state})`;
}

function describeTest(outcome: TestOutcome, whyMissing: WhyMissing): string {
  const { test, isMet, operandValue, bucket } = outcome;
  const why =
    operandValue === null
      ? whyMissing({ kind: test.operand.kind, name: operandNameOf(test.operand) })
      : "";
  const absent = why === "" ? "absent" : `absent, since ${why}`;
  const given = operandValue === null ? absent : shown(operandValue);
  const state = isMet ? "met" : "not met";
  const detail =
    bucket === null
      ? ""
      : `, hash ${bucket.hash} is in ${bucket.bucketPpm} of 1000000, the limit is ` +
        `${bucket.limitPpm}`;
  return `${testText(test)} (${given}${detail}: ${state})`;
}

/** A JSON Web Token, with or without its scheme: whoever reads one may use it. */
export function isToken(text: string): boolean {
  return /^(?:bearer +)?eyJ[\w-]*\.[\w-]+\.[\w-]*$/i.test(text);
}

/** Bytes as text again. */
function shown(wireText: string): string {
  if (isToken(wireText)) return `a token of ${wireText.length} characters`;
  return cut(JSON.stringify(Buffer.from(wireText, "latin1").toString("utf8")));
}
