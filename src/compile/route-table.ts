//! Binds VirtualServices to gateways and hosts: one route table for each gateway and port.
//!
//! Several VirtualServices for one host are put one after another in the order of namespace and
//! name, so that the result does not depend on when each was applied.

import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import type { Resource } from "../resources/object.ts";
import type { Gateway, Route, RouteTable, VirtualHost } from "../snapshot/snapshot.ts";
import { Delegates, isDelegate, ownRoutes } from "./delegate.ts";
import type { PlacedRoute } from "./delegate.ts";
import { admittedHosts, routeTableName } from "./gateway.ts";
import type { AdmittedHost, Gateways, LogicalGateway } from "./gateway.ts";
import { compareTexts } from "./messages.ts";
import type { MessageList } from "./messages.ts";
import { hasLabels, keyOf, namespaceOf, namespaceOfKey } from "./resource-index.ts";
import { isVisible } from "./visibility.ts";
import type { MatchPlace, MatchPlaces, TargetScope } from "./target.ts";

/** The word for the sidecars in a VirtualService's `gateways`. */
export const MESH = "mesh";

/** A VirtualService with the Gateway resources that it is bound to. */
export interface Binding {
  readonly resource: VirtualService;
  /** `namespace/name` of Gateway resources that exist. */
  readonly gateways: readonly string[];
  /** Bound to the sidecars, too. */
  readonly isMesh?: boolean;
  /** With those of delegates; absent: the resource's own. */
  readonly routes?: readonly PlacedRoute[];
  /**
   * Makes the routes in the place of `spec.http`, for objects that are bound as a VirtualService
   * is. Then `resource` has the kind and the name of that object.
   */
  readonly makeRoutes?: (scope: TargetScope) => Route[];
}

/** Where an object says its hosts and routes. */
export function routesPath({ kind }: Resource, field: "hosts" | "http"): string {
  if (kind === "ASMSwimLane") return "spec.ingressRules";
  return kind === "ASMSwimLaneGroup" ? "spec.ingress.ingressRouting" : `spec.${field}`;
}

/** One virtual host and whose routes it has, in order. */
export interface BoundHost {
  readonly gateway: LogicalGateway;
  readonly port: number;
  readonly domain: string;
  readonly owners: readonly VirtualService[];
}

export function bindVirtualServices(
  resources: readonly VirtualService[],
  gateways: Gateways,
  messages: MessageList,
): Binding[] {
  const delegates = new Delegates(resources, messages);
  const roots = resources.filter((resource) => !isDelegate(resource));
  const bindings = roots.map((resource) => {
    const found: string[] = [];
    const names = resource.spec.gateways ?? [MESH];
    names.forEach((name, index) => {
      const path = resource.spec.gateways === undefined ? "spec" : `spec.gateways[${index}]`;
      if (name === MESH) return;
      const key = name.includes("/") ? name : `${namespaceOf(resource)}/${name}`;
      if (!gateways.byResource.has(key)) reportMissing(resource, key, path, messages);
      else if (isVisible(resource, namespaceOfKey(key))) found.push(key);
      else reportNotExported(resource, key, messages);
    });
    const isMesh = names.includes(MESH);
    return { resource, gateways: found, isMesh, routes: delegates.routesOf(resource) };
  });
  delegates.reportUnused();
  return bindings;
}

