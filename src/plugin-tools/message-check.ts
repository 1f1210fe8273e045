//! Compares one message with what is expected of it, and writes one as an expectation.

import type { ExpectedFields, Pair } from "./case-calls.ts";
import type { ExpectedMessage } from "./case-file.ts";

export type Differences = string[];

export interface SeenText {
  readonly status?: number;
  readonly headers: readonly Pair[];
  readonly body: string;
}

export function checkMessage(
  what: string,
  expected: ExpectedMessage,
  seen: SeenText | null,
  found: Differences,
): void {
  if (seen === null) {
    found.push(`${what}: expected, but there is none`);
    return;
  }
  if (expected.status !== null) compare(`${what}.status`, expected.status, seen.status, found);
  checkFields(`${what}.headers`, expected.headers, seen.headers, found);
  if (expected.body !== null) compare(`${what}.body`, expected.body, seen.body, found);
}

export function checkFields(
  what: string,
  expected: ExpectedFields,
  seen: readonly Pair[],
  found: Differences,
): void {
  for (const [name, value] of expected)
    compare(`${what}.${name}`, value, joined(seen, name), found);
}

/** As Envoy joins the values of one name; null when there are none. */
function joined(pairs: readonly Pair[], name: string): string | null {
  const values = pairs.filter((pair) => pair[0] === name).map((pair) => pair[1]);
  return values.length === 0 ? null : values.join(",");
}

export function listOf(lines: readonly string[]): string {
  return lines.length === 0 ? "none" : lines.map((line) => `\n      ${line}`).join("");
}

export function compare(what: string, expected: unknown, seen: unknown, found: Differences): void {
  if (expected !== seen) found.push(`${what}: expected ${shown(expected)}, got ${shown(seen)}`);
}

function shown(value: unknown): string {
  return value === null || value === undefined ? "none" : JSON.stringify(value);
}

export function changedFields(
  given: readonly Pair[],
  seen: readonly Pair[],
): Record<string, unknown> {
  const names = new Set([...given, ...seen].map((pair) => pair[0]));
  const changed = [...names].filter((name) => joined(given, name) !== joined(seen, name));
  return Object.fromEntries(changed.map((name) => [name, joined(seen, name)]));
}

export function plainMessage({ status, headers, body }: SeenText): object {
  return {
    status,
    ...(headers.length > 0 && { headers: changedFields([], headers) }),
    ...(body !== "" && { body }),
  };
}
