//! Fields to header blocks (RFC 7541).
//!
//! What goes to the dynamic table is decided by name: a value that differs from the last one of its
//! name goes there only when it comes a second time. So request ids and the like do not push out
//! what stays the same, and a date costs one entry a second.

import type { ByteWriter } from "./byte-writer.ts";
import {
  DYNAMIC_INDEX_MIN,
  DynamicTable,
  ENTRY_OVERHEAD_BYTES,
  STATIC_NAMES,
  STATIC_VALUES,
  TABLE_BYTES_MAX,
} from "./hpack-table.ts";
import { huffmanEncode, huffmanLength } from "./huffman.ts";

/** What begins the kinds of fields, and the bits of the first byte that are its number's. */
const INDEXED = 0x80;
const INDEX_MASK = 0x7f;
const KEPT_LITERAL = 0x40;
const KEPT_MASK = 0x3f;
const SIZE_UPDATE = 0x20;
const SIZE_MASK = 0x1f;
const NEVER_KEPT = 0x10;
const PLAIN_LITERAL = 0;
const LITERAL_MASK = 0x0f;
const HUFFMAN = 0x80;
const LENGTH_MASK = 0x7f;
/** No integer that we write has more bytes. */
const INTEGER_BYTES_MAX = 5;

/** Not for any table, of intermediaries as well (section 7.1.3). */
const SECRETS: ReadonlySet<string> = new Set([
  ...["authorization", "proxy-authorization", "set-cookie"],
]);
/** A shorter cookie could be guessed, byte by byte, from the lengths of blocks (section 7.1.3). */
const COOKIE_BYTES_MIN = 20;
/** Seldom the same twice. */
const VOLATILE: ReadonlySet<string> = new Set(
  (
    ":path age content-length content-range etag if-modified-since if-none-match last-modified " +
    "location traceparent x-b3-spanid x-b3-traceid x-envoy-upstream-service-time x-request-id"
  ).split(" "),
);
/** A value over this is never kept: it would push out many others. */
const KEPT_BYTES_MAX: number = TABLE_BYTES_MAX / 2;
/** Names that are remembered; over it all are forgotten, which costs bytes and no more. */
const NAMES_MAX = 256;
/** Entries with the same name that are looked at. */
const SEARCH_MAX = 16;
/** Longer texts are written by the library. */
const LOOP_BYTES_MAX = 24;
const STATUS_MAX = 600;

/** In Node for ever, but not in its types. */
type Latin1Buffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, start: number, length: number): number;
};

const scratch = Buffer.allocUnsafeSlow(KEPT_BYTES_MAX) as Latin1Buffer;

/** What is known of one name. */
interface Name {
  readonly text: string;
  /** In the static table, its first index, or 0, and the index behind its last. */
  readonly staticStart: number;
  readonly staticEnd: number;
  readonly isSecret: boolean;
  readonly isCookie: boolean;
  /** The number of the newest entry with it, which may be gone. */
  newest: number;
  /** Of the last value that was in no table; 0 before there was one. */
  missedHash: number;
}

/** Of statuses that are in the static table whole. */
const statusIndexes = new Uint8Array(STATUS_MAX);
/** The first index of each name, and the index behind its last. */
const staticRanges = new Map<string, { start: number; end: number }>();
STATIC_NAMES.forEach((name, index) => {
  if (index === 0) return;
  if (name === ":status") statusIndexes[Number(STATIC_VALUES[index])] = index;
  const start = staticRanges.get(name)?.start ?? index;
  staticRanges.set(name, { start, end: index + 1 });
});

