//! The serialised form of header pairs and of map and list properties (reference: Proxy-Wasm spec,
//! "Serialized header pairs"): u32 count, then (u32 key length, u32 value length) for each pair,
//! then key, NUL, value, NUL for each. Little-endian, consumed to the last byte.

import { fieldName, fieldValue } from "./field-text.ts";
import type { HeaderMap } from "./stream-host.ts";

export type HeaderPair = readonly [name: string, value: string];

/** Envoy's limits for what a guest sends; beyond them the list counts as empty. */
export const PAIRS_BYTES_MAX: number = 1 << 20;
export const PAIRS_MAX = 1024;

/** Serialises Latin-1 pairs. An empty list gives four zero bytes. */
export function encodePairs(pairs: readonly HeaderPair[]): Uint8Array {
  let length = 4;
  for (const [name, value] of pairs) length += 8 + name.length + 1 + value.length + 1;
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(pairs.length, 0);
  let sizes = 4;
  let text = 4 + 8 * pairs.length;
  for (const [name, value] of pairs) {
    bytes.writeUInt32LE(name.length, sizes);
    bytes.writeUInt32LE(value.length, sizes + 4);
    sizes += 8;
    bytes.write(name, text, "latin1");
    text += name.length + 1;
    bytes.write(value, text, "latin1");
    text += value.length + 1;
  }
  return bytes;
}

/**
 * Parses pairs of a guest. Malformed or oversized bytes are the empty list (as in Envoy); null: a
 * name or a value cannot be written to a message.
 */
export function decodePairs(bytes: Uint8Array): HeaderPair[] | null {
  if (bytes.length < 4 || bytes.length > PAIRS_BYTES_MAX) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(0, true);
  if (count > PAIRS_MAX || 4 + 8 * count > bytes.length) return [];
  const pairs: HeaderPair[] = [];
  let start = 4 + 8 * count;
  for (let index = 0; index < count; index++) {
    const nameEnd = start + view.getUint32(4 + 8 * index, true);
    const valueEnd = nameEnd + 1 + view.getUint32(8 + 8 * index, true);
    if (valueEnd >= bytes.length || bytes[nameEnd] !== 0 || bytes[valueEnd] !== 0) return [];
    const name = fieldName(bytes.subarray(start, nameEnd));
    const value = fieldValue(bytes.subarray(nameEnd + 1, valueEnd));
    if (name === null || value === null) return null;
    pairs.push([name, value]);
    start = valueEnd + 1;
  }
  return start === bytes.length ? pairs : [];
}

/** Of names and values, as they are on the wire. */
export function bytesOf(map: Pick<HeaderMap, "forEach">): number {
  let bytes = 0;
  map.forEach((name, value) => {
    bytes += name.length + value.length;
  });
  return bytes;
}
