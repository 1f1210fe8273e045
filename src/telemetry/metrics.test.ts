import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics, OVERFLOW, SERIES_MAX, mergeMetrics } from "./metrics.ts";
import { encodePrometheus, metricName } from "./prometheus.ts";

function requests(): { metrics: Metrics; count: (lane: string, amount: number) => void } {
  const metrics = new Metrics();
  const family = metrics.counter({
    name: "graylane_requests_total",
    help: "Requests.",
    labelNames: ["lane"],
  });
  return {
    metrics,
    count: (lane, amount) => {
      family.with(lane).add(amount);
    },
  };
}

test("the same label values give the same handle, so a new runtime goes on counting", () => {
  const family = new Metrics().counter({ name: "a_total", help: "A.", labelNames: ["lane"] });
  family.with("gray").increment();
  family.with("gray").add(2);
  assert.equal(family.with("gray").value, 3);
  assert.equal(family.with("base").value, 0);
});

test("label values cannot be confused by where one ends", () => {
  const family = new Metrics().gauge({ name: "a", help: "A.", labelNames: ["x", "y"] });
  family.with("ab", "c").set(1);
  family.with("a", "bc").set(2);
  assert.equal(family.with("ab", "c").value, 1);
});

test("a handle keeps its cell when many others follow", () => {
  const family = new Metrics().counter({ name: "a_total", help: "A.", labelNames: ["n"] });
  const first = family.with("first");
  first.increment();
  for (let index = 0; index < 1_500; index++) family.with(String(index)).add(7);
  first.increment();
  assert.equal(family.with("first").value, 2);
});

test("label combinations over the limit share one series", () => {
  const family = new Metrics().counter({ name: "a_total", help: "A.", labelNames: ["user"] });
  for (let user = 0; user < SERIES_MAX + 10; user++) family.with(String(user)).increment();
  assert.equal(family.with(OVERFLOW).value, 10);
  assert.equal(family.snapshot().series.length, SERIES_MAX + 1);
});

test("the exposition is what Prometheus' text format asks for", () => {
  const { metrics, count } = requests();
  count('a "quoted" \\ name\nof two lines', 2);
  metrics.gauge({ name: "graylane_active", help: "Active\nnow \\ here." }).with().set(-1.5);
  const durations = metrics.histogram(
    { name: "graylane_duration_seconds", help: "Durations.", labelNames: ["lane"] },
    [0.1, 1],
  );
  for (const value of [0.05, 0.1, 0.5, 3]) durations.with("gray").observe(value);
  metrics.counter({ name: "graylane_unused_total", help: "Not seen.", labelNames: ["x"] });

  assert.equal(
    encodePrometheus(metrics.snapshot()),
    [
      "# HELP graylane_active Active\\nnow \\\\ here.",
      "# TYPE graylane_active gauge",
      "graylane_active -1.5",
      "# HELP graylane_duration_seconds Durations.",
      "# TYPE graylane_duration_seconds histogram",
      'graylane_duration_seconds_bucket{lane="gray",le="0.1"} 2',
      'graylane_duration_seconds_bucket{lane="gray",le="1"} 3',
      'graylane_duration_seconds_bucket{lane="gray",le="+Inf"} 4',
      'graylane_duration_seconds_sum{lane="gray"} 3.65',
      'graylane_duration_seconds_count{lane="gray"} 4',
      "# HELP graylane_requests_total Requests.",
      "# TYPE graylane_requests_total counter",
      'graylane_requests_total{lane="a \\"quoted\\" \\\\ name\\nof two lines"} 2',
      "",
    ].join("\n"),
  );
});

test("workers' metrics are added up, whatever series each has", () => {
  const [one, two] = [requests(), requests()];
  one.count("gray", 1);
  one.count("base", 10);
  two.count("gray", 2);
  const merged = mergeMetrics([one.metrics.snapshot(), two.metrics.snapshot()]);
  // As it arrives over a channel: a plain value.
  const [family] = (JSON.parse(JSON.stringify(merged)) as typeof merged).families;
  assert.deepEqual(family?.series, [
    { labelValues: ["gray"], values: [3] },
    { labelValues: ["base"], values: [10] },
  ]);
});

test("a family of another shape is not added to the first", () => {
  const other = new Metrics();
  other.counter({ name: "graylane_requests_total", help: "Requests." }).with().add(5);
  const { metrics, count } = requests();
  count("gray", 1);
  const merged = mergeMetrics([metrics.snapshot(), other.snapshot()]);
  assert.deepEqual(merged.families[0]?.series, [{ labelValues: ["gray"], values: [1] }]);
});

test("two metrics of one name, or a name Prometheus refuses, are mistakes of ours", () => {
  const metrics = new Metrics();
  metrics.gauge({ name: "a", help: "A." });
  assert.throws(() => metrics.gauge({ name: "a", help: "A." }), /defined once/);
  assert.throws(() => metrics.counter({ name: "b", help: "B." }), /_total/);
  assert.throws(() => metrics.gauge({ name: "a-b", help: "B." }), /metric name/);
});

test("any text can be made a metric's name", () => {
  assert.equal(metricName("envoy.plugin-x/hits"), "envoy_plugin_x_hits");
  assert.equal(metricName("5xx"), "_5xx");
});
