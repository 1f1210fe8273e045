//! Where a VirtualService's destination leads: a cluster, perhaps with a subset, or nowhere.

import type { Destination, VirtualService } from "../resources/kinds/virtual-service.ts";
import type { Lane, LaneGroup, RouteMatch, Target } from "../snapshot/snapshot.ts";
import type { SubsetMap } from "./destination-rule.ts";
import type { MessageList } from "./messages.ts";
import { listNames, namespaceOf } from "./resource-index.ts";
import { findHost, isRegistryHost, serviceKeyOf } from "./service.ts";
import type { HostClusters, ServiceMap } from "./service.ts";

/** What the routes of one VirtualService are resolved against. */
export interface TargetScope {
  readonly resource: VirtualService;
  readonly services: ServiceMap;
  readonly subsets: SubsetMap;
  /** Of the calls, for destinations without a port; absent: they need one. */
  readonly callPort?: number;
  /** The namespaces of its gateways; absent: not known, as for what is no VirtualService. */
  readonly callers?: readonly string[];
  /** Those entered at the VirtualService's gateways first, then by name. */
  readonly laneGroups: readonly LaneGroup[];
  /** Filled while routes are compiled: matches that hold only at some places. */
  readonly places: MatchPlaces;
  readonly messages: MessageList;
}

/** Where a match may hold: settled for each route table, so that requests need not ask. */
export interface MatchPlace {
  readonly port: number | undefined;
  /** As the VirtualService writes them. */
  readonly gateways: readonly string[] | undefined;
  readonly sourceLabels: Readonly<Record<string, string>> | undefined;
  readonly sourceNamespace: string | undefined;
}

export type MatchPlaces = Map<RouteMatch, MatchPlace>;

interface Dangling {
  readonly code: string;
  /** Below the destination's path. */
  readonly field: "host" | "port" | "subset";
  readonly message: string;
  readonly remedy: string;
  /** Whether it is missing cannot be told. */
  readonly isUnknown?: boolean;
}

type Resolution =
  | { readonly target: Target; readonly dangling: null }
  | { readonly target: Extract<Target, { kind: "missing" }>; readonly dangling: Dangling };

/** A destination and its fallback, with the messages that they give rise to. */
export function resolveTargets(
  destination: Destination,
  fallback: Destination | undefined,
  path: string,
  scope: TargetScope,
): { target: Target; fallback: Target | null } {
  const main = resolve(destination, scope);
  const spare = fallback === undefined ? null : resolve(fallback, scope);
  const isSpareUsable = spare !== null && spare.dangling === null;
  const fallbackText = isSpareUsable && fallback !== undefined ? describe(fallback) : null;
  if (main.dangling !== null) {
    reportDangling(main.dangling, `${path}.destination`, fallbackText, scope);
  } else {
    reportLane(main.target, `${path}.destination.subset`, fallbackText, scope);
  }
  if (spare !== null && spare.dangling !== null) {
    const { field, message, remedy } = spare.dangling;
    scope.messages.add(scope.resource, {
      severity: "warning",
      code: "GL0213",
      path: `${path}.fallback.target.${field}`,
      message: `the route's fallback does not exist: ${message}`,
      remedy,
    });
  }
  return { target: main.target, fallback: spare?.target ?? null };
}

/** A mirror's destination. One that is not there gets no copies. */
export function resolveMirror(destination: Destination, path: string, scope: TargetScope): Target {
  const { target, dangling } = resolve(destination, scope);
  if (dangling === null) return target;
  scope.messages.add(scope.resource, {
    severity: "warning",
    code: dangling.code,
    path: `${path}.${dangling.field}`,
    message: `${dangling.message}: no copies are sent there`,
    remedy: dangling.remedy,
  });
  return target;
}

function describe({ host, subset }: Destination): string {
  return subset === undefined ? host : `${subset} of ${host}`;
}

function resolve(destination: Destination, scope: TargetScope): Resolution {
  const namespace = namespaceOf(scope.resource);
  const service = findHost(destination.host, namespace, scope.services);
  if (service === undefined) {
    if (isRegistryHost(destination.host)) return missing(unregistered(destination.host, scope));
    const key = serviceKeyOf(destination.host, namespace);
    const wanted = key === null ? "a ServiceEntry for it" : `the Service ${key}`;
    return missing({
      code: "GL0201",
      field: "host",
      message: `no Service is the host ${destination.host}`,
      remedy: `Correct the host, or apply ${wanted}.`,
    });
  }
  if (!isExported(service, scope.callers)) {
    return missing({
      code: "GL0287",
      field: "host",
      message: `${titleOf(service.key)} is not exported to ${listNames(scope.callers ?? [])}`,
      remedy: "Add the namespace of the Gateway to exportTo of the ServiceEntry.",
    });
  }
  const cluster = findCluster(service, portOf(destination, service, scope));
  if (typeof cluster !== "string") return missing(cluster);
  if (destination.subset === undefined) {
    return { target: { kind: "cluster", cluster, subset: null }, dangling: null };
  }
  return resolveSubset(destination.subset, service, cluster, scope);
}

/** As in Istio, a destination without a port means that of the call, where there are several. */
function portOf(
  { port }: Destination,
  { clusters }: HostClusters,
  { callPort }: TargetScope,
): number | undefined {
  return port?.number ?? (clusters.length > 1 ? callPort : undefined);
}

