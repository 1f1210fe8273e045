//! Endpoints that are to get more than others.

import type { Prng } from "../base/prng.ts";
import type { Endpoint } from "../snapshot/snapshot.ts";

const POINTS = 0x1_0000_0000;
/** By set of endpoints: running sums of their weights; null: all weigh the same. */
const known = new WeakMap<readonly Endpoint[], Float64Array | null>();

export function weightOf({ weight = 1 }: Endpoint): number {
  return weight;
}

/** Null: all weigh the same. */
export function weightSums(endpoints: readonly Endpoint[]): Float64Array | null {
  let sums = known.get(endpoints);
  if (sums === undefined) {
    sums = sumUp(endpoints);
    known.set(endpoints, sums);
  }
  return sums;
}

function sumUp(endpoints: readonly Endpoint[]): Float64Array | null {
  const first = endpoints[0]?.weight;
  if (endpoints.every(({ weight }) => weight === first)) return null;
  const sums = new Float64Array(endpoints.length);
  let sum = 0;
  endpoints.forEach((endpoint, index) => {
    sum += weightOf(endpoint);
    sums[index] = sum;
  });
  return sums;
}

/** Whose part of all weights the point is in, from 0 up to and without 1. */
export function indexAt(sums: Float64Array, point: number): number {
  const wanted = point * (sums[sums.length - 1] ?? 0);
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] ?? 0) > wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function drawPoint(prng: Prng): number {
  return prng.below(POINTS) / POINTS;
}

/** At random by weight. There is at least one endpoint. */
export function drawIndex(endpoints: readonly Endpoint[], prng: Prng): number {
  if (endpoints.length <= 1) return 0;
  const sums = weightSums(endpoints);
  return sums === null ? prng.below(endpoints.length) : indexAt(sums, drawPoint(prng));
}
