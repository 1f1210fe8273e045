//! Our metrics once more under Envoy's names, where they mean the same, so that boards made for
//! Envoy show them. Made when somebody asks: a request is counted once.

import { envoyOverload } from "./envoy-overload.ts";
import type { FamilySnapshot, MetricsSnapshot, SeriesSnapshot } from "./metrics.ts";

const MS_PER_SECOND = 1_000;
/** Envoy's label for the part of the proxy that counted: here the role of the hop. */
const PREFIX_LABEL = "envoy_http_conn_manager_prefix";
const CLASS_LABEL = "envoy_response_code_class";
const CLUSTER_LABEL = "envoy_cluster_name";

export interface ServerFacts {
  readonly isLive: boolean;
  /** Seconds. */
  readonly uptime: number;
  /** Gateway workers. */
  readonly concurrency: number;
  readonly services: readonly ServiceMembers[];
}

/** Endpoints of a service, and how many of them requests may go to. */
export interface ServiceMembers {
  readonly service: string;
  readonly total: number;
  readonly healthy: number;
}

/** Envoy's counters of what failed, by our reasons. */
const FAILURES: readonly (readonly [name: string, reasons: readonly string[]])[] = [
  ["upstream_cx_connect_fail", ["upstream_connect_failed", "upstream_tls_failed"]],
  ["upstream_rq_timeout", ["upstream_timeout"]],
  ["upstream_rq_rx_reset", ["upstream_reset"]],
  ["upstream_rq_pending_overflow", ["upstream_overflow"]],
  ["upstream_cx_none_healthy", ["no_endpoint"]],
];

/** Families with Envoy's names, shaped as Envoy's own exposition is. */
export function envoyMetrics({ families }: MetricsSnapshot, facts: ServerFacts): MetricsSnapshot {
  const byName = new Map(families.map((family) => [family.name, family]));
  const requests = byName.get("graylane_requests_total");
  const upstream = byName.get("graylane_upstream_requests_total");
  const connections = byName.get("graylane_downstream_connections");
  return {
    families: [
      gauge("envoy_server_live", "1: ready to serve.", facts.isLive ? 1 : 0),
      gauge("envoy_server_uptime", "Seconds since the start.", facts.uptime),
      gauge("envoy_server_concurrency", "Gateway workers.", facts.concurrency),
      ...connectionsOf(connections),
      ...single("envoy_http_downstream_cx_upgrades_active", byName.get("graylane_tunnels")),
      ...single("envoy_http_downstream_cx_upgrades_total", byName.get("graylane_tunnels_total")),
      ...single(
        "envoy_http_downstream_cx_protocol_error",
        byName.get("graylane_refused_requests_total"),
      ),
      ...countersOf(requests, { name: "envoy_http_downstream_rq", from: "role", to: PREFIX_LABEL }),
      ...timesOf(byName.get("graylane_request_duration_seconds"), {
        ...{ name: "envoy_http_downstream_rq_time", from: "role", to: PREFIX_LABEL },
      }),
      ...countersOf(upstream, {
        ...{ name: "envoy_cluster_upstream_rq", from: "service", to: CLUSTER_LABEL },
      }),
      ...timesOf(byName.get("graylane_upstream_duration_seconds"), {
        ...{ name: "envoy_cluster_upstream_rq_time", from: "service", to: CLUSTER_LABEL },
      }),
      ...retriesOf(byName.get("graylane_upstream_retries_total")),
      ...failuresOf(byName.get("graylane_upstream_failures_total")),
      ...membersOf(facts.services),
      ...envoyOverload(byName),
    ],
  };
}

function connectionsOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  const names = ["envoy_server_total_connections", "envoy_http_downstream_cx_active"];
  return names.flatMap((name) => single(name, family));
}

/** Under another name, summed over all labels. */
function single(name: string, family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const value = family.series.reduce((sum, { values }) => sum + (values[0] ?? 0), 0);
  const series = [{ labelValues: [], values: [value] }];
  return [{ name, help: family.help, type: family.type, labelNames: [], bounds: [], series }];
}

function retriesOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const name = "envoy_cluster_upstream_rq_retry";
  return [{ ...family, name, labelNames: [CLUSTER_LABEL] }];
}

function failuresOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  return FAILURES.map(([name, reasons]) => ({
    ...{ name: `envoy_cluster_${name}`, help: family.help, type: "counter", bounds: [] },
    labelNames: [CLUSTER_LABEL],
    series: summed(
      family.series.filter(({ labelValues: [, reason = ""] }) => reasons.includes(reason)),
      ([service = ""]) => [service],
    ),
  }));
}

function membersOf(services: readonly ServiceMembers[]): FamilySnapshot[] {
  const family = (
    name: "membership_total" | "membership_healthy",
    valueOf: (members: ServiceMembers) => number,
  ): FamilySnapshot => ({
    ...{ name: `envoy_cluster_${name}`, help: "Endpoints.", type: "gauge", bounds: [] },
    labelNames: [CLUSTER_LABEL],
    series: services.map((members) => ({
      labelValues: [members.service],
      values: [valueOf(members)],
    })),
  });
  return [
    family("membership_total", ({ total }) => total),
    family("membership_healthy", ({ healthy }) => healthy),
  ];
}

interface Renaming {
  readonly name: string;
  /** Our label that stays, and Envoy's name for it; all others are summed over. */
  readonly from: string;
  readonly to: string;
}

/** `<name>_total`, and `<name>_xx` by class of the status. */
function countersOf(family: FamilySnapshot | undefined, to: Renaming): FamilySnapshot[] {
  if (family === undefined) return [];
  const keyAt = family.labelNames.indexOf(to.from);
  const classAt = family.labelNames.indexOf("code_class");
  const answered = family.series.filter(({ labelValues }) =>
    /^\d/.test(labelValues[classAt] ?? ""),
  );
  return [
    {
      ...{ name: `${to.name}_total`, help: family.help, type: "counter", bounds: [] },
      labelNames: [to.to],
      series: summed(family.series, (values) => [values[keyAt] ?? ""]),
    },
    {
      ...{ name: `${to.name}_xx`, help: family.help, type: "counter", bounds: [] },
      labelNames: [CLASS_LABEL, to.to],
      series: summed(answered, (values) => [values[classAt]?.[0] ?? "", values[keyAt] ?? ""]),
    },
  ];
}

/** In milliseconds, as Envoy counts time. */
function timesOf(family: FamilySnapshot | undefined, to: Renaming): FamilySnapshot[] {
  if (family === undefined) return [];
  const keyAt = family.labelNames.indexOf(to.from);
  const series = summed(family.series, (values) => [values[keyAt] ?? ""]);
  return [
    {
      ...{ name: to.name, help: `${family.help} Milliseconds.`, type: "histogram" },
      labelNames: [to.to],
      bounds: family.bounds.map((bound) => bound * MS_PER_SECOND),
      series: series.map(({ labelValues, values }) => ({
        labelValues,
        values: [...values.slice(0, -1), (values.at(-1) ?? 0) * MS_PER_SECOND],
      })),
    },
  ];
}

function summed(
  series: readonly SeriesSnapshot[],
  labelsOf: (labelValues: readonly string[]) => string[],
): SeriesSnapshot[] {
  const sums = new Map<string, { labelValues: string[]; values: number[] }>();
  for (const one of series) {
    const labelValues = labelsOf(one.labelValues);
    const key = labelValues.join("\u0000");
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { labelValues, values: [...one.values] });
    else sum.values = sum.values.map((value, index) => value + (one.values[index] ?? 0));
  }
  return [...sums.values()];
}

function gauge(name: string, help: string, value: number): FamilySnapshot {
  const series = [{ labelValues: [], values: [value] }];
  return { name, help, type: "gauge", labelNames: [], bounds: [], series };
}
