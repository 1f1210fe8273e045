//! Looks at an LMDB file before LMDB does: it maps the file and trusts it, so that a file of other
//! bytes, or one cut short, ends the process (SIGSEGV, SIGBUS) where an error could be told.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { DB_BYTES, faultInTrees, isOfAge } from "./lmdb-tree.ts";
import type { PageReader } from "./lmdb-tree.ts";

/** `MDB_meta` in mdb.c, behind a page header of 24 bytes. Little-endian, as all our machines. */
const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;
const TABLES_AT = 48;
/** Flags of the page; magic and version; size of a page. The same in both headers. */
const CONSTANT_PARTS: readonly (readonly [from: number, to: number])[] = [
  [18, 20],
  [24, 32],
  [48, 52],
];
const LAST_PAGE_AT = 144;
const TRANSACTION_AT = 152;
const META_BYTES = 160;
const PAGE_BYTES_MIN = 256;
const PAGE_BYTES_MAX = 65_536;

export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";
}

/** Throws `DamagedFileError` when `data.mdb` is there and cannot be what LMDB wrote. */
export function checkLmdbFile(directory: string): void {
  const path = join(directory, "data.mdb");
  const descriptor = openOrNull(path);
  if (descriptor === null) return;
  try {
    const { size } = fstatSync(descriptor);
    const reason = size === 0 ? null : faultOf(descriptor, size);
    if (reason === null) return;
    const remedy = "put a copy back in its place, or choose another directory with --state";
    throw new DamagedFileError(`${path} ${reason}; it is left as it is: ${remedy}`);
  } finally {
    closeSync(descriptor);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function faultOf(descriptor: number, size: number): string | null {
  const first = readMeta(descriptor, 0);
  const pageBytes = first?.readUInt32LE(PAGE_SIZE_AT) ?? 0;
  const isPageSize = pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX;
  const second = first !== null && isPageSize ? readMeta(descriptor, pageBytes) : null;
  if (first === null || second === null) return "is not a store: it has no LMDB header";
  // The newer of the two is what counts; its pages were written before it was.
  const newer =
    second.readBigUInt64LE(TRANSACTION_AT) > first.readBigUInt64LE(TRANSACTION_AT) ? second : first;
  const pageCount = newer.readBigUInt64LE(LAST_PAGE_AT) + 1n;
  const needed = pageCount * BigInt(pageBytes);
  if (BigInt(size) < needed) return `was cut short: ${size} of ${needed} bytes are there`;
  const read = reader(descriptor, pageBytes);
  const contradiction = contradictionOf(first, second, read);
  if (contradiction !== null) return `is damaged: ${contradiction}`;
  const lastPage = pageCount - 1n;
  const [free, tables] = [tableOf(newer, 0), tableOf(newer, 1)];
  const fault = faultInTrees({ read, pageBytes, lastPage, free, tables });
  return fault === null ? null : `is damaged: ${fault}`;
}

function tableOf(meta: Buffer, index: number): Buffer {
  const at = TABLES_AT + index * DB_BYTES;
  return meta.subarray(at, at + DB_BYTES);
}

function contradictionOf(first: Buffer, second: Buffer, read: PageReader): string | null {
  const isSame = ([from, to]: readonly [number, number]): boolean =>
    first.compare(second, from, to, from, to) === 0;
  if (!CONSTANT_PARTS.every(isSame)) return "its two headers contradict each other";
  if (!areTurns(first, second)) return "its two headers do not follow each other";
  const areOfAge = [first, second].every((meta) =>
    isOfAge(tableOf(meta, 1), meta.readBigUInt64LE(TRANSACTION_AT), read),
  );
  return areOfAge ? null : "a header is older or newer than its tables";
}

/** Each transaction writes one of them, by turns: a damaged number would bring old objects back. */
function areTurns(first: Buffer, second: Buffer): boolean {
  const [even, odd] = [first, second].map((meta) => meta.readBigUInt64LE(TRANSACTION_AT));
  if (even === undefined || odd === undefined) return false;
  if (even === odd) return even === 0n;
  const isNext = even - odd === 1n || odd - even === 1n;
  return isNext && even % 2n === 0n;
}

function reader(descriptor: number, pageBytes: number): PageReader {
  const bytes = Buffer.alloc(pageBytes);
  return (page) => {
    const at = page * pageBytes;
    if (!Number.isSafeInteger(at)) return null;
    return readSync(descriptor, bytes, 0, pageBytes, at) === pageBytes ? bytes : null;
  };
}

/** Null when there is no header at this place. */
function readMeta(descriptor: number, at: number): Buffer | null {
  const bytes = Buffer.alloc(META_BYTES);
  const count = readSync(descriptor, bytes, 0, META_BYTES, at);
  return count === META_BYTES && bytes.readUInt32LE(MAGIC_AT) === MAGIC ? bytes : null;
}
