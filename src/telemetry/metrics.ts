//! Counters, gauges and fixed-bucket histograms whose hot path is an add on a typed-array cell.
//!
//! Label values are looked up once, when a runtime is prepared: `family.with("a", "b")` gives a
//! handle, and the same values give the same handle, so that a swap of the runtime loses no count.

import { assert } from "../base/assert.ts";

/** How many label combinations one family holds. Beyond it they share one series, `overflow`. */
export const SERIES_MAX = 2_000;
/** Label value of the series that all combinations over the limit share. */
export const OVERFLOW = "overflow";

const CELLS_PER_CHUNK = 1_024;
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Upper bounds, in seconds, of histograms of durations: from half a millisecond to a minute. */
export const DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

export type MetricType = "counter" | "gauge" | "histogram";

/** A plain value: it travels from a worker to the main process as JSON. */
export interface MetricsSnapshot {
  readonly families: readonly FamilySnapshot[];
}

export interface FamilySnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  /** Upper bounds of the buckets without `+Inf`; empty unless it is a histogram. */
  readonly bounds: readonly number[];
  readonly series: readonly SeriesSnapshot[];
  /** A plug-in has defined it, under this name. */
  readonly definedAs?: string;
}

export interface SeriesSnapshot {
  readonly labelValues: readonly string[];
  /** One number; for a histogram the count of each bucket, that of `+Inf`, then the sum. */
  readonly values: readonly number[];
}

export class Counter {
  readonly #cells: Float64Array;
  readonly #index: number;

  constructor(cells: Float64Array, index: number) {
    this.#cells = cells;
    this.#index = index;
  }

  increment(): void {
    this.#cells[this.#index] = (this.#cells[this.#index] ?? 0) + 1;
  }

  /** `amount` is not negative. */
  add(amount: number): void {
    this.#cells[this.#index] = (this.#cells[this.#index] ?? 0) + amount;
  }

  get value(): number {
    return this.#cells[this.#index] ?? 0;
  }
}

export class Gauge {
  readonly #cells: Float64Array;
  readonly #index: number;

  constructor(cells: Float64Array, index: number) {
    this.#cells = cells;
    this.#index = index;
  }

  add(amount: number): void {
    this.#cells[this.#index] = (this.#cells[this.#index] ?? 0) + amount;
  }

  set(value: number): void {
    this.#cells[this.#index] = value;
  }

  get value(): number {
    return this.#cells[this.#index] ?? 0;
  }
}

export class Histogram {
  readonly #cells: Float64Array;
  readonly #index: number;
  readonly #bounds: Float64Array;

  constructor(cells: Float64Array, index: number, bounds: Float64Array) {
    this.#cells = cells;
    this.#index = index;
    this.#bounds = bounds;
  }

  /** Counts `value` in the first bucket whose upper bound it does not exceed. */
  observe(value: number): void {
    const bounds = this.#bounds;
    const cells = this.#cells;
    let cell = this.#index;
    for (const bound of bounds) {
      if (value <= bound) break;
      cell++;
    }
    cells[cell] = (cells[cell] ?? 0) + 1;
    const sum = this.#index + bounds.length + 1;
    cells[sum] = (cells[sum] ?? 0) + value;
  }
}

/** One metric with its label names; `with` gives the handle of one combination of values. */
export class Family<Handle> {
  readonly description: Omit<FamilySnapshot, "series">;
  readonly #take: () => Series<Handle>;
  readonly #series = new Map<string, Series<Handle> & { readonly labelValues: string[] }>();

  constructor(description: Omit<FamilySnapshot, "series">, take: () => Series<Handle>) {
    this.description = description;
    this.#take = take;
  }

  /** The handle for these label values, in the order of the label names. Not for the hot path. */
  with(...labelValues: string[]): Handle {
    const { labelNames, name } = this.description;
    assert(labelValues.length === labelNames.length, `${name} has ${labelNames.length} labels`);
    const key = labelValues.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known.handle;
    if (this.#series.size >= SERIES_MAX && labelValues.some((value) => value !== OVERFLOW)) {
      return this.with(...labelNames.map(() => OVERFLOW));
    }
    const series = { ...this.#take(), labelValues };
    this.#series.set(key, series);
    return series.handle;
  }

  snapshot(): FamilySnapshot {
    const series = [...this.#series.values()].map(({ labelValues, read }) => ({
      labelValues,
      values: read(),
    }));
    return { ...this.description, series };
  }
}

