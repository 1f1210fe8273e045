//! Header blocks to fields (RFC 7541).
//!
//! What stands in a table is given as the same string each time. A list that is over its limit is
//! read to its end all the same, for the table's sake, but nothing more of it is kept: a block of a
//! few bytes that names a large entry again and again costs no memory.

import { internalized } from "../base/internalized.ts";
import { FIELD_COUNT_MAX, HEAD_BYTES_MAX } from "../http/limits.ts";
import {
  DYNAMIC_INDEX_MIN,
  DynamicTable,
  ENTRY_OVERHEAD_BYTES,
  STATIC_NAMES,
  STATIC_VALUES,
  TABLE_BYTES_MAX,
} from "./hpack-table.ts";
import { decodedBytesMax, huffmanDecode } from "./huffman.ts";

/**
 * `compression_error`: the two tables are no longer alike, the connection has to end.
 * `list_too_large`: the block is right, its fields are more than may be.
 */
export type HpackResult = "ok" | "compression_error" | "list_too_large";

export interface HpackLimits {
  /** Of the dynamic table: SETTINGS_HEADER_TABLE_SIZE. The table has this size from the start. */
  readonly tableBytesMax: number;
  /** Of one block's names and values, and 32 for each field (RFC 9113 section 6.5.2). */
  readonly listBytesMax: number;
  readonly fieldCountMax: number;
}

/** Pseudo-header fields come on top of the fields of a head. */
const PSEUDO_COUNT_MAX = 4;

/** A little over what a head may have, so that its reader says by which limit it is refused. */
export const HPACK_LIMITS: HpackLimits = {
  tableBytesMax: TABLE_BYTES_MAX,
  listBytesMax: 2 * HEAD_BYTES_MAX,
  fieldCountMax: FIELD_COUNT_MAX + PSEUDO_COUNT_MAX + 1,
};

/** Of one block, and only before its first field (sections 4.2 and 6.3). */
const SIZE_UPDATES_MAX = 2;
/** Bytes after an integer's first: enough for 28 bits (section 5.1 asks for a limit). */
const INTEGER_BYTES_MAX = 4;
const INDEXED = 0x80;
const KEPT_LITERAL = 0x40;
const SIZE_UPDATE = 0x20;
const HUFFMAN = 0x80;
/** What the integers in the four kinds of fields, and of lengths, have of their first byte. */
const INDEX_MASK = 0x7f;
const KEPT_MASK = 0x3f;
const SIZE_MASK = 0x1f;
const LITERAL_MASK = 0x0f;
const LENGTH_MASK = 0x7f;
const FAULT = -1;
/** Of a new name in the table, which is then looked for again and again. */
const INTERNALIZED_BYTES_MAX = 64;

/** In Node for ever, but not in its types. */
type Latin1Buffer = Buffer & { latin1Slice(start: number, end: number): string };

/** Shared, as a block is decoded at once. */
const scratch = Buffer.allocUnsafeSlow(4096);

export class HpackDecoder {
  readonly #limits: HpackLimits;
  readonly #table: DynamicTable;
  /** Of the block that is being read: the next byte, and what its list may still have. */
  #at = 0;
  #roomBytes = 0;
  #roomCount = 0;

  constructor(limits: HpackLimits = HPACK_LIMITS) {
    this.#limits = limits;
    this.#table = new DynamicTable(limits.tableBytesMax);
  }

