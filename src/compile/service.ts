//! Services to clusters, and the finding of a destination's cluster.

import type { Service } from "../resources/kinds/service.ts";
import type { Cluster } from "../snapshot/snapshot.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";

const DOMAIN = "svc.cluster.local";
const CONNECT_TIMEOUT_MS = 10_000;
const HTTP2_PROTOCOLS: ReadonlySet<string> = new Set(["kubernetes.io/h2c", "http2", "grpc"]);

/** One Service with its TCP ports as clusters, in the order of the resource. */
export interface ServiceClusters {
  readonly service: Service;
  /** `namespace/name`. */
  readonly key: string;
  readonly clusters: readonly Cluster[];
}

export type ServiceMap = ReadonlyMap<string, ServiceClusters>;

export function collectServices(services: readonly Service[]): ServiceMap {
  return new Map(
    services
      .filter(({ spec }) => spec.type !== "ExternalName")
      .map((service) => [
        keyOf(service),
        { service, key: keyOf(service), clusters: clustersOf(service) },
      ]),
  );
}

function clustersOf(service: Service): Cluster[] {
  const { name } = service.metadata;
  const namespace = namespaceOf(service);
  const host = `${name}.${namespace}.${DOMAIN}`;
  return (service.spec.ports ?? [])
    .filter(({ protocol }) => protocol === "TCP")
    .map(({ port, name: portName, appProtocol }) => ({
      name: `outbound|${port}||${host}`,
      host,
      aliases: [name, `${name}.${namespace}`, `${name}.${namespace}.svc`, host],
      namespace,
      port,
      service: `${namespace}/${name}`,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      ...(speaksHttp2(appProtocol, portName) ? { protocol: "h2" as const } : {}),
    }));
}

/** As Istio chooses: `appProtocol`, else the port's name up to its first `-`. */
function speaksHttp2(appProtocol: string | undefined, portName: string | undefined): boolean {
  const said = appProtocol ?? portName?.split("-")[0] ?? "";
  return HTTP2_PROTOCOLS.has(said.toLowerCase());
}

/**
 * The `namespace/name` that a destination's host means: a short name is in the namespace of the
 * object that names it. Null when the host is not of this Kubernetes cluster's domain.
 */
export function serviceKeyOf(host: string, namespace: string): string | null {
  const labels = host.toLowerCase().replace(/\.$/, "").split(".");
  const [name = "", inNamespace = namespace, ...rest] = labels;
  const suffix = rest.join(".");
  const isOwn = suffix === "" || suffix === "svc" || suffix === DOMAIN || suffix === "svc.cluster";
  return isOwn && name !== "" ? `${inNamespace}/${name}` : null;
}