interface Series<Handle> {
  readonly handle: Handle;
  readonly read: () => number[];
}

/** What a metric is called and what it says; both are the user's to read. */
export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
}

export class Metrics {
  readonly #families = new Map<string, Family<unknown>>();
  #chunk = new Float64Array(CELLS_PER_CHUNK);
  #used = 0;

  /** By the rules of Prometheus the name ends in `_total`. */
  counter(options: MetricOptions): Family<Counter> {
    assert(options.name.endsWith("_total"), `counter ${options.name} ends in _total`);
    return this.#family("counter", options, {
      cells: 1,
      bounds: [],
      make: (cells, index) => new Counter(cells, index),
    });
  }

  gauge(options: MetricOptions): Family<Gauge> {
    return this.#family("gauge", options, {
      cells: 1,
      bounds: [],
      make: (cells, index) => new Gauge(cells, index),
    });
  }

  /** `bounds` rise; `+Inf` is implied. */
  histogram(options: MetricOptions, bounds: readonly number[]): Family<Histogram> {
    const typed = Float64Array.from(bounds);
    assert(
      bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? 0)),
      `the bounds of ${options.name} rise`,
    );
    return this.#family("histogram", options, {
      cells: bounds.length + 2,
      bounds,
      make: (cells, index) => new Histogram(cells, index, typed),
    });
  }

  snapshot(): MetricsSnapshot {
    return { families: [...this.#families.values()].map((family) => family.snapshot()) };
  }

  #family<Handle>(
    type: MetricType,
    { name, help, labelNames = [] }: MetricOptions,
    layout: {
      readonly cells: number;
      readonly bounds: readonly number[];
      readonly make: (cells: Float64Array, index: number) => Handle;
    },
  ): Family<Handle> {
    assert(METRIC_NAME.test(name), `${name} is a metric name`);
    assert(!this.#families.has(name), `metric ${name} is defined once`);
    for (const label of labelNames) assert(LABEL_NAME.test(label), `${label} is a label name`);
    const { bounds } = layout;
    const family = new Family<Handle>({ name, help, type, labelNames, bounds }, () => {
      const { cells, index } = this.#takeCells(layout.cells);
      const read = (): number[] => [...cells.subarray(index, index + layout.cells)];
      return { handle: layout.make(cells, index), read };
    });
    this.#families.set(name, family);
    return family;
  }

  /** Cells never move once taken: a full chunk is followed by another. */
  #takeCells(count: number): { readonly cells: Float64Array; readonly index: number } {
    if (this.#used + count > this.#chunk.length) {
      this.#chunk = new Float64Array(Math.max(CELLS_PER_CHUNK, count));
      this.#used = 0;
    }
    const index = this.#used;
    this.#used += count;
    return { cells: this.#chunk, index };
  }
}

/** The sum of several workers' metrics. A family's help and bounds are those of its first. */
export function mergeMetrics(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const families = new Map<string, { first: FamilySnapshot; all: FamilySnapshot[] }>();
  for (const family of snapshots.flatMap((snapshot) => snapshot.families)) {
    const same = families.get(family.name);
    if (same === undefined) families.set(family.name, { first: family, all: [family] });
    else if (isSameShape(same.first, family)) same.all.push(family);
  }
  const merged = [...families.values()].map(({ first, all }) => mergeFamily(first, all));
  return { families: merged };
}

/** While a worker of another version is replaced, a family may have two shapes. */
function isSameShape(a: FamilySnapshot, b: FamilySnapshot): boolean {
  return (
    a.type === b.type &&
    a.labelNames.join() === b.labelNames.join() &&
    a.bounds.join() === b.bounds.join()
  );
}

function mergeFamily(first: FamilySnapshot, all: readonly FamilySnapshot[]): FamilySnapshot {
  const series = new Map<string, { labelValues: readonly string[]; values: number[] }>();
  for (const { labelValues, values } of all.flatMap((family) => family.series)) {
    const key = labelValues.join("\u0000");
    const sum = series.get(key);
    if (sum === undefined) series.set(key, { labelValues, values: [...values] });
    else sum.values = sum.values.map((value, index) => value + (values[index] ?? 0));
  }
  return { ...first, series: [...series.values()] };
}
