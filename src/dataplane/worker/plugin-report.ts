//! Metrics of plug-ins, as families beside the worker's own: what each plug-in costs, and what the
//! plug-ins themselves define, under the names that Envoy shows them by.

import type { FamilySnapshot, MetricsSnapshot } from "../../telemetry/metrics.ts";
import { metricName } from "../../telemetry/prometheus.ts";
import { MetricType } from "../../wasm/enums.ts";
import type { Metric, MetricStore } from "../../wasm/metric-store.ts";
import type { UsageTable } from "../../wasm/plugin-usage.ts";
import type { PluginSlot } from "../filter/plugin-slot.ts";

/** Envoy's default buckets. */
const BOUNDS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
  600_000, 1_800_000, 3_600_000,
];
/** Names that begin so are ours. */
const RESERVED = /^graylane_/;
const TYPES = {
  [MetricType.counter]: "counter",
  [MetricType.gauge]: "gauge",
  [MetricType.histogram]: "histogram",
} as const;

export class PluginReport {
  readonly #usage: UsageTable;
  readonly #metrics: MetricStore;
  /** Of each histogram, the count of each bucket, and of `+Inf`. */
  readonly #buckets = new Map<Metric, number[]>();

  constructor(usage: UsageTable, metrics: MetricStore) {
    this.#usage = usage;
    this.#metrics = metrics;
    metrics.onRecord = (metric, value) => {
      this.#record(metric, value);
    };
  }

  /** `slots` are the plug-ins that serve now. */
  snapshot(slots: Iterable<PluginSlot>): MetricsSnapshot {
    return { families: [...this.#costs(), this.#memory(slots), ...this.#defined()] };
  }

  #costs(): FamilySnapshot[] {
    const usages = [...this.#usage];
    const family = (name: string, help: string, values: readonly number[]): FamilySnapshot => ({
      ...{ name, help, type: "counter", labelNames: ["plugin"], bounds: [] },
      series: usages.map(([plugin], index) => ({
        labelValues: [plugin],
        values: [values[index] ?? 0],
      })),
    });
    return [
      family(
        "graylane_plugin_callbacks_total",
        "Callbacks of the plug-in that were entered.",
        usages.map(([, { entries }]) => entries),
      ),
      family(
        "graylane_plugin_seconds_total",
        "Time spent in the plug-in; of its short callbacks one in 61 is measured.",
        usages.map(([, { ms }]) => ms / 1_000),
      ),
      family(
        "graylane_plugin_fuel_total",
        "Units of fuel the plug-in used: function entries and turns of loops, in steps of 50,000.",
        usages.map(([, { fuel }]) => fuel),
      ),
    ];
  }

  #memory(slots: Iterable<PluginSlot>): FamilySnapshot {
    return {
      name: "graylane_plugin_memory_bytes",
      help: "Memory of the plug-in's VMs; one that plug-ins share is counted for each of them.",
      ...{ type: "gauge", labelNames: ["plugin"], bounds: [] },
      series: [...slots].map(({ plugin, instance }) => ({
        labelValues: [plugin.name],
        values: [instance?.memoryBytes ?? 0],
      })),
    };
  }

  #defined(): FamilySnapshot[] {
    const families = new Map<string, FamilySnapshot>();
    for (const metric of this.#metrics) {
      const name = metricName(metric.name);
      // Of names that come out the same the first is shown, as no reader could tell them apart.
      if (RESERVED.test(name) || families.has(name)) continue;
      const isHistogram = metric.type === MetricType.histogram;
      families.set(name, {
        name,
        help: "Defined by a plug-in.",
        type: TYPES[metric.type],
        labelNames: [],
        definedAs: metric.name,
        bounds: isHistogram ? BOUNDS : [],
        series: [
          { labelValues: [], values: isHistogram ? this.#histogram(metric) : [metric.value] },
        ],
      });
    }
    return [...families.values()];
  }

  #histogram(metric: Metric): number[] {
    return [...(this.#buckets.get(metric) ?? emptyBuckets()), metric.value];
  }

  #record(metric: Metric, value: number): void {
    let buckets = this.#buckets.get(metric);
    if (buckets === undefined) {
      buckets = emptyBuckets();
      this.#buckets.set(metric, buckets);
    }
    const found = BOUNDS.findIndex((bound) => value <= bound);
    const at = found === -1 ? BOUNDS.length : found;
    buckets[at] = (buckets[at] ?? 0) + 1;
  }
}

function emptyBuckets(): number[] {
  return Array.from({ length: BOUNDS.length + 1 }, () => 0);
}
