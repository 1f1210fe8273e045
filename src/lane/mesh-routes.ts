//! Routes for calls between pods: by the called cluster, and by who calls.

import type { CallerMatch, Route, RouteMatch, RouteTable } from "../snapshot/snapshot.ts";

const PREFIX = "mesh:";

/** Who calls: a pod. */
export interface MeshCaller {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** In a snapshot's `routeTables`. */
export function meshTableName(cluster: string): string {
  return PREFIX + cluster;
}

export function isMeshTable(name: string): boolean {
  return name.startsWith(PREFIX);
}

export function clusterOfMeshTable(name: string): string {
  return name.slice(PREFIX.length);
}

/** Whether all callers have the same routes. */
export function isForAll({ virtualHosts }: RouteTable): boolean {
  return virtualHosts.every(({ routes }) =>
    routes.every(({ matches }) => matches.every(({ caller }) => caller === undefined)),
  );
}

/** The routes of the table with those of their matches that this caller can meet. */
export function routesForCaller(table: RouteTable, caller: MeshCaller): Route[] {
  const routes = table.virtualHosts.flatMap((host) => host.routes);
  return routes.flatMap((route) => {
    if (route.matches.length === 0) return [route];
    const kept = route.matches.filter((match) => isCaller(match.caller, caller));
    if (kept.length === 0) return [];
    return [{ ...route, matches: kept.map(withoutCaller) }];
  });
}

function withoutCaller(match: RouteMatch): RouteMatch {
  const rest: { -readonly [Key in keyof RouteMatch]: RouteMatch[Key] } = { ...match };
  delete rest.caller;
  return rest;
}

function isCaller(wanted: CallerMatch | undefined, { namespace, labels }: MeshCaller): boolean {
  if (wanted === undefined) return true;
  if (wanted.namespaces?.includes(namespace) === false) return false;
  return Object.entries(wanted.labels ?? {}).every(([key, value]) => labels[key] === value);
}
