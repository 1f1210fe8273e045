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
}

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
      ...(connections === undefined
        ? []
        : [
            gauge(
              "envoy_server_total_connections",
              "Open client connections.",
              connections.series[0]?.values[0] ?? 0,
            ),
          ]),
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
      ...envoyOverload(byName),
    ],
  };
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
