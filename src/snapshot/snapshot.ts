//! The one immutable value that every engine runs.
//!
//! Plain data only, no closures: so it can be hashed, diffed, printed and golden-tested.
//! References are resolved, defaults filled and order settled by `compile`; `prepare` in the data
//! plane builds tries, regular expressions and Wasm VMs from it later.

import type { ClusterPolicy, RedirectAction, RoutePolicy } from "./routing.ts";
import type { LaneGroup } from "./lane.ts";

export type {
  Baseline,
  Condition,
  DecisionRule,
  EntryRoute,
  FallbackPolicy,
  Lane,
  LaneContext,
  LaneGroup,
  LaneSignature,
  Operand,
  OperandKind,
  OperandSources,
  Operator,
  SignatureKey,
  Test,
  TokenSettings,
} from "./lane.ts";
export { BODY_BYTES_DEFAULT, TOKEN_ALGORITHMS, TOKEN_CHARS_MAX } from "./lane.ts";

import type { EdgeSettings } from "./edge.ts";
import type { Locality, Metadata } from "./metadata.ts";
import type { TlsServer } from "./tls.ts";

/** Names one object of the store: where a part of the snapshot came from. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface Snapshot {
  readonly formatVersion: 1;
  /** Hash of everything else (see `contentHash`). Equal versions mean equal behaviour. */
  readonly version: string;
  /** Keyed by the canonical selector, e.g. `istio=ingressgateway`. */
  readonly gateways: Readonly<Record<string, Gateway>>;
  /** Keyed by `<gateway>:<port>`; for calls between pods by `mesh:<cluster>`. */
  readonly routeTables: Readonly<Record<string, RouteTable>>;
  /** Keyed by Envoy's name, `outbound|8000||mocka.default.svc.cluster.local`. */
  readonly clusters: Readonly<Record<string, Cluster>>;
  /** Keyed by cluster name; apart from `clusters` so that one pod's change stays small. */
  readonly endpoints: Readonly<Record<string, EndpointSet>>;
  /** Keyed by `<namespace>/<name>` of the LaneGroup (ASM's are cluster-scoped: `/<name>`). */
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
  /** Keyed by `<namespace>/<name>` of the WasmPlugin. */
  readonly plugins: Readonly<Record<string, Plugin>>;
  /** Pods of this machine that have a sidecar. Keyed by `<namespace>/<name>`. */
  readonly workloads: Readonly<Record<string, Workload>>;
}

/** One logical gateway: all Gateway resources with the same selector. */
export interface Gateway {
  readonly name: string;
  /** The selector; WasmPlugin selectors match against it. */
  readonly labels: Readonly<Record<string, string>>;
  readonly listeners: readonly Listener[];
  /** Plug-ins in filter order: AUTHN, AUTHZ, STATS, unspecified; priority falling; name. */
  readonly plugins: readonly string[];
  /** Absent: the defaults. */
  readonly edge?: EdgeSettings;
}

export interface Listener {
  /** The port that the resource asks for; the command line may map it to another. */
  readonly port: number;
  /** The address to listen on; absent: that of all gateways. Only of files of Envoy. */
  readonly host?: string;
  readonly protocol: "HTTP";
  /** The Gateway resource that asks for it, the first by name; absent: an Ingress does. */
  readonly source?: ObjectRef;
  /** Lower-case host patterns: `*`, `*.example.com`, `example.com`. */
  readonly hosts: readonly string[];
  readonly routeTable: string;
  /** Present: TLS is spoken, with these certificates. */
  readonly tls?: readonly TlsServer[];
  /** Hosts whose requests are sent to https (301). */
  readonly httpsRedirectHosts?: readonly string[];
  /** What sees the bytes of connections first; absent: nothing, but for files of Envoy. */
  readonly network?: NetworkFilters;
  /** The one version of HTTP that is spoken; absent: whichever a client begins with. */
  readonly codec?: HttpCodec;
  /** The `server` of every answer; absent: what the endpoint says. Only of files of Envoy. */
  readonly serverName?: string;
  /** What plug-ins read of it beside; absent: nothing is said. */
  readonly notes?: ListenerNotes;
}

/** Of HTTP/2 with prior knowledge. */
export type HttpCodec = "http1" | "http2";

