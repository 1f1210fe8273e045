//! The bytes of one record: checksum, revision, JSON text. A record that is not whole is not read.
//!
//! ```
//! 0..4   CRC-32 (IEEE) of the key, then of bytes 4 to the end; little-endian
//! 4..12  revision, unsigned, little-endian
//! 12..   UTF-8 JSON
//! ```
//! The key is part of the checksum: a record that ended up under another key is damage too.

import { crc32 } from "node:zlib";

const HEADER_BYTES = 12;

export type DecodedRecord =
  | { readonly ok: true; readonly revision: number; readonly text: string }
  | { readonly ok: false; readonly reason: string };

export function encodeRecord(key: string, revision: number, text: string): Buffer {
  const body = Buffer.from(text, "utf8");
  const record = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  record.writeBigUInt64LE(BigInt(revision), 4);
  body.copy(record, HEADER_BYTES);
  record.writeUInt32LE(checksum(key, record), 0);
  return record;
}

export function decodeRecord(key: string, record: Buffer): DecodedRecord {
  if (record.length < HEADER_BYTES) {
    return { ok: false, reason: `it has ${record.length} bytes, fewer than its header` };
  }
  const stored = record.readUInt32LE(0);
  const computed = checksum(key, record);
  if (stored !== computed) {
    const reason = `its checksum is ${hex(computed)}, written was ${hex(stored)}`;
    return { ok: false, reason };
  }
  const revision = Number(record.readBigUInt64LE(4));
  return { ok: true, revision, text: record.toString("utf8", HEADER_BYTES) };
}

function checksum(key: string, record: Buffer): number {
  return crc32(record.subarray(4), crc32(key));
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
