//! As much of Protocol Buffers as Envoy's foreign functions speak: flat messages of scalars.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
/** A varint has at most 10 bytes. */
const VARINT_BITS_MAX = 70;

/** A length-delimited field. */
export type BytesField = readonly [number: number, value: Uint8Array];

/**
 * The length-delimited fields of a message in order. Fields of other types are left out. Null: not
 * a message.
 */
export function listBytesFields(message: Uint8Array): BytesField[] | null {
  const fields: BytesField[] = [];
  const isMessage = walk(message, (number, value) => {
    if (typeof value !== "number") fields.push([number, value]);
  });
  return isMessage ? fields : null;
}

/** The same by number; the last one of a number counts. */
export function decodeBytesFields(message: Uint8Array): Map<number, Uint8Array> | null {
  const fields = listBytesFields(message);
  return fields === null ? null : new Map(fields);
}

/** The varints of a message by number; the last one of a number counts. Null: not a message. */
export function decodeVarintFields(message: Uint8Array): Map<number, number> | null {
  const fields = new Map<number, number>();
  const isMessage = walk(message, (number, value) => {
    if (typeof value === "number") fields.set(number, value);
  });
  return isMessage ? fields : null;
}

/** Visits varints and length-delimited fields. False: not a message. */
function walk(
  message: Uint8Array,
  visit: (number: number, value: number | Uint8Array) => void,
): boolean {
  let at = 0;
  while (at < message.length) {
    const tag = readVarint(message, at);
    if (tag === null) return false;
    const number = Math.floor(tag.value / 8);
    const type = tag.value % 8;
    const length = readLength(message, tag.end, type);
    if (number === 0 || length === null || length.end + length.value > message.length) return false;
    if (type === VARINT) visit(number, readVarint(message, tag.end)?.value ?? 0);
    at = length.end + length.value;
    if (type === BYTES) visit(number, message.subarray(length.end, at));
  }
  return true;
}

/** Booleans and bytes by field number, in order; what has its default value is left out. */
export function encodeFields(
  fields: readonly (readonly [number: number, value: boolean | Uint8Array])[],
): Uint8Array {
  const parts: number[] = [];
  for (const [number, value] of fields) {
    if (typeof value === "boolean") {
      if (value) parts.push(number * 8 + VARINT, 1);
    } else if (value.length > 0) {
      parts.push(number * 8 + BYTES, ...varint(value.length), ...value);
    }
  }
  return Uint8Array.from(parts);
}

interface Read {
  readonly value: number;
  readonly end: number;
}

/** Where the value begins, and how long it is. */
function readLength(message: Uint8Array, at: number, type: number): Read | null {
  switch (type) {
    case VARINT: {
      const skipped = readVarint(message, at);
      return skipped === null ? null : { value: 0, end: skipped.end };
    }
    case FIXED64:
      return { value: 8, end: at };
    case FIXED32:
      return { value: 4, end: at };
    case BYTES:
      return readVarint(message, at);
    default:
      return null;
  }
}

function readVarint(message: Uint8Array, start: number): Read | null {
  let value = 0;
  let at = start;
  for (let bits = 0; bits < VARINT_BITS_MAX; bits += 7) {
    const byte = message[at++];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** bits;
    if (byte < 0x80) return { value, end: at };
  }
  return null;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left];
    bytes.push((left % 128) | 0x80);
  }
}
