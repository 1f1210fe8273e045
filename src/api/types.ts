//! The words of our HTTP API: Kubernetes' own objects for its paths, ours under /graylane/v1/.

import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";

/** Which table of the API an object lives in: `/apis/<group>/<version>/<plural>`. */
export interface ApiKind {
  /** `""` for the core group (`/api/v1`). */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** One cause of a refusal (Kubernetes' StatusCause). */
export interface StatusCause {
  /** Our stable code `GLnnnn`, or a Kubernetes cause type. */
  readonly reason: string;
  readonly message: string;
  /** Path into the object, e.g. `spec.http[0].route`; `""` for the whole; absent: of no object. */
  readonly field?: string;
}

/** Kubernetes' `Status` object (meta/v1): the body of every error, and of a delete that worked. */
export interface Status {
  readonly apiVersion: "v1";
  readonly kind: "Status";
  /** `continue`: how to go on with a list that was too slow. */
  readonly metadata: { readonly continue?: string };
  readonly status: "Success" | "Failure";
  readonly message: string;
  readonly reason: string;
  /** The HTTP status code. */
  readonly code: number;
  readonly details?: {
    readonly name?: string;
    readonly group?: string;
    readonly kind?: string;
    readonly uid?: string;
    readonly causes?: readonly StatusCause[];
    readonly retryAfterSeconds?: number;
  };
}

/** One line of a watch. A bookmark's object carries only a resourceVersion. */
export type WatchEvent =
  | {
      readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
      readonly object: Resource;
    }
  | { readonly type: "ERROR"; readonly object: Status };

export interface ResourceList {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly resourceVersion: string;
    /** Opaque token for the next page; absent on the last one. */
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly Resource[];
}

/** `/api/v1` and `/apis/<group>/<version>` (Kubernetes' APIResourceList). */
export interface ApiResourceList {
  readonly kind: "APIResourceList";
  readonly apiVersion: "v1";
  readonly groupVersion: string;
  readonly resources: readonly {
    readonly name: string;
    readonly singularName: string;
    readonly namespaced: boolean;
    /** Where they are not those of the list. */
    readonly group?: string;
    readonly version?: string;
    readonly kind: string;
    readonly verbs: readonly string[];
    readonly shortNames?: readonly string[];
  }[];
}

/** `POST /graylane/v1/explain`: which way would this request go? */
export interface ExplainRequest {
  readonly method: string;
  /** Absolute; its authority picks the listener and the host. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Absent: the request has no body. */
  readonly body?: string;
  /** Where the client's connection comes from; absent: this machine. */
  readonly remoteAddress?: string;
}

/** What one plug-in of the chain did with the request. */
export interface ExplainedPlugin {
  readonly name: string;
  readonly action: string;
  /** What the plug-in reported through the property `graylane.explain`. */
  readonly reasons: readonly unknown[];
  /** Calls out and timers that explain did not run. */
  readonly suppressed: readonly string[];
  readonly headersAfter?: readonly (readonly [name: string, value: string])[];
}

export interface ExplainedHop {
  readonly service: string;
  readonly wantedLane: string | null;
  readonly servedLane: string | null;
  readonly reason: string;
  readonly pods: readonly { readonly name: string; readonly address: string }[];
  /** Objects whose routes calls between pods follow. Absent from older servers. */
  readonly meshRoutes?: readonly string[];
}

/** A condition of a lane, asked of a request that no trusted context has decided. */
export interface ExplainedCondition {
  readonly group: string;
  readonly lane: string;
  readonly what: "forcedOut" | "forcedIn" | "rule";
  /** False: the lane is closed. */
  readonly enabled: boolean;
  readonly isMet: boolean;
  /** With the operands' values, buckets and limits. */
  readonly text: string;
}

export interface ExplainResult {
  readonly snapshotVersion: string;
  readonly gateway: string;
  readonly listenerPort: number;
  readonly plugins: readonly ExplainedPlugin[];
  readonly route: {
    readonly id: string;
    readonly label: string;
    readonly source: string;
    readonly destination: string | null;
  } | null;
  /** For each route that was tried and did not match: which and why. */
  readonly noMatch: readonly string[];
  readonly localReply: { readonly status: number; readonly body: string } | null;
  readonly decision: {
    readonly reason: "route" | "forced" | "rule" | "cohort" | "baseline";
    readonly group: string;
    readonly lane: string | null;
    readonly detail: string;
  } | null;
  /** Of every lane group at the gateway, in decision order, also those not reached. */
  readonly conditions: readonly ExplainedCondition[];
  readonly hops: readonly ExplainedHop[];
}

/** `POST /graylane/v1/recent`: what did the gateways decide last? */
export interface RecentQuery {
  /** All of them must hold. */
  readonly where: readonly {
    /** `header.NAME`, or one of `RECENT_FIELDS`. */
    readonly field: string;
    /** Is the value, or contains it. */
    readonly operator: "=" | "~";
    readonly value: string;
  }[];
  /** At most so many decisions, the newest. */
  readonly limit: number;
  /** With the hops of the newest. */
  readonly hops?: true;
}

/** Fields of a decision that a query may name, beside `header.NAME`. */
export const RECENT_FIELDS: readonly string[] = [
  "method",
  "authority",
  "path",
  "address",
  "requestId",
  "status",
  "route",
  "group",
  "lane",
  "reason",
  "served",
];
export const RECENT_CLAUSES_MAX = 20;
/** Decisions of one answer. */
export const RECENT_LIMIT_MAX = 10_000;

export interface RecentDecision {
  /** Wall time of the request's first byte, milliseconds since the Unix epoch. */
  readonly startMs: number;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** As the client sent them; a plug-in may have changed them since. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Ends with the address of the client's connection. */
  readonly forwardedFor: string;
  readonly requestId: string;
  readonly status: number;
  readonly route: string;
  readonly laneGroup: string;
  /** `""` is the baseline. */
  readonly lane: string;
  readonly reason: string;
  readonly servedLane: string;
  /** What stood in for the lane, or `""`. */
  readonly fallback: string;
  /** Why the lane itself did not serve; `""`: it did. */
  readonly fallbackReason: string;
  /** The called service, `<namespace>/<name>`; `""`: none was. */
  readonly service: string;
  /** W3C trace id; `""`: none. */
  readonly traceId: string;
  /** Of the configuration that decided. */
  readonly snapshotVersion: string;
}

/** What a pod's sidecar did for a request behind the gateway. */
export interface RecentHop {
  /** A request that the pod got, or a call that it made. */
  readonly role: "inbound" | "outbound";
  readonly startMs: number;
  /** `<namespace>/<name>`. */
  readonly pod: string;
  /** Called by the pod; `""` of what came in. */
  readonly service: string;
  /** `""` is the baseline, or no lane group is concerned (`laneGroup`). */
  readonly lane: string;
  readonly laneGroup: string;
  readonly servedLane: string;
  readonly fallbackReason: string;
  readonly status: number;
  /** The call carried no id: the pod had one request only, so it was for that. */
  readonly isInferred: boolean;
}

export interface RecentResult {
  /** The newest first. */
  readonly decisions: readonly RecentDecision[];
  /** Those that are still kept, of all that there were since the workers started. */
  readonly keptCount: number;
  readonly seenCount: number;
  readonly workerCount: number;
  /** Of the newest, in the order of time; absent: not asked for, or nothing found. */
  readonly hops?: readonly RecentHop[];
}

/** An object named in full; kinds of one name exist in several groups, hence the apiVersion. */
export interface TypedRef {
  readonly apiVersion: string;
  readonly kind: string;
  /** `""` for a cluster-scoped object. */
  readonly namespace: string;
  readonly name: string;
}

/** `POST /graylane/v1/analyze`: what would be wrong after this change? Nothing is changed. */
export interface AnalyzeRequest {
  /** Objects as if they had been applied; all of them unvalidated. */
  readonly objects?: readonly unknown[];
  /** Objects as if they had been deleted. */
  readonly delete?: readonly TypedRef[];
}

export interface AnalyzeResult {
  readonly messages: readonly Fault[];
}

export interface WorkerStatus {
  readonly id: string;
  readonly role: "gateway" | "sidecar";
  readonly pid: number | null;
  readonly state: "starting" | "ready" | "stale" | "restarting" | "stopped";
  /** The snapshot it serves; `null` before its first one. */
  readonly snapshotVersion: string | null;
  readonly restartCount: number;
  /** Why it is not ready, or why it refused the last snapshot; `""` when all is well. */
  readonly message: string;
}

export interface ListenerStatus {
  readonly gateway: string;
  /** The port that the configuration names. */
  readonly port: number;
  /** Where it really listens, e.g. `127.0.0.1:18080`. */
  readonly address: string;
}

/** NOT SENT: it has not asked for any. STALE: it has not answered yet, or refused something. */
export type SyncState = "SYNCED" | "STALE" | "NOT SENT";

/** An Envoy that gets its configuration here. */
export interface EnvoyStatus {
  /** `envoy/<node id>`. */
  readonly id: string;
  readonly role: "gateway" | "sidecar";
  /** What it runs, but for what it refused. */
  readonly snapshotVersion: string;
  readonly types: Readonly<
    Record<"clusters" | "endpoints" | "secrets" | "listeners" | "routes", SyncState> & {
      /** Plug-ins; absent: it has none. */
      extensions?: SyncState;
    }
  >;
  /** What it refused, in its own words; `""` for nothing. */
  readonly error: string;
}

/** `GET /graylane/v1/configdump`: `envoy.admin.v3.ConfigDump`. */
export interface ConfigDump {
  readonly configs: readonly Readonly<Record<string, unknown>>[];
}

/** `GET /graylane/v1/status`. */
export interface RuntimeStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly stateDirectory: string;
  /** Decimal revision of the store. */
  readonly resourceVersion: string;
  readonly snapshot: {
    readonly version: string;
    /** Decimal revision of the store that it was compiled from: every earlier write is in it. */
    readonly resourceVersion: string;
    readonly publishedAt: string;
    /** Faults between objects: references that lead nowhere and the like. */
    readonly messages: readonly Fault[];
  } | null;
  readonly workers: readonly WorkerStatus[];
  readonly envoys: readonly EnvoyStatus[];
  readonly listeners: readonly ListenerStatus[];
  /** Stored objects that could not be read back, by `<plural>.<group>/<namespace>/<name>`. */
  readonly damaged: readonly string[];
}

/** The file that tells the CLI where the server is and how to get in (`<state>/client.json`). */
export interface ClientFile {
  readonly server: string;
  readonly token: string;
}

export interface PodLogOptions {
  readonly follow: boolean;
  /** The last so many lines; `null` for all that are kept. */
  readonly tailLines: number | null;
}

/** `GET /graylane/v1/pluginlog`: what did a plug-in log, in all gateway workers? */
export interface PluginLogQuery {
  /** `namespace/name`, with `@higress` or `@trafficextension` behind it for those kinds. */
  readonly plugin: string;
  readonly follow: boolean;
  /** The last so many lines; `null` for all that are kept. */
  readonly tailLines: number | null;
  /** Only lines from this wall time on, milliseconds since the Unix epoch; 0: all. */
  readonly sinceMs: number;
}

/** One line of the answer, as JSON. */
export interface PluginLogLine {
  /** Wall time, milliseconds since the Unix epoch. */
  readonly timeMs: number;
  readonly worker: string;
  readonly level: "trace" | "debug" | "info" | "warning" | "error" | "critical";
  readonly rootId: string;
  readonly message: string;
}
