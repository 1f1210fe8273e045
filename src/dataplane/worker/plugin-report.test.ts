import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePrometheus } from "../../telemetry/prometheus.ts";
import { mergeMetrics } from "../../telemetry/metrics.ts";
import { MetricType } from "../../wasm/enums.ts";
import type { Metric } from "../../wasm/metric-store.ts";
import { MetricStore } from "../../wasm/metric-store.ts";
import { UsageTable } from "../../wasm/plugin-usage.ts";
import { PluginReport } from "./plugin-report.ts";

function make(): { usage: UsageTable; store: MetricStore; shown: (workers?: number) => string } {
  const usage = new UsageTable();
  const store = new MetricStore();
  const report = new PluginReport(usage, store);
  const shown = (workers = 1): string =>
    encodePrometheus(mergeMetrics(Array.from({ length: workers }, () => report.snapshot([]))));
  return { usage, store, shown };
}

function define(store: MetricStore, type: MetricType, name: string): Metric {
  const metric = store.define(type, name);
  assert.ok(metric !== null);
  return metric;
}

test("a plug-in's metrics are shown by Envoy's names, summed over the workers", () => {
  const { store, shown } = make();
  store.record(define(store, MetricType.counter, "hello.requests-seen"), 3);
  store.record(define(store, MetricType.gauge, "1st_gauge"), -2);
  const text = shown(2);
  assert.match(text, /^# TYPE hello_requests_seen counter\nhello_requests_seen 6$/m);
  assert.match(text, /^# TYPE _1st_gauge gauge\n_1st_gauge -4$/m);
});

test("histograms have Envoy's buckets, cumulative, with sum and count", () => {
  const { store, shown } = make();
  const metric = define(store, MetricType.histogram, "latency_ms");
  for (const value of [0, 1, 7, 4_000_000]) store.record(metric, value);
  const text = shown();
  for (const line of [
    'latency_ms_bucket{le="0.5"} 1',
    'latency_ms_bucket{le="1"} 2',
    'latency_ms_bucket{le="10"} 3',
    'latency_ms_bucket{le="3600000"} 3',
    'latency_ms_bucket{le="+Inf"} 4',
    "latency_ms_sum 4000008",
    "latency_ms_count 4",
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line}\n${text}`);
  }
});

test("a plug-in can neither take a name of ours nor make one family of two kinds", () => {
  const { store, shown } = make();
  define(store, MetricType.counter, "graylane_requests_total");
  define(store, MetricType.counter, "a.b");
  define(store, MetricType.gauge, "a_b");
  const text = shown();
  assert.ok(!text.includes("graylane_requests_total"), text);
  assert.equal(text.match(/^# TYPE a_b /gm)?.length, 1);
});

test("what each plug-in costs has its name", () => {
  const { usage, shown } = make();
  Object.assign(usage.of("default/p"), { entries: 5, fuel: 100_000, ms: 1_500 });
  const text = shown();
  assert.match(text, /^graylane_plugin_callbacks_total\{plugin="default\/p"\} 5$/m);
  assert.match(text, /^graylane_plugin_fuel_total\{plugin="default\/p"\} 100000$/m);
  assert.match(text, /^graylane_plugin_seconds_total\{plugin="default\/p"\} 1\.5$/m);
});
