//! How the lane travels with a call chain: by a header, by baggage, or by a trace id and the
//! sidecar's table.

import { BAGGAGE_HEADER, baggageValue } from "./baggage.ts";
import type { IndexedGroup } from "./group.ts";
import type { HeaderLookup } from "./program.ts";

/** Entries of one pod's table. */
export const TRACE_ENTRIES_MAX = 65_536;
/** How long a key is kept after the last exchange with it has ended. */
export const TRACE_TTL_MS = 60_000;

/** The header that the trace table's key is taken from; null in the other modes. */
export function traceHeaderOf(group: IndexedGroup): string | null {
  const { context } = group.group;
  return context.mode === "traceId" ? context.traceHeader.toLowerCase() : null;
}

/** The member of the baggage that carries the lane; null in the other modes. */
export function baggageKeyOf(group: IndexedGroup): string | null {
  const { context } = group.group;
  return context.mode === "baggage" ? context.baggageKey : null;
}

/** Whether a host that is no Service is sent the group's context. */
export function isSentOutside({ group }: IndexedGroup, host: string): boolean {
  if (group.outsideHosts === undefined) return false;
  const name = host.toLowerCase().replace(/\.$/, "");
  return group.outsideHosts.some(
    (pattern) =>
      pattern === "*" ||
      pattern === name ||
      (pattern.startsWith("*.") && name.endsWith(pattern.slice(1))),
  );
}

/** The header that an app has to forward, by itself or by an agent, so that the lane goes on. */
export function carriedHeaderOf(group: IndexedGroup): string {
  const { context } = group.group;
  if (context.mode === "baggage") return BAGGAGE_HEADER;
  return context.mode === "traceId" ? context.traceHeader.toLowerCase() : group.routeHeader;
}

/** A longer trace id is not recorded: the table's memory stays bounded. */
export const TRACE_KEY_CHARS_MAX = 256;

/**
 * Headers that hold more than the id of the trace: each hop writes its own span beside it.
 * W3C Trace Context 3.2 (`version-traceid-parentid-flags`), B3 single header
 * (`traceid-spanid-…`), Jaeger (`traceid:spanid:…`), SkyWalking (`1-traceid-…`, base64).
 */
const TRACE_ID_PARTS: Readonly<Record<string, RegExp>> = {
  traceparent: /^[\da-f]{2}-([\da-f]{32})-/,
  b3: /^([\da-fA-F]{16,32})-/,
  "uber-trace-id": /^([\da-fA-F]+)(?::|%3A)/,
  sw8: /^\d-([^-]+)-/,
};

/** The key under which the trace table knows a request; undefined: none, or too long a one. */
export function traceKeyOf(group: IndexedGroup, header: HeaderLookup): string | undefined {
  const name = traceHeaderOf(group);
  const value = name === null ? undefined : header(name);
  if (name === null || value === undefined) return undefined;
  const first = firstOf(value);
  const part = TRACE_ID_PARTS[name];
  const key = part === undefined ? first : part.exec(first)?.[1];
  return key === undefined || key === "" || key.length > TRACE_KEY_CHARS_MAX ? undefined : key;
}

/** Several fields of a name and one with a list are the same (RFC 9110, 5.2): the first counts. */
function firstOf(value: string): string {
  const comma = value.indexOf(",");
  return comma === -1 ? value : value.slice(0, comma).trim();
}

/**
 * What a lane's tag may be (`lane-tag` of `resources/formats.ts`), and the route header hold: a
 * member's escapes may stand for anything, the end of a header field among it.
 */
const TAG = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/**
 * The lane tag that a request carries itself: in the route header, else (mode `baggage`) in the
 * baggage, where text that can be no tag is none. Undefined: none. `header` joins the fields of
 * `baggage` by commas.
 */
export function contextTag(group: IndexedGroup, header: HeaderLookup): string | undefined {
  const tag = header(group.routeHeader);
  if (tag !== undefined && tag !== "") return group.byTag.has(tag) ? tag : firstOf(tag);
  const key = baggageKeyOf(group);
  const baggage = key === null ? undefined : header(BAGGAGE_HEADER);
  if (key === null || baggage === undefined) return undefined;
  const value = baggageValue(baggage, key);
  return value === undefined || !TAG.test(value) ? undefined : value;
}

/** Where `contextTag` has found it, or would look first: for people. */
export function contextPlace(group: IndexedGroup, header: HeaderLookup): string {
  const key = baggageKeyOf(group);
  const tag = header(group.routeHeader);
  if (key === null || (tag !== undefined && tag !== "")) return group.routeHeader;
  return `${BAGGAGE_HEADER} (${key})`;
}

/**
 * Whether a request that has come to a pod with these headers keeps its lane on the calls that the
 * pod makes for it. In the modes `header` and `baggage` that is the application's part.
 */
