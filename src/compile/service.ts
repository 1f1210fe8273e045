//! Services to clusters, and the finding of a destination's cluster.

import type { Service } from "../resources/kinds/service.ts";
import type { Cluster } from "../snapshot/snapshot.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";

const DOMAIN = "svc.cluster.local";
export const CONNECT_TIMEOUT_MS = 10_000;
const HTTP2_PROTOCOLS: ReadonlySet<string> = new Set(["kubernetes.io/h2c", "http2", "grpc"]);

/** What a host stands for: a Service, or a host of a ServiceEntry or of a registry. */
export interface HostClusters {
  /** `namespace/name` of the Service; of another host itself, which has no slash. */
  readonly key: string;
  /** By ports, in the order of the resource. */
  readonly clusters: readonly Cluster[];
  /** Why there is none, as far as there is a reason; absent: no TCP port. */
  readonly noClusters?: string;
  /** Namespaces whose callers may use it; absent: all. */
  readonly exportTo?: readonly string[];
}

/** One Service with its TCP ports as clusters. */
export interface ServiceClusters extends HostClusters {
  readonly service: Service;
}

/** The Services by `namespace/name`, and beside them the hosts of ServiceEntries. */
export interface ServiceMap extends ReadonlyMap<string, ServiceClusters> {
  /** By host, lower-case; those of registries too. */
  readonly entryHosts: ReadonlyMap<string, HostClusters>;
  /** Whether registries have been asked; else a host of theirs may be there or not. */
  readonly areRegistriesAsked: boolean;
}

class ServiceIndex extends Map<string, ServiceClusters> implements ServiceMap {
  readonly entryHosts: ServiceMap["entryHosts"];
  readonly areRegistriesAsked: boolean;

  constructor(
    services: readonly ServiceClusters[],
    entryHosts: ServiceMap["entryHosts"],
    areRegistriesAsked: boolean,
  ) {
    super(services.map((service) => [service.key, service]));
    this.entryHosts = entryHosts;
    this.areRegistriesAsked = areRegistriesAsked;
  }
}

export function collectServices(
  services: readonly Service[],
  entries: ServiceMap["entryHosts"] = new Map(),
  areRegistriesAsked = false,
): ServiceMap {
  const own = services.filter(({ spec }) => spec.type !== "ExternalName");
  return new ServiceIndex(
    own.map((service) => ({ service, key: keyOf(service), clusters: clustersOf(service) })),
    entries,
    areRegistriesAsked,
  );
}

/**
 * How a lane group knows a member: a Service by `namespace/name`, else a host beside the Services
 * by itself.
 */
export function memberKeyOf(name: string, namespace: string, services: ServiceMap): string {
  const key = `${namespace}/${name}`;
  return !services.has(key) && services.entryHosts.has(name) ? name : key;
}

/** A service of Nacos, as Higress names it: `<service>.<group>.<namespace>.nacos`. */
export function isRegistryHost(host: string): boolean {
  return /^[^/]+\.[^./]+\.[^./]+\.nacos\.?$/i.test(host);
}

/** A Service goes before a ServiceEntry for the same host. */
export function findHost(
  host: string,
  namespace: string,
  services: ServiceMap,
): HostClusters | undefined {
  const key = serviceKeyOf(host, namespace);
  const service = key === null ? undefined : services.get(key);
  return service ?? services.entryHosts.get(host.toLowerCase().replace(/\.$/, ""));
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
