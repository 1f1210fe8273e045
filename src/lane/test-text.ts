//! A rule's condition in words, as one would write it.

import type { Test } from "../snapshot/snapshot.ts";

/** Longer values are cut: a message is to be read. */
const SHOWN_CHARS_MAX = 100;

/** As one would write it: `header name in ["a", "b"]`. */
export function testText({ operand, operator, values }: Test): string {
  const subject = operand.name === "" ? operand.kind : `${operand.kind} ${operand.name}`;
  if (values.length === 0) return `${subject} ${operator}`;
  const isList = operator === "in" || operator === "notIn" || operator === "cidr";
  const texts = values.map((value) => cut(JSON.stringify(value)));
  return `${subject} ${operator} ${isList ? `[${texts.join(", ")}]` : texts.join("")}`;
}

export function cut(text: string): string {
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}
