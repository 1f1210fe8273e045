//! A listener at which nobody listens, with all plug-ins of an Envoy: it has the Envoy fetch their
//! modules, and say what it thinks of them, before a listener that serves needs them.

import type { JsonObject } from "../base/json.ts";
import type { EnvoyResource } from "./envoy-config.ts";
import { placeOf } from "./extension.ts";
import { upstreamFilters } from "./listener.ts";
import { CONNECTION_MANAGER, MANAGER_TYPE, ROUTER_TYPE } from "./wasm-types.ts";

export const MODULES_LISTENER = "graylane-modules";

/** The listeners with what they need fetched, and that one behind them. */
export function withModules(
  listeners: readonly EnvoyResource[],
  extensions: readonly EnvoyResource[],
): readonly EnvoyResource[] {
  const byName = new Map(extensions.map((one) => [one.name, one]));
  const fetched = [...byName.values()].filter(({ fetches }) => fetches !== undefined);
  if (fetched.length === 0) return listeners;
  return [...listeners, modulesListener(fetched)].map((listener) => {
    const fetches = listener.needs.flatMap((name) => byName.get(name)?.fetches ?? []);
    return fetches.length === 0 ? listener : { ...listener, fetches };
  });
}

function modulesListener(fetched: readonly EnvoyResource[]): EnvoyResource {
  // Envoy asks once for a name, and tells either kind of filter of it, but not both.
  const before = fetched.filter(({ isUpstream }) => isUpstream !== true);
  const behind = fetched.filter(({ isUpstream }) => isUpstream === true);
  const router = { "@type": ROUTER_TYPE, ...upstreamFilters(behind.map(placeOf)) };
  const manager: JsonObject = {
    "@type": MANAGER_TYPE,
    stat_prefix: MODULES_LISTENER,
    route_config: { name: MODULES_LISTENER },
    http_filters: [
      ...before.map(placeOf),
      { name: "envoy.filters.http.router", typed_config: router },
    ],
  };
  const json: JsonObject = {
    name: MODULES_LISTENER,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    bind_to_port: false,
    filter_chains: [{ filters: [{ name: CONNECTION_MANAGER, typed_config: manager }] }],
  };
  const parts = fetched.flatMap((one) =>
    one.parts.map(({ source }) => ({ source, json: placeOf(one) })),
  );
  return { name: MODULES_LISTENER, json, parts, needs: fetched.map(({ name }) => name) };
}
