//! Clusters and their endpoints in Envoy's words.

import type { Json, JsonObject } from "../base/json.ts";
import { nearGroups, partsOf } from "../lane/locality.ts";
import type { NearGroup, Place } from "../lane/locality.ts";
import type { Cluster, Endpoint, ObjectRef, Snapshot } from "../snapshot/snapshot.ts";
import type {
  ClusterPolicy,
  ConnectionLimits,
  HealthCheck,
  HealthQuestion,
  OutlierDetection,
  RetryConcurrency,
  SlowStart,
  StatusRange,
} from "../snapshot/routing.ts";
import { FROM_ADS, durationOf } from "./envoy-config.ts";
import type { EnvoyResource, EnvoyView } from "./envoy-config.ts";
import { clusterSecrets, upstreamTls } from "./cluster-tls.ts";
import { listOf } from "./secrets.ts";
import { BALANCER_METADATA } from "./subset-keys.ts";
import type { SubsetKeys } from "./subset-keys.ts";

/** What Envoy's own 1,024 would cut off: the embedded engine has no such limit. */
const UNLIMITED = 4_294_967_295;
const UNIX_SCHEME = "unix://";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

const BALANCERS = {
  random: "RANDOM",
  "round-robin": "ROUND_ROBIN",
  "least-request": "LEAST_REQUEST",
  "ring-hash": "RING_HASH",
  maglev: "MAGLEV",
} as const;

/** A cluster with what it asks for by name, but for its endpoints. */
export interface CompiledCluster {
  readonly resource: EnvoyResource;
  readonly secrets: readonly EnvoyResource[];
}

export function compileCluster(
  cluster: Cluster,
  keys: SubsetKeys,
  view: EnvoyView,
): CompiledCluster {
  const { policy = {} } = cluster;
  const source = sourceOf(cluster);
  const asked = clusterSecrets(cluster, view, source);
  const tls = asked === null || policy.tls === undefined ? null : upstreamTls(policy.tls, asked);
  const { connections = {}, outliers, healthCheck, retryBudget } = policy;
  const connectTimeoutMs = connections.connectTimeoutMs ?? cluster.connectTimeoutMs;
  const json: JsonObject = {
    name: cluster.name,
    type: "EDS",
    eds_cluster_config: { eds_config: FROM_ADS, service_name: cluster.name },
    connect_timeout: durationOf(connectTimeoutMs),
    ...balancer(policy),
    common_lb_config: {
      // Envoy up to 1.39 would answer at once, and use other lanes of endpoints up to 1 s later.
      update_merge_window: "0s",
      healthy_panic_threshold: { value: outliers?.healthyPercentMin ?? 0 },
      ...(isDistributed(policy) ? { locality_weighted_lb_config: {} } : {}),
    },
    ...subsets(keys.keysOf(cluster), isDistributed(policy)),
    circuit_breakers: { thresholds: [thresholds(connections, retryBudget)] },
    ...(outliers === undefined ? {} : { outlier_detection: outlierDetection(outliers) }),
    ...protocolOptions(cluster.protocol, connections),
    ...keepAliveOf(connections),
    ...transportSocket(policy, tls),
    ...(healthCheck === undefined ? {} : { health_checks: [healthCheckOf(healthCheck, cluster)] }),
  };
  const secrets = asked === null ? [] : listOf(asked);
  const needs = [cluster.name, ...secrets.map(({ name }) => name)];
  return { resource: { name: cluster.name, json, parts: [{ source, json }], needs }, secrets };
}

export function compileAssignment(
  cluster: Cluster,
  snapshot: Snapshot,
  { keys, place }: { readonly keys: SubsetKeys; readonly place: Place | null },
): EnvoyResource {
  const { endpoints = [] } = snapshot.endpoints[cluster.name] ?? {};
  const isDivided = keys.keysOf(cluster).length > 0;
  const lbEndpoints = endpoints.map((endpoint) =>
    lbEndpoint(endpoint, isDivided ? keys.metadataOf(cluster, endpoint) : null),
  );
  const groups = place === null ? null : nearGroups(endpoints, cluster.policy ?? {}, place);
  const json: JsonObject = {
    cluster_name: cluster.name,
    ...(lbEndpoints.length === 0 ? {} : { endpoints: placed(lbEndpoints, cluster, groups) }),
  };
  const parts = [{ source: sourceOf(cluster), json }];
  return { name: cluster.name, json, parts, needs: [] };
}

