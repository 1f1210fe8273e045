//! Pods to endpoints (with the Services that select them) and to workloads.

import { isPodReady } from "../resources/kinds/pod.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { ServicePort } from "../resources/kinds/service.ts";
import type { Endpoint, EndpointSet, Workload } from "../snapshot/snapshot.ts";
import { LabelIndex } from "../lane/label-index.ts";
import {
  INBOUND_PORTS_ANNOTATION,
  injectedSidecar,
  OUTBOUND_PORT_ANNOTATION,
  PORTS_ANNOTATION,
  saysInjected,
  sidecarPort,
} from "./injected-sidecar.ts";
import { localityOf } from "./locality.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import type { ServiceClusters } from "./service.ts";

/** Written by the local cluster: the pod's private outbound listener. */
export const OUTBOUND_ANNOTATION = "local.graylane.io/outbound";

/** Written by the local cluster: what the sidecar is, `envoy`; absent: the embedded engine. */
export const SIDECAR_KIND_ANNOTATION = "local.graylane.io/sidecar";

/** Endpoints by cluster name: the ready pods that the Service selects, in the order of names. */
export function compileEndpoints(
  { service, clusters }: ServiceClusters,
  pods: LabelIndex<Pod>,
): Record<string, EndpointSet> {
  const selected = pods
    .select(namespaceOf(service), service.spec.selector ?? {})
    .filter(isPodReady);
  const sets: Record<string, EndpointSet> = {};
  for (const cluster of clusters) {
    const port = service.spec.ports?.find((candidate) => candidate.port === cluster.port);
    if (port === undefined) continue;
    sets[cluster.name] = { endpoints: selected.flatMap((pod) => endpointOf(pod, port)) };
  }
  return sets;
}

export function indexPods(pods: readonly Pod[]): LabelIndex<Pod> {
  return new LabelIndex(pods, (pod) => ({
    namespace: namespaceOf(pod),
    labels: pod.metadata.labels ?? {},
  }));
}

function endpointOf(pod: Pod, servicePort: ServicePort): Endpoint[] {
  const address = pod.status?.podIP;
  const port = targetPortOf(pod, servicePort);
  if (address === undefined || port === null) return [];
  const labels = sortedLabels(pod);
  const at = { address, port: sidecarPort(pod, port) };
  return [{ ...at, pod: keyOf(pod), labels, ...localityOf(undefined, labels) }];
}

/** A named target port is looked up in the pod's containers; null when none has that name. */
function targetPortOf(pod: Pod, { port, targetPort = port }: ServicePort): number | null {
  if (typeof targetPort === "number") return targetPort;
  if (/^\d+$/.test(targetPort)) return Number(targetPort);
  for (const { ports = [] } of pod.spec.containers) {
    const named = ports.find(({ name }) => name === targetPort);
    if (named !== undefined) return named.containerPort;
  }
  return null;
}

/** By labels object: a Service with several ports asks several times. */
const sortedByLabels = new WeakMap<object, Record<string, string>>();

/** Of a Pod, by keys: the same object each time. */
export function sortedLabels({ metadata: { labels = {} } }: Pod): Record<string, string> {
  let sorted = sortedByLabels.get(labels);
  if (sorted === undefined) {
    sorted = {};
    for (const key of Object.keys(labels).sort()) sorted[key] = labels[key] ?? "";
    sortedByLabels.set(labels, sorted);
  }
  return sorted;
}

/**
 * The pods that have a sidecar of ours: those that the local cluster has placed, and those that
 * were injected. Ready or not: a draining one still serves.
 */
export function compileWorkloads(
  pods: readonly Pod[],
  messages: MessageList,
): Record<string, Workload> {
  const workloads: Record<string, Workload> = {};
  for (const pod of pods) {
    const address = pod.status?.podIP;
    if (!hasSidecar(pod) || address === undefined) continue;
    const sidecar = sidecarOf(pod);
    if (sidecar === null) {
      reportUnreadable(pod, messages);
      continue;
    }
    workloads[keyOf(pod)] = {
      ...(sidecar.isEnvoy ? { sidecar: "envoy" } : {}),
      name: pod.metadata.name,
      namespace: namespaceOf(pod),
      labels: sortedLabels(pod),
      ...localityOf(undefined, pod.metadata.labels ?? {}),
      address,
      inbound: sidecar.inbound,
      outbound: sidecar.outbound,
    };
  }
  return workloads;
}

/** It, and who calls it by us, speaks to a sidecar of ours. */
export function hasSidecar(pod: Pod): boolean {
  return OUTBOUND_ANNOTATION in (pod.metadata.annotations ?? {}) || saysInjected(pod);
}

type Sidecar = Pick<Workload, "inbound" | "outbound"> & { readonly isEnvoy: boolean };

function sidecarOf(pod: Pod): Sidecar | null {
  const { annotations = {} } = pod.metadata;
  const said = annotations[OUTBOUND_ANNOTATION];
  if (said === undefined) {
    const injected = injectedSidecar(pod);
    return injected === null ? null : { ...injected, isEnvoy: true };
  }
  const inbound = parsePorts(annotations[PORTS_ANNOTATION] ?? "{}");
  const outbound = parseAddress(said);
  if (inbound === null || outbound === null) return null;
  return { inbound, outbound, isEnvoy: annotations[SIDECAR_KIND_ANNOTATION] === "envoy" };
}

function reportUnreadable(pod: Pod, messages: MessageList): void {
  const isInjected = saysInjected(pod);
  const names = isInjected
    ? `${INBOUND_PORTS_ANNOTATION} and ${OUTBOUND_PORT_ANNOTATION}`
    : `${PORTS_ANNOTATION} and ${OUTBOUND_ANNOTATION}`;
  messages.add(pod, {
    severity: "error",
    code: "GL0212",
    path: "metadata.annotations",
    message: `the annotations ${names} cannot be read`,
    remedy: isInjected
      ? "They are written by `graylane inject`: inject the workload again."
      : "They are the local cluster's own: delete the pod, and it is made anew.",
  });
}

function parsePorts(text: string): Workload["inbound"] | null {
  let ports: unknown;
  try {
    ports = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof ports !== "object" || ports === null) return null;
  const inbound: { port: number; appAddress: string; appPort: number }[] = [];
  for (const [port, app] of Object.entries(ports as Record<string, unknown>)) {
    const target = typeof app === "string" ? parseAddress(app) : null;
    if (!/^\d+$/.test(port) || target === null) return null;
    inbound.push({ port: Number(port), appAddress: target.address, appPort: target.port });
  }
  return inbound.sort((a, b) => a.port - b.port);
}

function parseAddress(text: string): { address: string; port: number } | null {
  const found = /^(.+):(\d+)$/.exec(text);
  const [, address = "", port = ""] = found ?? [];
  return found === null ? null : { address, port: Number(port) };
}
