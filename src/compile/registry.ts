//! What registries say to clusters, endpoints, and the status of the McpBridges that name them.

import type { McpBridge, RegistrySpec } from "../resources/kinds/mcp-bridge.ts";
import { isNacos } from "../resources/kinds/mcp-bridge.ts";
import { isPodReady } from "../resources/kinds/pod.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import { refOf, refText } from "../resources/object.ts";
import type { ObjectRef } from "../resources/object.ts";
import type { Cluster, Endpoint, EndpointSet } from "../snapshot/snapshot.ts";
import { localityOf } from "./locality.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, listNames, namespaceOf } from "./resource-index.ts";
import { CONNECT_TIMEOUT_MS } from "./service.ts";
import type { HostClusters } from "./service.ts";

/** One that takes requests: healthy, enabled, and with a weight. */
export interface RegistryInstance {
  readonly address: string;
  readonly port: number;
  /** More than 0. */
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface RegistryService {
  /** Lower-case: `sc-a.default-group.public.nacos`. */
  readonly host: string;
  /** By which it is called; instances have their own. */
  readonly port: number;
  readonly isHttp2: boolean;
  /** In the order of address and port. */
  readonly instances: readonly RegistryInstance[];
}

/** What is known of one registry. */
export interface RegistryAnswer {
  readonly services: readonly RegistryService[];
  /** Why it is not heard now, in a few words; `""`: it is. */
  readonly fault: string;
  /** When it was heard last, as RFC 3339, while it is not; `""`: never. */
  readonly heardAt: string;
  /** Services that cannot be called, with the reason. */
  readonly leftOut: readonly string[];
}

/** What is known of all registries. */
export interface RegistryAnswers {
  /** Another one for other answers. */
  readonly version: string;
  /** By `registryKey`. */
  readonly answers: ReadonlyMap<string, RegistryAnswer>;
}

/** A host that a registry knows. */
export interface RegistryHost extends HostClusters {
  readonly instances: readonly RegistryInstance[];
}

export type RegistryFindings = Readonly<Record<string, unknown>>;

/** Nacos' weights have fractions, ours have not. */
const WEIGHT_FACTOR = 100;
const UNKNOWN: RegistryAnswer = { services: [], fault: "not asked yet", heardAt: "", leftOut: [] };

export function registryKey(bridge: McpBridge, { name }: RegistrySpec): string {
  return `${keyOf(bridge)}#${name}`;
}

/** By host. Of a host that several registries know, all instances. */
export function collectRegistryHosts(
  bridges: readonly McpBridge[],
  { answers }: RegistryAnswers,
  isTaken: (host: string) => boolean,
): ReadonlyMap<string, RegistryHost> {
  const found = new Map<string, RegistryHost>();
  for (const bridge of bridges) {
    for (const registry of bridge.spec.registries ?? []) {
      for (const service of answers.get(registryKey(bridge, registry))?.services ?? []) {
        if (isTaken(service.host)) continue;
        const other = found.get(service.host);
        const host = other ?? hostOf(service, bridge);
        found.set(service.host, { ...host, instances: merged(other, service) });
      }
    }
  }
  return found;
}

function merged(
  other: RegistryHost | undefined,
  { instances }: RegistryService,
): readonly RegistryInstance[] {
  if (other === undefined) return instances;
  const known = new Set(other.instances.map(placeOf));
  return [...other.instances, ...instances.filter((each) => !known.has(placeOf(each)))];
}

function placeOf({ address, port }: RegistryInstance): string {
  return `${address}:${port}`;
}

function hostOf({ host, port, isHttp2 }: RegistryService, bridge: McpBridge): HostClusters {
  const cluster: Cluster = {
    name: `outbound|${port}||${host}`,
    host,
    aliases: [],
    namespace: namespaceOf(bridge),
    port,
    service: host,
    source: refOf(bridge),
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    ...(isHttp2 ? { protocol: "h2" as const } : {}),
  };
  return { key: host, clusters: [cluster] };
}

/**
 * By cluster. An instance that runs in a Pod that is known has the Pod's labels too, where its
 * metadata says nothing else: in the original the governance agent writes them there. While the Pod
 * is not ready it takes no requests.
 */
export function registryEndpoints(
  { clusters, instances }: RegistryHost,
  podsByAddress: ReadonlyMap<string, Pod | null>,
): Record<string, EndpointSet> {
  const isWhole = instances.every(({ weight }) => Number.isInteger(weight));
  const isEven = instances.every(({ weight }) => weight === instances[0]?.weight);
  const endpoints = instances.flatMap(({ address, port, weight, metadata }): Endpoint[] => {
    const pod = podsByAddress.get(address) ?? undefined;
    if (pod !== undefined && !isPodReady(pod)) return [];
    const labels = sortedLabels({ ...pod?.metadata.labels, ...metadata });
    const whole = isWhole ? weight : Math.max(1, Math.round(weight * WEIGHT_FACTOR));
    return [
      {
        ...{ address, port, labels, pod: pod === undefined ? "" : keyOf(pod) },
        ...(isEven ? {} : { weight: whole }),
        ...localityOf(undefined, labels),
      },
    ];
  });
  return Object.fromEntries(clusters.map(({ name }) => [name, { endpoints }]));
}

function sortedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Null: several Pods share the address. */
export function podsByAddress(pods: readonly Pod[]): ReadonlyMap<string, Pod | null> {
  const found = new Map<string, Pod | null>();
  for (const pod of pods) {
    const address = pod.status?.podIP;
    if (address !== undefined) found.set(address, found.has(address) ? null : pod);
  }
  return found;
}

/** By `refText` of the McpBridge: what its status says of its registries. */
export function registryFindings(
  bridges: readonly McpBridge[],
  { answers }: RegistryAnswers,
  messages: MessageList,
): ReadonlyMap<string, RegistryFindings> {
  const found = new Map<string, RegistryFindings>();
  for (const bridge of bridges) {
    const registries = (bridge.spec.registries ?? []).map((registry, index) => {
      const { name } = registry;
      if (!isNacos(registry)) return { name, state: "Unsupported", services: 0, instances: 0 };
      const answer = answers.get(registryKey(bridge, registry)) ?? UNKNOWN;
      reportAnswer(bridge, { registry, index, answer }, messages);
      const { services, fault, heardAt } = answer;
      return {
        name,
        state: fault === "" ? "Connected" : "Away",
        services: services.length,
        instances: services.reduce((sum, { instances }) => sum + instances.length, 0),
        ...(heardAt === "" ? {} : { lastHeard: heardAt }),
      };
    });
    found.set(refText(refOf(bridge) satisfies ObjectRef), { registries });
  }
  return found;
}

interface Asked {
  readonly registry: RegistrySpec;
  readonly index: number;
  readonly answer: RegistryAnswer;
}

function reportAnswer(
  bridge: McpBridge,
  { registry, index, answer }: Asked,
  messages: MessageList,
): void {
  const path = `spec.registries[${index}]`;
  const { name, domain, port, nacosGroups, nacosNamespaceId = "" } = registry;
  const { services, fault, heardAt, leftOut } = answer;
  if (fault !== "") {
    const isServed = services.length > 0;
    messages.add(bridge, {
      severity: isServed ? "warning" : "error",
      code: "GL0293",
      path,
      message:
        `the registry ${name} at ${domain}:${port} cannot be read (${fault}): ` +
        (isServed
          ? `its last ${services.length} services stay in use, as they were at ${heardAt}`
          : "none of its services has an endpoint"),
      remedy: "Correct what is wrong there or here: it is asked again by itself.",
    });
  } else if (services.length === 0 && leftOut.length === 0) {
    messages.add(bridge, {
      severity: "warning",
      code: "GL0295",
      path,
      message:
        `the registry ${name} has no service in the namespace ` +
        `${nacosNamespaceId === "" ? "public" : nacosNamespaceId}, groups ` +
        nacosGroups.join(", "),
      remedy: "Correct nacosNamespaceId (the id, not the name) and nacosGroups, if it should.",
    });
  }
  if (leftOut.length === 0) return;
  messages.add(bridge, {
    severity: "warning",
    code: "GL0294",
    path,
    message: `services of the registry ${name} that cannot be called: ${listNames(leftOut)}`,
    remedy: "A service's name must be usable in a host name; the limits are in docs/nacos.md.",
  });
}
