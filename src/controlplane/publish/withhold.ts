//! Keeps traffic off lane endpoints whose sidecar has not heard of the lane.
//!
//! A sidecar that does not know a lane would call the next service without it: the chain would
//! leave the lane halfway. So such endpoints are taken out of what gateways run until it answers.

import { snapshotVersion } from "../../snapshot/delta.ts";
import type { Endpoint, Lane, LaneGroup, Snapshot } from "../../snapshot/snapshot.ts";

/** A sidecar node that does not run what it should. */
export interface LaggingNode {
  hosts(pod: string): boolean;
  /** What it runs instead. */
  readonly held: Snapshot;
}

/** `next` without the lane endpoints that a lagging node hosts and whose lane it does not know. */
export function withholdLagging(next: Snapshot, lagging: readonly LaggingNode[]): Snapshot {
  if (lagging.length === 0) return next;
  const changed: Record<string, { readonly endpoints: readonly Endpoint[] }> = {};
  for (const [cluster, set] of Object.entries(next.endpoints)) {
    const service = next.clusters[cluster]?.service ?? "";
    const endpoints = set.endpoints.filter((endpoint) => {
      // Of a pod with an Envoy the worker of the embedded sidecars knows as well.
      const hosts = lagging.filter((node) => node.hosts(endpoint.pod));
      return hosts.every(({ held }) => isKnown(endpoint, service, { next, held }));
    });
    if (endpoints.length !== set.endpoints.length) changed[cluster] = { endpoints };
  }
  if (Object.keys(changed).length === 0) return next;
  const content = { ...next, endpoints: { ...next.endpoints, ...changed } };
  return { ...content, version: snapshotVersion(content) };
}

/** True for endpoints in no lane too: the baseline needs no knowledge of lanes. */
function isKnown(
  endpoint: Endpoint,
  service: string,
  snapshots: { readonly next: Snapshot; readonly held: Snapshot },
): boolean {
  const { next, held } = snapshots;
  for (const group of Object.values(next.laneGroups)) {
    if (!group.services.includes(service)) continue;
    for (const lane of group.lanes) {
      if (!isMember(endpoint, lane)) continue;
      if (next.workloads[endpoint.pod] === undefined) continue;
      if (held.workloads[endpoint.pod] === undefined) return false;
      if (!knowsLane(held.laneGroups[group.name], group, lane)) return false;
    }
  }
  return true;
}

function knowsLane(held: LaneGroup | undefined, group: LaneGroup, lane: Lane): boolean {
  if (held === undefined) return false;
  if (JSON.stringify(held.context) !== JSON.stringify(group.context)) return false;
  const known = held.lanes.find((candidate) => candidate.name === lane.name);
  return (
    known?.tag === lane.tag && JSON.stringify(known.selector) === JSON.stringify(lane.selector)
  );
}

function isMember(endpoint: Endpoint, lane: Lane): boolean {
  const labels = Object.entries(lane.selector);
  return labels.length > 0 && labels.every(([key, value]) => endpoint.labels[key] === value);
}
