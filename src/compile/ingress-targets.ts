//! Where an Ingress' requests go by its annotations: `destination` in the place of its backends,
//! and `mirror-target-service` for copies.

import type { Ingress } from "../resources/kinds/ingress.ts";
import type { Mirror } from "../snapshot/routing.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Target } from "../snapshot/snapshot.ts";
import type { Annotations } from "./ingress-annotations.ts";
import { namespaceOf } from "./resource-index.ts";
import { findHost } from "./service.ts";
import type { HostClusters, ServiceMap } from "./service.ts";

const PERCENT_ALL = 100;
const PPM_PER_PERCENT = 10_000;
const DEFAULT_PORT = 80;
const LINES_MAX = 64;

export interface Weighted {
  readonly weight: number;
  readonly target: Target;
}

/** `[weight%] host[:port] [subset]` on each line; null: the backends count. */
export function destinationsOf(
  ingress: Ingress,
  annotations: Annotations,
  services: ServiceMap,
): Weighted[] | null {
  const text = annotations.get("destination");
  if (text === undefined) return null;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const found = lines.slice(0, LINES_MAX).flatMap((line) => {
    const match = /^\s*(?:(\d{1,3})%\s+)?([^\s:]+)(?::(\d{1,5}))?(?:\s+(\S+))?\s*$/.exec(line);
    if (match === null) {
      const says = `has a line that cannot be read: ${line.trim()}`;
      annotations.refuse(
        "destination",
        says,
        "Write e.g. 80% reviews.default.svc.cluster.local:80.",
      );
      return [];
    }
    const [, percent, host = "", port, subset] = match;
    const weight = Number(percent ?? PERCENT_ALL);
    const place = { host, port: port === undefined ? undefined : Number(port), subset };
    return [{ weight, target: targetOf(place, ingress, { annotations, services }) }];
  });
  const sum = found.reduce((total, { weight }) => total + weight, 0);
  if (lines.length > LINES_MAX) {
    annotations.refuse("destination", `has more than ${LINES_MAX} lines`, "Write fewer.");
  } else if (found.length > 1 && sum !== PERCENT_ALL) {
    const says = `comes to ${sum} percent; the weights are taken as relative to each other`;
    annotations.refuse("destination", says, "Let them come to 100.");
  }
  return found.length === 0 ? null : found;
}

interface Place {
  readonly host: string;
  readonly port: number | undefined;
  readonly subset: string | undefined;
}

interface Known {
  readonly annotations: Annotations;
  readonly services: ServiceMap;
}

function targetOf(
  { host, port, subset }: Place,
  ingress: Ingress,
  { annotations, services }: Known,
): Target {
  const found = findHost(host, namespaceOf(ingress), services);
  const cluster = clusterOf(found, port);
  if (cluster !== undefined && subset === undefined) {
    return { kind: "cluster", cluster, subset: null };
  }
  const message =
    cluster === undefined
      ? `no Service or ServiceEntry is ${host} with port ${port ?? DEFAULT_PORT}`
      : `the subset ${subset ?? ""} of ${host} cannot be chosen by an Ingress here`;
  const remedy = "Correct the host and port, or use a VirtualService for subsets.";
  annotations.refuse("destination", `names what is not there: ${message}: 503`, remedy);
  return { kind: "missing", message };
}

/** Without a port the only one, else 80. */
function clusterOf(found: HostClusters | undefined, port: number | undefined): string | undefined {
  const { clusters = [] } = found ?? {};
  if (port === undefined && clusters.length === 1) return clusters[0]?.name;
  return clusters.find((cluster) => cluster.port === (port ?? DEFAULT_PORT))?.name;
}

/** `[namespace/]name[:port]`. */
export function mirrorsOf(
  ingress: Ingress,
  annotations: Annotations,
  services: ServiceMap,
): Mirror[] {
  const text = annotations.get("mirror-target-service");
  if (text === undefined) return [];
  const [, namespace, name = "", port] = /^(?:([^/:]+)\/)?([^/:]+)(?::(\d+))?$/.exec(text) ?? [];
  const key = `${namespace ?? namespaceOf(ingress)}/${name}`;
  const cluster = clusterOf(services.get(key), port === undefined ? undefined : Number(port));
  if (cluster === undefined) {
    const says = `is no Service with that port: no copies are sent`;
    annotations.refuse("mirror-target-service", says, "Write e.g. default/reviews:80.");
    return [];
  }
  const percent = annotations.get("mirror-percentage") ?? String(PERCENT_ALL);
  if (!/^\d{1,3}$/.test(percent) || Number(percent) > PERCENT_ALL) {
    const says = "is no whole number from 0 to 100: no copies are sent";
    annotations.refuse("mirror-percentage", says, "Write e.g. 10.");
    return [];
  }
  const target = { kind: "cluster", cluster, subset: null } as const;
  const sharePpm = Number(percent) * PPM_PER_PERCENT;
  return [{ target, sharePpm, requestHeaders: NO_HEADER_OPERATIONS }];
}
