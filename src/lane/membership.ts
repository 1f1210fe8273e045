//! Which pods are of a lane, and which of the baseline.

import type { Baseline, Endpoint, Lane } from "../snapshot/snapshot.ts";

export function isInLane(endpoint: Pick<Endpoint, "labels">, lane: Lane): boolean {
  return hasLabels(endpoint, lane.selector);
}

/** Whether an endpoint is of the baseline: in the named lane, or with none of the lanes' keys. */
export function isInBaseline(
  endpoint: Pick<Endpoint, "labels">,
  baseline: Baseline,
  lanes: readonly Lane[],
): boolean {
  if (baseline.kind === "untagged") {
    return baseline.labelKeys.every((key) => !Object.hasOwn(endpoint.labels, key));
  }
  const lane = lanes.find(({ name }) => name === baseline.lane);
  return lane !== undefined && isInLane(endpoint, lane);
}

export function hasLabels(
  endpoint: Pick<Endpoint, "labels">,
  labels: Readonly<Record<string, string>>,
): boolean {
  for (const [key, value] of Object.entries(labels)) {
    if (endpoint.labels[key] !== value) return false;
  }
  return true;
}