/** The logical gateways of a binding, without repeats. */
export function logicalNames({ gateways: keys }: Binding, gateways: Gateways): string[] {
  const names = keys.map((key) => gateways.byResource.get(key)?.name);
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** Whether a route at one of the logical gateways matches on the header. */
export function matchesHeader(
  bindings: readonly Binding[],
  gateways: Gateways,
  at: readonly string[],
  header: string,
): boolean {
  return bindings.some((binding) => {
    if (!logicalNames(binding, gateways).some((name) => at.includes(name))) return false;
    const routes = binding.routes ?? ownRoutes(binding.resource);
    const matches = routes.flatMap(({ entry }) => entry.match ?? []);
    return matches.some(({ headers = {}, withoutHeaders = {} }) =>
      [...Object.keys(headers), ...Object.keys(withoutHeaders)].some(
        (name) => name.toLowerCase() === header,
      ),
    );
  });
}

/** Every virtual host of every gateway, in the order of gateway, port and domain. */
export function bindHosts(
  bindings: readonly Binding[],
  gateways: Gateways,
  messages: MessageList,
): BoundHost[] {
  const bound = new Map<string, BoundHost & { readonly owners: VirtualService[] }>();
  for (const binding of bindings) {
    for (const key of binding.gateways) {
      const gateway = gateways.byResource.get(key);
      const resource = gateway?.resources.find((member) => keyOf(member) === key);
      if (gateway === undefined || resource === undefined) continue;
      const domains = admit(binding.resource, admittedHosts(resource));
      if (domains.length === 0) reportNotAdmitted(binding.resource, key, messages);
      for (const { port, domain } of domains) {
        const place = `${routeTableName(gateway.name, port)} ${domain}`;
        const host = bound.get(place) ?? { gateway, port, domain, owners: [] };
        bound.set(place, host);
        if (!host.owners.includes(binding.resource)) host.owners.push(binding.resource);
      }
    }
  }
  const hosts = [...bound].sort(([a], [b]) => compareTexts(a, b)).map(([, host]) => host);
  reportShared(hosts, messages);
  return hosts;
}

/** The domains under which a VirtualService's routes appear: the narrower of both patterns. */
function admit(
  resource: VirtualService,
  admitted: readonly AdmittedHost[],
): { port: number; domain: string }[] {
  const found = new Map<string, { port: number; domain: string }>();
  for (const { port, host, namespace } of admitted) {
    if (namespace !== null && namespace !== namespaceOf(resource)) continue;
    for (const wanted of resource.spec.hosts) {
      const domain = narrower(wanted.toLowerCase(), host);
      if (domain !== null) found.set(`${port} ${domain}`, { port, domain });
    }
  }
  return [...found.values()];
}

export function narrower(a: string, b: string): string | null {
  if (isWithin(a, b)) return a;
  return isWithin(b, a) ? b : null;
}

export function isWithin(host: string, pattern: string): boolean {
  if (pattern === "*" || pattern === host) return true;
  return pattern.startsWith("*.") && host.endsWith(pattern.slice(1));
}

/** A table for every listener, also for one that no VirtualService is bound to. */
export function compileRouteTables(
  gateways: readonly Gateway[],
  hosts: readonly BoundHost[],
  compiled: CompiledRoutes,
): Record<string, RouteTable> {
  const tables: Record<string, RouteTable> = {};
  for (const { name, listeners } of gateways) {
    for (const { port, routeTable } of listeners) {
      const here = hosts.filter((host) => host.gateway.name === name && host.port === port);
      tables[routeTable] = { name: routeTable, virtualHosts: virtualHosts(here, compiled) };
    }
  }
  return tables;
}

/** The routes of all VirtualServices, and which of their matches hold only at some places. */
export interface CompiledRoutes {
  readonly routesOf: ReadonlyMap<VirtualService, readonly Route[]>;
  readonly places: MatchPlaces;
}

/** Hosts with the same owners share one virtual host. */
function virtualHosts(
  hosts: readonly BoundHost[],
  { routesOf, places }: CompiledRoutes,
): VirtualHost[] {
  const byOwners = new Map<string, VirtualHost & { readonly domains: string[] }>();
  const numbers = new Map<VirtualService, number>();
  for (const { domain, owners, gateway, port } of hosts) {
    const key = owners.map((owner) => numberOf(owner, numbers)).join(" ");
    const same = byOwners.get(key);
    if (same !== undefined) {
      same.domains.push(domain);
      continue;
    }
    const routes = owners.flatMap((owner) =>
      (routesOf.get(owner) ?? []).flatMap((route) =>
        routeAt(route, places, { gateway, port, owner }),
      ),
    );
    byOwners.set(key, { domains: [domain], routes });
  }
  return [...byOwners.values()];
}

/** Several owners may be of one object, so its name would not tell them apart. */
function numberOf(owner: VirtualService, numbers: Map<VirtualService, number>): number {
  const number = numbers.get(owner) ?? numbers.size;
  numbers.set(owner, number);
  return number;
}

interface Here {
  readonly gateway: LogicalGateway;
  readonly port: number;
  readonly owner: VirtualService;
}

/** The route with those of its matches that can hold here; none when no match can. */
function routeAt(route: Route, places: MatchPlaces, here: Here): Route[] {
  if (!route.matches.some((match) => places.has(match))) return [route];
  const matches = route.matches.filter((match) => {
    const place = places.get(match);
    return place === undefined || isHere(place, here);
  });
  return matches.length === 0 ? [] : [{ ...route, matches }];
}

/** As in Istio, gateways that a match names stand in the place of what it says of the source. */
function isHere(place: MatchPlace, { gateway, port, owner }: Here): boolean {
  if (place.port !== undefined && place.port !== port) return false;
  if (place.gateways !== undefined) {
    const names = gateway.resources.map(keyOf);
    return place.gateways.some((name) =>
      names.includes(name.includes("/") ? name : `${namespaceOf(owner)}/${name}`),
    );
  }
  const { sourceNamespace, sourceLabels = {} } = place;
  if (!hasLabels(gateway.labels, sourceLabels)) return false;
  if (sourceNamespace === undefined) return true;
  return gateway.resources.some((resource) => namespaceOf(resource) === sourceNamespace);
}

function reportMissing(
  resource: VirtualService,
  key: string,
  path: string,
  messages: MessageList,
): void {
  messages.add(resource, {
    severity: "error",
    code: "GL0204",
    path,
    message: `there is no Gateway ${key}, so the routes do not serve there`,
    remedy: "Correct the name and namespace, or apply the Gateway.",
  });
}

function reportNotExported(resource: VirtualService, key: string, messages: MessageList): void {
  messages.add(resource, {
    severity: "warning",
    code: "GL0286",
    path: "spec.exportTo",
    message: `not exported to the namespace of the Gateway ${key}, so no route serves there`,
    remedy: `Export it to ${namespaceOfKey(key)} as well, or to '*'.`,
  });
}

function reportNotAdmitted(resource: VirtualService, key: string, messages: MessageList): void {
  messages.add(resource, {
    severity: "warning",
    code: "GL0208",
    path: routesPath(resource, "hosts"),
    message: `the Gateway ${key} admits none of the hosts, so the routes do not serve there`,
    remedy: "Name a host that one of the Gateway's HTTP servers lists, or extend the Gateway.",
  });
}

function reportShared(hosts: readonly BoundHost[], messages: MessageList): void {
  const reported = new Set<string>();
  for (const { domain, gateway, owners: all } of hosts) {
    const owners = all.filter(({ kind }) => kind === "VirtualService");
    owners.forEach((owner, index) => {
      const first = owners[0];
      const key = `${gateway.name} ${domain} ${keyOf(owner)}`;
      if (first === undefined || index === 0 || reported.has(key)) return;
      reported.add(key);
      messages.add(owner, {
        severity: "warning",
        code: "GL0206",
        path: "spec.hosts",
        message:
          `the VirtualService ${keyOf(first)} has routes for the host ${domain} of the gateway ` +
          `${gateway.name} too; its routes are tried first`,
        remedy: "Put the routes of one host into one VirtualService, so that their order is plain.",
      });
    });
  }
}
