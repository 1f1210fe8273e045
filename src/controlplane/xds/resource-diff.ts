//! Which resources differ between two sets. All Envoys that are told the same go from one to the
//! other: the answer is kept.

import type { EnvoyResources } from "../../compile-envoy/envoy-config.ts";

const known = new WeakMap<EnvoyResources, WeakMap<EnvoyResources, readonly string[]>>();

const counts = new WeakMap<EnvoyResources, number>();

export function countOf(resources: EnvoyResources): number {
  let count = counts.get(resources);
  if (count === undefined) {
    count = Object.keys(resources).length;
    counts.set(resources, count);
  }
  return count;
}

/** The names whose resources are not the same object in both. */
export function changedNames(before: EnvoyResources, after: EnvoyResources): readonly string[] {
  if (before === after) return [];
  const byAfter = known.get(before) ?? new WeakMap<EnvoyResources, readonly string[]>();
  known.set(before, byAfter);
  let names = byAfter.get(after);
  if (names === undefined) {
    names = compare(before, after);
    byAfter.set(after, names);
  }
  return names;
}

function compare(before: EnvoyResources, after: EnvoyResources): string[] {
  const gone = Object.keys(before).filter((name) => !Object.hasOwn(after, name));
  const news = Object.entries(after).filter(
    ([name, resource]) => !Object.hasOwn(before, name) || before[name] !== resource,
  );
  return [...gone, ...news.map(([name]) => name)];
}
