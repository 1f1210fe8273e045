//! Looks at an LMDB file before LMDB does: it maps the file and trusts it, so that a file of other
//! bytes, or one cut short, ends the process (SIGSEGV, SIGBUS) where an error could be told.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** `MDB_meta` in mdb.c, behind a page header of 24 bytes. Little-endian, as all our machines. */
const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;
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
  return BigInt(size) < needed ? `was cut short: ${size} of ${needed} bytes are there` : null;
}

/** Null when there is no header at this place. */
function readMeta(descriptor: number, at: number): Buffer | null {
  const bytes = Buffer.alloc(META_BYTES);
  const count = readSync(descriptor, bytes, 0, META_BYTES, at);
  return count === META_BYTES && bytes.readUInt32LE(MAGIC_AT) === MAGIC ? bytes : null;
}
