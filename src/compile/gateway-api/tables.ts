//! The virtual hosts of a Gateway: for each host the matches of all rules in the specification's
//! order.
//!
//! A request is of the listener whose hostname is nearest to its own. There rules of a route with
//! a nearer hostname come first; then those with the nearer path, a method, more headers, more
//! query parameters; then those of the older route.

import type { Route, VirtualHost } from "../../snapshot/snapshot.ts";
import { compareTexts } from "../messages.ts";
import { isWithin } from "../route-table.ts";
import { compareAge } from "./attach.ts";
import type { ApiRoute, Attachment, RouteModel } from "./attach.ts";
import type { ApiGatewayModel, ApiListenerModel } from "./listeners.ts";
import type { CompiledRoute, RankedRoute } from "./rules.ts";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

export type CompiledRoutes = ReadonlyMap<ApiRoute, CompiledRoute>;

/** By port. */
export function virtualHostsOf(
  gateway: ApiGatewayModel,
  models: readonly RouteModel[],
  compiled: CompiledRoutes,
): Map<number, VirtualHost[]> {
  const attached = attachedTo(gateway, models);
  const byPort = new Map<number, ApiListenerModel[]>();
  for (const model of gateway.listeners.filter(({ isServed }) => isServed)) {
    const { port } = model.listener;
    byPort.set(port, [...(byPort.get(port) ?? []), model]);
  }
  return new Map(
    [...byPort].map(([port, listeners]) => [port, hostsOfPort(listeners, attached, compiled)]),
  );
}

/** By listener: its routes, each once, with all its hosts there. */
function attachedTo(
  gateway: ApiGatewayModel,
  models: readonly RouteModel[],
): Map<ApiListenerModel, Attachment[]> {
  const found = new Map<ApiListenerModel, Attachment[]>();
  for (const { parents } of models) {
    const all = parents.flatMap(({ attached }) => attached);
    for (const attachment of all.filter((one) => one.gateway === gateway)) {
      const list = found.get(attachment.listener) ?? [];
      if (!list.some(({ route }) => route === attachment.route)) list.push(attachment);
      found.set(attachment.listener, list);
    }
  }
  return found;
}

function hostsOfPort(
  listeners: readonly ApiListenerModel[],
  attached: ReadonlyMap<ApiListenerModel, readonly Attachment[]>,
  compiled: CompiledRoutes,
): VirtualHost[] {
  const hosts = listeners.flatMap((listener) => {
    const own = attached.get(listener) ?? [];
    const candidates = own.map((attachment) => candidateOf(attachment, compiled));
    const domains = new Set([listener.host, ...own.flatMap((attachment) => attachment.hosts)]);
    return [...domains]
      .filter((domain) => !listeners.some((other) => isNearer(other, listener, domain)))
      .map((domain) => ({ domain, routes: routesAt(domain, candidates) }));
  });
  return grouped(hosts.sort((a, b) => compareTexts(a.domain, b.domain)));
}

/** Whether requests for the domain are another listener's. */
function isNearer(other: ApiListenerModel, own: ApiListenerModel, domain: string): boolean {
  if (other.host === own.host) return false;
  return isWithin(domain, other.host) && isWithin(other.host, own.host);
}

interface Candidate {
  readonly attachment: Attachment;
  readonly ranked: readonly RankedRoute[];
}

function candidateOf(attachment: Attachment, compiled: CompiledRoutes): Candidate {
  const { protocol, port } = attachment.listener.listener;
  const here = { scheme: protocol.toLowerCase(), port };
  const ranked = compiled.get(attachment.route)?.ranked ?? [];
  return {
    attachment,
    ranked: ranked.map(({ route, rank }) => ({ rank, route: redirectingFrom(route, here) })),
  };
}

function routesAt(domain: string, candidates: readonly Candidate[]): Route[] {
  const entries = candidates.flatMap(({ attachment, ranked }) => {
    const nearness = nearnessOf(domain, attachment.hosts);
    if (nearness === null) return [];
    return ranked.map(({ route, rank }) => ({ route, attachment, rank: [...nearness, ...rank] }));
  });
  entries.sort(
    (a, b) => compareRanks(b.rank, a.rank) || compareAge(a.attachment.route, b.attachment.route),
  );
  return entries.map(({ route }) => route);
}

/** Of the nearest of the hosts that has the domain in it: a whole name, then the longest. */
function nearnessOf(domain: string, hosts: readonly string[]): readonly [number, number] | null {
  const ranks = hosts
    .filter((host) => isWithin(domain, host))
    .map((host) => [host.startsWith("*") ? 0 : host.length, host.length] as const);
  return ranks.sort(compareRanks).at(-1) ?? null;
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value - other;
  }
  return 0;
}

/**
 * A redirect that names no port means the scheme's when it names a scheme, else the listener's;
 * the port that a scheme has anyway is not written. A request's own host has the port in it.
 */
function redirectingFrom(
  route: Route,
  here: { readonly scheme: string; readonly port: number },
): Route {
  const { action } = route;
  if (action.kind !== "redirect") return route;
  const { scheme, authority } = action;
  if (scheme === undefined && authority === undefined && action.port === undefined) return route;
  const fallback = scheme === undefined ? here.port : "scheme";
  const wanted = action.port ?? fallback;
  const isOwn = wanted === DEFAULT_PORTS[scheme ?? here.scheme];
  return { ...route, action: { ...action, port: isOwn ? "scheme" : wanted } };
}

/** Domains with the same routes share one virtual host. */
function grouped(hosts: readonly { domain: string; routes: Route[] }[]): VirtualHost[] {
  const numbers = new Map<Route, number>();
  const byRoutes = new Map<string, VirtualHost & { readonly domains: string[] }>();
  for (const { domain, routes } of hosts) {
    const key = routes.map((route) => numberOf(route, numbers)).join(" ");
    const same = byRoutes.get(key);
    if (same === undefined) byRoutes.set(key, { domains: [domain], routes });
    else same.domains.push(domain);
  }
  return [...byRoutes.values()];
}

function numberOf(route: Route, numbers: Map<Route, number>): number {
  const number = numbers.get(route) ?? numbers.size;
  numbers.set(route, number);
  return number;
}
