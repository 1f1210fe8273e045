//! Route tables in Envoy's words: one RouteConfiguration for each.

import type { JsonObject } from "../base/json.ts";
import type { RouteTable } from "../snapshot/snapshot.ts";
import type { EnvoyResource, ResourcePart } from "./envoy-config.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { compileRoutes } from "./lane-routes.ts";
import type { ActionContext } from "./route-action.ts";

/** The fields of ours that mean something: nobody else writes them. */
const OWN_HEADERS = ["lane", "trace", "token", "carry"].map((name) => `x-graylane-${name}`);

/** `groups`: the lane groups of the gateway. */
export function compileRouteTable(
  table: RouteTable,
  groups: readonly EnteredGroup[],
  context: ActionContext,
): EnvoyResource {
  const parts: ResourcePart[] = [];
  const taken = new Set<string>();
  const virtualHosts: JsonObject[] = [];
  for (const { domains: all, routes } of table.virtualHosts) {
    // Envoy refuses a domain that stands twice; the first one counts in the embedded engine.
    const domains = all.filter((domain) => !taken.has(domain));
    if (domains.length === 0) continue;
    for (const domain of domains) taken.add(domain);
    const compiled = compileRoutes(routes, groups, context);
    for (const { json, sources } of compiled) {
      for (const source of sources) parts.push({ source, json });
    }
    const name = domains.join(",");
    virtualHosts.push({ name, domains, routes: compiled.map(({ json }) => json) });
  }
  const json: JsonObject = {
    name: table.name,
    virtual_hosts: virtualHosts,
    ignore_port_in_host_matching: true,
    request_headers_to_remove: OWN_HEADERS,
    response_headers_to_remove: OWN_HEADERS,
    // A cluster that was refused must cost its own routes only.
    validate_clusters: false,
  };
  return { name: table.name, json, parts, needs: [] };
}
