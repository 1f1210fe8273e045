//! The metrics that plug-ins define. Kept outside the VMs, so that a rebuilt VM goes on counting.

import { MetricType } from "./enums.ts";

/** Names over all plug-ins of a worker. Defining more fails. */
const METRICS_MAX = 10_000;
const NAME_BYTES_MAX = 1024;

export interface Metric {
  readonly type: MetricType;
  readonly name: string;
  /** Counter and gauge: the value, exact up to 2^53. Histogram: the sum of what was recorded. */
  value: number;
  /** Histogram only: how many values were recorded. */
  count: number;
}

export class MetricStore {
  readonly #metrics = new Map<string, Metric>();
  /** Called with each value recorded into a histogram, for an embedder that keeps buckets. */
  onRecord: (metric: Metric, value: number) => void = () => undefined;

  /** The metric of that type and name, the same for every caller; null when the store is full. */
  define(type: MetricType, name: string): Metric | null {
    const key = `${type}:${name}`;
    const known = this.#metrics.get(key);
    if (known !== undefined) return known;
    if (this.#metrics.size >= METRICS_MAX || name.length > NAME_BYTES_MAX) return null;
    const metric = { type, name, value: 0, count: 0 };
    this.#metrics.set(key, metric);
    return metric;
  }

  record(metric: Metric, value: number): void {
    if (metric.type === MetricType.gauge) metric.value = value;
    else metric.value += value;
    metric.count += 1;
    if (metric.type === MetricType.histogram) this.onRecord(metric, value);
  }

  [Symbol.iterator](): IterableIterator<Metric> {
    return this.#metrics.values();
  }
}
