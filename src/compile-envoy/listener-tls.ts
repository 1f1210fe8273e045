//! TLS of a listener in Envoy's words: one filter chain for each certificate, found by SNI.

import type { JsonObject } from "../base/json.ts";
import type { RouteTable, VirtualHost } from "../snapshot/snapshot.ts";
import type { TlsServer } from "../snapshot/tls.ts";
import { splitHosts } from "./host-split.ts";
import { DOWNSTREAM_TLS, TLS_SOCKET, byName } from "./secrets.ts";
import type { Secrets } from "./secrets.ts";

/** Reads the server name before a filter chain is chosen. */
export const TLS_INSPECTOR: JsonObject = {
  name: "envoy.filters.listener.tls_inspector",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  },
};

const VERSIONS = { "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3" } as const;
const ANY_HOST = "*";

/** Each host once, at the first server that names it: Envoy takes no chain twice. */
export function distinctServers(servers: readonly TlsServer[]): TlsServer[] {
  const taken = new Set<string>();
  return servers.flatMap((server) => {
    const hosts = server.hosts.filter((host) => !taken.has(host));
    for (const host of hosts) taken.add(host);
    return hosts.length === 0 ? [] : [{ ...server, hosts }];
  });
}

/** By its hosts, so that the order of servers does not count. */
export function nameOfServer({ hosts }: TlsServer, listener: string): string {
  return `${listener}/${hosts.join(",")}`;
}

/** `filters`: those of the connection. */
export function tlsChains(
  server: TlsServer,
  { certificate, authorities }: Secrets,
  filters: readonly JsonObject[],
): JsonObject[] {
  const isMutual = authorities !== null;
  const context: JsonObject = {
    "@type": DOWNSTREAM_TLS,
    ...(isMutual ? { require_client_certificate: true } : {}),
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: VERSIONS[server.minVersion],
        tls_maximum_protocol_version: VERSIONS[server.maxVersion],
      },
      alpn_protocols: ["h2", "http/1.1"],
      tls_certificate_sds_secret_configs: certificate === null ? [] : [byName(certificate)],
      ...(isMutual ? { validation_context_sds_secret_config: byName(authorities) } : {}),
    },
  };
  const chain = { transport_socket: { name: TLS_SOCKET, typed_config: context }, filters };
  const names = server.hosts.filter((host) => host !== ANY_HOST);
  return [
    // Whoever names no server gets the certificate that is for all, or none.
    ...(isConfined(server) ? [] : [chain]),
    ...(names.length === 0 ? [] : [{ filter_chain_match: { server_names: names }, ...chain }]),
  ];
}

/** Whether connections of that server must keep to its hosts. */
export function isConfined({ hosts }: TlsServer): boolean {
  return !hosts.includes(ANY_HOST);
}

/** What requests on its connections may ask for (docs/replies.md, `misdirected_request`). */
export function confined(table: RouteTable, server: TlsServer, name: string): RouteTable {
  const virtualHosts = splitHosts(table.virtualHosts, server.hosts).flatMap((part) => {
    const { virtualHost, isAmong, domains } = part;
    return isAmong && virtualHost !== null ? [{ ...virtualHost, domains }] : [];
  });
  return { name, virtualHosts: [...virtualHosts, ...unserved(server, virtualHosts)] };
}

/** Its hosts that nothing is routed to: not misdirected, but not found. */
function unserved({ hosts }: TlsServer, virtualHosts: readonly VirtualHost[]): VirtualHost[] {
  const served = new Set(virtualHosts.flatMap(({ domains }) => domains));
  const domains = hosts.filter((host) => !served.has(host));
  return domains.length === 0 ? [] : [{ domains, routes: [] }];
}

export const MISDIRECTED: JsonObject = {
  name: "misdirected",
  domains: [ANY_HOST],
  routes: [
    {
      match: { prefix: "/" },
      direct_response: {
        status: 421,
        body: {
          inline_string:
            "misdirected_request: the host is not one of those that the connection's server " +
            "name stands for\n",
        },
      },
    },
  ],
};
