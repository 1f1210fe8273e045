//! Labels read out of the names of metrics that plug-ins define, as Envoy's `stats_tags` do it:
//! `requests_value=a` becomes `requests{value="a"}`.
//!
//! The first group of the expression is what goes out of the name, the second one, or else the
//! first, is the label's value.
//! https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/metrics/v3/stats.proto

import { RE2JS } from "re2js";
import type { FamilySnapshot, MetricsSnapshot } from "./metrics.ts";
import { metricName } from "./prometheus.ts";

export type StatTag =
  | { readonly label: string; readonly value: string }
  | { readonly label: string; readonly pattern: RE2JS };

/** A text: why the expression cannot be used. */
export function compileStatTag(label: string, regex: string): StatTag | string {
  try {
    const pattern = RE2JS.compile(regex);
    if (pattern.groupCount() === 0) return "it has no group";
    return { label, pattern };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The namespace in which Envoy keeps what plug-ins define. */
export const PLUGINS_SCOPE = "wasmcustom";

/** What plug-ins define gets its labels, and families whose names become one are one. */
export function withStatTags(
  { families }: MetricsSnapshot,
  tags: readonly StatTag[],
): MetricsSnapshot {
  const labelled = new Map<string, FamilySnapshot>();
  const others: FamilySnapshot[] = [];
  for (const family of families) {
    if (family.definedAs === undefined) {
      others.push(family);
      continue;
    }
    const { name, labels } = readTags(family.definedAs, tags);
    const labelNames = labels.map(([label]) => metricName(label));
    const labelValues = labels.map(([, value]) => value);
    const series = family.series.map(({ values }) => ({ labelValues, values }));
    const same = labelled.get(name);
    // A family has one type and one set of labels: what differs stays under its whole name.
    if (same !== undefined && !isAlike(same, family, labelNames)) others.push(family);
    else labelled.set(name, merged({ ...family, name, labelNames, series }, same));
  }
  return { families: [...others, ...labelled.values()] };
}

function isAlike(a: FamilySnapshot, b: FamilySnapshot, labelNames: readonly string[]): boolean {
  return a.type === b.type && a.labelNames.join() === labelNames.join();
}

function merged(family: FamilySnapshot, same: FamilySnapshot | undefined): FamilySnapshot {
  return same === undefined ? family : { ...same, series: [...same.series, ...family.series] };
}

function readTags(
  definedAs: string,
  tags: readonly StatTag[],
): { readonly name: string; readonly labels: readonly (readonly [string, string])[] } {
  const full = `${PLUGINS_SCOPE}.${definedAs}`;
  const labels: [string, string][] = [];
  const cuts: [start: number, end: number][] = [];
  for (const tag of tags) {
    if ("value" in tag) {
      labels.push([tag.label, tag.value]);
      continue;
    }
    const matcher = tag.pattern.matcher(full);
    if (!matcher.find()) continue;
    const value = matcher.groupCount() > 1 ? matcher.group(2) : matcher.group(1);
    labels.push([tag.label, value ?? ""]);
    cuts.push([matcher.start(1), matcher.end(1)]);
  }
  return { name: metricName(without(full, cuts).slice(PLUGINS_SCOPE.length + 1)), labels };
}

function without(text: string, cuts: readonly (readonly [number, number])[]): string {
  let kept = "";
  let from = 0;
  for (const [start, end] of [...cuts].sort(([a], [b]) => a - b)) {
    if (start > from) kept += text.slice(from, start);
    from = Math.max(from, end);
  }
  return kept + text.slice(from);
}
