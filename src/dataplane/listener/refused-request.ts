//! What was no HTTP leaves a record, too: of its connection, and of how it was answered.

import type { TrafficContext } from "../context.ts";
import type { ExchangeRecord } from "../observer.ts";
import type { ConnectionFacts } from "./connection-facts.ts";

/** The client's connection of HTTP/1.1, or its stream or connection of HTTP/2. */
interface RefusingEnd {
  readonly context: TrafficContext;
  readonly remoteAddress: string;
  readonly facts: ConnectionFacts;
}

interface Refusal {
  /** A code of docs/replies.md. */
  readonly code: string;
  /** 0: the connection was closed without an answer. */
  readonly status: number;
  readonly isHttp2: boolean;
  readonly bytesSent: number;
}

/** Nothing that came with it is in the record: it could not be read, or must not be believed. */
export function recordRefused(end: RefusingEnd, refusal: Refusal): void {
  const { clock, observer, role } = end.context;
  const { code, status, isHttp2, bytesSent } = refusal;
  const record: ExchangeRecord = {
    role: role ?? "gateway",
    startMs: clock.nowMs(),
    ...{ method: "", path: "", protocol: isHttp2 ? "HTTP/2" : "HTTP/1.1" },
    ...{ status, flags: code, bytesReceived: 0, bytesSent, durationMs: 0, upstreamMs: -1 },
    ...{ forwardedFor: end.remoteAddress, userAgent: "", requestId: "", headers: [] },
    ...{ authority: "", upstream: "", cluster: "", route: "", laneGroup: "", lane: "" },
    ...{ reason: "", fallback: "", service: "", servedLane: "", fallbackReason: "", attempts: 0 },
  };
  observer.onRefusedRequest(record, end.facts);
}
