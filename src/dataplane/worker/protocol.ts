//! What the main process and its workers say to each other over Node's IPC channel.

import type { EnvoyLevels } from "../../base/envoy-levels.ts";
import type { PluginFault } from "../filter/plugin-slot.ts";
import type { ExplainAnswer, ExplainQuestion } from "../filter/explain.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import type { OverloadLimits } from "../overload.ts";
import type { PluginLine } from "../plugin-lines.ts";
import type { ModuleFile } from "../runtime/module-cache.ts";
import type { FailedStarts, StartFault } from "../runtime/prepare.ts";
import type { RecentAnswer, RecentQuery } from "../recent-decisions.ts";
import type { HopIds, RecentHop } from "../recent-hops.ts";
import type { LogLevel } from "../../telemetry/logger.ts";
import type { MetricsSnapshot } from "../../telemetry/metrics.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import type { Plugin } from "../../snapshot/snapshot.ts";

/** How a worker is set up; it never changes while the worker lives. */
export interface WorkerOptions {
  readonly role: "gateway" | "sidecar";
  readonly id: string;
  /** Who gateways say they are, to plug-ins; absent: nobody in particular. */
  readonly node?: ProxyNode;
  /** Address that gateways listen on. */
  readonly gatewayHost: string;
  /** Port of a Gateway resource -> port on this machine, when they differ. */
  readonly portMap: Readonly<Record<string, number>>;
  /** Access log file, or "" for none. */
  readonly accessLogPath: string;
  /** A format that `compileLogFormat` takes; absent: our own JSON. */
  readonly accessLogFormat?: string;
  /** Request fields in it, lower-case. */
  readonly accessLogHeaders?: readonly string[];
  /** Decisions that are kept to be asked for; 0 or absent: none. */
  readonly recentCount?: number;
  readonly logLevel: LogLevel;
  /** The worker's own log, or "" for standard error. */
  readonly logPath: string;
  /** Present: the log is standard error in Envoy's form, in place of `logLevel` and `logPath`. */
  readonly envoyLog?: EnvoyLevels;
  /**
   * Who starts it ends it when a plug-in does not start: that is told to them, and neither logged
   * nor said with what becomes of requests.
   */
  readonly isTrial?: true;
  /** Gateways open no ports any more: they have been drained (`drainListeners`). */
  readonly isDrained?: boolean;
  /** `host:port` of sockets that a process before this one has opened; absent: none. */
  readonly inherited?: readonly string[];
  /** What gateways bear before they refuse; absent: everything. */
  readonly overload?: OverloadLimits;
  /** Folder in memory that gateway workers map for what plug-ins share; absent or "": none. */
  readonly sharedMemory?: string;
  /** It is not removed when the main process is gone: another one may use it. */
  readonly keepsSharedMemory?: boolean;
  /** As the message. Absent: there is no other worker. */
  readonly sharedTraces?: string;
}

/** Name of the environment variable that carries `WorkerOptions` as JSON. */
export const WORKER_OPTIONS_VARIABLE = "GRAYLANE_WORKER";

/** Stands behind `address:port` of an endpoint that fails its active check. */
export const FAILED_CHECK = "failed_active_hc";

