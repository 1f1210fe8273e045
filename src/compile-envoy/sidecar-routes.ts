//! The routes of an app's calls: one virtual host for each service, by the names that the pod may
//! call it by (`lane/host-index.ts`), and one for all that is not in the mesh.

import type { JsonObject } from "../base/json.ts";
import { isSeenBy } from "../lane/host-index.ts";
import { meshTableName, routesForCaller } from "../lane/mesh-routes.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Cluster, ObjectRef, Route, Snapshot, Workload } from "../snapshot/snapshot.ts";
import type { EnvoyResource, ResourcePart } from "./envoy-config.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { compileRoutes } from "./lane-routes.ts";
import { headerFields } from "./route-action.ts";
import type { ActionContext } from "./route-action.ts";
import { leavingMark, ownContextHeaders } from "./lane-context.ts";
import { contextHeaders } from "./sidecar-groups.ts";
import { OUTSIDE_CLUSTER } from "./sidecar-outside.ts";
import { tunnelRoutes } from "./sidecar-tunnel.ts";

export const OUTBOUND_ROUTES = "outbound";
const HTTP_PORT = 80;
const NO_ROUTE = 404;

interface Given {
  readonly context: ActionContext;
  /** The pod. */
  readonly source: ObjectRef;
}

export function compileOutbound(
  workload: Workload,
  groups: readonly EnteredGroup[],
  { context, source }: Given,
): EnvoyResource {
  const { snapshot } = context;
  const parts: ResourcePart[] = [];
  const virtualHosts: JsonObject[] = [];
  for (const [cluster, domains] of domainsByCluster(snapshot, workload.namespace)) {
    const compiled = routesTo(cluster, workload, groups, context);
    for (const { json, sources } of compiled) {
      for (const one of sources) parts.push({ source: one, json });
    }
    const routes = [...tunnelRoutes(cluster), ...compiled.map(({ json }) => json)];
    virtualHosts.push({ name: cluster.name, domains, routes });
  }
  const rest = [ownPort(workload), outside(context)];
  for (const json of rest) parts.push({ source, json });
  const json: JsonObject = {
    name: OUTBOUND_ROUTES,
    virtual_hosts: [...virtualHosts, ...rest],
    validate_clusters: false,
  };
  return { name: OUTBOUND_ROUTES, json, parts, needs: [] };
}

/** In the order of the clusters; with ports, where they are not HTTP's own. */
function domainsByCluster(snapshot: Snapshot, namespace: string): Map<Cluster, string[]> {
  const owners = new Map<string, Cluster>();
  for (const cluster of Object.values(snapshot.clusters)) {
    if (!isSeenBy(cluster, namespace)) continue;
    for (const name of namesOf(cluster, namespace)) owners.set(name, cluster);
    for (const name of addressesOf(cluster, snapshot)) {
      if (!owners.has(name)) owners.set(name, cluster);
    }
  }
  const domains = new Map<Cluster, string[]>();
  for (const [name, cluster] of owners) {
    domains.set(cluster, [...(domains.get(cluster) ?? []), name]);
  }
  return domains;
}

function namesOf({ host, aliases, namespace: own, port }: Cluster, namespace: string): string[] {
  return [host, ...aliases]
    .filter((name) => !name.includes("*") && (name.includes(".") || own === namespace))
    .flatMap((name) => spellings(name, port));
}

/** A call that is dialled to a pod's address is one to its service. */
function addressesOf({ name }: Cluster, { endpoints, workloads }: Snapshot): string[] {
  const all = endpoints[name]?.endpoints ?? [];
  const dialled = all.filter(({ address }) => !address.includes(":"));
  return dialled.flatMap(({ address, port, pod }) => {
    const inbound = workloads[pod]?.inbound.find((one) => one.port === port);
    return spellings(address, inbound?.dialledPort ?? port);
  });
}

/** A full name may end with a dot. */
function spellings(name: string, port: number): string[] {
  const names = /[a-z]/.test(name) && name.includes(".") ? [name, `${name}.`] : [name];
  return names.flatMap((one) =>
    port === HTTP_PORT ? [`${one}:${port}`, one] : [`${one}:${port}`],
  );
}

function routesTo(
  cluster: Cluster,
  workload: Workload,
  groups: readonly EnteredGroup[],
  context: ActionContext,
): ReturnType<typeof compileRoutes> {
  const table = context.snapshot.routeTables[meshTableName(cluster.name)];
  const routes = table === undefined ? [routeTo(cluster)] : routesForCaller(table, workload);
  if (cluster.isOutside === true) {
    const removedHeaders = contextHeaders(context);
    return compileRoutes(routes, [], { ...context, removedHeaders, removesContext: true });
  }
  const asked = groups.filter(
    ({ group, fixed }) => fixed !== undefined || group.services.includes(cluster.service),
  );
  const removedHeaders = [
    ...asked.flatMap((one) => (one.isRemoved ? [one.routeHeader] : [])),
    ...ownContextHeaders(context.baggage),
  ];
  return compileRoutes(routes, asked, { ...context, removedHeaders });
}

function routeTo({ name, service, source }: Cluster): Route {
  const [namespace = "", serviceName = ""] = service.split("/");
  const none = NO_HEADER_OPERATIONS;
  const target = { kind: "cluster", cluster: name, subset: null } as const;
  const destination = { weight: 1, target, fallback: null };
  return {
    id: name,
    label: "",
    source: source ?? { kind: "Service", namespace, name: serviceName },
    matches: [],
    action: {
      kind: "forward",
      destinations: [{ ...destination, requestHeaders: none, responseHeaders: none }],
    },
    requestHeaders: none,
    responseHeaders: none,
    timeoutMs: 0,
  };
}

/** Lane context stays inside the mesh: it is no business of other people's hosts. */
function outside(context: ActionContext): JsonObject {
  const remove = contextHeaders(context);
  const set = leavingMark(context.baggage);
  const route = {
    match: { prefix: "/" },
    route: { cluster: OUTSIDE_CLUSTER, timeout: "0s" },
    ...headerFields("request", { remove, set, add: [] }),
  };
  return { name: OUTSIDE_CLUSTER, domains: ["*"], routes: [route] };
}

/** Else such a call would go round for ever. */
function ownPort({ outbound: { address, port } }: Workload): JsonObject {
  const text = `the call goes to the sidecar's own outbound port ${port}: name the service\n`;
  const response = { status: NO_ROUTE, body: { inline_string: text } };
  const names = [...new Set(["localhost", "127.0.0.1", address])];
  return {
    name: "own-port",
    domains: names.map((name) => `${name}:${port}`),
    routes: [{ match: { prefix: "/" }, direct_response: response }],
  };
}
