//! The part of a snapshot that an app's agent needs to pick endpoints by itself: services, their
//! ready pods and the lanes, without gateways, rules, shares and policies.

import { snapshotVersion } from "./delta.ts";
import { EMPTY_SNAPSHOT } from "./snapshot.ts";
import type { Cluster, EndpointSet, Lane, LaneGroup, LaneSignature, Snapshot } from "./snapshot.ts";

export interface EndpointList extends Pick<Snapshot, "clusters" | "endpoints"> {
  readonly formatVersion: 1;
  /** Equal versions mean equal content. */
  readonly version: string;
  /** Who publishes it says so often that it still holds; absent: it is renewed by nobody. */
  readonly renewedEverySeconds?: number;
  /** Without rules and shares, which count at gateways only. */
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
}

/** `withKeys`: who reads it may check and sign contexts; without, signed ones are not believed. */
export function endpointListOf(
  snapshot: Snapshot,
  { withKeys }: { readonly withKeys: boolean },
): EndpointList {
  const laneGroups: Record<string, LaneGroup> = {};
  for (const [name, group] of Object.entries(snapshot.laneGroups)) {
    laneGroups[name] = withKeys ? forHops(group) : withoutSignatureKeys(forHops(group));
  }
  const clusters: Record<string, Cluster> = {};
  const endpoints: Record<string, EndpointSet> = {};
  for (const [name, cluster] of Object.entries(snapshot.clusters)) {
    // Calls that leave the mesh go as the app makes them.
    if (cluster.isOutside === true) continue;
    clusters[name] = withoutPolicies(cluster);
    const set = snapshot.endpoints[name];
    if (set !== undefined) endpoints[name] = set;
  }
  const content = { clusters, endpoints, laneGroups };
  return {
    formatVersion: 1,
    version: snapshotVersion({ ...EMPTY_SNAPSHOT, ...content }),
    ...content,
  };
}

/** Of groups and lanes: what counts at gateways only. */
const GATEWAY_FIELDS: readonly string[] = [
  ...["entryRoutes", "operands", "cohorts", "traceFrom", "traceTokenDigest"],
  ...["forcedIn", "forcedOut"],
];

/** By identity, so that what has not changed is hashed once. */
const stripped = new WeakMap<LaneGroup, LaneGroup>();
const keyless = new WeakMap<LaneGroup, LaneGroup>();
const bare = new WeakMap<Cluster, Cluster>();

/** Policies hold for gateways, and have keys of TLS within them. */
function withoutPolicies(cluster: Cluster): Cluster {
  if (cluster.policy === undefined && cluster.subsetPolicies === undefined) return cluster;
  const known = bare.get(cluster);
  if (known !== undefined) return known;
  const { name, host, aliases, namespace, port, service, connectTimeoutMs, protocol } = cluster;
  const { exportTo } = cluster;
  const seen = exportTo === undefined ? {} : { exportTo };
  const about = { name, host, aliases, namespace, port, service, connectTimeoutMs, ...seen };
  const made = protocol === undefined ? about : { ...about, protocol };
  bare.set(cluster, made);
  return made;
}

function forHops(group: LaneGroup): LaneGroup {
  const known = stripped.get(group);
  if (known !== undefined) return known;
  const lanes = group.lanes.map((lane) => ({ ...withoutGatewayFields(lane), rule: null }));
  const made = { ...withoutGatewayFields(group), gateways: [], lanes };
  stripped.set(group, made);
  return made;
}

function withoutGatewayFields<Part extends Lane | LaneGroup>(part: Part): Part {
  const kept = Object.entries(part).filter(([name]) => !GATEWAY_FIELDS.includes(name));
  return Object.fromEntries(kept) as unknown as Part;
}

function withoutSignatureKeys(group: LaneGroup): LaneGroup {
  if (group.signature === undefined) return group;
  const known = keyless.get(group);
  if (known !== undefined) return known;
  const signature: LaneSignature = { ...group.signature, keys: [] };
  const made = { ...group, signature };
  keyless.set(group, made);
  return made;
}