export function isCarriedOn(group: IndexedGroup, header: HeaderLookup): boolean {
  return traceHeaderOf(group) === null || traceKeyOf(group, header) !== undefined;
}

/**
 * The lane tag that a call from a pod carries: its own, else (mode `traceId`) what the pod's table
 * knows of the trace id. Undefined: no context.
 */
export function outboundTag(
  group: IndexedGroup,
  header: HeaderLookup,
  traces: TraceTable,
  nowMs: number,
): string | undefined {
  return contextTag(group, header) ?? rememberedTag(group, header, traces, nowMs);
}

/** In mode `traceId`: the lane tag that the pod's table knows of the trace id. */
export function rememberedTag(
  group: IndexedGroup,
  header: HeaderLookup,
  traces: TraceTable,
  nowMs: number,
): string | undefined {
  const key = traceKeyOf(group, header);
  return key === undefined ? undefined : (traces.lookup(key, nowMs) ?? undefined);
}

/** What another process knows, too. Each call is done when it returns. */
export interface SharedTraces {
  set(key: string, tag: string | null): void;
  /** As `TraceTable.lookup`. */
  get(key: string): string | null | undefined;
  remove(key: string): void;
}

interface Trace {
  /** The route header's value; null: the request travelled without one. */
  tag: string | null;
  inFlightCount: number;
  endedAtMs: number;
}

/**
 * Which lane the requests of a trace id travel in, for one pod and one lane group.
 *
 * The key may be shared (in the hash-tagging walk-through it is a user id): of two exchanges in
 * flight with different lanes the newest wins, and `conflicts` counts it. An entry is never evicted
 * while an exchange with it is in flight. All operations are amortised O(1).
 */
export class TraceTable {
  /** Exchanges that found their key in flight in another lane. */
  conflicts = 0;
  /** Exchanges not recorded because every entry was in flight. */
  overflow = 0;
  readonly #entriesMax: number;
  readonly #ttlMs: number;
  readonly #traces = new Map<string, Trace>();
  /** Those not in flight, the longest ended first. */
  readonly #idle = new Map<string, Trace>();
  #shared: SharedTraces | null = null;

  constructor(entriesMax: number = TRACE_ENTRIES_MAX, ttlMs: number = TRACE_TTL_MS) {
    this.#entriesMax = entriesMax;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#traces.size;
  }

  /** From now on the table is one with another process's; null: it is not any more. */
  share(shared: SharedTraces | null): void {
    this.#shared = shared;
    for (const [key, { tag }] of this.#traces) shared?.set(key, tag);
  }

  /**
   * An inbound exchange starts. False: not recorded (overflow); then `end` must not be called.
   * `nowMs` is monotonic time.
   */
  begin(key: string, tag: string | null, nowMs: number): boolean {
    this.#expire(nowMs);
    this.#shared?.set(key, tag);
    const trace = this.#traces.get(key);
    if (trace === undefined) return this.#insert(key, tag);
    if (trace.inFlightCount === 0) this.#idle.delete(key);
    else if (trace.tag !== tag) this.conflicts++;
    trace.tag = tag;
    trace.inFlightCount++;
    return true;
  }

  /** The exchange that `begin` recorded has ended, however it ended. */
  end(key: string, nowMs: number): void {
    const trace = this.#traces.get(key);
    if (trace === undefined || trace.inFlightCount === 0) return;
    trace.inFlightCount--;
    trace.endedAtMs = nowMs;
    if (trace.inFlightCount === 0) this.#idle.set(key, trace);
  }

  /** The tag of the key's newest exchange; null when it had none; undefined when unknown. */
  lookup(key: string, nowMs: number): string | null | undefined {
    this.#expire(nowMs);
    // The other process may have seen a newer one.
    const shared = this.#shared?.get(key);
    return shared === undefined ? this.#traces.get(key)?.tag : shared;
  }

  #insert(key: string, tag: string | null): boolean {
    if (this.#traces.size >= this.#entriesMax && !this.#evictOldestIdle()) {
      this.overflow++;
      return false;
    }
    this.#traces.set(key, { tag, inFlightCount: 1, endedAtMs: 0 });
    return true;
  }

  #evictOldestIdle(): boolean {
    for (const key of this.#idle.keys()) {
      this.#forget(key);
      return true;
    }
    return false;
  }

  #expire(nowMs: number): void {
    for (const [key, trace] of this.#idle) {
      if (nowMs - trace.endedAtMs < this.#ttlMs) return;
      this.#forget(key);
    }
  }

  #forget(key: string): void {
    this.#idle.delete(key);
    this.#traces.delete(key);
    this.#shared?.remove(key);
  }
}
