//! Which endpoints go before others for where they are, as Istio means it.
//!
//! pilot/pkg/networking/core/loadbalancer: either parts by place (`distribute`), or levels, of
//! which the next one is used as far as the one before is not well (`failover`).

import type { ClusterPolicy, LocalityBalance } from "../snapshot/routing.ts";
import type { Endpoint } from "../snapshot/snapshot.ts";
import { weightOf } from "./endpoint-weights.ts";

/** Where a caller is. */
export interface Place {
  /** `""`: not known. */
  readonly locality: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Endpoints that are alike. */
export interface NearGroup {
  /** From 0 without a gap; the least goes first. */
  readonly level: number;
  /** Of the level's requests, relative to the level's other groups. */
  readonly weight: number;
  readonly locality: string;
  readonly indices: readonly number[];
}

type Parts = readonly [region: string, zone: string, subZone: string];

const ANY = "*";
/** Levels of `failover`: same sub-zone, zone, region; the rest; what another region goes before. */
const FAR = 3;
const FARTHEST = 4;
const LEVELS = 5;

/** Null: they are all alike. */
export function nearGroups(
  endpoints: readonly Endpoint[],
  { locality = {}, outliers, healthCheck }: ClusterPolicy,
  place: Place,
): NearGroup[] | null {
  if (locality.isOff === true) return null;
  if (locality.distribute !== undefined) return distributed(endpoints, locality, place);
  // Without a sign of who is well nobody would ever leave the first level.
  if (outliers === undefined && healthCheck === undefined) return null;
  const levels = endpoints.map((endpoint) => levelOf(endpoint, locality, place));
  return byLevel(endpoints, levels);
}

function distributed(
  endpoints: readonly Endpoint[],
  { distribute = [] }: LocalityBalance,
  place: Place,
): NearGroup[] | null {
  const rule = distribute.find(({ from }) => isAt(place.locality, from));
  if (rule === undefined) return null;
  const byPlace = new Map<string, number[]>();
  endpoints.forEach(({ locality = "" }, index) => {
    byPlace.set(locality, [...(byPlace.get(locality) ?? []), index]);
  });
  const found: NearGroup[] = [];
  for (const [pattern, part] of Object.entries(rule.to)) {
    const here = [...byPlace].filter(([locality]) => isAt(locality, pattern));
    const weights = here.map(([, indices]) => sumOf(endpoints, indices));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    here.forEach(([locality, indices], index) => {
      byPlace.delete(locality);
      const weight = Math.ceil(((weights[index] ?? 0) * part) / total);
      found.push({ level: 0, weight, locality, indices });
    });
  }
  return found;
}

function sumOf(endpoints: readonly Endpoint[], indices: readonly number[]): number {
  return indices.reduce((sum, index) => {
    const endpoint = endpoints[index];
    return endpoint === undefined ? sum : sum + weightOf(endpoint);
  }, 0);
}

function levelOf(endpoint: Endpoint, policy: LocalityBalance, place: Place): number {
  const { failoverPriority = [], failover } = policy;
  const ofLabels = labelLevel(endpoint, failoverPriority, place);
  // As in Istio, labels stand in the place of the default, and `failover` comes behind them.
  if (failoverPriority.length > 0 && failover === undefined) return ofLabels;
  return ofLabels * LEVELS + placeLevel(endpoint, failover ?? [], place);
}

/** How many labels are left from the first that differs. */
function labelLevel(endpoint: Endpoint, priority: readonly string[], place: Place): number {
  if (priority.length === 0) return 0;
  const theirs = withPlaceLabels(endpoint.labels, endpoint.locality ?? "");
  const ours = withPlaceLabels(place.labels, place.locality);
  const index = priority.findIndex((entry) => {
    const [name = "", value] = entry.split("=");
    return (value ?? ours[name] ?? "") !== (theirs[name] ?? "");
  });
  return index === -1 ? 0 : priority.length - index;
}

function withPlaceLabels(
  labels: Readonly<Record<string, string>>,
  locality: string,
): Readonly<Record<string, string>> {
  const [region, zone, subZone] = partsOf(locality);
  return {
    ...labels,
    ...(region === "" ? {} : { "topology.kubernetes.io/region": region }),
    ...(zone === "" ? {} : { "topology.kubernetes.io/zone": zone }),
    ...(subZone === "" ? {} : { "topology.istio.io/subzone": subZone }),
  };
}

function placeLevel(
  { locality = "" }: Endpoint,
  failover: NonNullable<LocalityBalance["failover"]>,
  place: Place,
): number {
  const ours = partsOf(place.locality);
  const theirs = partsOf(locality);
  const differs = ours.findIndex((part, index) => part !== theirs[index]);
  if (differs !== 0) return differs === -1 ? 0 : FAR - differs;
  const rule = failover.find(({ from }) => from === ours[0]);
  return rule === undefined || rule.to === theirs[0] ? FAR : FARTHEST;
}

function byLevel(endpoints: readonly Endpoint[], levels: readonly number[]): NearGroup[] | null {
  const distinct = [...new Set(levels)].sort((a, b) => a - b);
  if (distinct.length < 2) return null;
  const groups = new Map<string, NearGroup & { readonly indices: number[] }>();
  endpoints.forEach(({ locality = "" }, index) => {
    const level = distinct.indexOf(levels[index] ?? 0);
    const key = `${level} ${locality}`;
    const group = groups.get(key) ?? { level, weight: 1, locality, indices: [] };
    group.indices.push(index);
    groups.set(key, group);
  });
  const sorted = [...groups.values()].sort((a, b) => a.level - b.level);
  return sorted.map((group) => ({ ...group, weight: sumOf(endpoints, group.indices) }));
}

/** A place is within a pattern: `*` and what is not written match all. */
function isAt(locality: string, pattern: string): boolean {
  const place = partsOf(locality);
  return partsOf(pattern).every((wanted, index) => {
    if (wanted === ANY) return true;
    return (index > 0 && wanted === "") || wanted === place[index];
  });
}

export function partsOf(locality: string): Parts {
  const [region = "", zone = "", subZone = ""] = locality.split("/");
  return [region, zone, subZone];
}
