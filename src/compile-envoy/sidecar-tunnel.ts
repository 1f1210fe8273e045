//! gRPC clients that follow `http_proxy` ask it for a tunnel (CONNECT) to the service that they
//! call. What comes through it goes into the sidecar's own outbound listener again, where it is a
//! call like any other: with routes, and in its lane.

import type { JsonObject } from "../base/json.ts";
import type { Cluster, Workload } from "../snapshot/snapshot.ts";
import { durationOf } from "./envoy-config.ts";

const TUNNEL_CLUSTER = "outbound|tunnel";
const CONNECT_TIMEOUT_MS = 1_000;

/** Before a service's routes: none where its endpoints do not speak HTTP/2. */
export function tunnelRoutes({ protocol }: Cluster): JsonObject[] {
  if (protocol === undefined) return [];
  const upgrade = { upgrade_type: "CONNECT", connect_config: {} };
  return [
    {
      match: { connect_matcher: {} },
      route: { cluster: TUNNEL_CLUSTER, timeout: "0s", upgrade_configs: [upgrade] },
    },
  ];
}

export function tunnelCluster({ outbound }: Workload): JsonObject & { readonly name: string } {
  const address = { address: outbound.address, port_value: outbound.port };
  const endpoint = { endpoint: { address: { socket_address: address } } };
  return {
    name: TUNNEL_CLUSTER,
    type: "STATIC",
    connect_timeout: durationOf(CONNECT_TIMEOUT_MS),
    load_assignment: { cluster_name: TUNNEL_CLUSTER, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}