  /** Bytes that the dynamic table counts. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** Reads the block [start, end), whole, and adds names and values in turn to `fields`. */
  decode(block: Buffer, start: number, end: number, fields: string[]): HpackResult {
    this.#at = start;
    this.#roomBytes = this.#limits.listBytesMax;
    this.#roomCount = this.#limits.fieldCountMax;
    if (!this.#readSizeUpdates(block, end)) return "compression_error";
    while (this.#at < end) {
      const byte = block[this.#at] as number;
      const isRight =
        byte >= INDEXED
          ? this.#readIndexed(block, end, fields)
          : this.#readLiteral(block, end, fields);
      if (!isRight) return "compression_error";
    }
    return this.#isOver() ? "list_too_large" : "ok";
  }

  #isOver(): boolean {
    return this.#roomBytes < 0 || this.#roomCount < 0;
  }

  #readSizeUpdates(block: Buffer, end: number): boolean {
    for (let count = 0; this.#at < end; count++) {
      if (((block[this.#at] as number) & ~SIZE_MASK) !== SIZE_UPDATE) return true;
      const bytes = this.#readInteger(block, end, SIZE_MASK);
      if (bytes === FAULT || bytes > this.#limits.tableBytesMax) return false;
      if (count === SIZE_UPDATES_MAX) return false;
      this.#table.resize(bytes);
    }
    return true;
  }

  #readIndexed(block: Buffer, end: number, fields: string[]): boolean {
    const index = this.#readInteger(block, end, INDEX_MASK);
    if (index < DYNAMIC_INDEX_MIN) {
      if (index <= 0) return false;
      this.#deliver(STATIC_NAMES[index] as string, STATIC_VALUES[index] as string, fields);
      return true;
    }
    const entry = this.#entryOf(index);
    if (entry === FAULT) return false;
    this.#deliver(this.#table.name(entry), this.#table.value(entry), fields);
    return true;
  }

  /** Sections 6.2.1 to 6.2.3. */
  #readLiteral(block: Buffer, end: number, fields: string[]): boolean {
    const byte = block[this.#at] as number;
    const isKept = byte >= KEPT_LITERAL;
    if (!isKept && byte >= SIZE_UPDATE) return false;
    const index = this.#readInteger(block, end, isKept ? KEPT_MASK : LITERAL_MASK);
    if (index === FAULT) return false;
    let name = index === 0 ? this.#readText(block, end) : this.#nameOf(index);
    if (name === null) return false;
    const value = this.#readText(block, end);
    if (value === null) return false;
    if (isKept) {
      if (index === 0 && name.length <= INTERNALIZED_BYTES_MAX) name = internalized(name);
      this.#table.add(name, value);
    }
    this.#deliver(name, value, fields);
    return true;
  }

  #deliver(name: string, value: string, fields: string[]): void {
    this.#roomBytes -= name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#roomCount--;
    if (!this.#isOver()) fields.push(name, value);
  }

  #nameOf(index: number): string | null {
    if (index < DYNAMIC_INDEX_MIN) return STATIC_NAMES[index] as string;
    const entry = this.#entryOf(index);
    return entry === FAULT ? null : this.#table.name(entry);
  }

  #entryOf(index: number): number {
    const entry = this.#table.added - 1 - (index - DYNAMIC_INDEX_MIN);
    return entry < this.#table.dropped ? FAULT : entry;
  }

  /** Section 5.1; `mask` has the bits of the first byte that belong to it. */
  #readInteger(block: Buffer, end: number, mask: number): number {
    let value = (block[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < 7 * INTEGER_BYTES_MAX; shift += 7) {
      if (this.#at === end) return FAULT;
      const byte = block[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return FAULT;
  }

  /** Section 5.2. */
  #readText(block: Buffer, end: number): string | null {
    const isCoded = (block[this.#at] as number) >= HUFFMAN;
    const length = this.#readInteger(block, end, LENGTH_MASK);
    const start = this.#at;
    if (length === FAULT || length > end - start) return null;
    this.#at = start + length;
    if (!isCoded) return (block as Latin1Buffer).latin1Slice(start, this.#at);
    const bytesMax = decodedBytesMax(length);
    const out = bytesMax > scratch.length ? Buffer.allocUnsafeSlow(bytesMax) : scratch;
    const decoded = huffmanDecode(block, start, this.#at, out);
    return decoded === -1 ? null : (out as Latin1Buffer).latin1Slice(0, decoded);
  }
}
