//! What the traffic path reports: one record per finished exchange, for metrics and access log.

import type { Refusal } from "../lane/signed-tag.ts";
import type { AccessLogEntry } from "../telemetry/access-log.ts";
import type { Exchange } from "./exchange/exchange.ts";
import type { ConnectionFacts } from "./listener/connection-facts.ts";

/** A finished exchange; it never changes. `flags` is a `ProxyErrorCode` or "". */
export interface ExchangeRecord extends AccessLogEntry {
  readonly service: string;
  readonly servedLane: string;
  /** Why the lane itself did not serve, a `ChoiceReason` such as `fallback:no-copy`; "": it did. */
  readonly fallbackReason: string;
  /** Tries to reach an endpoint; 0 when none was needed. */
  readonly attempts: number;
}

/**
 * Too many are open; the memory is full; the header of the PROXY protocol is bad, or late; there
 * was no handshake of TLS.
 */
export type ConnectionRefusal =
  "overflow" | "overload" | "proxy_header" | "proxy_header_timeout" | "tls_handshake";

export interface TrafficObserver {
  onExchangeEnd(record: ExchangeRecord, exchange: Exchange): void;
  /** What came was no HTTP request; `flags` is the codec's fault. No exchange was begun. */
  onRefusedRequest(record: ExchangeRecord, connection: ConnectionFacts): void;
  onConnection(delta: 1 | -1): void;
  /** Closed before it was read as HTTP. `detail`: what was wrong with it, and whose it was. */
  onRefusedConnection(reason: ConnectionRefusal, detail?: string): void;
  /** A protocol switch has joined a client and an upstream, or such a tunnel has ended. */
  onTunnel(delta: 1 | -1): void;
  /** Two live requests of one trace id in different lanes: the newest won. */
  onTraceConflict(): void;
  /** A trace table was full of live entries: this request's lane is not remembered. */
  onTraceOverflow(): void;
  /** Members of other people's baggage that did not fit beside the lane's. */
  onBaggageDropped(count: number): void;
  /** A signed lane group did not believe a context: it was taken away. */
  onContextRefused(role: ExchangeRecord["role"], group: string, refusal: Refusal): void;
  /** A belief of ours was wrong; the exchange was failed. */
  onAssertion(error: unknown): void;
}

export const SILENT_OBSERVER: TrafficObserver = {
  onExchangeEnd: () => undefined,
  onRefusedRequest: () => undefined,
  onConnection: () => undefined,
  onRefusedConnection: () => undefined,
  onTunnel: () => undefined,
  onTraceConflict: () => undefined,
  onTraceOverflow: () => undefined,
  onBaggageDropped: () => undefined,
  onContextRefused: () => undefined,
  onAssertion: () => undefined,
};
