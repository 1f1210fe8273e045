//! One string object for each field name, however often and in whatever case it arrives.
//!
//! Making a string and lower-casing it costs more than parsing the whole line, so names are looked
//! up by their bytes. Well-known names are in a fixed table; others in a direct-mapped cache, where
//! a newcomer replaces what had its slot: bounded, and hostile names cost no more than any other.

import { TOKEN_LOWER } from "./syntax.ts";

/** Bits of the fields that the codec itself must look at; see `FieldReader.seenBits`. */
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 4;
export const CONNECTION = 8;
export const EXPECT = 16;
export const UPGRADE = 32;
/** Not allowed in a trailer section (RFC 9110 6.5.1). */
export const NO_TRAILER = 64;

export interface FieldName {
  readonly name: string;
  readonly bits: number;
  readonly hash: number;
  readonly bytes: Uint8Array;
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
  "accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-origin " +
  "access-control-request-headers access-control-request-method allow alt-svc baggage " +
  "content-disposition content-language content-location content-security-policy dnt etag " +
  "forwarded from grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-timeout " +
  "http2-settings last-modified link origin priority referer sec-ch-ua sec-ch-ua-mobile " +
  "sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user " +
  "sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol " +
  "sec-websocket-version server server-timing strict-transport-security traceparent tracestate " +
  "upgrade-insecure-requests user-agent via warning x-asm-prefer-tag x-b3-parentspanid x-b3-sampled " +
  "x-b3-spanid x-b3-traceid x-content-type-options x-envoy-upstream-service-time " +
  "x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options x-mse-tag x-powered-by " +
  "x-real-ip x-request-id x-requested-with x-user-id x-xss-protection";

/** Both tables have this many slots; a power of two. */
const SLOTS = 1024;
const SLOT_MASK = SLOTS - 1;
/** Longer names are not kept: 1,024 slots of at most this size bound the memory. */
const CACHED_NAME_BYTES_MAX = 64;

/** The hash that a caller builds while it scans: start with 0, one step for each lower-case byte. */
export function hashStep(hash: number, lower: number): number {
  return (Math.imul(hash, 31) + lower) | 0;
}

function entryOf(name: string, bits: number): FieldName {
  const bytes = new Uint8Array(Buffer.from(name, "latin1"));
  return { name, bits, hash: bytes.reduce(hashStep, 0), bytes };
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & SLOT_MASK;
}

function buildFixed(): (FieldName | undefined)[] {
  const slots = new Array<FieldName | undefined>(SLOTS).fill(undefined);
  const rows = [
    ...CONTROL,
    ...NOT_IN_TRAILER.split(" ").map((name) => [name, NO_TRAILER] as const),
    ...PLAIN.split(" ").map((name) => [name, 0] as const),
  ];
  for (const [name, bits] of rows) {
    const entry = entryOf(name, bits);
    let slot = slotOf(entry.hash);
    while (slots[slot] !== undefined) slot = (slot + 1) & SLOT_MASK;
    slots[slot] = entry;
  }
  return slots;
}

const fixed = buildFixed();
const cache = new Array<FieldName | undefined>(SLOTS).fill(undefined);

function isSame(entry: FieldName, bytes: Uint8Array, start: number): boolean {
  const name = entry.bytes;
  for (let index = 0; index < name.length; index++) {
    if (name[index] !== TOKEN_LOWER[bytes[start + index] as number]) return false;
  }
  return true;
}

/** The name at `start` to `end`, whose bytes are all token bytes and hash (`hashStep`) to `hash`. */
export function internFieldName(
  bytes: Buffer,
  start: number,
  end: number,
  hash: number,
): FieldName {
  const length = end - start;
  const home = slotOf(hash);
  for (let slot = home; ; slot = (slot + 1) & SLOT_MASK) {
    const entry = fixed[slot];
    if (entry === undefined) break;
    if (entry.hash === hash && entry.bytes.length === length && isSame(entry, bytes, start)) {
      return entry;
    }
  }
  const entry = cache[home];
  if (entry !== undefined && entry.hash === hash && entry.bytes.length === length) {
    if (isSame(entry, bytes, start)) return entry;
  }
  const fresh = entryOf(bytes.toString("latin1", start, end).toLowerCase(), 0);
  if (length <= CACHED_NAME_BYTES_MAX) cache[home] = fresh;
  return fresh;
}