export type ToWorker =
  | {
      readonly type: "config";
      readonly id: number;
      readonly delta: SnapshotDelta;
      /** Absent: every plug-in is started. */
      readonly failed?: FailedStarts;
    }
  /** To a worker that waits to take another's place: whether the plug-in would start. */
  | { readonly type: "tryStart"; readonly id: number; readonly plugin: Plugin }
  /** The plug-in whose start it has asked for: nobody can take over. */
  | { readonly type: "startHere"; readonly plugin: string }
  /** To a worker that waits to take another's place: the code that it will run. */
  | { readonly type: "load"; readonly id: number; readonly modules: readonly ModuleFile[] }
  | { readonly type: "explain"; readonly id: number; readonly question: ExplainQuestion }
  | { readonly type: "recent"; readonly id: number; readonly query: RecentQuery }
  /** The hops that sidecars have carried for a request. */
  | { readonly type: "hops"; readonly id: number; readonly ids: HopIds }
  /** The lines that a plug-in logged here, behind the one of that number. */
  | {
      readonly type: "pluginLines";
      readonly id: number;
      readonly plugin: string;
      readonly after: number;
    }
  | { readonly type: "metrics"; readonly id: number }
  /** Which endpoints are ejected here: `address:port`; of failed checks ` FAILED_CHECK` behind. */
  | { readonly type: "ejected"; readonly id: number }
  | { readonly type: "logLevel"; readonly id: number; readonly level: LogLevel }
  /**
   * Gateways close their ports for good; what runs goes on to its end. `isPatient`: another process
   * accepts there, so that idle connections may be asked once more for as long as any idle one.
   */
  | { readonly type: "drainListeners"; readonly id: number; readonly isPatient?: boolean }
  | { readonly type: "awaitDrain"; readonly id: number }
  /** Another worker has sidecars of the same pods: both tell there what they know by trace ids. */
  | { readonly type: "shareTraces"; readonly id: number; readonly folder: string | null }
  | { readonly type: "podState"; readonly id: number; readonly pod: string }
  /** Answered when nothing is in flight to the pod, or when the time is over. */
  | {
      readonly type: "drainPod";
      readonly id: number;
      readonly pod: string;
      readonly timeoutMs: number;
    }
  /** Other workers have put items into shared queues that were registered last here. */
  | { readonly type: "queuesReady"; readonly queues: readonly ReadyQueue[] }
  /** How many connections each of the other gateways has. */
  | { readonly type: "peers"; readonly counts: readonly number[] }
  /** With a handle: the one that was asked for. */
  | { readonly type: "handle"; readonly port: number }
  /** Where a gateway listens. */
  | { readonly type: "listening"; readonly id: number }
  /** Its socket there, for another process. */
  | { readonly type: "listener"; readonly id: number; readonly address: string }
  /** With a handle, if the socket is still inherited. */
  | { readonly type: "inherited"; readonly address: string }
  | { readonly type: "stop" };

/** Token of a shared queue, and how many items have come. */
export type ReadyQueue = readonly [token: number, count: number];

/** Every question with an `id` gets one answer with the same `id`. */
export type FromWorker =
  | { readonly type: "ready" }
  /** `error` is null when the snapshot runs; then `faults` are those of single plug-ins. */
  | {
      readonly type: "configured";
      readonly id: number;
      readonly error: string | null;
      readonly faults?: readonly PluginFault[];
    }
  | { readonly type: "loaded"; readonly id: number }
  /** As `StartTrial`. */
  | {
      readonly type: "startTried";
      readonly id: number;
      readonly longestMs: number;
      readonly fault: StartFault | null;
    }
  | { readonly type: "explained"; readonly id: number; readonly answer: ExplainAnswer | null }
  | { readonly type: "recent"; readonly id: number; readonly answer: RecentAnswer }
  | { readonly type: "hops"; readonly id: number; readonly hops: readonly RecentHop[] }
  | { readonly type: "pluginLines"; readonly id: number; readonly lines: readonly PluginLine[] }
  | { readonly type: "metrics"; readonly id: number; readonly metrics: MetricsSnapshot }
  /** No answer: to be handed on to that worker, if it is still there. */
  | {
      readonly type: "queuesReady";
      readonly worker: string;
      readonly queues: readonly ReadyQueue[];
    }
  /** No answer: the plug-in must be made anew, which takes long; somebody may take over. */
  | { readonly type: "longRestart"; readonly plugin: string }
  /** No answer: open client connections of a gateway that accepts. */
  | { readonly type: "connections"; readonly count: number }
  /** With a handle: wants another one of the same socket. `port` is the worker's own number. */
  | { readonly type: "handle"; readonly port: number }
  | { readonly type: "ejected"; readonly id: number; readonly endpoints: readonly string[] }
  | { readonly type: "logLevel"; readonly id: number }
  | { readonly type: "listenersDrained"; readonly id: number }
  | { readonly type: "listening"; readonly id: number; readonly addresses: readonly string[] }
  /** With a handle, if it can be had now. */
  | { readonly type: "listener"; readonly id: number }
  /** No answer but `inherited`. */
  | { readonly type: "inherit"; readonly address: string }
  | { readonly type: "drained"; readonly id: number }
  | { readonly type: "podState"; readonly id: number; readonly error: string | null }
  | { readonly type: "tracesShared"; readonly id: number }
  | { readonly type: "podDrained"; readonly id: number };
