//! ServiceEntries to clusters and endpoints: hosts that no Service of Kubernetes stands for.

import { isAddress, isUnixAddress } from "../resources/formats.ts";
import { isPodReady } from "../resources/kinds/pod.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { ServiceEntry, ServiceEntryPort } from "../resources/kinds/service-entry.ts";
import type { WorkloadEntry, WorkloadEntrySpec } from "../resources/kinds/workload-entry.ts";
import type { Resource } from "../resources/object.ts";
import { refOf } from "../resources/object.ts";
import type { Cluster, Endpoint, EndpointSet } from "../snapshot/snapshot.ts";
import { LabelIndex } from "../lane/label-index.ts";
import type { MessageList } from "./messages.ts";
import { localityOf } from "./locality.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import { CONNECT_TIMEOUT_MS, serviceKeyOf } from "./service.ts";
import type { HostClusters } from "./service.ts";
import { exportedTo } from "./visibility.ts";

/** What DNS said last of a name. */
export interface NameAnswer {
  /** Sorted. */
  readonly addresses: readonly string[];
  /** Why the last look-up failed, in a word; `""`: it did not. The addresses are those before. */
  readonly fault: string;
}

/** By name, lower-case. */
export type NameMap = ReadonlyMap<string, NameAnswer>;

/** Names that are looked up for all ServiceEntries together. */
export const NAMES_MAX = 1_000;

const HTTP2_PROTOCOLS: ReadonlySet<string> = new Set(["http2", "grpc"]);
const PORT_OF_UNIX_SOCKET = 0;

/** One host of a ServiceEntry. */
export interface EntryHost extends HostClusters {
  readonly entry: ServiceEntry;
}

/** By host, lower-case; of several ServiceEntries for one host the first by name counts. */
export function collectEntries(
  entries: readonly ServiceEntry[],
  isService: (key: string) => boolean,
  messages: MessageList,
): ReadonlyMap<string, EntryHost> {
  const found = new Map<string, EntryHost>();
  for (const entry of entries) {
    reportAddresses(entry, messages);
    entry.spec.hosts.forEach((text, index) => {
      const host = text.toLowerCase();
      const path = `spec.hosts[${index}]`;
      const owner = ownerOf(host, entry, found, isService);
      if (owner !== null) reportTaken(entry, { host, path, owner }, messages);
      else if (host.includes("*")) reportWildcard(entry, { host, path }, messages);
      else found.set(host, hostOf(entry, host));
    });
  }
  return found;
}

/** Without resolution a call goes to the address that the app dialled: to no cluster. */
function hostOf(entry: ServiceEntry, host: string): EntryHost {
  const to = exportedTo(entry);
  const exportTo = to === null ? {} : { exportTo: to };
  if (entry.spec.resolution !== "NONE") {
    return { entry, key: host, clusters: clustersOf(entry, host), ...exportTo };
  }
  const noClusters = "resolution NONE, which leaves it to the caller where the host is";
  return { entry, key: host, clusters: [], noClusters, ...exportTo };
}

/** Who has the host already; null: nobody. */
function ownerOf(
  host: string,
  entry: ServiceEntry,
  found: ReadonlyMap<string, EntryHost>,
  isService: (key: string) => boolean,
): string | null {
  const key = host.includes(".") ? serviceKeyOf(host, namespaceOf(entry)) : null;
  if (key !== null && isService(key)) return `the Service ${key}`;
  const other = found.get(host);
  return other === undefined || other.entry === entry
    ? null
    : `the ServiceEntry ${keyOf(other.entry)}`;
}

function clustersOf(entry: ServiceEntry, host: string): Cluster[] {
  const { ports = [], addresses = [], location } = entry.spec;
  const exportTo = exportedTo(entry);
  const aliases = addresses.filter((address) => isAddress(address) && address.includes("."));
  return ports.map(({ number, protocol = "" }) => ({
    name: `outbound|${number}||${host}`,
    host,
    aliases,
    namespace: namespaceOf(entry),
    port: number,
    service: host,
    source: refOf(entry),
    ...(location === "MESH_EXTERNAL" ? { isOutside: true as const } : {}),
    ...(exportTo === null ? {} : { exportTo }),
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    ...(HTTP2_PROTOCOLS.has(protocol.toLowerCase()) ? { protocol: "h2" as const } : {}),
  }));
}

