//! What a route may do beside choosing a destination, and how a cluster's endpoints are used.
//!
//! Part of the snapshot: plain data. Everything here is optional, so that a route or cluster that
//! asks for none of it carries nothing of it.

import type { HeaderOperations, StringMatch, Target } from "./snapshot.ts";
import type { UpstreamTls } from "./tls.ts";

/** Absent members: not asked for. A route without any has no policy at all. */
export interface RoutePolicy {
  readonly rewrite?: Rewrite;
  readonly cors?: CorsPolicy;
  readonly fault?: FaultInjection;
  readonly retry?: RetryPolicy;
  readonly mirrors?: readonly Mirror[];
}

export interface Rewrite {
  /** Put in the place of the matched prefix, exact path or (regex) whole path. */
  readonly uri?: string;
  /** The whole new path, whatever matched. */
  readonly path?: string;
  /** RE2 pattern and substitution (`\1`), applied to the path wherever the pattern is found. */
  readonly uriRegex?: { readonly match: string; readonly rewrite: string };
  readonly authority?: string;
}

export interface RedirectAction {
  readonly kind: "redirect";
  /** 301, 302, 303, 307 or 308. */
  readonly status: number;
  readonly scheme?: string;
  /** Host without port, or with one when `port` is absent. */
  readonly authority?: string;
  /** `scheme`: the scheme's own port; `request`: the port that the request came in at. */
  readonly port?: number | "scheme" | "request";
  /** The new path; the request's query stays unless this has one. */
  readonly path?: string;
  /** Instead of `path`: put in the place of the matched prefix. */
  readonly prefix?: string;
}

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  /** Field values as they are sent; `""`: the field is not sent. */
  readonly allowMethods: string;
  readonly allowHeaders: string;
  readonly exposeHeaders: string;
  /** Seconds as text; `""`: not sent. */
  readonly maxAge: string;
  readonly allowCredentials: boolean;
  /** What happens to a preflight of an origin that is not allowed. */
  readonly unmatchedPreflights: "forward" | "ignore";
}

export interface FaultInjection {
  readonly delay?: { readonly delayMs: number; readonly sharePpm: number };
  readonly abort?: { readonly status: number; readonly sharePpm: number };
}

export type RetryCondition =
  | "5xx"
  | "gateway-error"
  | "connect-failure"
  | "reset"
  | "refused-stream"
  | "retriable-4xx"
  | GrpcRetryCondition;

/** Hold for a response of gRPC that is trailers alone: what has begun to come is not taken back. */
export type GrpcRetryCondition =
  "cancelled" | "deadline-exceeded" | "internal" | "resource-exhausted" | "unavailable";

export interface RetryPolicy {
  /** Tries after the first one; 0: none at all, not even after a failed connect. */
  readonly retries: number;
  /** 0: no limit of its own. */
  readonly perTryTimeoutMs: number;
  readonly on: readonly RetryCondition[];
  /** A try that takes longer is waited for beside the next one; absent: it is ended. */
  readonly isHedged?: true;
  /** Statuses that are tried again (`retriable-status-codes`). */
  readonly statuses: readonly number[];
  /** The first pause is drawn from 0 to this, then the limit doubles (full jitter). */
  readonly backOffBaseMs: number;
  readonly backOffMaxMs: number;
}

/** A copy of the request whose answer nobody waits for. */
export interface Mirror {
  readonly target: Target;
  readonly sharePpm: number;
  readonly requestHeaders: HeaderOperations;
}

/** From a DestinationRule: for all of a cluster, or for one of its subsets. */
export interface ClusterPolicy {
  readonly loadBalancer?: LoadBalancer;
  /** Absent: the nearer endpoints go first where it is known which are well. */
  readonly locality?: LocalityBalance;
  readonly connections?: ConnectionLimits;
  readonly outliers?: OutlierDetection;
  /** In the place of `connections.retriesMax` and of the engine's own. */
  readonly retryBudget?: RetryConcurrency;
  /** Absent: in clear. */
  readonly tls?: UpstreamTls;
  /** Connections begin with a header of the PROXY protocol; absent: they do not. */
  readonly proxyProtocol?: ProxyVersion;
  /** Absent: endpoints are asked nothing. Of the whole cluster, for all of its subsets. */
  readonly healthCheck?: HealthCheck;
}

