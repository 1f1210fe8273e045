//! From single runs to figures that may be quoted: medians, spread, and a ratio in the same run.

import type { ContenderName } from "./contender.ts";

/** From this share on the load core, not the proxy, may be the limit. */
export const LOAD_BUSY_MAX = 0.9;

export interface Run {
  readonly requestsPerSecond: number;
  /** Requests per second of CPU time that the proxy used. */
  readonly requestsPerCpuSecond: number;
  /** Share of the load core's time, 0 to 1. */
  readonly loadBusy: number;
}

export interface Figure {
  readonly median: number;
  /** (largest - smallest) / median. */
  readonly spread: number;
}

/** From the time a request was due to its last byte, at a fixed rate, open loop. */
export interface LatencyMs {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface LatencyFigures {
  /** The same for all contenders. */
  readonly ratePerSecond: number;
  readonly contenders: Readonly<Partial<Record<ContenderName, LatencyMs>>>;
}

export interface ContenderFigures {
  readonly requestsPerSecond: Figure;
  readonly requestsPerCpuSecond: Figure;
  readonly loadBusy: Figure;
}

export interface ScenarioFigures {
  readonly name: string;
  readonly contenders: Readonly<Partial<Record<ContenderName, ContenderFigures>>>;
  /** What the ratio compares: per CPU-second when the load core was the limit. */
  readonly measure: "requestsPerSecond" | "requestsPerCpuSecond";
  /** The median of the rounds' ratios; null unless both ran. */
  readonly ratioToEnvoy: number | null;
  /** Null when Envoy, whose peak gives the rate, did not run. */
  readonly latency: LatencyFigures | null;
}

export function figureOf(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? 0;
  const median = (at(Math.floor((sorted.length - 1) / 2)) + at(Math.floor(sorted.length / 2))) / 2;
  const range = at(sorted.length - 1) - at(0);
  return { median, spread: median === 0 ? 0 : range / median };
}

export function figuresOf(
  name: string,
  runs: ReadonlyMap<ContenderName, readonly Run[]>,
): ScenarioFigures {
  const contenders: Partial<Record<ContenderName, ContenderFigures>> = {};
  for (const [contender, own] of runs) {
    contenders[contender] = {
      requestsPerSecond: figureOf(own.map((run) => run.requestsPerSecond)),
      requestsPerCpuSecond: figureOf(own.map((run) => run.requestsPerCpuSecond)),
      loadBusy: figureOf(own.map((run) => run.loadBusy)),
    };
  }
  const isLoadBound = [...runs.values()].flat().some((run) => run.loadBusy >= LOAD_BUSY_MAX);
  const measure = isLoadBound ? "requestsPerCpuSecond" : "requestsPerSecond";
  return { name, contenders, measure, ratioToEnvoy: ratioOf(runs, measure), latency: null };
}

/**
 * Of each round, whose runs follow each other: the speed of a shared machine changes within minutes,
 * and the medians of two contenders may come from different ones.
 */
function ratioOf(
  runs: ReadonlyMap<ContenderName, readonly Run[]>,
  measure: ScenarioFigures["measure"],
): number | null {
  const envoys = runs.get("envoy") ?? [];
  const ratios = (runs.get("graylane") ?? []).flatMap((own, round) => {
    const envoy = envoys[round];
    return envoy === undefined ? [] : [own[measure] / envoy[measure]];
  });
  return ratios.length === 0 ? null : figureOf(ratios).median;
}
