//! Snapshot -> what one Envoy is to run. Pure: equal snapshots give equal resources.

import type { Place } from "../lane/locality.ts";
import type { Cluster, Gateway, Listener, ObjectRef, Snapshot } from "../snapshot/snapshot.ts";
import { compileAssignment, compileCluster } from "./cluster.ts";
import { byType } from "./envoy-config.ts";
import type {
  EnvoyConfig,
  EnvoyResource,
  EnvoyResources,
  EnvoyView,
  GatewayView,
  ResourceType,
  SidecarView,
} from "./envoy-config.ts";
import { FilterProgram } from "./filter-program.ts";
import { enteredGroups, removedByRoutes } from "./lane-entry.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { baggageGroups, ownContextHeaders, refusedBaggage } from "./lane-context.ts";
import { compileListener } from "./listener.ts";
import { confined } from "./listener-tls.ts";
import { withModules } from "./modules-listener.ts";
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
  const context: ActionContext = {
    ...{ snapshot, keys, refusals, used, view, removedHeaders: [] },
    baggage: baggageGroups(snapshot, view),
  };
  const made = view.role === "gateway" ? gateways(view, context) : sidecar(view, context);
  const clusters = clustersOf(snapshot, used);
  const at = { keys, place: placeOf(view, snapshot) };
  const compiled = clusters.map((cluster) => compileCluster(cluster, keys, view));
  const secrets = compiled.flatMap((one) => one.secrets);
  return {
    listeners: byName(withModules(made.listeners, made.extensions)),
    routes: byName(made.routes),
    clusters: byName([...compiled.map(({ resource }) => resource), ...made.clusters]),
    secrets: byName([...secrets, ...made.secrets]),
    extensions: byName(made.extensions),
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
type Made = Readonly<Record<Exclude<ResourceType, "endpoints">, EnvoyResource[]>>;

/** Nothing for a pod that is not there (yet). */
function sidecar({ pod, laneMemory }: SidecarView, context: ActionContext): Made {
  const workload = context.snapshot.workloads[pod];
  if (workload?.sidecar !== "envoy") return nothing();
  return { ...compileSidecar(workload, context, laneMemory ?? null), secrets: [] };
}

function nothing(): Made {
  return byType((): EnvoyResource[] => []);
}

function gateways(view: GatewayView, context: ActionContext): Made {
  const { snapshot, refusals } = context;
  const made = nothing();
  for (const { gateway, groups, filter, listener } of listenersOf(snapshot, view, refusals)) {
    const source = sourceOf(gateway, listener);
    const compiled = compileListener(gateway, listener, {
      ...{ snapshot, view, source, groups, filter, baggage: context.baggage },
    });
    made.listeners.push(compiled.listener);
    made.secrets.push(...compiled.secrets);
    made.extensions.push(...compiled.extensions);
    const name = listener.routeTable;
    const table = snapshot.routeTables[name] ?? { name, virtualHosts: [] };
    const removed = removedByRoutes(gateway, snapshot);
    const own = ownContextHeaders(context.baggage);
    const given = { ...context, removedHeaders: [...new Set([...removed, ...own])] };
    const { httpsRedirectHosts: redirected } = listener;
    for (const { name: routes, server } of compiled.routeTables) {
      const { table: own, ...security } =
        server === null ? { table } : { table: confined(table, server, routes), isConfined: true };
      const more = { ...security, ...(redirected === undefined ? {} : { redirected }) };
      made.routes.push(compileRouteTable(own, groups, given, more));
    }
  }
  return made;
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
  readonly filter: FilterProgram | null;
  readonly listener: Listener;
}

function listenersOf(snapshot: Snapshot, view: GatewayView, refusals: Refusals): OpenedListener[] {
  const taken = new Set<number>();
  return gatewaysOf(snapshot, view).flatMap((gateway) => {
    const hasBuckets = view.laneBucket !== undefined;
    const filter = view.laneFilter === undefined ? null : new FilterProgram();
    const groups = enteredGroups(gateway, snapshot, {
      ...{ refusals, hasBuckets, filter, hasContexts: view.laneContext !== undefined },
      refusedHere: (group) => refusedBaggage(group, gateway, snapshot),
    });
    return gateway.listeners.flatMap((listener) => {
      const refused = refusedListener(gateway, listener, { taken, view });
      taken.add(listener.port);
      if (refused === null) return [{ gateway, groups, filter, listener }];
      refusals.add(sourceOf(gateway, listener), refused);
      return [];
    });
  });
}

/** What completes "Envoy cannot …"; null for a listener that it can have. */
function refusedListener(
  { edge }: Gateway,
  { port, tls }: Listener,
  { taken, view }: { readonly taken: ReadonlySet<number>; readonly view: GatewayView },
): string | null {
  if (taken.has(port)) {
    return `listen on port ${port} for two gateways: give each gateway Envoys of its own`;
  }
  if (tls?.length === 0) return `end TLS on port ${port}: no certificate can be used`;
  if (tls !== undefined && view.hasKeys !== true) {
    return `end TLS on port ${port}: it is given no private keys without the xDS token`;
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