function unregistered(host: string, { services }: TargetScope): Dangling {
  if (!services.areRegistriesAsked) {
    const message = `whether a registry has the service ${host} is known only while it is asked`;
    return { code: "GL0296", field: "host", message, remedy: "", isUnknown: true };
  }
  return {
    code: "GL0201",
    field: "host",
    message: `no registry has the service ${host}`,
    remedy: "Correct <service>.<group>.<namespace>.nacos (`-` for each `_`), or register it.",
  };
}

function findCluster(
  { key, clusters, noClusters }: HostClusters,
  port?: number,
): string | Dangling {
  if (noClusters !== undefined) {
    return {
      code: "GL0265",
      field: "host",
      message: `${titleOf(key)} has ${noClusters}`,
      remedy: "Write resolution: DNS or STATIC in the ServiceEntry.",
    };
  }
  const ports = clusters.map((cluster) => String(cluster.port));
  const found =
    port === undefined && clusters.length === 1
      ? clusters[0]
      : clusters.find((cluster) => cluster.port === port);
  if (found !== undefined) return found.name;
  const has = ports.length === 0 ? "no TCP port" : `the ports ${listNames(ports, 8)}`;
  return {
    code: "GL0202",
    field: "port",
    message:
      port === undefined
        ? `${titleOf(key)} has ${has}, and the destination names none`
        : `${titleOf(key)} has ${has}, not ${port}`,
    remedy: "Write port.number with one of the Service's ports.",
  };
}

/** Where one of the gateways sees it, all have it: they share their routes. */
function isExported({ exportTo }: HostClusters, callers: readonly string[] = []): boolean {
  if (exportTo === undefined || callers.length === 0) return true;
  return callers.some((namespace) => exportTo.includes(namespace));
}

function titleOf(key: string): string {
  return key.includes("/") ? `the Service ${key}` : `the ServiceEntry's host ${key}`;
}

/** A lane's name in a group that has the service as member needs no DestinationRule, and wins. */
function resolveSubset(
  subset: string,
  { key }: HostClusters,
  cluster: string,
  scope: TargetScope,
): Resolution {
  for (const group of scope.laneGroups) {
    const isLane = group.lanes.some(({ name }) => name === subset);
    if (!isLane || !group.services.includes(key)) continue;
    const lane = { kind: "lane" as const, group: group.name, lane: subset };
    return { target: { kind: "cluster", cluster, subset: lane }, dangling: null };
  }
  const labels = scope.subsets.get(key)?.get(subset);
  if (labels !== undefined) {
    return { target: { kind: "cluster", cluster, subset: labels }, dangling: null };
  }
  return missing({
    code: "GL0203",
    field: "subset",
    message: `the subset ${subset} of ${key} is neither a lane nor a DestinationRule's subset`,
    remedy: "Correct the name, apply the lane, or remove the route.",
  });
}

function missing(dangling: Dangling): Resolution {
  return { target: { kind: "missing", message: dangling.message }, dangling };
}

function reportDangling(
  { code, field, message, remedy, isUnknown = false }: Dangling,
  path: string,
  fallback: string | null,
  { resource, messages }: TargetScope,
): void {
  if (isUnknown) {
    messages.add(resource, { severity: "info", code, path: `${path}.${field}`, message });
    return;
  }
  const outcome =
    fallback === null
      ? "requests that take the route answer 503"
      : `the route falls back to ${fallback}`;
  messages.add(resource, {
    severity: fallback === null ? "error" : "warning",
    code,
    path: `${path}.${field}`,
    message: `${message}: ${outcome}`,
    remedy,
  });
}

/** A lane that cannot serve the destination itself: what serves instead. */
function reportLane(
  target: Target,
  path: string,
  fallback: string | null,
  scope: TargetScope,
): void {
  if (target.kind !== "cluster" || target.subset?.kind !== "lane") return;
  const { subset } = target;
  const group = scope.laneGroups.find(({ name }) => name === subset.group);
  const lane = group?.lanes.find(({ name }) => name === subset.lane);
  const service = serviceOfCluster(target.cluster, scope.services);
  if (group === undefined || lane === undefined || canServe(lane, service)) return;
  const instead = fallback ?? `the baseline of lane group ${group.name}`;
  const isServed = mayFallBack(group, lane);
  const outcome = isServed ? `served by ${instead}` : "answered 503 (fallback policy strict)";
  scope.messages.add(scope.resource, {
    severity: isServed ? "info" : "error",
    code: lane.enabled ? "GL0312" : "GL0318",
    path,
    message: `${whyNot(lane, service)}, so its requests are ${outcome}`,
  });
}

function canServe(lane: Lane, service: string): boolean {
  return lane.enabled && (lane.services.length === 0 || lane.services.includes(service));
}

/** A closed lane's requests are the baseline's, so `strict` does not hold them. */
function mayFallBack(group: LaneGroup, lane: Lane): boolean {
  return group.fallback === "permissive" || !lane.enabled;
}

function whyNot(lane: Lane, service: string): string {
  return lane.enabled
    ? `the lane ${lane.name} does not hold the service ${service}`
    : `the lane ${lane.name} is closed`;
}

function serviceOfCluster(cluster: string, services: ServiceMap): string {
  for (const { key, clusters } of [...services.values(), ...services.entryHosts.values()]) {
    if (clusters.some(({ name }) => name === cluster)) return key;
  }
  return "";
}
