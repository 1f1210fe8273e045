//! The contract between an exchange, which moves bytes, and the role that decides where they go.

import type { Place } from "../../lane/locality.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { Headers } from "../../http/headers.ts";
import type { ExchangeRecord } from "../observer.ts";
import type { RetryPolicy } from "../../snapshot/routing.ts";
import type { ClusterState } from "../upstream/cluster-state.ts";
import type { EndpointPools } from "../upstream/endpoint-pools.ts";
import type { Exchange } from "./exchange.ts";

/** Where a request goes: any of these endpoints, all of which serve the same lane. */
export interface ForwardPlan {
  /** `<namespace>/<name>` of the service, or the host for traffic that leaves the mesh. */
  readonly service: string;
  readonly endpoints: readonly Endpoint[];
  readonly connectTimeoutMs: number;
  /** From the request's head to the end of the response; 0 means no limit of its own. */
  readonly timeoutMs: number;
  /** State of a cluster with a policy; null: endpoints are drawn at random, without limits. */
  readonly cluster: ClusterState | null;
  /** Connections in TLS, or for this client alone; null: in clear, for everybody. */
  readonly pools: EndpointPools | null;
  /** The endpoint is spoken to in HTTP/2; else in HTTP/1.1. */
  readonly isHttp2: boolean;
  /** Our own address of connections in clear (IPv4); absent: any. */
  readonly from?: string;
  /** Null: only what carried nothing is tried again. */
  readonly retry: RetryPolicy | null;
  /** Of the request's key, for hashing balancers. */
  readonly hash: number | null;
  /** Where the gateway is; absent: not known. */
  readonly place?: Place | undefined;
  /** Index of the endpoint that the first try takes; absent: as the balancer says. */
  readonly first?: number;
  /** Plug-ins ask how long endpoints take. */
  readonly isTimed?: boolean;
}

export type Management = Pick<ForwardPlan, "cluster" | "retry" | "hash" | "place">;

/** Of a plan for endpoints without a policy. */
export const UNMANAGED: Management = {
  cluster: null,
  retry: null,
  hash: null,
};

/** A response before it is written: of the upstream, or of ours. */
export interface ResponseDraft {
  status: number;
  readonly headers: Headers;
  /** True for our own reply. */
  readonly local: boolean;
  /** At least one byte of a body may follow. */
  readonly hasBody: boolean;
}

export interface Replacement {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** A `ProxyErrorCode`, or "" for an answer of a plug-in's own. */
  readonly flag: string;
}

/** The response waits for a filter: `exchange.startResponse` comes later, or something instead. */
export const HELD = "held";

/** Takes a body over on its way through an exchange, which gets back what passes. */
export interface BodyTap {
  /** `chunk` is valid during the call. `isLast`: nothing follows, `onEnd` is not called. */
  onData(chunk: Buffer, isLast?: boolean): void;
  onEnd(trailers: Headers | null): void;
}

/** Gateway, sidecar inbound or sidecar outbound: one object per exchange. */
export interface ExchangeHandler {
  readonly role: "gateway" | "inbound" | "outbound";
  /** The client as far as it can be trusted; absent: the connection's other end. */
  readonly remoteAddress?: string;
  /** Decides: ends with `exchange.forward`, `exchange.reply` or `exchange.fail`, now or later. */
  onRequest(exchange: Exchange): void;
  /** Last word on the response's head: edits it, or puts a whole response in its place. */
  onResponse(exchange: Exchange, response: ResponseDraft): Replacement | typeof HELD | null;
  /** The exchange has become a tunnel (101): what was needed to decide is no longer needed. */
  onTunnel?(): void;
  /** The exchange is over, whatever its outcome. Called exactly once. */
  onEnd(exchange: Exchange): void;
  /** Once, after `onEnd`: what is left of the exchange, for those who ask later. */
  onRecord?(exchange: Exchange, record: ExchangeRecord): void;
}
