//! One string object for each field name, however often and in whatever case it arrives.
//!
//! Making a string and lower-casing it costs more than parsing the whole line, so names are looked
//! up by their bytes as they were spelled. First by a guess: the name that followed the name before
//! it last time. Then in a fixed table of well-known spellings, then in a direct-mapped cache where
//! a newcomer replaces what had its slot: bounded, and hostile names cost no more than any other.

import { internalized } from "../base/internalized.ts";
import { COLON } from "./syntax.ts";

/** Bits of the fields that the codec itself must look at; see `FieldReader.seenBits`. */
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 4;
export const CONNECTION = 8;
export const EXPECT = 16;
export const UPGRADE = 32;
/** Not allowed in a trailer section (RFC 9110 6.5.1). */
export const NO_TRAILER = 64;

/** One spelling of a field name. */
export interface FieldName {
  /** Lower-case. */
  readonly name: string;
  readonly bits: number;
  readonly hash: number;
  /** The bytes as spelled, with the colon after them. */
  readonly bytes: Uint8Array;
  /** The spelling that came after this one last time: a guess, always checked byte for byte. */
  next: FieldName | null;
}

const CONTROL: readonly (readonly [name: string, bits: number])[] = [
  ["host", HOST | NO_TRAILER],
  ["content-length", CONTENT_LENGTH | NO_TRAILER],
  ["transfer-encoding", TRANSFER_ENCODING | NO_TRAILER],
  ["connection", CONNECTION | NO_TRAILER],
  ["expect", EXPECT | NO_TRAILER],
  ["upgrade", UPGRADE | NO_TRAILER],
];

/** Framing, routing, request modifiers, authentication, response control, content format. */
const NOT_IN_TRAILER =
  "keep-alive proxy-connection te trailer authorization proxy-authorization proxy-authenticate " +
  "www-authenticate cookie set-cookie content-encoding content-type content-range range " +
  "cache-control max-forwards pragma if-match if-none-match if-modified-since " +
  "if-unmodified-since if-range age date expires location retry-after vary";

const PLAIN =
  "accept accept-charset accept-encoding accept-language accept-ranges " +
  "access-control-allow-origin access-control-request-headers access-control-request-method " +
  "allow alt-svc baggage " +
  "content-disposition content-language content-location content-security-policy dnt etag " +
  "forwarded from grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-timeout " +
  "http2-settings last-modified link origin priority referer sec-ch-ua sec-ch-ua-mobile " +
  "sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user " +
  "sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol " +
  "sec-websocket-version server server-timing strict-transport-security traceparent tracestate " +
  "upgrade-insecure-requests user-agent via warning x-asm-prefer-tag x-b3-parentspanid " +
  "x-b3-sampled x-b3-spanid x-b3-traceid x-content-type-options x-envoy-upstream-service-time " +
  "x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options x-mse-tag x-powered-by " +
  "x-real-ip x-request-id x-requested-with x-user-id x-xss-protection";

/** Both tables have this many slots; a power of two. */
const SLOTS = 1024;
const SLOT_MASK: number = SLOTS - 1;
/** Longer names are not kept: 1,024 slots of at most this size bound the memory. */
const CACHED_NAME_BYTES_MAX = 64;

/** The hash that a caller builds while it scans: start with 0, one step for each byte. */
export function hashStep(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0;
}

const known: ReadonlyMap<string, readonly [name: string, bits: number]> = new Map(
  [
    ...CONTROL,
    ...NOT_IN_TRAILER.split(" ").map((name) => [name, NO_TRAILER] as const),
    ...PLAIN.split(" ").map((name) => [name, 0] as const),
  ].map((row) => [row[0], row]),
);

function entryOf(spelling: string): FieldName {
  const bytes = new Uint8Array(Buffer.from(`${spelling}:`, "latin1"));
  const hash = bytes.subarray(0, -1).reduce(hashStep, 0);
  const lower = spelling.toLowerCase();
  const [name, bits] = known.get(lower) ?? [lower, 0];
  return { name: internalized(name), bits, hash, bytes, next: null };
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & SLOT_MASK;
}

/** `User-Agent` of `user-agent`. */
function trainCase(name: string): string {
  return name.replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

function buildFixed(): (FieldName | undefined)[] {
  const slots = new Array<FieldName | undefined>(SLOTS).fill(undefined);
  for (const name of known.keys()) {
    for (const spelling of [name, trainCase(name)]) {
      const entry = entryOf(spelling);
      let slot = slotOf(entry.hash);
      while (slots[slot] !== undefined) slot = (slot + 1) & SLOT_MASK;
      slots[slot] = entry;
    }
  }
  return slots;
}

const fixed = buildFixed();
const cache = new Array<FieldName | undefined>(SLOTS).fill(undefined);

/** Where the guess for the first field of a head begins. */
export const FIRST_FIELD: FieldName = entryOf("");

/** Do the bytes at `start` spell this name, with its colon? */
export function isSpelledAt(entry: FieldName, bytes: Uint8Array, start: number): boolean {
  const spelled = entry.bytes;
  const length = spelled.length;
  for (let index = 0; index < length; index++) {
    if (spelled[index] !== bytes[start + index]) return false;
  }
  return true;
}

/** The name at `start`, whose bytes are token bytes up to its colon and hash to `hash`. */
export function internFieldName(bytes: Buffer, start: number, hash: number): FieldName {
  const home = slotOf(hash);
  for (let slot = home; ; slot = (slot + 1) & SLOT_MASK) {
    const entry = fixed[slot];
    if (entry === undefined) break;
    if (entry.hash === hash && isSpelledAt(entry, bytes, start)) return entry;
  }
  const entry = cache[home];
  if (entry !== undefined && entry.hash === hash && isSpelledAt(entry, bytes, start)) return entry;

  const colon = bytes.indexOf(COLON, start);
  const fresh = entryOf(bytes.toString("latin1", start, colon));
  if (colon - start <= CACHED_NAME_BYTES_MAX) cache[home] = fresh;
  return fresh;
}