/** By level and place; a place that gets nothing is left out. */
function placed(
  all: readonly JsonObject[],
  { policy = {} }: Cluster,
  groups: readonly NearGroup[] | null,
): JsonObject[] {
  const byPlace = isDistributed(policy);
  if (groups === null) {
    return [{ ...(byPlace ? { load_balancing_weight: 1 } : {}), lb_endpoints: all }];
  }
  return groups.map(({ level, weight, locality, indices }) => {
    const [region, zone, subZone] = partsOf(locality);
    return {
      locality: { region, zone, sub_zone: subZone },
      priority: level,
      ...(byPlace ? { load_balancing_weight: weight } : {}),
      lb_endpoints: indices.flatMap((index) => all[index] ?? []),
    };
  });
}

function isDistributed({ locality }: ClusterPolicy): boolean {
  return locality?.distribute !== undefined;
}

function sourceOf({ service, source }: Cluster): ObjectRef {
  if (source !== undefined) return source;
  const [namespace = "", name = ""] = service.split("/");
  return { kind: "Service", namespace, name };
}

function lbEndpoint({ address, port, weight }: Endpoint, metadata: JsonObject | null): JsonObject {
  const where = address.startsWith(UNIX_SCHEME)
    ? { pipe: { path: address.slice(UNIX_SCHEME.length) } }
    : { socket_address: { address, port_value: port } };
  return {
    endpoint: { address: where },
    ...(weight === undefined ? {} : { load_balancing_weight: weight }),
    ...(metadata === null
      ? {}
      : { metadata: { filter_metadata: { [BALANCER_METADATA]: metadata } } }),
  };
}

/** No fallback of the cluster's own: the route's list says what is tried, and nothing else is. */
function subsets(keys: readonly string[], isByPlace: boolean): JsonObject {
  if (keys.length === 0) return {};
  return {
    lb_subset_config: {
      fallback_policy: "NO_FALLBACK",
      metadata_fallback_policy: "FALLBACK_LIST",
      subset_selectors: keys.map((key) => ({ keys: [key] })),
      list_as_any: true,
      ...(isByPlace ? { locality_weight_aware: true } : {}),
    },
  };
}

function balancer({ loadBalancer }: ClusterPolicy): JsonObject {
  const kind = loadBalancer?.kind ?? "random";
  const policy = { lb_policy: BALANCERS[kind] };
  if (loadBalancer?.kind === "ring-hash") {
    return { ...policy, ring_hash_lb_config: { minimum_ring_size: loadBalancer.ringSizeMin } };
  }
  if (loadBalancer?.kind === "maglev") {
    return { ...policy, maglev_lb_config: { table_size: loadBalancer.tableSize } };
  }
  if (loadBalancer !== undefined && "slowStart" in loadBalancer) {
    const name = `${loadBalancer.kind.replace("-", "_")}_lb_config`;
    return { ...policy, [name]: { slow_start_config: slowStart(loadBalancer.slowStart) } };
  }
  return policy;
}

function slowStart({ windowMs, percentMin, aggression }: SlowStart): JsonObject {
  return {
    slow_start_window: durationOf(windowMs),
    aggression: { default_value: aggression, runtime_key: "graylane.slow_start.aggression" },
    min_weight_percent: { value: percentMin },
  };
}

function thresholds(limits: ConnectionLimits, retries: RetryConcurrency | undefined): JsonObject {
  return {
    max_connections: limits.connectionsMax ?? UNLIMITED,
    max_pending_requests: limits.pendingMax ?? UNLIMITED,
    max_requests: limits.requestsMax ?? UNLIMITED,
    max_retries: limits.retriesMax ?? UNLIMITED,
    ...(retries === undefined ? {} : { retry_budget: retryBudgetOf(retries) }),
  };
}

function retryBudgetOf({ percent, countMin }: RetryConcurrency): JsonObject {
  return { budget_percent: { value: percent }, min_retry_concurrency: countMin };
}

function protocolOptions(
  protocol: Cluster["protocol"],
  { requestsPerConnectionMax, idleTimeoutMs, connectionMsMax, streamsMax }: ConnectionLimits,
): JsonObject {
  const common: Record<string, Json> = {};
  if (requestsPerConnectionMax !== undefined) {
    common["max_requests_per_connection"] = requestsPerConnectionMax;
  }
  if (idleTimeoutMs !== undefined) common["idle_timeout"] = durationOf(idleTimeoutMs);
  if (connectionMsMax !== undefined) {
    common["max_connection_duration"] = durationOf(connectionMsMax);
  }
  if (Object.keys(common).length === 0 && protocol === undefined) return {};
  const http2 = streamsMax === undefined ? {} : { max_concurrent_streams: streamsMax };
  const options = {
    "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
    common_http_protocol_options: common,
    ...protocolConfig(protocol, http2),
  };
  return { typed_extension_protocol_options: { [HTTP_OPTIONS]: options } };
}

