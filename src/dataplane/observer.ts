//! What the traffic path reports: one record per finished exchange, for metrics and access log.

import type { LaneDecision } from "../lane/decide.ts";

/** A finished exchange. Read at once; the fields are not kept. */
export interface ExchangeRecord {
  readonly role: "gateway" | "inbound" | "outbound";
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly status: number;
  /** Error code of ours, or "" when upstream answered. */
  readonly flag: string;
  readonly durationMs: number;
  readonly responseBodyBytes: number;
  readonly remoteAddress: string;
  readonly requestId: string;
  readonly routeId: string;
  readonly service: string;
  readonly upstream: string;
  /** The request's lane at this hop, "" for the baseline. */
  readonly lane: string;
  readonly laneReason: LaneDecision["reason"] | "";
  readonly servedLane: string;
  readonly fallback: string;
  readonly attempts: number;
}

export interface TrafficObserver {
  onExchangeEnd(record: ExchangeRecord): void;
  onConnection(delta: 1 | -1): void;
  /** A belief of ours was wrong; the exchange was failed. */
  onAssertion(error: unknown): void;
}

export const SILENT_OBSERVER: TrafficObserver = {
  onExchangeEnd: () => undefined,
  onConnection: () => undefined,
  onAssertion: () => undefined,
};
