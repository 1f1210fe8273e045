//! The hops that this worker's sidecars have carried last, so that a request can be followed.
//!
//! A hop belongs to a request when it has its id (`x-request-id`) or the id of its trace. An app
//! that forwards neither is helped out: while its pod has one request only, a call is for that one.

import type { Headers } from "../http/headers.ts";
import type { ExchangeRecord } from "./observer.ts";

export const REQUEST_ID_HEADER = "x-request-id";
export const TRACEPARENT_HEADER = "traceparent";
/** Longer ids are not kept. */
const ID_CHARS_MAX = 128;
const TRACE_ID = /^[0-9a-f]{2}-([0-9a-f]{32})-/;
/** Hops of one answer: a request with more is cut. */
export const HOPS_FOUND_MAX = 200;

/** What a hop is known by; `""`: it has none. */
export interface HopIds {
  readonly requestId: string;
  readonly traceId: string;
}

/** What a sidecar knows of a hop before it has ended. */
export interface HopNote {
  /** `<namespace>/<name>`: the pod that calls, or is called. */
  readonly pod: string;
  readonly ids: HopIds;
  /** Monotonic: wall time is too coarse to say which of two hops came first. */
  readonly startedMs: number;
  /** The call carried no id: the pod had one request only. */
  readonly isInferred: boolean;
}

export interface RecentHop {
  readonly role: "inbound" | "outbound";
  readonly startMs: number;
  readonly pod: string;
  /** Called by the pod; `""` of what came in. */
  readonly service: string;
  /** `""` is the baseline. */
  readonly lane: string;
  readonly laneGroup: string;
  readonly servedLane: string;
  readonly fallbackReason: string;
  readonly status: number;
  readonly isInferred: boolean;
}

interface Kept {
  readonly hop: RecentHop;
  readonly ids: HopIds;
  readonly startedMs: number;
}

export class RecentHops {
  readonly #ring: Kept[] = [];
  readonly #entriesMax: number;
  #next = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  add(record: ExchangeRecord, note: HopNote): void {
    const { requestId, traceId } = note.ids;
    const ids = { requestId: ownText(requestId), traceId: ownText(traceId) };
    this.#ring[this.#next] = { hop: hopOf(record, note), ids, startedMs: note.startedMs };
    this.#next = (this.#next + 1) % this.#entriesMax;
  }

  /** In the order in which they began. */
  find(ids: HopIds): RecentHop[] {
    const found = this.#ring.filter((each) => isOf(each.ids, ids));
    found.sort((a, b) => a.startedMs - b.startedMs);
    return found.slice(0, HOPS_FOUND_MAX).map(({ hop }) => hop);
  }
}

export function idsOf(headers: Headers): HopIds {
  const requestId = headers.get(REQUEST_ID_HEADER) ?? "";
  const traceparent = headers.get(TRACEPARENT_HEADER);
  return {
    requestId: requestId.length > ID_CHARS_MAX ? "" : requestId,
    traceId: traceparent === undefined ? "" : traceIdOf(traceparent),
  };
}

/** `""` when it is none. */
export function traceIdOf(traceparent: string): string {
  return TRACE_ID.exec(traceparent)?.[1] ?? "";
}

function isOf(own: HopIds, asked: HopIds): boolean {
  const isSameRequest = own.requestId !== "" && own.requestId === asked.requestId;
  return isSameRequest || (own.traceId !== "" && own.traceId === asked.traceId);
}

/** A copy: a field's value may be a slice that keeps its whole message's text alive. */
function ownText(text: string): string {
  return text === "" ? "" : Buffer.from(text, "latin1").toString("latin1");
}

function hopOf(record: ExchangeRecord, { pod, isInferred }: HopNote): RecentHop {
  const { startMs, lane, laneGroup, status } = record;
  const role = record.role === "inbound" ? "inbound" : "outbound";
  const isCall = role === "outbound";
  return {
    ...{ role, startMs, pod, lane, laneGroup, status, isInferred },
    service: isCall ? record.service : "",
    servedLane: isCall ? record.servedLane : "",
    fallbackReason: record.fallbackReason,
  };
}
