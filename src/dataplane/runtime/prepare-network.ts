//! The network filters of a listener, made ready.

import type { Listener } from "../../snapshot/snapshot.ts";
import type { NetworkRuntime } from "../network/network-connection.ts";
import type { TcpTarget } from "../network/tcp-proxy.ts";
import type { Runtime } from "./runtime.ts";

/** Null: the listener has none. */
export function prepareNetwork(
  { network, notes }: Listener,
  base: Pick<Runtime, "snapshot" | "plugins">,
): NetworkRuntime | null {
  if (network === undefined) return null;
  const { plugins, bufferBytesMax, tcpProxy } = network;
  return {
    plugins: plugins.flatMap((name) => base.plugins.get(name) ?? []),
    ...{ bufferBytesMax, notes },
    target: tcpProxy === undefined ? null : targetOf(tcpProxy, base.snapshot),
    targetOf: (cluster) => {
      const { idleTimeoutMs = 0 } = tcpProxy ?? {};
      return targetOf({ cluster, idleTimeoutMs }, base.snapshot);
    },
  };
}

function targetOf(
  { cluster: name, idleTimeoutMs }: { readonly cluster: string; readonly idleTimeoutMs: number },
  { clusters, endpoints }: Runtime["snapshot"],
): TcpTarget | null {
  const cluster = Object.hasOwn(clusters, name) ? clusters[name] : undefined;
  if (cluster === undefined) return null;
  return { cluster, endpoints: endpoints[name]?.endpoints ?? [], idleTimeoutMs };
}
