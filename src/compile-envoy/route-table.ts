//! Route tables in Envoy's words: one RouteConfiguration for each.

import type { JsonObject } from "../base/json.ts";
import type { Route, RouteTable, VirtualHost } from "../snapshot/snapshot.ts";
import type { EnvoyResource, ResourcePart } from "./envoy-config.ts";
import { compileAction } from "./route-action.ts";
import type { ActionContext } from "./route-action.ts";
import { compileMatch } from "./route-match.ts";

export function compileRouteTable(table: RouteTable, context: ActionContext): EnvoyResource {
  const parts: ResourcePart[] = [];
  const taken = new Set<string>();
  const virtualHosts = table.virtualHosts.flatMap((host) => {
    // Envoy refuses a domain that stands twice; the first one counts in the embedded engine.
    const domains = host.domains.filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    return domains.length === 0 ? [] : [virtualHost({ ...host, domains }, context, parts)];
  });
  const json: JsonObject = {
    name: table.name,
    virtual_hosts: virtualHosts,
    ignore_port_in_host_matching: true,
    // A cluster that was refused must cost its own routes only.
    validate_clusters: false,
  };
  return { name: table.name, json, parts, needs: [] };
}

function virtualHost(
  { domains, routes }: VirtualHost,
  context: ActionContext,
  parts: ResourcePart[],
): JsonObject {
  return {
    name: domains.join(","),
    domains,
    routes: routes.flatMap((route) => {
      const compiled = compileRoute(route, context);
      for (const json of compiled) parts.push({ source: route.source, json });
      return compiled;
    }),
  };
}

/** One Envoy route for each alternative of the matches. */
function compileRoute(route: Route, context: ActionContext): JsonObject[] {
  const action = compileAction(route, context);
  const matches = route.matches.length === 0 ? [{}] : route.matches;
  return matches.map((match) => ({ name: route.id, match: compileMatch(match), ...action }));
}