/** What the endpoints of all ServiceEntries are made from. */
export interface EntryWorld {
  readonly pods: LabelIndex<Pod>;
  readonly workloads: LabelIndex<WorkloadEntry>;
  /** Null: nobody looks names up, so that they stand for themselves. */
  readonly names: NameMap | null;
  readonly messages: MessageList;
}

export function indexWorkloads(entries: readonly WorkloadEntry[]): LabelIndex<WorkloadEntry> {
  return new LabelIndex(entries, (entry) => ({
    namespace: namespaceOf(entry),
    labels: { ...entry.metadata.labels, ...entry.spec.labels },
  }));
}

/** Endpoints by cluster name. */
export function compileEntryEndpoints(
  { entry, key, clusters }: EntryHost,
  world: EntryWorld,
): Record<string, EndpointSet> {
  const members = membersOf(entry, key, world);
  const sets: Record<string, EndpointSet> = {};
  for (const cluster of clusters) {
    const port = entry.spec.ports?.find(({ number }) => number === cluster.port);
    if (port === undefined) continue;
    const endpoints = members.flatMap((member) => endpointsOf(member, port));
    sets[cluster.name] = { endpoints };
  }
  return sets;
}

/** An endpoint before its port is known. */
interface Member {
  readonly addresses: readonly string[];
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly pod: string;
  readonly weight?: number;
  readonly locality?: string;
}

function membersOf(entry: ServiceEntry, host: string, world: EntryWorld): Member[] {
  const { endpoints, workloadSelector, resolution } = entry.spec;
  if (workloadSelector !== undefined) return selectedMembers(entry, world);
  if (endpoints === undefined || endpoints.length === 0) {
    if (resolution === "STATIC") return [];
    const addresses = addressesOf(host, { entry, path: "spec.hosts", resolution }, world);
    return [{ addresses, ports: {}, labels: {}, pod: "" }];
  }
  return endpoints.map((endpoint, index) => {
    const place = { entry, path: `spec.endpoints[${index}].address`, resolution };
    return memberOf(endpoint, addressesOf(endpoint.address ?? "", place, world));
  });
}

function memberOf(
  { ports = {}, labels = {}, weight = 0, locality }: WorkloadEntrySpec,
  addresses: readonly string[],
): Member {
  const heavy = weight > 1 ? { weight } : {};
  return { addresses, ports, labels, pod: "", ...heavy, ...localityOf(locality, labels) };
}

/** WorkloadEntries and ready Pods of the ServiceEntry's namespace. */
function selectedMembers(entry: ServiceEntry, world: EntryWorld): Member[] {
  const { workloadSelector = {}, resolution } = entry.spec;
  const { labels = {} } = workloadSelector;
  const namespace = namespaceOf(entry);
  const workloads = world.workloads.select(namespace, labels).map((workload) => {
    const place = { entry: workload, path: "spec.address", resolution };
    const own = {
      ...workload.spec,
      labels: { ...workload.metadata.labels, ...workload.spec.labels },
    };
    return memberOf(own, addressesOf(workload.spec.address ?? "", place, world));
  });
  const pods = world.pods
    .select(namespace, labels)
    .filter(isPodReady)
    .flatMap((pod) => {
      const address = pod.status?.podIP;
      const { labels: own = {} } = pod.metadata;
      const about = { ports: {}, labels: own, pod: keyOf(pod), ...localityOf(undefined, own) };
      return address === undefined ? [] : [{ addresses: [address], ...about }];
    });
  const members = [...workloads, ...pods];
  if (members.length === 0) {
    world.messages.add(entry, {
      severity: "info",
      code: "GL0264",
      path: "spec.workloadSelector",
      message: "no WorkloadEntry and no ready Pod carries the labels, so calls answer 503",
    });
  }
  return members;
}

