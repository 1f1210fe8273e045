//! trafficPolicies of DestinationRules to the policies of clusters.

import type { ClientTlsSettings } from "../resources/kinds/client-tls.ts";
import type {
  ConnectionPoolSettings,
  ConsistentHash,
  LoadBalancerSettings,
  OutlierDetectionSettings,
  RetryBudgetSettings,
  TrafficPolicy,
} from "../resources/kinds/traffic-policy.ts";
import type {
  ClusterPolicy,
  ConnectionLimits,
  HashKey,
  LoadBalancer,
  OutlierDetection,
  ProxyVersion,
  RetryConcurrency,
  SlowStart,
} from "../snapshot/routing.ts";
import type { Cluster } from "../snapshot/snapshot.ts";
import type { UpstreamTls } from "../snapshot/tls.ts";
import { compileLocality } from "./locality.ts";
import { durationMs } from "../resources/duration.ts";

/** Istio's defaults, where they differ from "none". */
const CONSECUTIVE_5XX = 5;
const INTERVAL_MS = 10_000;
const BASE_EJECTION_MS = 30_000;
const EJECTED_PERCENT_MAX = 10;
const RETRY_PERCENT = 20;
const RETRIES_MIN = 3;
const RING_SIZE_MIN = 1_024;
const RING_SIZE_MAX = 65_536;
const MAGLEV_TABLE_SIZE = 65_537;
const MAGLEV_TABLE_SIZE_MAX = 5_000_011;
/** Linux' own `tcp_keepalive_time`. */
const KEEP_ALIVE_MS = 7_200_000;
const MS_PER_SECOND = 1_000;
const WARM_PERCENT_MIN = 10;

/** `tls` null: in clear, also where the host's own policy says otherwise. */
export type CompiledPolicy = Omit<ClusterPolicy, "tls"> & { readonly tls?: UpstreamTls | null };

/** `path`: where in the policy the settings stand. */
export type FindTls = (settings: ClientTlsSettings, path: string) => UpstreamTls | null;

/** At one port. Empty when nothing is asked for. */
export function compileTrafficPolicy(
  policy: TrafficPolicy | undefined,
  port: number,
  findTls: FindTls,
): CompiledPolicy {
  const index = indexOfPort(policy, port);
  const atPort = policy?.portLevelSettings?.[index];
  const settings = atPort ?? policy ?? {};
  const { loadBalancer, tls } = settings;
  const path = atPort === undefined ? ".tls" : `.portLevelSettings[${index}].tls`;
  const balancer = loadBalancer === undefined ? undefined : compileBalancer(loadBalancer);
  return {
    ...(balancer === undefined ? {} : { loadBalancer: balancer }),
    ...compileLocality(loadBalancer?.localityLbSetting),
    ...compileUse(settings),
    ...(tls === undefined ? {} : { tls: findTls(tls, path) }),
  };
}

function compileUse(settings: TrafficPolicy): ClusterPolicy {
  const { connectionPool, outlierDetection, retryBudget, proxyProtocol } = settings;
  return {
    ...(connectionPool === undefined ? {} : { connections: compileLimits(connectionPool) }),
    ...(outlierDetection === undefined ? {} : { outliers: compileOutliers(outlierDetection) }),
    ...(retryBudget === undefined ? {} : { retryBudget: compileRetryBudget(retryBudget) }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol: proxyVersion(proxyProtocol) }),
  };
}

function indexOfPort(policy: TrafficPolicy | undefined, port: number): number {
  return policy?.portLevelSettings?.findIndex((entry) => entry.port.number === port) ?? -1;
}

function proxyVersion({ version }: NonNullable<TrafficPolicy["proxyProtocol"]>): ProxyVersion {
  return version === "V2" ? "v2" : "v1";
}

/**
 * For the whole host at this port: its subsets share one protocol. Absent: the port's own. The
 * client's protocol goes before `h2UpgradePolicy` and the port's, as in Istio.
 */
export function protocolOf(
  policy: TrafficPolicy | undefined,
  port: number,
): Pick<Cluster, "protocol"> {
  const atPort = policy?.portLevelSettings?.[indexOfPort(policy, port)];
  const { h2UpgradePolicy, useClientProtocol } = (atPort ?? policy)?.connectionPool?.http ?? {};
  if (useClientProtocol === true) return { protocol: "client" };
  return h2UpgradePolicy === "UPGRADE" ? { protocol: "h2" } : {};
}

/** A subset's own policy, with what it does not say taken from the host's. */
export function overlaid(base: CompiledPolicy, own: CompiledPolicy): CompiledPolicy {
  if (own.loadBalancer === undefined) return { ...base, ...own };
  // Istio's `localityLbSetting` is a part of `loadBalancer`, of which there is one.
  const merged: { -readonly [Key in keyof CompiledPolicy]: CompiledPolicy[Key] } = {
    ...base,
    ...own,
  };
  if (own.locality === undefined) delete merged.locality;
  return merged;
}

