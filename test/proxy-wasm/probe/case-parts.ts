//! What the probe's cases are made of.

import type { ProbeCase } from "../../support/conformance.ts";

export interface ProbeGroup {
  readonly covers: string;
  readonly cases: readonly ProbeCase[];
}

export const GET = "get_header_map_value";
const PHASES = ["rh", "sh", "sb1", "log", "done", "delete"] as const;

/** The same lines in every phase of a plain request. */
export function inEveryPhase(lines: readonly string[]): string[] {
  return PHASES.flatMap((phase) => lines.map((line) => `${phase} ${line}`));
}

export function everywhere(name: string, lines: readonly string[]): ProbeCase {
  const headers = [
    ["x-a", "1"],
    ["x-a", "2"],
  ] as const;
  return { name, script: inEveryPhase(lines), headers };
}

export const BODY = { method: "POST", path: "/post" } as const;
export const CHUNKS: readonly string[] = ["abc", "defg", "hij"];

/** A field of a protobuf message: less than 128 bytes. */
export function fieldBytes(number: number, bytes: Buffer): Buffer {
  return Buffer.from([number * 8 + 2, bytes.length, ...bytes]);
}

/** The same as it stands in a script. */
export function field(number: number, bytes: Buffer): string {
  return percent(fieldBytes(number, bytes));
}

/** Bytes as they stand in a script. */
export function percent(bytes: Buffer): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

/** Stores an object of Envoy's; `more` are further fields of the message. */
export function storeObject(path: string, value: string, ...more: readonly Buffer[]): string {
  const parts = [fieldBytes(1, Buffer.from(path)), fieldBytes(2, Buffer.from(value)), ...more];
  const input = percent(Buffer.concat(parts));
  return `call_foreign_function s:set_envoy_filter_state s:${input} v`;
}
