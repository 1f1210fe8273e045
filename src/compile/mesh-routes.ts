//! Routes of VirtualServices for calls between pods: one table for each host and port.
//!
//! As in Istio: of several VirtualServices those that name the host go before those with a
//! wildcard, and a destination without a port means that of the call.

import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import { meshTableName } from "../lane/mesh-routes.ts";
import type { CallerMatch, Cluster, Route, RouteMatch, RouteTable } from "../snapshot/snapshot.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import { isWithin, MESH } from "./route-table.ts";
import type { Binding } from "./route-table.ts";
import { findHost } from "./service.ts";
import type { ServiceMap } from "./service.ts";
import type { MatchPlace, MatchPlaces } from "./target.ts";
import { exportedTo } from "./visibility.ts";

export interface MeshScope {
  readonly services: ServiceMap;
  readonly places: MatchPlaces;
  readonly messages: MessageList;
  /** The routes of a binding, for calls at this port. */
  readonly routesFor: (binding: Binding, port: number) => readonly Route[];
}

export function compileMeshTables(
  bindings: readonly Binding[],
  scope: MeshScope,
): Record<string, RouteTable> {
  const owners = ownersByCluster(
    bindings.filter(({ isMesh }) => isMesh === true),
    scope,
  );
  const tables: Record<string, RouteTable> = {};
  for (const [cluster, { bindings: own }] of owners) {
    const name = meshTableName(cluster.name);
    const routes = own.flatMap((binding) =>
      scope.routesFor(binding, cluster.port).flatMap((route) => {
        return routeInMesh(route, scope.places, { owner: binding.resource, port: cluster.port });
      }),
    );
    tables[name] = { name, virtualHosts: [{ domains: ["*"], routes }] };
    reportShared(cluster, own, scope.messages);
  }
  return tables;
}

/** Of one cluster: the VirtualServices that name its host by the longest name. */
interface Owners {
  readonly host: string;
  readonly bindings: Binding[];
}

function ownersByCluster(
  bindings: readonly Binding[],
  { services, messages }: MeshScope,
): Map<Cluster, Owners> {
  const owners = new Map<Cluster, Owners>();
  for (const binding of bindings) {
    const { resource } = binding;
    resource.spec.hosts.forEach((text, index) => {
      const host = text.toLowerCase();
      const clusters = clustersOf(host, namespaceOf(resource), services);
      if (clusters.length === 0) reportNobody(resource, index, messages);
      for (const cluster of clusters) {
        const own = host.startsWith("*") ? host : cluster.host;
        const known = owners.get(cluster);
        if (known === undefined || isNarrower(own, known.host)) {
          owners.set(cluster, { host: own, bindings: [binding] });
        } else if (own === known.host && !known.bindings.includes(binding)) {
          known.bindings.push(binding);
        }
      }
    });
  }
  return owners;
}

/** Both are names of one cluster. */
function isNarrower(host: string, other: string): boolean {
  return other.startsWith("*") && (!host.startsWith("*") || host.length > other.length);
}

function clustersOf(host: string, namespace: string, services: ServiceMap): readonly Cluster[] {
  if (host === "*") return [];
  if (!host.startsWith("*")) return findHost(host, namespace, services)?.clusters ?? [];
  const all = [...services.values(), ...services.entryHosts.values()];
  return all.flatMap(({ clusters }) => clusters.filter((one) => isWithin(one.host, host)));
}

interface Here {
  readonly owner: VirtualService;
  readonly port: number;
}

/** The route with those of its matches that can hold for such calls; none when no match can. */
function routeInMesh(route: Route, places: MatchPlaces, here: Here): Route[] {
  const namespaces = exportedTo(here.owner);
  const all: readonly RouteMatch[] = route.matches.length === 0 ? [{}] : route.matches;
  const matches = all.flatMap((match) => matchInMesh(match, places.get(match), namespaces, here));
  if (matches.length === 0) return [];
  return matches.some((match) => Object.keys(match).length === 0)
    ? [{ ...route, matches: [] }]
    : [{ ...route, matches }];
}

function matchInMesh(
  match: RouteMatch,
  place: MatchPlace | undefined,
  namespaces: readonly string[] | null,
  { port }: Here,
): RouteMatch[] {
  if (place?.port !== undefined && place.port !== port) return [];
  if (place?.gateways?.includes(MESH) === false) return [];
  const caller = callerOf(place, namespaces);
  if (caller === null) return [];
  return [Object.keys(caller).length === 0 ? match : { ...match, caller }];
}

/** Null: nobody. As in Istio, gateways stand in the place of what a match says of the source. */
function callerOf(
  place: MatchPlace | undefined,
  exported: readonly string[] | null,
): CallerMatch | null {
  const isAny = place === undefined || place.gateways !== undefined;
  const { sourceNamespace: own, sourceLabels } = isAny ? NO_SOURCE : place;
  if (own !== undefined && exported?.includes(own) === false) return null;
  const namespaces = own === undefined ? exported : [own];
  return {
    ...(namespaces === null ? {} : { namespaces }),
    ...(sourceLabels === undefined ? {} : { labels: sourceLabels }),
  };
}

const NO_SOURCE: Partial<MatchPlace> = {};

function reportNobody(resource: VirtualService, index: number, messages: MessageList): void {
  const host = resource.spec.hosts[index] ?? "";
  const what = host === "*" ? "every host at once" : `${host}, which is no Service or ServiceEntry`;
  messages.add(resource, {
    severity: "warning",
    code: "GL0207",
    path: `spec.hosts[${index}]`,
    message: `routes for the mesh cannot be for ${what}: calls between pods do not follow them`,
    remedy: "Name a Service or the host of a ServiceEntry, or a Gateway under spec.gateways.",
  });
}

function reportShared(
  { host }: Cluster,
  bindings: readonly Binding[],
  messages: MessageList,
): void {
  const [first, ...others] = bindings.map(({ resource }) => resource);
  if (first === undefined) return;
  for (const owner of others) {
    messages.add(owner, {
      severity: "warning",
      code: "GL0206",
      path: "spec.hosts",
      message:
        `the VirtualService ${keyOf(first)} has routes for calls between pods to ${host} too; ` +
        "its routes are tried first",
      remedy: "Put the routes of one host into one VirtualService, so that their order is plain.",
    });
  }
}
