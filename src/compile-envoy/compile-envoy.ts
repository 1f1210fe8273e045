//! Snapshot -> what one Envoy is to run. Pure: equal snapshots give equal resources.

import type { Place } from "../lane/locality.ts";
import type { Cluster, Gateway, Listener, ObjectRef, Snapshot } from "../snapshot/snapshot.ts";
import { compileAssignment, compileCluster } from "./cluster.ts";
import type {
  EnvoyConfig,
  EnvoyResource,
  EnvoyResources,
  EnvoyView,
  GatewayView,
  SidecarView,
} from "./envoy-config.ts";
import { enteredGroups } from "./lane-entry.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { compileListener } from "./listener.ts";
import { Refusals } from "./refusals.ts";
import type { ActionContext } from "./route-action.ts";
import { compileRouteTable } from "./route-table.ts";
import { compileSidecar } from "./sidecar.ts";
import { SubsetKeys } from "./subset-keys.ts";

/**
 * `alsoUsed`: snapshots whose routes this Envoy may still be running; what tells endpoints apart is
 * kept for them.
 */
export function compileForEnvoy(
  snapshot: Snapshot,
  view: EnvoyView,
  alsoUsed: readonly Snapshot[] = [],
): EnvoyConfig {
  const refusals = new Refusals();
  const keys = new SubsetKeys(snapshot, alsoUsed);
  const used = new Set<string>();
  const context: ActionContext = { snapshot, keys, refusals, used, removedHeaders: [] };
  const made = view.role === "gateway" ? gateways(view, context) : sidecar(view, context);
  const clusters = clustersOf(snapshot, used);
  const at = { keys, place: placeOf(view, snapshot) };
  const compiled = clusters.map((cluster) => compileCluster(cluster, keys));
  return {
    listeners: byName(made.listeners),
    routes: byName(made.routes),
    clusters: byName([...compiled, ...made.clusters]),
    endpoints: byName(clusters.map((cluster) => compileAssignment(cluster, snapshot, at))),
    refusals: refusals.list(),
  };
}

/** Null: not known. */
function placeOf(view: EnvoyView, snapshot: Snapshot): Place | null {
  if (view.role === "sidecar") {
    const { locality = "", labels = {} } = snapshot.workloads[view.pod] ?? {};
    return locality === "" ? null : { locality, labels };
  }
  const localities = gatewaysOf(snapshot, view).map(({ edge }) => edge?.locality ?? "");
  const locality = localities.find((one) => one !== "");
  return locality === undefined ? null : { locality, labels: view.labels };
}

/** `clusters`: those that stand for no service. */
type Made = Readonly<Record<"listeners" | "routes" | "clusters", EnvoyResource[]>>;

/** Nothing for a pod that is not there (yet). */
function sidecar({ pod, laneMemory }: SidecarView, context: ActionContext): Made {
  const workload = context.snapshot.workloads[pod];
  if (workload?.sidecar !== "envoy") return { listeners: [], routes: [], clusters: [] };
  return compileSidecar(workload, context, laneMemory ?? null);
}

function gateways(view: GatewayView, context: ActionContext): Made {
  const { snapshot, refusals } = context;
  const listeners: EnvoyResource[] = [];
  const routes: EnvoyResource[] = [];
  for (const { gateway, groups, listener } of listenersOf(snapshot, view, refusals)) {
    const source = sourceOf(gateway, listener);
    listeners.push(compileListener(gateway, listener, { snapshot, view, source }));
    const name = listener.routeTable;
    const table = snapshot.routeTables[name] ?? { name, virtualHosts: [] };
    const removed = groups.flatMap(({ isRemoved, routeHeader }) =>
      isRemoved ? [routeHeader] : [],
    );
    const removedHeaders = [...new Set(removed)];
    routes.push(compileRouteTable(table, groups, { ...context, removedHeaders }));
  }
  return { listeners, routes, clusters: [] };
}

/** The gateways that a node with such labels is. */
export function gatewaysOf(snapshot: Snapshot, view: GatewayView): Gateway[] {
  return Object.values(snapshot.gateways).filter(({ labels }) =>
    Object.entries(labels).every(([key, value]) => view.labels[key] === value),
  );
}

interface OpenedListener {
  readonly gateway: Gateway;
  readonly groups: readonly EnteredGroup[];
  readonly listener: Listener;
}

function listenersOf(snapshot: Snapshot, view: GatewayView, refusals: Refusals): OpenedListener[] {
  const taken = new Set<number>();
  return gatewaysOf(snapshot, view).flatMap((gateway) => {
    const groups = enteredGroups(gateway, snapshot, refusals);
    return gateway.listeners.flatMap((listener) => {
      const refused = refusedListener(gateway, listener, taken);
      taken.add(listener.port);
      if (refused === null) return [{ gateway, groups, listener }];
      refusals.add(sourceOf(gateway, listener), refused);
      return [];
    });
  });
}

/** What completes "Envoy cannot …"; null for a listener that it can have. */
function refusedListener(
  { edge }: Gateway,
  { port, tls, httpsRedirectHosts }: Listener,
  taken: ReadonlySet<number>,
): string | null {
  if (taken.has(port)) {
    return `listen on port ${port} for two gateways: give each gateway Envoys of its own`;
  }
  if (tls !== undefined) return `end TLS on port ${port} by this control plane`;
  if (httpsRedirectHosts !== undefined) {
    return `redirect port ${port} to https by this control plane`;
  }
  if (edge?.refuseAbsoluteForm === true) return "refuse requests in absolute-form";
  if (edge?.proxyProtocol !== undefined) return "read the PROXY protocol by this control plane";
  if (edge?.addForwardedHostPort === true) return "add X-Forwarded-Host and X-Forwarded-Port";
  return null;
}

function sourceOf({ name }: Gateway, { source }: Listener): ObjectRef {
  return source ?? { kind: "Gateway", namespace: "", name };
}

function clustersOf({ clusters }: Snapshot, used: ReadonlySet<string>): Cluster[] {
  return [...used].sort().flatMap((name) => clusters[name] ?? []);
}

function byName(resources: readonly EnvoyResource[]): EnvoyResources {
  return Object.fromEntries(resources.map((resource) => [resource.name, resource]));
}
