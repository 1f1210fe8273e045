//! What an exchange leaves behind when it has ended: one record for access log and metrics.

import { versionText } from "../../http/request-parser.ts";
import type { ExchangeRecord } from "../observer.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangeHandler, ResponseDraft } from "./handler.ts";
import type { UpstreamAttempt } from "./upstream-attempt.ts";

/** What only the exchange itself knows. */
export interface ExchangeOutcome {
  readonly handler: ExchangeHandler;
  /** As it was sent, or will be; null: there is none yet. */
  readonly response: ResponseDraft | null;
  /** 0: nothing was answered. */
  readonly status: number;
  readonly flag: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly upstreamMs: number;
  readonly attempt: UpstreamAttempt | null;
}

// eslint-disable-next-line complexity -- a flat list of what may be absent
export function recordOf(exchange: Exchange, outcome: ExchangeOutcome): ExchangeRecord {
  const { head, decision, context } = exchange;
  const { status, flag, attempt } = outcome;
  const { headers } = head;
  const durationMs = context.clock.monotonicMs() - exchange.startedMs;
  return {
    role: outcome.handler.role,
    startMs: context.clock.nowMs() - durationMs,
    method: head.method,
    path: exchange.clientTarget ?? head.target,
    protocol: versionText(head),
    status,
    flags: status === 0 && flag === "" ? "downstream_gone" : flag,
    bytesReceived: outcome.bytesReceived,
    bytesSent: outcome.bytesSent,
    durationMs,
    upstreamMs: outcome.upstreamMs,
    forwardedFor: headers.get("x-forwarded-for") ?? exchange.connection.remoteAddress,
    userAgent: headers.get("user-agent") ?? "",
    requestId: exchange.requestId,
    headers: exchange.loggedHeaders,
    authority: head.authority,
    upstream: exchange.upstreamAddress,
    cluster: attempt?.service ?? "",
    route: exchange.routeId,
    laneGroup: decision?.group ?? "",
    lane: decision?.lane ?? "",
    reason: decision?.reason ?? "",
    fallback: exchange.fallback === "" ? "" : exchange.servedLane,
    service: attempt?.service ?? "",
    servedLane: exchange.servedLane,
    fallbackReason: exchange.fallback,
    attempts: attempt?.count ?? 0,
  };
}
