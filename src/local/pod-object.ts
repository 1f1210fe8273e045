//! Writes the Pod object: what compile makes endpoints and workloads of, and what `get pods` shows.

import { timestamp } from "../base/clock.ts";
import type { Resource } from "../resources/object.ts";
import type { PodAddress } from "./address-pool.ts";
import type { ContainerState, LastExit } from "./container.ts";
import type { Container, PodTemplate } from "./manifest.ts";

export const DEPLOYMENT_ANNOTATION = "local.graylane.io/deployment";
export const PORTS_ANNOTATION = "local.graylane.io/ports";
export const OUTBOUND_ANNOTATION = "local.graylane.io/outbound";
/** `envoy`, or absent. */
export const SIDECAR_KIND_ANNOTATION = "local.graylane.io/sidecar";
export const TEMPLATE_HASH_ANNOTATION = "local.graylane.io/template-hash";
/** JSON `{"8000": 20001}`: only where all pods share one address (see AddressPool). */
export const LISTEN_PORTS_ANNOTATION = "local.graylane.io/listen-ports";

export interface ContainerView {
  readonly container: Container;
  readonly state: ContainerState;
  readonly restartCount: number;
  readonly lastExit: LastExit | null;
}

export interface PodView {
  readonly namespace: string;
  readonly name: string;
  readonly deployment: string;
  /** Null: not known. */
  readonly deploymentUid: string | null;
  readonly templateHash: string;
  readonly template: PodTemplate;
  readonly createdAtMs: number;
  /** Null until addresses are allocated. */
  readonly address: PodAddress | null;
  /** Set when the pod is being removed. */
  readonly deletedAtMs: number | null;
  /** Why the pod as a whole waits; `""` when it does not. */
  readonly waiting: { readonly reason: string; readonly message: string } | null;
  readonly containers: readonly ContainerView[];
  readonly readySinceMs: number | null;
}

export function renderPod(view: PodView): Resource {
  const { template, deletedAtMs } = view;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: view.name,
      namespace: view.namespace,
      labels: template.labels,
      annotations: { ...template.annotations, ...addressAnnotations(view) },
      ...ownerOf(view),
      creationTimestamp: timestamp(view.createdAtMs),
      ...(deletedAtMs === null ? {} : { deletionTimestamp: timestamp(deletedAtMs) }),
    },
    spec: { ...template.spec, nodeName: "local" },
    status: renderStatus(view),
  };
}

/** The Deployment itself: there are no ReplicaSets here. It waits for its pods if it is told to. */
function ownerOf({ deployment, deploymentUid }: PodView): object {
  if (deploymentUid === null) return {};
  const owner = { apiVersion: "apps/v1", kind: "Deployment", name: deployment, uid: deploymentUid };
  return { ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }] };
}

function addressAnnotations(view: PodView): Record<string, string> {
  const { address } = view;
  const annotations: Record<string, string> = {
    [DEPLOYMENT_ANNOTATION]: view.deployment,
    [TEMPLATE_HASH_ANNOTATION]: view.templateHash,
  };
  if (address === null) return annotations;
  const ports = address.inbound.map(
    (each) => [each.containerPort, `${each.appAddress}:${each.appPort}`] as const,
  );
  const listenPorts = address.inbound.map((each) => [each.containerPort, each.listenPort] as const);
  annotations[PORTS_ANNOTATION] = JSON.stringify(Object.fromEntries(ports));
  const { outbound } = address;
  if (outbound !== null) annotations[OUTBOUND_ANNOTATION] = `${outbound.address}:${outbound.port}`;
  if (view.template.sidecar === "envoy") annotations[SIDECAR_KIND_ANNOTATION] = "envoy";
  if (listenPorts.some(([containerPort, listenPort]) => containerPort !== listenPort)) {
    annotations[LISTEN_PORTS_ANNOTATION] = JSON.stringify(Object.fromEntries(listenPorts));
  }
  return annotations;
}

function renderStatus(view: PodView): object {
  const isReady = isPodReady(view);
  const hasRun = view.containers.some(({ state }) => state.kind === "running");
  const since = timestamp(view.readySinceMs ?? view.createdAtMs);
  const condition = (type: string, isTrue: boolean): object => ({
    type,
    status: isTrue ? "True" : "False",
    lastTransitionTime: type.endsWith("Ready") ? since : timestamp(view.createdAtMs),
    ...(isTrue ? {} : faultOf(view)),
  });
  return {
    phase:
      hasRun || view.containers.some(({ restartCount }) => restartCount > 0)
        ? "Running"
        : "Pending",
    hostIP: "127.0.0.1",
    ...(view.address === null
      ? {}
      : { podIP: view.address.podIp, podIPs: [{ ip: view.address.podIp }] }),
    startTime: timestamp(view.createdAtMs),
    conditions: [
      condition("PodScheduled", view.address !== null),
      condition("Initialized", true),
      condition("ContainersReady", isReady),
      condition("Ready", isReady),
    ],
    containerStatuses: view.containers.map((each) => renderContainer(each, view)),
  };
}

/** All containers run and listen, and the pod is not on its way out for another reason. */
export function isPodReady(view: Pick<PodView, "containers" | "waiting">): boolean {
  return (
    view.waiting === null &&
    view.containers.length > 0 &&
    view.containers.every(({ state }) => state.kind === "running" && state.isReady)
  );
}

/** The first thing that keeps the pod from being ready. */
function faultOf(view: PodView): { readonly reason?: string; readonly message?: string } {
  if (view.waiting !== null) return view.waiting;
  for (const { state } of view.containers) {
    if (state.kind === "waiting") return { reason: state.reason, message: state.message };
    if (state.kind === "running" && !state.isReady) {
      return { reason: "ContainersNotReady", message: state.message };
    }
  }
  return {};
}

function renderContainer(each: ContainerView, view: PodView): object {
  const { container, state, lastExit } = each;
  return {
    name: container.name,
    image: container.image,
    imageID: "",
    ready: state.kind === "running" && state.isReady,
    started: state.kind === "running",
    restartCount: each.restartCount,
    state: renderState(state, view, lastExit),
    lastState: lastExit === null ? {} : { terminated: renderExit(lastExit) },
  };
}

function renderState(state: ContainerState, view: PodView, lastExit: LastExit | null): object {
  switch (state.kind) {
    case "running":
      return { running: { startedAt: timestamp(state.startedAtMs) } };
    case "waiting": {
      const { reason, message } = view.waiting ?? state;
      return { waiting: message === "" ? { reason } : { reason, message } };
    }
    case "stopped":
      return lastExit === null
        ? { waiting: { reason: "PodInitializing" } }
        : { terminated: renderExit(lastExit) };
  }
}

function renderExit(exit: LastExit): object {
  return {
    exitCode: exit.code ?? 128 + (exit.signal === "SIGKILL" ? 9 : 15),
    reason: exit.code === 0 ? "Completed" : "Error",
    startedAt: timestamp(exit.startedAtMs),
    finishedAt: timestamp(exit.finishedAtMs),
  };
}