function protocolConfig(protocol: Cluster["protocol"], http2: JsonObject): JsonObject {
  if (protocol === "h2") return { explicit_http_config: { http2_protocol_options: http2 } };
  const http1 = { http_protocol_options: {} };
  if (protocol === undefined) return { explicit_http_config: http1 };
  return { use_downstream_protocol_config: { ...http1, http2_protocol_options: http2 } };
}

/** In whole seconds, of which the system's least is one. */
function keepAliveOf({ keepAliveMs }: ConnectionLimits): JsonObject {
  if (keepAliveMs === undefined) return {};
  const seconds = Math.max(1, Math.round(keepAliveMs / 1_000));
  return { upstream_connection_options: { tcp_keepalive: { keepalive_time: seconds } } };
}

/** The PROXY header stands in front of TLS. */
function transportSocket({ proxyProtocol }: ClusterPolicy, tls: JsonObject | null): JsonObject {
  if (proxyProtocol === undefined) return tls === null ? {} : { transport_socket: tls };
  const name = "envoy.transport_sockets";
  const type = "type.googleapis.com/envoy.extensions.transport_sockets";
  const inner = tls ?? {
    name: `${name}.raw_buffer`,
    typed_config: { "@type": `${type}.raw_buffer.v3.RawBuffer` },
  };
  const outer = {
    "@type": `${type}.proxy_protocol.v3.ProxyProtocolUpstreamTransport`,
    config: { version: proxyProtocol.toUpperCase() },
    transport_socket: inner,
  };
  return {
    transport_socket: { name: `${name}.upstream_proxy_protocol`, typed_config: outer },
  };
}

function healthCheckOf(check: HealthCheck, { host }: Cluster): JsonObject {
  return {
    timeout: durationOf(check.timeoutMs),
    interval: durationOf(check.intervalMs),
    // The embedded engine asks as often without requests as with them.
    no_traffic_interval: durationOf(check.intervalMs),
    unhealthy_interval: durationOf(check.unhealthyIntervalMs),
    unhealthy_edge_interval: durationOf(check.unhealthyEdgeIntervalMs),
    healthy_edge_interval: durationOf(check.healthyEdgeIntervalMs),
    interval_jitter: durationOf(check.jitterMs),
    interval_jitter_percent: check.jitterPercent,
    initial_jitter: durationOf(check.initialJitterMs),
    unhealthy_threshold: check.unhealthyThreshold,
    healthy_threshold: check.healthyThreshold,
    ...healthQuestion(check.ask, host),
  };
}

/** Envoy would send the cluster's name for the host, which no HTTP server takes. */
function healthQuestion(ask: HealthQuestion, host: string): JsonObject {
  const ranges = (list: readonly StatusRange[]): JsonObject[] =>
    list.map(([start, end]) => ({ start, end }));
  switch (ask.kind) {
    case "http":
      return {
        http_health_check: {
          path: ask.path,
          method: ask.method,
          host: ask.host === "" ? host : ask.host,
          expected_statuses: ranges(ask.statuses),
          retriable_statuses: ranges(ask.retriable),
        },
      };
    case "tcp":
      return {
        tcp_health_check: {
          ...(ask.send === "" ? {} : { send: { text: ask.send } }),
          receive: ask.receive.map((text) => ({ text })),
        },
      };
    case "grpc":
      return {
        grpc_health_check: {
          service_name: ask.service,
          authority: ask.authority === "" ? host : ask.authority,
        },
      };
  }
}

/** Envoy's defaults differ: what is not asked for is turned off by name. */
function outlierDetection(outliers: OutlierDetection): JsonObject {
  return {
    consecutive_5xx: Math.max(1, outliers.consecutive5xx),
    enforcing_consecutive_5xx: outliers.consecutive5xx === 0 ? 0 : 100,
    consecutive_gateway_failure: Math.max(1, outliers.consecutiveGatewayErrors),
    enforcing_consecutive_gateway_failure: outliers.consecutiveGatewayErrors === 0 ? 0 : 100,
    interval: durationOf(outliers.intervalMs),
    base_ejection_time: durationOf(outliers.baseEjectionMs),
    max_ejection_percent: outliers.ejectedPercentMax,
    enforcing_success_rate: 0,
  };
}
