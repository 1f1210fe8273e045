//! Envoys that `graylane inject` has put into Pods: what the Pod's annotations say of their ports.
//!
//! Nothing is captured: the app keeps its port, callers of the mesh are sent to the Envoy's own
//! port for it, and the app is told by its environment where the Envoy takes its calls.

import type { Pod } from "../resources/kinds/pod.ts";
import type { Workload } from "../snapshot/snapshot.ts";

/** On a Pod: the sidecar's port for each of the app's, `15100=8080,15101=9090`; may be empty. */
export const INBOUND_PORTS_ANNOTATION = "graylane.io/inbound-ports";
/** On a Pod: where, on loopback, the sidecar takes the app's calls. It says that there is one. */
export const OUTBOUND_PORT_ANNOTATION = "graylane.io/outbound-port";

/** On a Pod's template, as in the local cluster: `"false"` for one that is to have none. */
export const SIDECAR_ANNOTATION = "graylane.io/sidecar";
/** Istio's for the same, a label or an annotation; ours counts before it. */
export const SIDECAR_LABEL_OF_ISTIO = "sidecar.istio.io/inject";

/** Written by the local cluster: container port to the app's own address, as JSON. */
export const PORTS_ANNOTATION = "local.graylane.io/ports";

/** In its own Pod. */
const APP_ADDRESS = "127.0.0.1";
const PORT_MAX = 65_535;
const PORTS_MAX = 100;
/** Pods that have ended keep their address in the status. */
const ENDED = ["Succeeded", "Failed"];

/** What it listens at, beside the Pod's address. */
export type InjectedSidecar = Pick<Workload, "inbound" | "outbound">;

/** By annotations object: an endpoint of each Service port asks again. */
const readByAnnotations = new WeakMap<object, InjectedSidecar | null>();

/** Whether the Pod says that it has one, be it readable or not, and has not ended. */
export function saysInjected({ metadata: { annotations = {} }, status }: Pod): boolean {
  const hasEnded = ENDED.includes(status?.phase ?? "");
  return OUTBOUND_PORT_ANNOTATION in annotations && !(PORTS_ANNOTATION in annotations) && !hasEnded;
}

/** Null: the Pod has none, or what is said of it cannot be read. */
export function injectedSidecar(pod: Pod): InjectedSidecar | null {
  const { annotations } = pod.metadata;
  if (annotations === undefined || !saysInjected(pod)) return null;
  let read = readByAnnotations.get(annotations);
  if (read === undefined) {
    read = readSidecar(annotations);
    readByAnnotations.set(annotations, read);
  }
  return read;
}

/** Where those who know of the sidecar call the app's port: at the sidecar's port for it. */
export function sidecarPort(pod: Pod, appPort: number): number {
  const found = injectedSidecar(pod)?.inbound.find((one) => one.appPort === appPort);
  return found?.port ?? appPort;
}

function readSidecar(annotations: Readonly<Record<string, string>>): InjectedSidecar | null {
  const outbound = portOf(annotations[OUTBOUND_PORT_ANNOTATION] ?? "");
  const text = annotations[INBOUND_PORTS_ANNOTATION] ?? "";
  const pairs = text === "" ? [] : text.split(",");
  if (outbound === null || pairs.length > PORTS_MAX) return null;
  const inbound = pairs.flatMap((pair) => readPair(pair.trim()) ?? []);
  const distinct = new Set([outbound, ...inbound.map(({ port }) => port)]);
  if (inbound.length < pairs.length || distinct.size <= inbound.length) return null;
  inbound.sort((a, b) => a.port - b.port);
  return { inbound, outbound: { address: APP_ADDRESS, port: outbound } };
}

function readPair(pair: string): Workload["inbound"][number] | null {
  const [from = "", to = "", ...more] = pair.split("=");
  const [port, appPort] = [portOf(from), portOf(to)];
  if (port === null || appPort === null || more.length > 0) return null;
  return { port, appAddress: APP_ADDRESS, appPort, dialledPort: appPort };
}

function portOf(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port <= PORT_MAX ? port : null;
}
