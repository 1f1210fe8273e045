//! `--overload LIMITS`: what a gateway worker bears before it refuses requests.

import { usageError } from "./cli-error.ts";

export interface OverloadOption {
  readonly delayMs: number;
  readonly memoryBytes: number;
  readonly connectionsMax: number;
}

interface Limit {
  readonly unit: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const BYTES_PER_MIB = 1_048_576;

const LIMITS: Readonly<Record<"delay" | "memory" | "connections", Limit>> = {
  delay: { unit: "ms", default: 100, min: 10, max: 10_000 },
  memory: { unit: "MiB", default: 2_048, min: 128, max: 1_048_576 },
  connections: { unit: "connections", default: 20_000, min: 1, max: 1_000_000 },
};

export const OVERLOAD_DEFAULT: string = Object.entries(LIMITS)
  .map(([name, limit]) => `${name}=${limit.default}`)
  .join(",");

/** Null: off. Throws a `CliError` (usage) that says what is wrong. */
export function parseOverload(text: string): OverloadOption | null {
  if (text === "off") return null;
  const values = new Map<string, number>();
  for (const part of text.split(",")) {
    const [name = "", value = "", ...rest] = part.split("=");
    const limit = Object.entries(LIMITS).find(([known]) => known === name)?.[1];
    if (limit === undefined || rest.length > 0) {
      const remedy = `Write off, or some of ${OVERLOAD_DEFAULT}, with commas between.`;
      throw usageError(`--overload ${part}: no limit`, remedy);
    }
    if (values.has(name)) throw usageError(`--overload: ${name} stands there twice`);
    values.set(name, limitOf(part, value, limit));
  }
  return {
    delayMs: values.get("delay") ?? LIMITS.delay.default,
    memoryBytes: (values.get("memory") ?? LIMITS.memory.default) * BYTES_PER_MIB,
    connectionsMax: values.get("connections") ?? LIMITS.connections.default,
  };
}

function limitOf(part: string, text: string, { unit, min, max }: Limit): number {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usageError(`--overload ${part}: not a number from ${min} to ${max} (${unit})`);
}
