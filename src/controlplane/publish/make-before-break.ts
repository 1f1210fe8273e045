//! The snapshot that sidecars run while gateways move from one snapshot to the next.
//!
//! What is new must be known to sidecars before a gateway uses it, and what is gone must stay known
//! until no gateway uses it any more. A union of both does that without a second mechanism.

import { snapshotVersion } from "../../snapshot/delta.ts";
import type {
  Baseline,
  Endpoint,
  EndpointSet,
  Lane,
  LaneGroup,
  SignatureKey,
  Snapshot,
} from "../../snapshot/snapshot.ts";

/**
 * `next`, with the clusters, endpoints, lanes and workloads of `old` that it lacks. Where both have
 * a thing, `next` wins. Gateways, route tables and plug-ins are those of `next`: sidecars run none.
 * Returns `next` itself when there is nothing to keep.
 *
 * One exception: a removed endpoint whose pod still has its workload was taken out because the pod
 * is not ready. Calling it would fail, so it goes at once.
 */
export function mergeForMakeBeforeBreak(old: Snapshot, next: Snapshot): Snapshot {
  const content = {
    formatVersion: next.formatVersion,
    gateways: next.gateways,
    routeTables: next.routeTables,
    plugins: next.plugins,
    clusters: union(old.clusters, next.clusters),
    endpoints: union(old.endpoints, next.endpoints, (before, after) =>
      mergeEndpoints(before, after, next),
    ),
    laneGroups: union(old.laneGroups, next.laneGroups, mergeGroups),
    workloads: union(old.workloads, next.workloads),
  };
  const isNext =
    content.clusters === next.clusters &&
    content.endpoints === next.endpoints &&
    content.laneGroups === next.laneGroups &&
    content.workloads === next.workloads;
  return isNext ? next : { ...content, version: snapshotVersion(content) };
}

/** Entries of both; keeps the identity of `next`, and of its entries, where nothing is added. */
function union<Entry>(
  old: Readonly<Record<string, Entry>>,
  next: Readonly<Record<string, Entry>>,
  merge: (before: Entry, after: Entry) => Entry = (_before, after) => after,
): Readonly<Record<string, Entry>> {
  const added: Record<string, Entry> = {};
  for (const [name, before] of Object.entries(old)) {
    const after = next[name];
    if (before === after) continue;
    const merged = after === undefined ? before : merge(before, after);
    if (merged !== after) added[name] = merged;
  }
  return Object.keys(added).length === 0 ? next : { ...next, ...added };
}

function mergeEndpoints(before: EndpointSet, after: EndpointSet, next: Snapshot): EndpointSet {
  const present = new Set(after.endpoints.map(identity));
  const kept = before.endpoints.filter(
    (endpoint) => !present.has(identity(endpoint)) && next.workloads[endpoint.pod] === undefined,
  );
  return kept.length === 0 ? after : { endpoints: [...after.endpoints, ...kept] };
}

function identity(endpoint: Endpoint): string {
  return `${endpoint.pod} ${endpoint.address} ${endpoint.port}`;
}

function mergeGroups(before: LaneGroup, after: LaneGroup): LaneGroup {
  const lanes = mergeLanes(before.lanes, after.lanes);
  const services = missing(before.services, after.services);
  const baseline = mergeBaselines(before.baseline, after.baseline);
  const keys = mergeKeys(before, after);
  const isAfter = lanes === after.lanes && services.length === 0 && keys.length === 0;
  if (isAfter && baseline === after.baseline) return after;
  const { signature } = after;
  return {
    ...after,
    ...(signature === undefined
      ? {}
      : { signature: { ...signature, keys: [...signature.keys, ...keys] } }),
    lanes,
    services: [...after.services, ...services],
    baseline,
  };
}

/** Keys with which gateways still sign. A key that signs nothing any more takes none with it. */
function mergeKeys(before: LaneGroup, after: LaneGroup): readonly SignatureKey[] {
  const known = new Set(after.signature?.keys.map(({ id }) => id));
  if (known.size === 0) return [];
  return (before.signature?.keys ?? []).filter(({ id }) => !known.has(id));
}

/**
 * A request under way carries the tag that its gateway gave it, and must find its lane by that tag
 * on each hop: a lane that is being closed stays open here (sidecars put nobody into a lane), and
 * one whose tag has changed is known by both.
 */
function mergeLanes(before: readonly Lane[], after: readonly Lane[]): readonly Lane[] {
  const byName = new Map(after.map((lane) => [lane.name, lane]));
  const tags = new Set(after.map((lane) => lane.tag));
  const kept: Lane[] = [];
  for (const old of before) {
    const lane = byName.get(old.name);
    if (lane === undefined) kept.push(old);
    else if (old.enabled && !lane.enabled) kept.push({ ...lane, enabled: true });
    if (lane !== undefined && !tags.has(old.tag)) {
      kept.push({ ...old, name: `${old.name}~${old.tag}` });
    }
  }
  if (kept.length === 0) return after;
  for (const lane of kept) byName.set(lane.name, lane);
  return [...byName.values()];
}

/** A pod of a lane that is going must not count as baseline while the lane may still be used. */
function mergeBaselines(before: Baseline, after: Baseline): Baseline {
  if (before.kind !== "untagged" || after.kind !== "untagged") return after;
  const keys = missing(before.labelKeys, after.labelKeys);
  return keys.length === 0 ? after : { ...after, labelKeys: [...after.labelKeys, ...keys] };
}

function missing(before: readonly string[], after: readonly string[]): string[] {
  return before.filter((name) => !after.includes(name));
}