/** Only of files of Envoy, as all metadata. */
export interface ListenerNotes {
  readonly direction: TrafficDirection;
  readonly filterChainName: string;
  readonly metadata: Metadata;
}

/** Envoy's `traffic_direction`. */
export type TrafficDirection = "UNSPECIFIED" | "INBOUND" | "OUTBOUND";

export interface NetworkFilters {
  /** Plug-ins in filter order. */
  readonly plugins: readonly string[];
  /** What they may hold back in each direction. */
  readonly bufferBytesMax: number;
  /** In place of HTTP. */
  readonly tcpProxy?: { readonly cluster: string; readonly idleTimeoutMs: number };
}

export interface RouteTable {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
}

export interface VirtualHost {
  /** The user's own; absent: its domains name it. */
  readonly name?: string;
  /** Lower-case: `*`, `*.example.com`, `example.*` (files of Envoy) or a host, without port. */
  readonly domains: readonly string[];
  /** First match wins. */
  readonly routes: readonly Route[];
  readonly metadata?: Metadata;
}

export interface Route {
  /** Unique within the snapshot: `istio-system/swimlane-ingress-vs/http[0]`. */
  readonly id: string;
  /** The user's own name of the rule, `""` when none; need not be unique. */
  readonly label: string;
  readonly source: ObjectRef;
  /** OR of matches; an empty list matches everything. */
  readonly matches: readonly RouteMatch[];
  readonly action: RouteAction;
  readonly requestHeaders: HeaderOperations;
  readonly responseHeaders: HeaderOperations;
  /** 0 means no limit of the route's own. */
  readonly timeoutMs: number;
  /** Absent for most routes: rewrite, CORS, faults, retries, mirrors. */
  readonly policy?: RoutePolicy;
  readonly metadata?: Metadata;
}

/** AND of all that is given. */
export interface RouteMatch {
  /** Matched against the path without query. */
  readonly uri?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  /** Names lower-case. */
  readonly headers?: readonly HeaderMatch[];
  /** None of these may match. */
  readonly withoutHeaders?: readonly HeaderMatch[];
  readonly queryParams?: readonly HeaderMatch[];
  /** Only in tables for the mesh: who calls. Absent: whoever it is. */
  readonly caller?: CallerMatch;
}

export interface CallerMatch {
  /** Of the calling pod: one of these; absent: any. */
  readonly namespaces?: readonly string[];
  /** That the calling pod has, all of them. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface HeaderMatch {
  readonly name: string;
  readonly match: StringMatch | { readonly kind: "present" };
}

export interface StringMatch {
  readonly kind: "exact" | "prefix" | "regex";
  /** For `regex`: RE2 syntax, full match. */
  readonly value: string;
  readonly ignoreCase?: boolean;
}

export type RouteAction =
  | { readonly kind: "forward"; readonly destinations: readonly WeightedDestination[] }
  | { readonly kind: "direct"; readonly status: number; readonly body: string }
  | RedirectAction;

export interface WeightedDestination {
  /** Relative; a single destination gets everything. */
  readonly weight: number;
  readonly target: Target;
  /** ASM's `fallback.target`: used when `target` has no healthy endpoint. */
  readonly fallback: Target | null;
  readonly requestHeaders: HeaderOperations;
  readonly responseHeaders: HeaderOperations;
}

export type Target =
  | {
      readonly kind: "cluster";
      readonly cluster: string;
      readonly subset: Subset | null;
    }
  /** A dangling reference: served by the fallback, else a 503 with this message. */
  | {
      readonly kind: "missing";
      readonly message: string;
      /** Absent: 503. */
      readonly status?: number;
    };

export type Subset =
  | { readonly kind: "lane"; readonly group: string; readonly lane: string }
  | {
      readonly kind: "labels";
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
    };

/** Applied in the order remove, set, add. Names lower-case. */
export interface HeaderOperations {
  readonly remove: readonly string[];
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
}

