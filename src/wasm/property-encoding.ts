//! Property values as Envoy encodes them: text raw, numbers 8 bytes little-endian, booleans 1 byte,
//! times in nanoseconds, maps as serialised pairs.

import { encodePairs } from "./header-pairs.ts";
import type { HeaderPair } from "./header-pairs.ts";

/** An object that is there and cannot be written as bytes: reading it fails with that status. */
export const UNSERIALIZABLE: Uint8Array = new Uint8Array(0);

/** Header-like text: one byte per character. */
export function encodeLatin1(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

export function encodeUtf8(text: string): Uint8Array {
  return Buffer.from(text, "utf8");
}

/** A whole number; those above 2^63 have the bits of negative ones. */
export function encodeInteger(value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)));
  return bytes;
}

/** Eight bytes, little-endian, IEEE 754. */
export function encodeNumber(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

export function encodeBoolean(value: boolean): Uint8Array {
  return Uint8Array.of(value ? 1 : 0);
}

/** A wall time or a duration, given in milliseconds (fractions are kept to the microsecond). */
export function encodeTime(ms: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(Math.round(ms * 1000)) * 1000n);
  return bytes;
}

export function encodeMap(pairs: readonly HeaderPair[]): Uint8Array {
  return encodePairs(pairs);
}

export function encodeList(items: readonly string[]): Uint8Array {
  return encodePairs(items.map((item) => [item, ""]));
}
