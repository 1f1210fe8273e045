//! The requests that this worker's gateways decided last, so that one may ask why.
//!
//! What is kept is what the request was made of anyway, by reference: two short lists are copied
//! for each request, nothing is formatted before somebody asks, and the oldest give way.

import type { ExchangeRecord } from "./observer.ts";

/** Characters of all fields kept: requests with large heads shorten the list. */
export const RECENT_CHARS_MAX = 1_048_576;

/** The request as the client sent it. */
export interface ClientHead {
  readonly names: readonly string[];
  readonly values: readonly string[];
  readonly snapshotVersion: string;
  /** Of the trace that the request is part of, the client's or ours; `""`: none. */
  readonly traceId: string;
}

/** A clause holds when the field is the value, or contains it. */
export interface RecentClause {
  /** `header.NAME`, or a name of `FIELDS`. */
  readonly field: string;
  readonly operator: "=" | "~";
  /** As on the wire: a character for each byte. */
  readonly value: string;
}

export interface RecentQuery {
  readonly where: readonly RecentClause[];
  readonly limit: number;
}

export interface RecentDecision {
  readonly startMs: number;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** As on the wire. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly forwardedFor: string;
  readonly requestId: string;
  readonly status: number;
  readonly route: string;
  readonly laneGroup: string;
  readonly lane: string;
  readonly reason: string;
  readonly servedLane: string;
  readonly fallback: string;
  readonly fallbackReason: string;
  readonly service: string;
  readonly traceId: string;
  readonly snapshotVersion: string;
}

export interface RecentAnswer {
  /** The newest first. */
  readonly decisions: readonly RecentDecision[];
  /** Those that are still kept, of all that there were. */
  readonly keptCount: number;
  readonly seenCount: number;
}

/** Of a worker that keeps none. */
export const NOTHING_RECENT: RecentAnswer = { decisions: [], keptCount: 0, seenCount: 0 };

interface Kept {
  readonly record: ExchangeRecord;
  readonly client: ClientHead;
  readonly chars: number;
}

export class RecentDecisions {
  readonly #ring: (Kept | undefined)[];
  #next = 0;
  #keptCount = 0;
  #chars = 0;
  #seenCount = 0;

  constructor(entriesMax: number) {
    this.#ring = new Array<Kept | undefined>(entriesMax).fill(undefined);
  }

  add(record: ExchangeRecord, client: ClientHead): void {
    const chars = charsOf(record, client);
    this.#seenCount += 1;
    this.#chars += chars;
    const replaced = this.#ring[this.#next];
    if (replaced === undefined) this.#keptCount += 1;
    else this.#chars -= replaced.chars;
    this.#ring[this.#next] = { record, client, chars };
    this.#next = (this.#next + 1) % this.#ring.length;
    if (this.#chars > RECENT_CHARS_MAX) this.#dropOldest();
  }

  search({ where, limit }: RecentQuery): RecentAnswer {
    const decisions: RecentDecision[] = [];
    const size = this.#ring.length;
    for (let back = 1; back <= size && decisions.length < limit; back += 1) {
      const kept = this.#ring[(this.#next - back + size) % size];
      if (kept !== undefined && where.every((clause) => holds(clause, kept))) {
        decisions.push(decisionOf(kept));
      }
    }
    return { decisions, keptCount: this.#keptCount, seenCount: this.#seenCount };
  }

  /** The one just added stays, however large. */
  #dropOldest(): void {
    const size = this.#ring.length;
    for (let step = 0; step < size - 1 && this.#chars > RECENT_CHARS_MAX; step += 1) {
      const index = (this.#next + step) % size;
      const kept = this.#ring[index];
      if (kept === undefined) continue;
      this.#ring[index] = undefined;
      this.#keptCount -= 1;
      this.#chars -= kept.chars;
    }
  }
}

function charsOf({ path }: ExchangeRecord, { names, values }: ClientHead): number {
  let chars = path.length;
  for (let index = 0; index < names.length; index += 1) {
    chars += (names[index]?.length ?? 0) + (values[index]?.length ?? 0);
  }
  return chars;
}

type FieldReader = (record: ExchangeRecord) => string;

const FIELDS: ReadonlyMap<string, FieldReader> = new Map<string, FieldReader>([
  ["method", ({ method }) => method],
  ["authority", ({ authority }) => authority],
  ["path", ({ path }) => path],
  ["address", ({ forwardedFor }) => forwardedFor],
  ["requestId", ({ requestId }) => requestId],
  ["status", ({ status }) => String(status)],
  ["route", ({ route }) => route],
  ["group", ({ laneGroup }) => laneGroup],
  ["lane", ({ lane }) => (lane === "" ? "baseline" : lane)],
  ["reason", ({ reason }) => reason],
  ["served", ({ servedLane }) => servedLane],
]);

function holds({ field, operator, value }: RecentClause, { record, client }: Kept): boolean {
  const given = field.startsWith("header.")
    ? headerOf(client, field.slice("header.".length))
    : FIELDS.get(field)?.(record);
  if (given === undefined) return false;
  return operator === "=" ? given === value : given.includes(value);
}

function headerOf({ names, values }: ClientHead, name: string): string | undefined {
  const index = names.indexOf(name.toLowerCase());
  return index === -1 ? undefined : values[index];
}

function decisionOf({ record, client }: Kept): RecentDecision {
  const { startMs, method, authority, path, forwardedFor, requestId, status, route } = record;
  const { laneGroup, lane, reason, servedLane, fallback, fallbackReason, service } = record;
  return {
    ...{ startMs, method, authority, path, forwardedFor, requestId, status, route },
    ...{ laneGroup, lane, reason, servedLane, fallback, fallbackReason, service },
    traceId: client.traceId,
    headers: client.names.map((name, index) => [name, client.values[index] ?? ""] as const),
    snapshotVersion: client.snapshotVersion,
  };
}
