//! What the embedded gateways run, in Envoy's words: what a fleet of Envoys with the labels of the
//! same Gateways would be told.

import { compileForEnvoy } from "../compile-envoy/compile-envoy.ts";
import { omissionsOf } from "../compile-envoy/config-dump.ts";
import type { DumpedNode, DumpedResource } from "../compile-envoy/config-dump.ts";
import { byType } from "../compile-envoy/envoy-config.ts";
import type { EnvoyConfig, GatewayView, ResourceType } from "../compile-envoy/envoy-config.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";

/** The name under which it is asked for, beside those of Envoys. */
export const EMBEDDED = "embedded";

export interface Opened {
  readonly host: string;
  /** From a Gateway's port to the one that is open. */
  readonly ports: ReadonlyMap<number, number>;
  /** What the control plane gives Envoys of its machine; absent: nothing. */
  readonly given?: Pick<
    GatewayView,
    "laneBucket" | "laneFilter" | "laneContext" | "systemAuthorities"
  >;
}

/** `updatedAt`: RFC 3339. */
export function embeddedDump(snapshot: Snapshot, opened: Opened, updatedAt: string): DumpedNode {
  const configs = configsOf(snapshot, opened);
  return {
    id: EMBEDDED,
    resources: byType((type) => resourcesOf(type, configs)),
    updatedAt,
    omitted: omissionsOf(configs.flatMap(({ refusals }) => refusals)),
  };
}

/** Each gateway by itself: the embedded engine serves those that Envoys could not share. */
function configsOf(snapshot: Snapshot, { host, ports, given }: Opened): EnvoyConfig[] {
  const common = { ...given, role: "gateway", bindAddress: host, hasKeys: true } as const;
  const portMap = Object.fromEntries(ports);
  return Object.values(snapshot.gateways).map((gateway) =>
    compileForEnvoy(
      { ...snapshot, gateways: { [gateway.name]: gateway } },
      { ...common, labels: gateway.labels, portMap },
    ),
  );
}

/** Of a name once: gateways share clusters. */
function resourcesOf(type: ResourceType, configs: readonly EnvoyConfig[]): DumpedResource[] {
  const byName = new Map<string, DumpedResource>();
  for (const config of configs) {
    for (const { name, json } of Object.values(config[type])) {
      byName.set(name, { name, json, status: "ACKED" });
    }
  }
  return [...byName.values()];
}
