//! Overload and memory under the names of Envoy's overload manager and server.

import type { FamilySnapshot } from "./metrics.ts";

const PERCENT = 100;
const PREFIX_LABEL = "envoy_http_conn_manager_prefix";
const ACTION = "envoy_overload_envoy_overload_actions_stop_accepting_requests";
const RESOURCE = "envoy_overload_envoy_resource_monitors";

/** `byName` holds our own families; what is not there is left out. */
export function envoyOverload(byName: ReadonlyMap<string, FamilySnapshot>): FamilySnapshot[] {
  return [
    ...memoryOf(byName.get("graylane_memory_bytes")),
    ...refusedConnectionsOf(byName.get("graylane_refused_connections_total")),
    ...pressuresOf(byName.get("graylane_overload_pressure")),
    ...actionOf(byName.get("graylane_overload_share")),
    ...shedOf(byName.get("graylane_overload_requests_total")),
  ];
}

function memoryOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const [used, resident] = [valueOf(family, "used"), valueOf(family, "resident")];
  return [
    plain("gauge", "envoy_server_memory_allocated", "Bytes in use.", used),
    plain("gauge", "envoy_server_memory_physical_size", "Resident bytes.", resident),
  ];
}

function refusedConnectionsOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const reasons = { overflow: "downstream_cx_overflow", overload: "downstream_cx_overload_reject" };
  return Object.entries(reasons).map(([reason, name]) =>
    plain("counter", `envoy_listener_${name}`, family.help, valueOf(family, reason)),
  );
}

/** Of the fullest worker, in per cent. */
function pressuresOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const of = (resources: readonly string[]): number =>
    maxOf(family, ([, resource = ""]) => resources.includes(resource));
  const pressure = (monitor: string, value: number): FamilySnapshot =>
    plain("gauge", `${RESOURCE}_${monitor}_pressure`, "Per cent.", Math.round(value * PERCENT));
  return [
    pressure("fixed_heap", of(["heap", "memory"])),
    pressure("global_downstream_max_connections", of(["connections"])),
  ];
}

function actionOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const share = maxOf(family, () => true);
  const scale = Math.round(share * PERCENT);
  return [
    plain("gauge", `${ACTION}_active`, "1: requests are refused.", share > 0 ? 1 : 0),
    plain("gauge", `${ACTION}_scale_percent`, "The part that is refused.", scale),
  ];
}

function shedOf(family: FamilySnapshot | undefined): FamilySnapshot[] {
  if (family === undefined) return [];
  const labelled = { labelNames: [PREFIX_LABEL], bounds: [] };
  const values = family.series[0]?.values ?? [0];
  const series = [{ labelValues: ["gateway"], values }];
  const { help } = family;
  const name = "envoy_http_downstream_rq_overload_close";
  return [{ name, help, type: "counter", ...labelled, series }];
}

function valueOf({ series }: FamilySnapshot, label: string): number {
  return series.find(({ labelValues }) => labelValues[0] === label)?.values[0] ?? 0;
}

function maxOf(
  { series }: FamilySnapshot,
  isMeant: (labelValues: readonly string[]) => boolean,
): number {
  const meant = series.filter(({ labelValues }) => isMeant(labelValues));
  return Math.max(0, ...meant.map(({ values }) => values[0] ?? 0));
}

function plain(
  type: "gauge" | "counter",
  name: string,
  help: string,
  value: number,
): FamilySnapshot {
  const series = [{ labelValues: [], values: [value] }];
  return { name, help, type, labelNames: [], bounds: [], series };
}
