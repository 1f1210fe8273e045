//! `static_resources.clusters`: static addresses and names that are looked up.

import { isIP } from "node:net";
import type { Cluster, Endpoint, EndpointNotes, EndpointSet } from "../snapshot/snapshot.ts";
import type { LoadBalancer } from "../snapshot/routing.ts";
import type { Cursor } from "../resources/cursor.ts";
import { readDuration, readSocketAddress, unsupported } from "./common.ts";
import { readLocality, readMetadata } from "./metadata.ts";
import { readProtocol, readUpstreamTls } from "./upstream-options.ts";

const FIELDS = [
  "name",
  "type",
  "connect_timeout",
  "lb_policy",
  "load_assignment",
  "metadata",
  "dns_lookup_family",
  "dns_refresh_rate",
  "respect_dns_ttl",
  "per_connection_buffer_limit_bytes",
  "http2_protocol_options",
  "typed_extension_protocol_options",
  "transport_socket",
];
const TYPES = ["STATIC", "STRICT_DNS", "LOGICAL_DNS"] as const;
const CONNECT_TIMEOUT_MS_DEFAULT = 5_000;

const BALANCERS: Readonly<Record<string, LoadBalancer>> = {
  ROUND_ROBIN: { kind: "round-robin" },
  LEAST_REQUEST: { kind: "least-request" },
  RANDOM: { kind: "random" },
};

export function readClusters(cursor: Cursor): {
  clusters: Record<string, Cluster>;
  endpoints: Record<string, EndpointSet>;
} {
  const clusters: Record<string, Cluster> = {};
  const endpoints: Record<string, EndpointSet> = {};
  for (const item of cursor.items()) {
    if (!item.isMap(FIELDS)) continue;
    const cluster = readCluster(item);
    if (Object.hasOwn(clusters, cluster.name)) {
      item.at("name").wrong("a name that no other cluster has");
    }
    const type = item.at("type").choice(TYPES, "STATIC");
    clusters[cluster.name] = cluster;
    endpoints[cluster.name] = { endpoints: readEndpoints(item, type) };
  }
  return { clusters, endpoints };
}

function readCluster(item: Cursor): Cluster {
  const name = item.at("name").text(null);
  const policy = item.at("lb_policy");
  const word = policy.choice(Object.keys(BALANCERS), "ROUND_ROBIN");
  const loadBalancer = BALANCERS[word];
  const tls = readUpstreamTls(item);
  const metadata = readMetadata(item.at("metadata"));
  const clusterPolicy = { ...(loadBalancer && { loadBalancer }), ...(tls && { tls }) };
  return {
    ...{ name, host: name, aliases: [], namespace: "", port: 0, service: name },
    connectTimeoutMs: readDuration(item.at("connect_timeout"), CONNECT_TIMEOUT_MS_DEFAULT),
    ...(readProtocol(item) === "h2" && { protocol: "h2" as const }),
    policy: clusterPolicy,
    ...(metadata && { metadata }),
  };
}

function readEndpoints(item: Cursor, type: (typeof TYPES)[number]): Endpoint[] {
  const assignment = item.at("load_assignment");
  if (assignment.isAbsent) return [];
  if (!assignment.isMap(["cluster_name", "endpoints"])) return [];
  return assignment
    .at("endpoints")
    .items()
    .flatMap((locality) => {
      if (!locality.isMap(["lb_endpoints", "locality", "metadata"])) return [];
      const notes = localityNotes(locality);
      return locality
        .at("lb_endpoints")
        .items()
        .flatMap((one) => readEndpoint(one, type, notes));
    });
}

function localityNotes(cursor: Cursor): EndpointNotes {
  const place = cursor.at("locality");
  const localityMetadata = readMetadata(cursor.at("metadata"));
  return {
    ...(!place.isAbsent && { locality: readLocality(place) }),
    ...(localityMetadata && { localityMetadata }),
  };
}

function readEndpoint(
  item: Cursor,
  type: (typeof TYPES)[number],
  ofLocality: EndpointNotes,
): Endpoint[] {
  if (!item.isMap(["endpoint", "metadata"])) return [];
  const endpoint = item.at("endpoint");
  if (!endpoint.isMap(["address", "hostname"])) return [];
  const { host, port } = readSocketAddress(endpoint.at("address"));
  if (type === "STATIC" && host !== "" && isIP(host) === 0) {
    const remedy = "A cluster with names of hosts has the type STRICT_DNS.";
    unsupported(endpoint.at("address"), `the name ${host} in a STATIC cluster`, remedy);
  }
  const metadata = readMetadata(item.at("metadata"));
  const notes = { ...ofLocality, ...(metadata && { metadata }) };
  const hasNotes = Object.keys(notes).length > 0;
  return [{ address: host, port, pod: "", labels: {}, ...(hasNotes && { notes }) }];
}
