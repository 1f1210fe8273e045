//! Metrics as Prometheus' text exposition format, version 0.0.4.

import type { FamilySnapshot, MetricsSnapshot, SeriesSnapshot } from "./metrics.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * The whole exposition; families by name, series in the order they were made. `noLabels`: what
 * stands behind the name of a metric without labels (Envoy writes `{}`, which means the same).
 */
export function encodePrometheus(snapshot: MetricsSnapshot, noLabels: "" | "{}" = ""): string {
  return [...snapshot.families]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((family) => encodeFamily(family, noLabels))
    .join("");
}

/** Makes a name out of any text, e.g. of a plug-in's metric. */
export function metricName(text: string): string {
  const name = text.replace(/[^a-zA-Z0-9_:]/g, "_");
  return /^[a-zA-Z_:]/.test(name) ? name : `_${name}`;
}

function encodeFamily(family: FamilySnapshot, noLabels: string): string {
  if (family.series.length === 0) return "";
  const { name, help, type } = family;
  const lines = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`];
  for (const series of family.series) {
    if (type === "histogram") encodeHistogram(family, series, lines);
    else {
      const labels = labelsOf(family, series) || noLabels;
      lines.push(`${name}${labels} ${numberText(series.values[0] ?? 0)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** Buckets are cumulative in the text, and counted apart in the cells. */
function encodeHistogram(family: FamilySnapshot, series: SeriesSnapshot, lines: string[]): void {
  const { name, bounds } = family;
  let count = 0;
  bounds.forEach((bound, index) => {
    count += series.values[index] ?? 0;
    lines.push(`${name}_bucket${labelsOf(family, series, numberText(bound))} ${count}`);
  });
  count += series.values[bounds.length] ?? 0;
  lines.push(`${name}_bucket${labelsOf(family, series, "+Inf")} ${count}`);
  const labels = labelsOf(family, series);
  lines.push(`${name}_sum${labels} ${numberText(series.values[bounds.length + 1] ?? 0)}`);
  lines.push(`${name}_count${labels} ${count}`);
}

function labelsOf(family: FamilySnapshot, series: SeriesSnapshot, bound?: string): string {
  const pairs = family.labelNames.map(
    (label, index) => `${label}="${escapeLabel(series.labelValues[index] ?? "")}"`,
  );
  if (bound !== undefined) pairs.push(`le="${bound}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