export class HpackEncoder {
  readonly #table = new DynamicTable(TABLE_BYTES_MAX);
  readonly #names = new Map<string, Name>();
  /** For an entry's number, modulo: the one before it with the same name. */
  readonly #before: number[] = new Array<number>(TABLE_BYTES_MAX / ENTRY_OVERHEAD_BYTES).fill(-1);
  /** The smallest size of the table since the last block; null when it stayed the same. */
  #smallestBytes: number | null = null;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; we use at most 4,096 bytes of it. */
  setTableBytesMax(bytes: number): void {
    const size = Math.min(bytes, TABLE_BYTES_MAX);
    if (size === this.#table.bytesMax) return;
    this.#smallestBytes = Math.min(this.#smallestBytes ?? size, size);
    this.#table.resize(size);
  }

  /** The first of each block: tells the peer of new sizes of the table (section 4.2). */
  beginBlock(out: ByteWriter): void {
    const smallest = this.#smallestBytes;
    if (smallest === null) return;
    this.#smallestBytes = null;
    out.reserve(2 * INTEGER_BYTES_MAX);
    const size = this.#table.bytesMax;
    if (smallest < size) writeInteger(out, SIZE_UPDATE, SIZE_MASK, smallest);
    writeInteger(out, SIZE_UPDATE, SIZE_MASK, size);
  }

  writeStatus(status: number, out: ByteWriter): void {
    const index = statusIndexes[status] ?? 0;
    if (index === 0) {
      this.writeField(":status", String(status), out);
      return;
    }
    out.reserve(1);
    out.bytes[out.length++] = INDEXED | index;
  }

  /** `name` is lower-case; both are of Latin-1. What is written has to be sent, in this order. */
  writeField(name: string, value: string, out: ByteWriter): void {
    out.reserve(name.length + value.length + 3 * INTEGER_BYTES_MAX);
    const known = this.#names.get(name) ?? this.#meet(name);
    if (known.isSecret || (known.isCookie && value.length < COOKIE_BYTES_MIN)) {
      this.#writeLiteral(NEVER_KEPT, known, value, out);
      return;
    }
    const index = this.#find(known, value);
    if (index !== 0) writeInteger(out, INDEXED, INDEX_MASK, index);
    else if (this.#isToKeep(known, value)) this.#writeKept(known, value, out);
    else this.#writeLiteral(PLAIN_LITERAL, known, value, out);
  }

  #meet(name: string): Name {
    if (this.#names.size === NAMES_MAX) this.#names.clear();
    const range = staticRanges.get(name);
    const known: Name = {
      text: name,
      staticStart: range?.start ?? 0,
      staticEnd: range?.end ?? 0,
      isSecret: SECRETS.has(name),
      isCookie: name === "cookie",
      newest: -1,
      missedHash: VOLATILE.has(name) ? 1 : 0,
    };
    this.#names.set(name, known);
    return known;
  }

  /** The index of the whole field, or 0. */
  #find(known: Name, value: string): number {
    const table = this.#table;
    const { dropped } = table;
    let entry = known.newest;
    for (let count = 0; entry >= dropped && count < SEARCH_MAX; count++) {
      if (table.value(entry) === value) return this.#indexOf(entry);
      entry = this.#before[entry & (this.#before.length - 1)] as number;
    }
    for (let index = known.staticStart; index < known.staticEnd; index++) {
      if (STATIC_VALUES[index] === value) return index;
    }
    return 0;
  }

  #indexOf(entry: number): number {
    return DYNAMIC_INDEX_MIN + this.#table.added - 1 - entry;
  }

  #isToKeep(known: Name, value: string): boolean {
    const bytes = known.text.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (bytes > KEPT_BYTES_MAX || bytes > this.#table.bytesMax) return false;
    const hash = hashOf(value);
    if (known.missedHash === 0 || known.missedHash === hash) return true;
    known.missedHash = hash;
    return false;
  }

  #writeKept(known: Name, value: string, out: ByteWriter): void {
    this.#writeName(KEPT_LITERAL, known, out);
    // Once for many times: here the shorter code is worth its time.
    const coded = huffmanLength(value);
    if (coded < value.length) {
      writeInteger(out, HUFFMAN, LENGTH_MASK, coded);
      out.length = huffmanEncode(value, out.bytes, out.length);
    } else {
      writeText(out, value);
    }
    known.missedHash = hashOf(value);
    this.#before[this.#table.added & (this.#before.length - 1)] = known.newest;
    known.newest = this.#table.added;
    // A copy: the text may be a slice of a whole head, which would stay in memory.
    scratch.latin1Write(value, 0, value.length);
    this.#table.add(known.text, scratch.latin1Slice(0, value.length));
  }

  #writeLiteral(kind: number, known: Name, value: string, out: ByteWriter): void {
    this.#writeName(kind, known, out);
    writeText(out, value);
  }

  #writeName(kind: number, known: Name, out: ByteWriter): void {
    const isKept = known.newest >= this.#table.dropped;
    const index =
      known.staticStart !== 0 ? known.staticStart : isKept ? this.#indexOf(known.newest) : 0;
    writeInteger(out, kind, kind === KEPT_LITERAL ? KEPT_MASK : LITERAL_MASK, index);
    if (index === 0) writeText(out, known.text);
  }
}

/** Never 0 or 1. */
function hashOf(value: string): number {
  let hash = value.length;
  for (let index = 0; index < value.length; index++) {
    hash = (Math.imul(hash, 31) + value.charCodeAt(index)) | 0;
  }
  return hash | 2;
}

/** Section 5.1. */
function writeInteger(out: ByteWriter, first: number, mask: number, value: number): void {
  const { bytes } = out;
  if (value < mask) {
    bytes[out.length++] = first | value;
    return;
  }
  bytes[out.length++] = first | mask;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes[out.length++] = (rest & 0x7f) | 0x80;
  bytes[out.length++] = rest;
}

/** Section 5.2, as it stands. */
function writeText(out: ByteWriter, text: string): void {
  const { length } = text;
  writeInteger(out, 0, LENGTH_MASK, length);
  const { bytes } = out;
  const start = out.length;
  if (length > LOOP_BYTES_MAX) {
    (bytes as Latin1Buffer).latin1Write(text, start, length);
  } else {
    for (let index = 0; index < length; index++) bytes[start + index] = text.charCodeAt(index);
  }
  out.length = start + length;
}
