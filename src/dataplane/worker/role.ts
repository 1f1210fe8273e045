//! What a worker does with a snapshot: as a gateway, or as the host of every pod's sidecar.

import type { ExplainAnswer, ExplainQuestion } from "../filter/explain.ts";
import type { PluginFault } from "../filter/plugin-slot.ts";
import type { ModuleFile } from "../runtime/module-cache.ts";
import type { FailedStarts } from "../runtime/prepare.ts";
import type { Plugin, Snapshot } from "../../snapshot/snapshot.ts";
import type { StartTrial } from "../../wasm/start-trial.ts";

export interface WorkerRole {
  /**
   * Null when the snapshot runs; else why the previous one goes on. One call at a time. Plug-ins of
   * it that are named in `failed` are not started.
   */
  configure(snapshot: Snapshot, failed?: FailedStarts): Promise<string | null>;
  /** Of a gateway that runs nothing yet: whether the plug-in would start, and how long it takes. */
  tryStart?(plugin: Plugin): Promise<StartTrial>;
  /** Of a gateway: the plug-in waits to be made anew, and nobody else can. */
  startHere?(plugin: string): void;
  /** Loads the code of plug-ins that may come; what runs already is not touched. */
  load?(files: readonly ModuleFile[]): Promise<void>;
  /** Plug-ins of the snapshot that runs which do not run as it says. */
  pluginFaults?(): readonly PluginFault[];
  /** What rules read and cannot be opened. */
  sourceFaults?(): readonly PluginFault[];
  /** Null when no listener of that port runs here. */
  explain(question: ExplainQuestion): Promise<ExplainAnswer | null>;
  /** Resolves when no exchange runs on a runtime that has been swapped out by now. */
  oldRuntimesDrained(): Promise<void>;
  /** Closes the ports of gateways for good: no later snapshot opens one. As in `ToWorker`. */
  drainListeners?(isPatient?: boolean): void;
  /** `host:port` of each listener of a gateway. */
  listening?(): readonly string[];
  /** What it accepts with there; null: it cannot be had now. */
  listenerHandle?(address: string): object | null;
  /** Of sidecars: as in `ToWorker`. */
  shareTraces?(folder: string | null): void;
  /** Null when the pod's sidecar listens here; else why not. */
  podFailure(pod: string): string | null;
  /** Resolves when nothing is in flight to the pod, or after `timeoutMs`. */
  drainPod(pod: string, timeoutMs: number): Promise<void>;
  /** Accepts nothing new; resolves when every exchange has ended. */
  stop(): Promise<void>;
}
