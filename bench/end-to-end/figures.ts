//! From single runs to figures that may be quoted: medians, spread, and a ratio in the same run.

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

/** At the fixed rate, before latencies count. */
export const WARM_UP_MS = 1_000;

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
  readonly contenders: Readonly<Record<string, LatencyMs>>;
}

export interface ContenderFigures {
  readonly requestsPerSecond: Figure;
  readonly requestsPerCpuSecond: Figure;
  readonly loadBusy: Figure;
}

export interface ScenarioFigures {
  readonly name: string;
  readonly contenders: Readonly<Record<string, ContenderFigures>>;
  /** What the ratio compares: per CPU-second when the load core was the limit. */
  readonly measure: "requestsPerSecond" | "requestsPerCpuSecond";
  /** Of each of the others to the first: the median of the rounds' ratios. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Between these each of them lies, with 95 % of confidence; see `medianBounds`. */
  readonly bounds: Readonly<Record<string, readonly [low: number, high: number]>>;
  /** Null: not measured. */
  readonly latency: LatencyFigures | null;
}

export function figureOf(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? 0;
  const median = (at(Math.floor((sorted.length - 1) / 2)) + at(Math.floor(sorted.length / 2))) / 2;
  const range = at(sorted.length - 1) - at(0);
  return { median, spread: median === 0 ? 0 : range / median };
}

/** 95 % of the time the median of all such rounds lies between the two (order statistics). */
export function medianBounds(values: readonly number[]): readonly [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const reach = 0.98 * Math.sqrt(sorted.length);
  const at = (index: number): number =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(index)))] ?? 0;
  const middle = (sorted.length - 1) / 2;
  return [at(middle - reach), at(middle + reach)];
}

export function figuresOf(
  name: string,
  runs: ReadonlyMap<string, readonly Run[]>,
): Omit<ScenarioFigures, "latency"> {
  const contenders: Record<string, ContenderFigures> = {};
  for (const [contender, own] of runs) {
    contenders[contender] = {
      requestsPerSecond: figureOf(own.map((run) => run.requestsPerSecond)),
      requestsPerCpuSecond: figureOf(own.map((run) => run.requestsPerCpuSecond)),
      loadBusy: figureOf(own.map((run) => run.loadBusy)),
    };
  }
  const isLoadBound = [...runs.values()].flat().some((run) => run.loadBusy >= LOAD_BUSY_MAX);
  const measure = isLoadBound ? "requestsPerCpuSecond" : "requestsPerSecond";
  const [first = [], ...others] = runs.values();
  const names = [...runs.keys()].slice(1);
  const ratios = others.map((other) => ratiosOf(other, first, measure));
  return {
    name,
    contenders,
    measure,
    ratios: Object.fromEntries(
      names.map((other, at) => [other, figureOf(ratios[at] ?? []).median]),
    ),
    bounds: Object.fromEntries(names.map((other, at) => [other, medianBounds(ratios[at] ?? [])])),
  };
}

/**
 * Of each round, whose runs follow each other: the speed of a shared machine changes within minutes,
 * and the medians of two contenders may come from different ones.
 */
function ratiosOf(
  runs: readonly Run[],
  first: readonly Run[],
  measure: ScenarioFigures["measure"],
): number[] {
  return runs.flatMap((run, round) => {
    const other = first[round];
    return other === undefined ? [] : [run[measure] / other[measure]];
  });
}
