//! Durations as Istio's and Kubernetes' objects write them.

const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** A duration in protobuf's or Go's writing, `1.5s`, `1m30s`, `250ms`, in whole milliseconds. */
export function durationMs(text: string): number {
  let totalMs = 0;
  for (const [, amount, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) {
    totalMs += Number(amount) * (UNITS_MS[unit] ?? 0);
  }
  return Math.ceil(totalMs);
}