/** Istio's `localityLbSetting`: how the caller's place and the endpoints' count. */
export interface LocalityBalance {
  /** Places do not count. */
  readonly isOff?: true;
  /** For callers at `from`: parts in percent by place. In the place of the rest. */
  readonly distribute?: readonly {
    readonly from: string;
    readonly to: Readonly<Record<string, number>>;
  }[];
  /** From a region to the one that stands in for it. */
  readonly failover?: readonly { readonly from: string; readonly to: string }[];
  /** Labels: endpoints that share more of the first ones with the caller go first. */
  readonly failoverPriority?: readonly string[];
}

export type ProxyVersion = "v1" | "v2";

/** How many requests may be in a further try at once, in each worker: the greater of the two. */
export interface RetryConcurrency {
  /** Of the requests under way. */
  readonly percent: number;
  readonly countMin: number;
}

/** Envoy's active health check. */
export interface HealthCheck {
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** In the place of `intervalMs` while an endpoint is out. */
  readonly unhealthyIntervalMs: number;
  /** Just after it has failed, or has answered well, for the first time. */
  readonly unhealthyEdgeIntervalMs: number;
  readonly healthyEdgeIntervalMs: number;
  /** Added to each pause, drawn from 0 to this; before the first check only `initialJitterMs`. */
  readonly jitterMs: number;
  readonly jitterPercent: number;
  readonly initialJitterMs: number;
  /** As many checks in a row change what is believed. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  readonly ask: HealthQuestion;
}

export type StatusRange = readonly [from: number, to: number];

export type HealthQuestion =
  | {
      readonly kind: "http";
      readonly method: string;
      readonly path: string;
      /** `""`: the cluster's host. */
      readonly host: string;
      /** Good answers: from, up to and without. */
      readonly statuses: readonly StatusRange[];
      /** Of the others: those that count towards the threshold, and do not decide at once. */
      readonly retriable: readonly StatusRange[];
    }
  | {
      readonly kind: "tcp";
      /** Hexadecimal; `""`: nothing is sent. */
      readonly send: string;
      /** Hexadecimal: found in the answer one after the other; none: the connection is enough. */
      readonly receive: readonly string[];
    }
  | { readonly kind: "grpc"; readonly service: string; readonly authority: string };

/** An endpoint that has just come gets a part of its share, and ever more in the window. */
export interface SlowStart {
  readonly windowMs: number;
  readonly percentMin: number;
  /** 1: the part grows evenly; more: faster at first. */
  readonly aggression: number;
}

export type LoadBalancer =
  | { readonly kind: "random" }
  | { readonly kind: "round-robin"; readonly slowStart?: SlowStart }
  | { readonly kind: "least-request"; readonly slowStart?: SlowStart }
  | {
      readonly kind: "ring-hash";
      readonly key: HashKey;
      /** The least number of points on the ring, over all endpoints. */
      readonly ringSizeMin: number;
    }
  | {
      readonly kind: "maglev";
      readonly key: HashKey;
      /** A prime. */
      readonly tableSize: number;
    };

export type HashKey =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "source" }
  /** With `ttlSeconds` a client without the cookie is given one (0: for its session). */
  | {
      readonly kind: "cookie";
      readonly name: string;
      readonly path: string;
      readonly ttlSeconds: number | null;
    };

/** Absent members: no limit but the engine's own. Counted for each worker. */
export interface ConnectionLimits {
  readonly connectionsMax?: number;
  readonly pendingMax?: number;
  readonly requestsMax?: number;
  readonly retriesMax?: number;
  readonly requestsPerConnectionMax?: number;
  readonly connectTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  /** An older connection takes no further requests. */
  readonly connectionMsMax?: number;
  /** Of HTTP/2, at once on one connection. */
  readonly streamsMax?: number;
  /** So long after the last byte the system asks whether the other side is there. */
  readonly keepAliveMs?: number;
}

export interface OutlierDetection {
  /** Answers of 5xx, and failures to get one, in a row; 0: not counted. */
  readonly consecutive5xx: number;
  /** Of these only 502, 503, 504 and failures; 0: not counted. */
  readonly consecutiveGatewayErrors: number;
  readonly intervalMs: number;
  /** An endpoint is out for this long times the number of its ejections. */
  readonly baseEjectionMs: number;
  readonly ejectedPercentMax: number;
  /** Below this share of healthy endpoints ejections are disregarded (panic). */
  readonly healthyPercentMin: number;
}