export interface Cluster {
  readonly name: string;
  /** Fully qualified host, `mocka.default.svc.cluster.local`. */
  readonly host: string;
  /** Names by which a sidecar's caller may address it, lower-case: `mocka`, `mocka.default`, …. */
  readonly aliases: readonly string[];
  /** Aliases valid only for callers of the service's own namespace (`mocka`). */
  readonly namespace: string;
  /** The Service's port. */
  readonly port: number;
  /** `<namespace>/<name>` of the Service; of a ServiceEntry the host. */
  readonly service: string;
  /** Absent: the Service. */
  readonly source?: ObjectRef;
  /** Namespaces whose pods may call it by its names; absent: all. */
  readonly exportTo?: readonly string[];
  /** It is not part of the mesh: no lane's context goes there. */
  readonly isOutside?: true;
  readonly connectTimeoutMs: number;
  /**
   * `h2`: HTTP/2, in clear with prior knowledge, in TLS by ALPN; `client`: that of the request;
   * absent: HTTP/1.1, as also for what is no client's.
   */
  readonly protocol?: "h2" | "client";
  /** Of the DestinationRule; absent: endpoints are drawn at random, without further limits. */
  readonly policy?: ClusterPolicy;
  /** By name of a subset: in the place of `policy`, with what it does not say filled from it. */
  readonly subsetPolicies?: Readonly<Record<string, ClusterPolicy>>;
  readonly metadata?: Metadata;
}

export interface EndpointSet {
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  /** An IP address, or `unix://` and a path; then the port is 0. */
  readonly address: string;
  readonly port: number;
  /** `<namespace>/<name>` of the Pod; `""`: it is none. */
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: nothing is said of it. */
  readonly notes?: EndpointNotes;
  /** Its part of the requests, relative to the others'; absent: 1. */
  readonly weight?: number;
  /** `region/zone/sub-zone`, or the first of these; absent: not known. */
  readonly locality?: string;
}

/** What plug-ins read of an endpoint; only of files of Envoy. */
export interface EndpointNotes {
  readonly metadata?: Metadata;
  readonly locality?: Locality;
  /** Of the locality. */
  readonly localityMetadata?: Metadata;
}

export interface Plugin {
  readonly name: string;
  readonly source: ObjectRef;
  /** Compiled by each worker from this file, checked against the digest. */
  readonly module: {
    readonly sha256: string;
    readonly path: string;
    /** Why there is no such file, in a sentence without a full stop; absent: it is there. */
    readonly missing?: string;
  };
  /** JSON text handed to `proxy_on_configure`. */
  readonly configuration: string;
  /** The plug-in's own name for itself (`plugin_name`, its log lines); absent: `name`. */
  readonly pluginName?: string;
  readonly rootId: string;
  readonly vmId: string;
  /** Handed to `proxy_on_vm_start`; absent: none. */
  readonly vmConfiguration?: string;
  readonly failMode: "closed" | "open";
  readonly env: Readonly<Record<string, string>>;
  /** Variables that get the worker's own value; absent: none. */
  readonly hostEnv?: readonly string[];
  /** Host functions that it may call and callbacks that it gets; absent: all. Files of Envoy. */
  readonly capabilities?: readonly string[];
  /** Stopped at the headers it still gets the body, whatever its ABI version. Files of Envoy. */
  readonly stopsHeadersAlone?: true;
}

/** A pod with a sidecar: where the sidecar listens and where the app does. */
export interface Workload {
  /** An Envoy is the sidecar; absent: the embedded engine is. */
  readonly sidecar?: "envoy";
  /** Where the pod is, `region/zone/sub-zone`; absent: not known. */
  readonly locality?: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  /** Inbound: `address:port` is forwarded to the app. */
  readonly inbound: readonly {
    readonly port: number;
    readonly appAddress: string;
    readonly appPort: number;
    /** What callers name who dial the pod's address; absent: `port`. */
    readonly dialledPort?: number;
  }[];
  /** The pod's private outbound listener: which pod calls is known by it. */
  readonly outbound: { readonly address: string; readonly port: number };
}

export const EMPTY_SNAPSHOT: Snapshot = {
  formatVersion: 1,
  version: "0000000000000000",
  gateways: {},
  routeTables: {},
  clusters: {},
  endpoints: {},
  laneGroups: {},
  plugins: {},
  workloads: {},
};

export const NO_HEADER_OPERATIONS: HeaderOperations = { remove: [], set: [], add: [] };
