//! What the local cluster needs from outside: a store, the sidecars, and where to report.
//!
//! Narrow on purpose: `main` wires them to the real store and to the sidecar worker, tests to
//! fakes.

import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Prng } from "../base/prng.ts";
import type { ImageMap } from "../resources/image-map.ts";
import type { Resource } from "../resources/object.ts";
import type { AppHost } from "./app-keeper.ts";

/** Kinds that the local cluster reads. */
export type LocalKind = "Deployment" | "Pod" | "ConfigMap" | "Secret";

/** The part of the resource store that the local cluster uses. Every call is about one store. */
export interface PodStore {
  /** All objects of the kind in all namespaces. */
  list(kind: LocalKind): Promise<readonly Resource[]>;
  /** One object, or null when there is none. */
  find(kind: LocalKind, namespace: string, name: string): Promise<Resource | null>;
  /** Rejects when a Pod of that name exists. Returns it with its `resourceVersion`. */
  createPod(pod: Resource): Promise<Resource>;
  /**
   * Replaces metadata, spec and status whatever their version; rejects when there is no such Pod.
   */
  updatePod(pod: Resource): Promise<Resource>;
  /** Removes the object at once; no such Pod is no error. */
  deletePod(namespace: string, name: string): Promise<void>;
  /** Writes the status of a Deployment; no such Deployment is no error. */
  updateDeploymentStatus(namespace: string, name: string, status: object): Promise<void>;
  /** Calls `onChange` after each change of such a kind, until the returned function is called. */
  watch(kinds: readonly LocalKind[], onChange: () => void): () => void;
}

/** What the workers know. `pod` is `<namespace>/<name>`, the key in `Snapshot.workloads`. */
export interface SidecarControl {
  /** Resolves when the sidecar accepts on the pod's address and on its outbound port. */
  sidecarReady(pod: string): Promise<void>;
  /**
   * The same of a pod whose sidecar is an Envoy that somebody starts, however late; rejects when
   * none can be. Resolves, too, when `signal` says that the pod goes.
   */
  envoyReady(pod: string, signal: AbortSignal): Promise<void>;
  /** Resolves when every live worker runs a snapshot at least as new as this store revision. */
  settled(revision: string): Promise<void>;
  /** Resolves when no exchange is in flight in the pod's sidecar, or after `timeoutMs`. */
  drained(pod: string, timeoutMs: number): Promise<void>;
}

/** The list of endpoints, for the agents of pods without a sidecar. */
export function endpointFileOf(stateDir: string): string {
  return join(stateDir, "agent", "endpoints.json");
}

export interface LocalReport {
  readonly severity: "error" | "warning" | "info";
  /** Stable code `GL05nn`, or `""` for plain progress. */
  readonly code: string;
  readonly message: string;
  /** `<namespace>/<name>` of the Pod or Deployment. */
  readonly object: string;
}

export interface LocalClusterOptions {
  readonly store: PodStore;
  readonly sidecars: SidecarControl;
  /** Where apps run; absent: as children of this process. */
  readonly apps?: AppHost;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly images: ImageMap;
  /** Directory of the state; logs go to `<stateDir>/logs`, and see `endpointFileOf`. */
  readonly stateDir: string;
  /** Relative working directories start here; the default directory of an app. */
  readonly baseDir: string;
  /** The sidecar of pods that do not say which; absent: the embedded engine. */
  readonly usualSidecar?: "embedded" | "envoy";
  /** File URL of the Node agent, or null to run without. */
  readonly agentUrl: string | null;
  /** The environment whose `PATH`, `HOME` and the like are handed to apps. */
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  readonly report: (report: LocalReport) => void;
  readonly limits?: Partial<LocalLimits>;
  /** First two bytes of the pods' and the apps' addresses. */
  readonly addresses?: { readonly podPrefix: string; readonly appPrefix: string };
}

export interface LocalLimits {
  readonly podsMax: number;
  /** Pods that may be waiting for their sidecar at one time. */
  readonly startsMax: number;
  /** Of one pod's log file; one rotated file of the same size is kept. */
  readonly logBytesMax: number;
  readonly settleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** An Envoy does not tell what is in flight in it: the app of its pod goes on for so long. */
  readonly envoyDrainMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopGraceMs: number;
  /** A pod without address or sidecar shows why for this long, then another takes its place. */
  readonly failedShownMs: number;
}

export const LOCAL_LIMITS: LocalLimits = {
  podsMax: 500,
  startsMax: 16,
  logBytesMax: 4 * 1024 * 1024,
  settleTimeoutMs: 10_000,
  drainTimeoutMs: 30_000,
  envoyDrainMs: 1_000,
  stopGraceMs: 10_000,
  failedShownMs: 5_000,
};
