//! Deals the buckets [0, 1,000,000) of one base route to lanes, so that users stay where they are.
//!
//! - Growing a lane takes buckets of the baseline, and never another lane's.
//! - Shrinking gives back the newest first, so the first users of a lane are its last.
//! - Adding or resizing one lane moves nobody between other lanes.
//!
//! The outcome depends on history, so the old allocation is an input. Pure: the same old allocation
//! and the same shares give the same new one.

import { assert } from "../base/assert.ts";
import { PPM_TOTAL } from "./key-hash.ts";

/** Intervals of one table. Only a growth that would break it is refused, never a shrinking. */
export const INTERVALS_MAX = 1_024;

/** [from, to) in parts per million. */
export type Interval = readonly [fromPpm: number, toPpm: number];

/** A lane's intervals, the oldest first: the order in which it took them. */
export interface LaneIntervals {
  readonly lane: string;
  readonly intervals: readonly Interval[];
}

/** Lanes that have buckets, by name. */
export type AllocationTable = readonly LaneIntervals[];

export interface WantedShare {
  readonly lane: string;
  readonly sharePpm: number;
}

export interface AllocationOutcome {
  readonly table: AllocationTable;
  /** Lanes that could not grow: the table has too many pieces. */
  readonly refused: readonly string[];
}

/**
 * The next allocation. Lanes grow in the order of `wanted`; one that it does not name loses
 * everything. The sum of `wanted` is at most 1,000,000.
 */
export function allocate(old: AllocationTable, wanted: readonly WantedShare[]): AllocationOutcome {
  const totalPpm = wanted.reduce((sum, { sharePpm }) => sum + sharePpm, 0);
  assert(totalPpm <= PPM_TOTAL, "the shares of a base route are at most 100 %");
  const wantedOf = new Map(wanted.map(({ lane, sharePpm }) => [lane, sharePpm]));
  const kept = new Map<string, Interval[]>();
  for (const { lane, intervals } of old) {
    kept.set(lane, keepOldest(intervals, wantedOf.get(lane) ?? 0));
  }
  // What has always been the baseline's goes first: what another lane has just given back would
  // move a user from lane to lane.
  const pools = [
    gapsOf(old.flatMap(({ intervals }) => intervals)),
    gapsOf([...kept.values()].flat()),
  ];
  const refused: string[] = [];
  for (const { lane, sharePpm } of wanted) {
    const own = kept.get(lane) ?? [];
    const grown = grow(own, sharePpm - sizeOf(own), pools);
    const isTooMany = countOf(kept) - own.length + grown.length > INTERVALS_MAX;
    if (grown.length > own.length && isTooMany) {
      refused.push(lane);
      continue;
    }
    kept.set(lane, grown);
    const taken = gapsOf(grown);
    for (const [index, pool] of pools.entries()) pools[index] = intersect(pool, taken);
  }
  const table = [...kept]
    .filter(([, intervals]) => intervals.length > 0)
    .map(([lane, intervals]) => ({ lane, intervals }))
    .sort((a, b) => (a.lane < b.lane ? -1 : 1));
  return { table, refused };
}

/** How many buckets a lane has. */
export function shareOf(table: AllocationTable, lane: string): number {
  return sizeOf(table.find((entry) => entry.lane === lane)?.intervals ?? []);
}

function keepOldest(intervals: readonly Interval[], sharePpm: number): Interval[] {
  const kept: Interval[] = [];
  let leftPpm = sharePpm;
  for (const [from, to] of intervals) {
    if (leftPpm <= 0) break;
    const end = Math.min(to, from + leftPpm);
    kept.push([from, end]);
    leftPpm -= end - from;
  }
  return kept;
}

/**
 * Takes `morePpm` out of the pools in their order. What continues the newest interval goes first,
 * then the largest gaps: so there are as few intervals as can be.
 */
function grow(
  own: Interval[],
  morePpm: number,
  pools: readonly (readonly Interval[])[],
): Interval[] {
  const grown = [...own];
  let leftPpm = morePpm;
  for (const pool of pools) {
    for (const [from, to] of inTakingOrder(pool, grown[grown.length - 1]?.[1])) {
      if (leftPpm <= 0) return grown;
      const taken = grown.filter((mine) => mine[0] < to && from < mine[1]);
      for (const [start, end] of gapsOf(taken, from, to)) {
        if (leftPpm <= 0) break;
        const stop = Math.min(end, start + leftPpm);
        append(grown, [start, stop]);
        leftPpm -= stop - start;
      }
    }
  }
  return grown;
}

function inTakingOrder(pool: readonly Interval[], next: number | undefined): readonly Interval[] {
  return [...pool].sort((a, b) => {
    if (a[0] === next || b[0] === next) return a[0] === next ? -1 : 1;
    return b[1] - b[0] - (a[1] - a[0]) || a[0] - b[0];
  });
}

function append(intervals: Interval[], interval: Interval): void {
  const newest = intervals[intervals.length - 1];
  if (newest?.[1] === interval[0]) intervals[intervals.length - 1] = [newest[0], interval[1]];
  else intervals.push(interval);
}

/** What [start, end) has beside the intervals, in rising order. */
function gapsOf(intervals: readonly Interval[], start = 0, end: number = PPM_TOTAL): Interval[] {
  const gaps: Interval[] = [];
  let at = start;
  for (const [from, to] of [...intervals].sort((a, b) => a[0] - b[0])) {
    if (from > at) gaps.push([at, from]);
    at = Math.max(at, to);
  }
  if (at < end) gaps.push([at, end]);
  return gaps;
}

/** Both lists are in rising order and without overlap. */
function intersect(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const common: Interval[] = [];
  let index = 0;
  for (const [from, to] of a) {
    while (index < b.length && (b[index]?.[1] ?? 0) <= from) index += 1;
    for (let other = index; other < b.length; other++) {
      const [start, end] = b[other] ?? [to, to];
      if (start >= to) break;
      common.push([Math.max(from, start), Math.min(to, end)]);
    }
  }
  return common;
}

function countOf(kept: ReadonlyMap<string, readonly Interval[]>): number {
  let count = 0;
  for (const intervals of kept.values()) count += intervals.length;
  return count;
}

function sizeOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, [from, to]) => sum + to - from, 0);
}
