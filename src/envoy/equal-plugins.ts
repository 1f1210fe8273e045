//! Filters that say the same of their plug-in, in any listener, are one plug-in with one root
//! context, configured once and ticking once, as in Envoy.

import { canonicalJson } from "../base/canonical-json.ts";
import type { Gateway, Listener, Plugin } from "../snapshot/snapshot.ts";

export interface GatewaysAndPlugins {
  readonly gateways: Record<string, Gateway>;
  readonly plugins: Record<string, Plugin>;
}

/** Of equal ones the first stays, and all filters name it. */
export function joinEqualPlugins({ gateways, plugins }: GatewaysAndPlugins): GatewaysAndPlugins {
  const kept = new Map<string, Plugin>();
  const names = new Map<string, string>();
  for (const plugin of Object.values(plugins)) {
    const said = canonicalJson({ ...plugin, name: "" });
    const first = kept.get(said) ?? plugin;
    kept.set(said, first);
    names.set(plugin.name, first.name);
  }
  const nameOf = (name: string): string => names.get(name) ?? name;
  const joined = (gateway: Gateway): Gateway => ({
    ...gateway,
    plugins: gateway.plugins.map(nameOf),
    listeners: gateway.listeners.map((listener) => joinedNetwork(listener, nameOf)),
  });
  return {
    gateways: mapValues(gateways, joined),
    plugins: Object.fromEntries([...kept.values()].map((plugin) => [plugin.name, plugin])),
  };
}

function joinedNetwork(listener: Listener, nameOf: (name: string) => string): Listener {
  const { network } = listener;
  if (network === undefined) return listener;
  return { ...listener, network: { ...network, plugins: network.plugins.map(nameOf) } };
}

function mapValues<Value>(
  values: Readonly<Record<string, Value>>,
  change: (value: Value) => Value,
): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}
