//! The outcomes of lanes' conditions in words, for people who ask why.

import type { DecisionExplanation } from "../../lane/decide.ts";
import type { ConditionOutcome, TestOutcome } from "../../lane/program.ts";
import { cut, testText } from "../../lane/test-text.ts";

/** A line for each of the lane's rule, `forcedIn` and `forcedOut`. */
export function explainedRule(each: DecisionExplanation["rules"][number]): string[] {
  const closed = each.enabled ? "" : " (the lane is closed)";
  const lines: string[] = [];
  const add = (what: string, outcome: ConditionOutcome | null): void => {
    if (outcome === null) return;
    lines.push(`lane ${each.lane}${closed}${what}: ${describeOutcome(outcome)}`);
  };
  add(" forced out", each.forcedOut);
  add(" forced in", each.forcedIn);
  add("", each.rule);
  return lines;
}

/** `header canary == "gray" (absent: not met)`, nested in brackets. */
export function describeOutcome(outcome: ConditionOutcome): string {
  if (outcome.kind === "test") return describeTest(outcome);
  const members = outcome.of.map(describeOutcome);
  const state = outcome.isMet ? "met" : "not met";
  return `${outcome.kind} [${members.join("; ")}] (${state})`;
}

function describeTest({ test, isMet, operandValue, bucket }: TestOutcome): string {
  const given = operandValue === null ? "absent" : shown(operandValue);
  const state = isMet ? "met" : "not met";
  const detail =
    bucket === null
      ? ""
      : `, hash ${bucket.hash} is in ${bucket.bucketPpm} of 1000000, the limit is ` +
        `${bucket.limitPpm}`;
  return `${testText(test)} (${given}${detail}: ${state})`;
}

/** Bytes as text again. */
function shown(wireText: string): string {
  return cut(JSON.stringify(Buffer.from(wireText, "latin1").toString("utf8")));
}
