//! What the admin endpoints say, in the shapes of Envoy's: `/clusters`, `/listeners`, `/stats`.

import { RE2JS } from "re2js";
import { FAILED_CHECK } from "../dataplane/worker/protocol.ts";
import type { Cluster, Endpoint, Snapshot } from "../snapshot/snapshot.ts";
import type { FamilySnapshot, MetricsSnapshot } from "../telemetry/metrics.ts";
import type { ServiceMembers } from "../telemetry/envoy-metrics.ts";
import { PLUGINS_SCOPE } from "../telemetry/stat-tags.ts";

/** A gateway's port that is open. */
export interface OpenListener {
  readonly gateway: string;
  /** `address:port` on this machine. */
  readonly address: string;
}

/**
 * `ejected` holds `address:port` of the endpoints that a gateway worker has ejected, and with
 * ` FAILED_CHECK` behind of those whose active check fails.
 */
export function clustersText(snapshot: Snapshot, ejected: ReadonlySet<string>): string {
  const lines = Object.values(snapshot.clusters).flatMap((cluster) => {
    const { name, policy } = cluster;
    const { connectionsMax, pendingMax, requestsMax, retriesMax } = policy?.connections ?? {};
    const limits = {
      max_connections: connectionsMax,
      max_pending_requests: pendingMax,
      max_requests: requestsMax,
      max_retries: retriesMax,
    };
    return [
      `${name}::observability_name::${name}`,
      ...Object.entries(limits).flatMap(([limit, value]) =>
        value === undefined ? [] : [`${name}::default_priority::${limit}::${value}`],
      ),
      `${name}::added_via_api::true`,
      ...endpointsOf(snapshot, cluster).flatMap((endpoint) => {
        const address = addressOf(endpoint);
        const flags = [
          ...(ejected.has(`${address} ${FAILED_CHECK}`) ? [`/${FAILED_CHECK}`] : []),
          ...(ejected.has(address) ? ["/failed_outlier_check"] : []),
        ].join("");
        return [
          `${name}::${address}::hostname::${endpoint.pod}`,
          `${name}::${address}::health_flags::${flags === "" ? "healthy" : flags}`,
          `${name}::${address}::weight::1`,
        ];
      }),
    ];
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** `envoy.admin.v3.Clusters`. */
export function clustersJson(snapshot: Snapshot, ejected: ReadonlySet<string>): unknown {
  return {
    cluster_statuses: Object.values(snapshot.clusters).map((cluster) => ({
      name: cluster.name,
      added_via_api: true,
      host_statuses: endpointsOf(snapshot, cluster).map((endpoint) => ({
        address: socketAddress(addressOf(endpoint)),
        health_status: {
          eds_health_status: "HEALTHY",
          ...(ejected.has(addressOf(endpoint)) && { failed_outlier_check: true }),
          ...(ejected.has(`${addressOf(endpoint)} ${FAILED_CHECK}`) && {
            failed_active_health_check: true,
          }),
        },
        weight: 1,
        hostname: endpoint.pod,
      })),
    })),
  };
}

/** An endpoint counts once for a service; it is well when it is so at all of its ports. */
export function membersOf(snapshot: Snapshot, ejected: ReadonlySet<string>): ServiceMembers[] {
  const byService = new Map<string, Map<string, boolean>>();
  for (const cluster of Object.values(snapshot.clusters)) {
    const members = byService.get(cluster.service) ?? new Map<string, boolean>();
    byService.set(cluster.service, members);
    for (const endpoint of endpointsOf(snapshot, cluster)) {
      const address = addressOf(endpoint);
      const member = endpoint.pod === "" ? endpoint.address : endpoint.pod;
      const isWell = !ejected.has(address) && !ejected.has(`${address} ${FAILED_CHECK}`);
      members.set(member, (members.get(member) ?? true) && isWell);
    }
  }
  return [...byService].map(([service, members]) => {
    const healthy = [...members.values()].filter((isWell) => isWell).length;
    return { service, total: members.size, healthy };
  });
}

export function listenersText(listeners: readonly OpenListener[]): string {
  return listeners.map(({ gateway, address }) => `${gateway}::${address}\n`).join("");
}

/** `envoy.admin.v3.Listeners`. */
export function listenersJson(listeners: readonly OpenListener[]): unknown {
  return {
    listener_statuses: listeners.map(({ gateway, address }) => ({
      name: gateway,
      local_address: socketAddress(address),
    })),
  };
}

/** One counter or gauge of `/stats`. */
export interface Stat {
  readonly name: string;
  readonly value: number;
}

/** By name. A histogram is its count and its sum; the buckets are in the other format. */
export function statsOf({ families }: MetricsSnapshot): Stat[] {
  const stats = families.flatMap((family) =>
    family.series.flatMap(({ labelValues, values }) => {
      const name = statName(family, labelValues);
      if (family.type !== "histogram") return [{ name, value: values[0] ?? 0 }];
      const count = values.slice(0, -1).reduce((sum, value) => sum + value, 0);
      return [
        { name: `${name}.count`, value: count },
        { name: `${name}.sum`, value: values.at(-1) ?? 0 },
      ];
    }),
  );
  return stats.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A filter of `/stats`; a text says what is wrong with it. Runs in linear time (RE2). */
export function statFilter(pattern: string): ((name: string) => boolean) | string {
  try {
    const compiled = RE2JS.compile(pattern);
    return (name) => compiled.matcher(name).find();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const CLASSED = /_xx$/;
/** The names of Envoy's overload manager have dots within. */
const OVERLOAD =
  /^envoy_overload_envoy_([a-z]+_(?:monitors|actions))_(.*)_(pressure|active|scale_percent)$/;

/** `http.gateway.downstream_rq_2xx` of Envoy's families; ours are named as in Prometheus. */
function statName(family: FamilySnapshot, labelValues: readonly string[]): string {
  const { name, labelNames, definedAs } = family;
  if (definedAs !== undefined) return `${PLUGINS_SCOPE}.${definedAs}`;
  if (OVERLOAD.test(name)) return name.replace(OVERLOAD, "overload.envoy.$1.$2.$3");
  const envoy = /^envoy_(server|http|cluster|listener)_(.*)$/.exec(name);
  if (envoy === null) {
    const labels = labelNames.map((label, index) => `${label}="${labelValues[index] ?? ""}"`);
    return labels.length === 0 ? name : `${name}{${labels.join(",")}}`;
  }
  const [, scope = "", rest = ""] = envoy;
  if (!CLASSED.test(rest)) return [scope, ...labelValues, rest].join(".");
  const [digit = "", key = ""] = labelValues;
  return [scope, key, rest.replace(CLASSED, `_${digit}xx`)].join(".");
}

function endpointsOf(snapshot: Snapshot, { name }: Cluster): readonly Endpoint[] {
  return snapshot.endpoints[name]?.endpoints ?? [];
}

function addressOf({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}

function socketAddress(text: string): unknown {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon);
  return { socket_address: { address, port_value: Number(text.slice(colon + 1)) } };
}
