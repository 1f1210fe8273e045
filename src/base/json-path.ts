//! Paths into JSON documents: the part of JSONPath (RFC 9535) that names one place.

import { assert } from "./assert.ts";

/** A member's name, or an element's index. */
export type JsonPathStep = string | number;

const STEPS_MAX = 32;
/** `.name`, `[0]` or `["name"]`. */
const STEP = /\.([^.[\]"'\s]+)|\[(\d{1,6})\]|\[("(?:[^"\\]|\\.)*")\]/y;

/** Null when the text is no such path. A leading `$` may be left out. */
export function parseJsonPath(text: string): readonly JsonPathStep[] | null {
  if (text === "$") return null;
  const whole = /^\$[.[]/.test(text) ? text.slice(1) : text.startsWith("[") ? text : `.${text}`;
  const steps: JsonPathStep[] = [];
  let at = 0;
  while (at < whole.length) {
    STEP.lastIndex = at;
    const match = STEP.exec(whole);
    const step = match === null ? null : stepOf(match);
    if (step === null || steps.length === STEPS_MAX) return null;
    steps.push(step);
    at = STEP.lastIndex;
  }
  return steps;
}

function stepOf([, name, index, quoted]: RegExpExecArray): JsonPathStep | null {
  if (name !== undefined) return name;
  if (index !== undefined) return Number(index);
  assert(quoted !== undefined, "one of the three has matched");
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return null;
  }
}

/**
 * The text, number or truth value at the path, as text; undefined for anything else, and when there
 * is nothing. A list of such values is their texts with a comma between.
 */
export function textAt(document: unknown, steps: readonly JsonPathStep[]): string | undefined {
  let value = document;
  for (const step of steps) {
    if (typeof value !== "object" || value === null) return undefined;
    if (Array.isArray(value) !== (typeof step === "number")) return undefined;
    if (!Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  if (!Array.isArray(value)) return textOf(value);
  const texts = value.map(textOf);
  return texts.includes(undefined) ? undefined : texts.join(",");
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