/** What is in clear has no TLS to speak of. */
export function settled({ tls, ...rest }: CompiledPolicy): ClusterPolicy {
  return tls == null ? rest : { ...rest, tls };
}

function compileBalancer(settings: LoadBalancerSettings): LoadBalancer {
  const { simple, consistentHash } = settings;
  if (consistentHash !== undefined) return compileHash(consistentHash);
  if (simple === "RANDOM") return { kind: "random" };
  const kind = simple === "ROUND_ROBIN" ? "round-robin" : "least-request";
  const slowStart = compileSlowStart(settings);
  return slowStart === null ? { kind } : { kind, slowStart };
}

/** Istio's defaults. Null: a new endpoint gets its whole share at once. */
function compileSlowStart(settings: LoadBalancerSettings): SlowStart | null {
  const { warmup, warmupDurationSecs } = settings;
  const windowMs = msOf(warmup?.duration ?? warmupDurationSecs) ?? 0;
  if (windowMs === 0) return null;
  const { minimumPercent = WARM_PERCENT_MIN, aggression = 1 } = warmup ?? {};
  return { windowMs, percentMin: minimumPercent, aggression };
}

function compileHash(hash: ConsistentHash): LoadBalancer {
  const key = hashKey(hash);
  if (hash.maglev !== undefined) {
    const size = Math.min(MAGLEV_TABLE_SIZE_MAX, hash.maglev.tableSize ?? MAGLEV_TABLE_SIZE);
    return { kind: "maglev", key, tableSize: primeFrom(size) };
  }
  const sizeMin = hash.ringHash?.minimumRingSize ?? RING_SIZE_MIN;
  return { kind: "ring-hash", key, ringSizeMin: Math.min(RING_SIZE_MAX, Math.max(1, sizeMin)) };
}

function hashKey(hash: ConsistentHash): HashKey {
  const { httpHeaderName, httpCookie, httpQueryParameterName } = hash;
  if (httpHeaderName !== undefined) return { kind: "header", name: httpHeaderName.toLowerCase() };
  if (httpQueryParameterName !== undefined) return { kind: "query", name: httpQueryParameterName };
  if (httpCookie === undefined) return { kind: "source" };
  const { name, path = "", ttl } = httpCookie;
  const ttlSeconds = ttl === undefined ? null : Math.floor(durationMs(ttl) / MS_PER_SECOND);
  return { kind: "cookie", name, path, ttlSeconds };
}

/** The least prime that is not below `size`. */
function primeFrom(size: number): number {
  let candidate = Math.max(3, size);
  while (!isPrime(candidate)) candidate += 1;
  return candidate;
}

function isPrime(value: number): boolean {
  if (value % 2 === 0) return value === 2;
  for (let divisor = 3; divisor * divisor <= value; divisor += 2) {
    if (value % divisor === 0) return false;
  }
  return true;
}

/** 0 means no limit, as in Istio. */
function compileLimits({ tcp, http }: ConnectionPoolSettings): ConnectionLimits {
  return {
    ...limit("connectionsMax", tcp?.maxConnections),
    ...limit("pendingMax", http?.http1MaxPendingRequests),
    ...limit("requestsMax", http?.http2MaxRequests),
    ...limit("retriesMax", http?.maxRetries),
    ...limit("requestsPerConnectionMax", http?.maxRequestsPerConnection),
    ...limit("connectTimeoutMs", msOf(tcp?.connectTimeout)),
    ...limit("idleTimeoutMs", msOf(http?.idleTimeout)),
    ...limit("connectionMsMax", msOf(tcp?.maxConnectionDuration)),
    ...limit("streamsMax", http?.maxConcurrentStreams),
    ...limit("keepAliveMs", keepAliveOf(tcp)),
  };
}

/** Without a time it is the system's. */
function keepAliveOf(tcp: ConnectionPoolSettings["tcp"]): number | undefined {
  if (tcp?.tcpKeepalive === undefined) return undefined;
  return msOf(tcp.tcpKeepalive.time) ?? KEEP_ALIVE_MS;
}

function msOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : durationMs(text);
}

function limit(name: keyof ConnectionLimits, value: number | undefined): ConnectionLimits {
  return value === undefined || value === 0 ? {} : { [name]: value };
}

function compileRetryBudget(settings: RetryBudgetSettings): RetryConcurrency {
  const { percent = RETRY_PERCENT, minRetryConcurrency = RETRIES_MIN } = settings;
  return { percent, countMin: minRetryConcurrency };
}

function compileOutliers(settings: OutlierDetectionSettings): OutlierDetection {
  return {
    consecutive5xx: settings.consecutive5xxErrors ?? CONSECUTIVE_5XX,
    consecutiveGatewayErrors: settings.consecutiveGatewayErrors ?? 0,
    intervalMs: msOf(settings.interval) ?? INTERVAL_MS,
    baseEjectionMs: msOf(settings.baseEjectionTime) ?? BASE_EJECTION_MS,
    ejectedPercentMax: settings.maxEjectionPercent ?? EJECTED_PERCENT_MAX,
    healthyPercentMin: settings.minHealthPercent ?? 0,
  };
}
