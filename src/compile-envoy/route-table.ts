//! Route tables in Envoy's words: one RouteConfiguration for each.

import type { JsonObject } from "../base/json.ts";
import type { RouteTable, VirtualHost } from "../snapshot/snapshot.ts";
import type { EnvoyResource, ResourcePart } from "./envoy-config.ts";
import { splitHosts } from "./host-split.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { compileRoutes } from "./lane-routes.ts";
import { MISDIRECTED } from "./listener-tls.ts";
import type { ActionContext } from "./route-action.ts";

/** The fields of ours that mean something: nobody else writes them. */
const OWN_HEADERS = ["lane", "trace", "token", "carry", "bucket", "rules", "claims"].map(
  (name) => `x-graylane-${name}`,
);

/** What counts before a route is looked for. */
export interface TableSecurity {
  /** Hosts whose requests are sent to https. */
  readonly redirected?: readonly string[];
  /** The connection's certificate does not stand for other hosts than those of the table. */
  readonly isConfined?: boolean;
}

/** `groups`: the lane groups of the gateway. */
export function compileRouteTable(
  table: RouteTable,
  groups: readonly EnteredGroup[],
  context: ActionContext,
  { redirected = [], isConfined = false }: TableSecurity = {},
): EnvoyResource {
  const parts: ResourcePart[] = [];
  const compiled = new Map<VirtualHost, JsonObject[]>();
  const routesOf = (virtualHost: VirtualHost): JsonObject[] => {
    const known = compiled.get(virtualHost);
    if (known !== undefined) return known;
    const routes = compileRoutes(virtualHost.routes, groups, context);
    for (const { json, sources } of routes) {
      for (const source of sources) parts.push({ source, json });
    }
    const made = routes.map(({ json }) => json);
    compiled.set(virtualHost, made);
    return made;
  };
  // Envoy refuses a domain that stands twice; the first one counts in the embedded engine.
  const virtualHosts = splitHosts(table.virtualHosts, redirected).flatMap((part) => {
    const { domains, isAmong, virtualHost } = part;
    const routes = virtualHost === null ? [] : routesOf(virtualHost);
    if (!isAmong) return [{ name: domains.join(","), domains, routes }];
    return redirectsOf(domains).map((one) => ({
      name: one.domains.join(","),
      domains: one.domains,
      routes: [one.route, ...routes],
    }));
  });
  const json: JsonObject = {
    name: table.name,
    virtual_hosts: isConfined ? [...virtualHosts, MISDIRECTED] : virtualHosts,
    ignore_port_in_host_matching: true,
    request_headers_to_remove: OWN_HEADERS,
    response_headers_to_remove: OWN_HEADERS,
    // A cluster that was refused must cost its own routes only.
    validate_clusters: false,
  };
  return { name: table.name, json, parts, needs: [] };
}

interface HttpsRedirect {
  readonly domains: readonly string[];
  readonly route: JsonObject;
}

/** To the host without its port, where that can be said: Envoy keeps the port of a `*.` host. */
function redirectsOf(domains: readonly string[]): HttpsRedirect[] {
  const wild = domains.filter((domain) => domain.startsWith("*"));
  const exact = domains.filter((domain) => !domain.startsWith("*"));
  return [
    ...exact.map((domain) => ({ domains: [domain], route: toHttps({ host_redirect: domain }) })),
    ...(wild.length === 0 ? [] : [{ domains: wild, route: toHttps({}) }]),
  ];
}

/** A trusted proxy in front has spoken TLS already. */
function toHttps(more: JsonObject): JsonObject {
  const isSecure = { name: "x-forwarded-proto", string_match: { exact: "https" } };
  return {
    match: { prefix: "/", headers: [{ ...isSecure, invert_match: true }] },
    redirect: { https_redirect: true, response_code: "MOVED_PERMANENTLY", ...more },
  };
}
