//! How the lane travels with a call chain: by a header, or by a trace id and the sidecar's table.

import type { PreparedLaneGroup } from "./decide.ts";
import type { HeaderLookup } from "./program.ts";

/** Entries of one pod's table. */
export const TRACE_ENTRIES_MAX = 65_536;
/** How long a key is kept after the last exchange with it has ended. */
export const TRACE_TTL_MS = 60_000;

/** The header whose value is the key of the trace table; null in header mode. */
export function traceHeaderOf(group: PreparedLaneGroup): string | null {
  const { context } = group.group;
  return context.mode === "traceId" ? context.traceHeader.toLowerCase() : null;
}

/** A longer trace id is not recorded: the table's memory stays bounded. */
export const TRACE_KEY_CHARS_MAX = 256;

/**
 * Whether a request that has come to a pod with these headers keeps its lane on the calls that the
 * pod makes for it. In header mode that is the application's part.
 */
export function isCarriedOn(group: PreparedLaneGroup, header: HeaderLookup): boolean {
  const traceHeader = traceHeaderOf(group);
  if (traceHeader === null) return true;
  const key = header(traceHeader);
  return key !== undefined && key.length <= TRACE_KEY_CHARS_MAX;
}

/**
 * The lane tag that a call from a pod carries: the route header, else (trace-id mode) what the
 * pod's table knows of the trace id. Undefined: no context.
 */
export function outboundTag(
  group: PreparedLaneGroup,
  header: HeaderLookup,
  traces: TraceTable,
  nowMs: number,
): string | undefined {
  const tag = header(group.routeHeader);
  if (tag !== undefined && tag !== "") return tag;
  const traceHeader = traceHeaderOf(group);
  if (traceHeader === null) return undefined;
  const key = header(traceHeader);
  return key === undefined ? undefined : (traces.lookup(key, nowMs) ?? undefined);
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

  constructor(entriesMax: number = TRACE_ENTRIES_MAX, ttlMs: number = TRACE_TTL_MS) {
    this.#entriesMax = entriesMax;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#traces.size;
  }

  /**
   * An inbound exchange starts. False: not recorded (overflow); then `end` must not be called.
   * `nowMs` is monotonic time.
   */
  begin(key: string, tag: string | null, nowMs: number): boolean {
    this.#expire(nowMs);
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
    return this.#traces.get(key)?.tag;
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
  }
}