interface NamedPlace {
  /** Whose address it is: messages stand there. */
  readonly entry: Resource;
  readonly path: string;
  readonly resolution: ServiceEntry["spec"]["resolution"];
}

function addressesOf(
  address: string,
  { entry, path, resolution }: NamedPlace,
  { names, messages }: EntryWorld,
): readonly string[] {
  if (address === "" || isAddress(address) || isUnixAddress(address)) return [address];
  if (names === null) return [address];
  const { addresses = [], fault = "not looked up" } = names.get(address.toLowerCase()) ?? {};
  if (fault !== "") {
    const isServed = addresses.length > 0;
    messages.add(entry, {
      severity: isServed ? "warning" : "error",
      code: "GL0263",
      path,
      message:
        `the name ${address} cannot be resolved (${fault}): ` +
        (isServed ? "its last addresses stay in use" : "it has no endpoint"),
      remedy: "Correct the name, or look at the machine's DNS: it is asked again by itself.",
    });
  }
  return resolution === "DNS_ROUND_ROBIN" ? addresses.slice(0, 1) : addresses;
}

function endpointsOf(
  { addresses, ports, pod, labels, ...about }: Member,
  { name, number, targetPort = number }: ServiceEntryPort,
): Endpoint[] {
  return addresses
    .filter((address) => address !== "")
    .map((address) => ({
      address,
      port: isUnixAddress(address) ? PORT_OF_UNIX_SOCKET : (ports[name] ?? targetPort),
      pod,
      labels,
      ...about,
    }));
}

/** Names that ServiceEntries and what they select want looked up, sorted. */
export function namesToResolve(resources: readonly Resource[]): string[] {
  const names = new Set<string>();
  for (const resource of resources) {
    for (const address of addressesIn(resource)) {
      if (address !== "" && !isAddress(address) && !isUnixAddress(address)) {
        names.add(address.toLowerCase());
      }
    }
  }
  return [...names].sort().slice(0, NAMES_MAX);
}

function addressesIn(resource: Resource): readonly string[] {
  if (resource.kind === "WorkloadEntry") return [(resource as WorkloadEntry).spec.address ?? ""];
  if (resource.kind !== "ServiceEntry") return [];
  const { resolution, endpoints = [], hosts, workloadSelector } = (resource as ServiceEntry).spec;
  if (resolution === "NONE" || resolution === "STATIC") return [];
  if (endpoints.length > 0) return endpoints.map(({ address = "" }) => address);
  return workloadSelector === undefined ? hosts.filter((host) => !host.includes("*")) : [];
}

function reportAddresses(entry: ServiceEntry, messages: MessageList): void {
  (entry.spec.addresses ?? []).forEach((address, index) => {
    if (isAddress(address) && address.includes(".")) return;
    messages.add(entry, {
      severity: "warning",
      code: "GL0262",
      path: `spec.addresses[${index}]`,
      message: `sidecars do not know the ServiceEntry by ${address}`,
      remedy: "Call one of its hosts, or write single addresses of IPv4.",
    });
  });
}

function reportTaken(
  entry: ServiceEntry,
  { host, path, owner }: { readonly host: string; readonly path: string; readonly owner: string },
  messages: MessageList,
): void {
  messages.add(entry, {
    severity: "warning",
    code: "GL0260",
    path,
    message: `${owner} is the host ${host} already, so that this one is not used`,
    remedy: "Put what is said of one host into one object.",
  });
}

/** Without resolution the app's own DNS is used, wildcard or not. */
function reportWildcard(
  entry: ServiceEntry,
  { host, path }: { readonly host: string; readonly path: string },
  messages: MessageList,
): void {
  if (entry.spec.resolution === "NONE") return;
  messages.add(entry, {
    severity: "warning",
    code: "GL0261",
    path,
    message: `no call goes to the endpoints by the wildcard ${host}`,
    remedy: "Write each host.",
  });
}
