//! The endpoints of a set by how near they are to the caller, ready to be drawn from.
//!
//! As in Envoy: a level of which less than 1/1.4 is well leaves a part of its requests to the
//! levels behind it (`overprovisioning_factor`), and so does a place within its level.

import { nearGroups } from "../../lane/locality.ts";
import type { NearGroup, Place } from "../../lane/locality.ts";
import type { ClusterPolicy } from "../../snapshot/routing.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";

const OVERPROVISIONING = 1.4;

export interface Group {
  readonly endpoints: readonly Endpoint[];
  /** In the whole set. */
  readonly indices: readonly number[];
  readonly weight: number;
}

export interface Near {
  /** The nearest first. */
  readonly levels: readonly (readonly Group[])[];
  /** By index in the whole set; infinite: it gets nothing. */
  readonly levelOf: readonly number[];
}

export type IsWell = (endpoint: Endpoint) => boolean;

export class NearEndpoints {
  readonly #policy: ClusterPolicy;
  readonly #known = new WeakMap<Place, WeakMap<readonly Endpoint[], Near | null>>();

  constructor(policy: ClusterPolicy) {
    this.#policy = policy;
  }

  /** Null: all are alike. */
  of(endpoints: readonly Endpoint[], place: Place): Near | null {
    let bySet = this.#known.get(place);
    if (bySet === undefined) {
      bySet = new WeakMap();
      this.#known.set(place, bySet);
    }
    let near = bySet.get(endpoints);
    if (near === undefined) {
      const groups = nearGroups(endpoints, this.#policy, place);
      near = groups === null ? null : arrange(endpoints, groups);
      bySet.set(endpoints, near);
    }
    return near;
  }
}

function arrange(endpoints: readonly Endpoint[], groups: readonly NearGroup[]): Near {
  const levels: Group[][] = [];
  const levelOf = endpoints.map(() => Number.POSITIVE_INFINITY);
  for (const { level, weight, indices } of groups) {
    for (const index of indices) levelOf[index] = level;
    const own = indices.flatMap((index) => endpoints[index] ?? []);
    (levels[level] ??= []).push({ endpoints: own, indices, weight });
  }
  return { levels: levels.map((list) => mergeEven(list)), levelOf };
}

/** Places whose parts are those of their endpoints are one: only `distribute` tells them apart. */
function mergeEven(groups: readonly Group[]): Group[] {
  const isEven = groups.every(({ endpoints, weight }) => weight === sum(endpoints));
  if (!isEven || groups.length < 2) return [...groups];
  return [
    {
      endpoints: groups.flatMap((group) => group.endpoints),
      indices: groups.flatMap(({ indices }) => indices),
      weight: groups.reduce((total, { weight }) => total + weight, 0),
    },
  ];
}

function sum(endpoints: readonly Endpoint[]): number {
  return endpoints.reduce((total, { weight = 1 }) => total + weight, 0);
}

/** Two independent points from 0 to 1, of which the level and the group are drawn. */
export type Points = readonly [level: number, group: number];

/** Null: nobody is well. */
export function chooseGroup(
  { levels }: Near,
  [first, second]: Points,
  isWell: IsWell | null,
): Group | null {
  const level = levels[chooseLevel(levels, first, isWell)];
  if (level === undefined) return null;
  if (level.length === 1) return level[0] ?? null;
  const parts = level.map((group) => group.weight * Math.min(1, healthOf(group.endpoints, isWell)));
  return level[drawn(parts, second)] ?? null;
}

function chooseLevel(levels: Near["levels"], point: number, isWell: IsWell | null): number {
  if (isWell === null) return 0;
  let left = 1;
  const loads = levels.map((groups) => {
    const load = Math.min(
      left,
      healthOf(
        groups.flatMap(({ endpoints }) => endpoints),
        isWell,
      ),
    );
    left -= load;
    return load;
  });
  return drawn(loads, point);
}

/** Up to 1.4: the share that is well, with what it may bear beyond its own. */
function healthOf(endpoints: readonly Endpoint[], isWell: IsWell | null): number {
  if (isWell === null || endpoints.length === 0) return 1;
  return (OVERPROVISIONING * endpoints.filter(isWell).length) / endpoints.length;
}

/** -1 when all parts are nothing. */
function drawn(parts: readonly number[], point: number): number {
  let left = point * parts.reduce((total, part) => total + part, 0);
  for (const [index, part] of parts.entries()) {
    if (part > 0 && left < part) return index;
    left -= part;
  }
  return parts.findLastIndex((part) => part > 0);
}
