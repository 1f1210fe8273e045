//! What an Envoy reads from files that are replaced while it runs.

import { renameSync, writeFileSync } from "node:fs";
import { VERSION_HEADER } from "../../test/support/load-manifests.ts";

const TYPE = "type.googleapis.com/envoy.config";

/** Envoy looks at what is moved to the name, not at what is written there. */
export function replaceResource(file: string, resource: object): void {
  const next = `${file}.next`;
  writeFileSync(next, JSON.stringify({ resources: [resource] }));
  renameSync(next, file);
}

/** One route for all; each answer carries the version. */
export function envoyRoutes(version: number): object {
  const header = { key: VERSION_HEADER, value: String(version) };
  return {
    "@type": `${TYPE}.route.v3.RouteConfiguration`,
    name: "80",
    response_headers_to_add: [{ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
    virtual_hosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [{ match: { prefix: "/" }, route: { cluster: "mocka" } }],
      },
    ],
  };
}

/** Of the cluster `mocka`, on this machine. */
export function envoyEndpoints(ports: readonly number[]): object {
  const endpoints = ports.map((port) => ({
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
  }));
  return {
    "@type": `${TYPE}.endpoint.v3.ClusterLoadAssignment`,
    cluster_name: "mocka",
    endpoints: [{ lb_endpoints: endpoints }],
  };
}
