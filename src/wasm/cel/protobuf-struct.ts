//! `google.protobuf.Struct` as a value of expressions: the JSON in messages of Envoy's API, and of
//! those that plug-ins store. What is no message is a fault of the expression.

import { CelFault, LiteralMap, Uint } from "./values.ts";
import type { CelValue } from "./values.ts";

const VALUE = { number: 2, text: 3, boolean: 4, struct: 5, list: 6 };
const ENTRY = { key: 1, value: 2 };
const STRUCT_FIELDS = 1;
const WRAPPED = 1;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const VARINT = 0;
const VARINT_BITS_MAX = 70n;
/** Of messages within messages, as in Protocol Buffers' own readers. */
const DEPTH_MAX = 100;

/** A field of a message: `bytes` of what has a length, or 4 or 8 bytes, else `whole`. */
interface Field {
  readonly tag: number;
  readonly whole: bigint;
  readonly bytes: Buffer;
}

/** The last field of that number; empty when there is none. */
export function messageIn(message: Uint8Array, tag: number): Uint8Array {
  return fieldsOf(message).findLast((field) => field.tag === tag)?.bytes ?? Buffer.alloc(0);
}

/** The last whole number of that field's; 0 when there is none. */
export function integerIn(message: Uint8Array, tag: number): bigint {
  const field = fieldsOf(message).findLast((one) => one.tag === tag);
  return BigInt.asIntN(64, field?.whole ?? 0n);
}

export function structValue(struct: Uint8Array, depth = 1): CelValue {
  return mapIn(struct, STRUCT_FIELDS, (value) => jsonValue(value, depth + 2));
}

export function listValue(list: Uint8Array, depth = 1): CelValue {
  return fieldsOf(list).map(({ bytes }) => jsonValue(bytes, depth + 1));
}

/** A map of a message, of that number. */
export function mapIn(
  message: Uint8Array,
  tag: number,
  valueOf: (encoded: Uint8Array) => CelValue,
): CelValue {
  const entries = fieldsOf(message).filter((field) => field.tag === tag);
  // Of two with one key the last counts.
  const values = new Map<string, CelValue>();
  for (const { bytes } of entries) {
    const key = Buffer.from(messageIn(bytes, ENTRY.key)).toString("latin1");
    values.set(key, valueOf(messageIn(bytes, ENTRY.value)));
  }
  return new LiteralMap([...values]);
}

/** Of a message that wraps one value (`google.protobuf.StringValue`), by its kind. */
export function wrappedValue(message: Uint8Array, kind: string): CelValue | undefined {
  const field = fieldsOf(message).findLast(({ tag }) => tag === WRAPPED);
  const bytes = field?.bytes ?? Buffer.alloc(0);
  switch (kind) {
    case "StringValue":
      return bytes.toString("latin1");
    case "BytesValue":
      return bytes;
    case "BoolValue":
      return field?.whole === 1n;
    case "DoubleValue":
      return bytes.length === 8 ? bytes.readDoubleLE() : 0;
    case "FloatValue":
      return bytes.length === 4 ? bytes.readFloatLE() : 0;
    case "UInt32Value":
    case "UInt64Value":
      return new Uint(field?.whole ?? 0n);
    case "Int32Value":
    case "Int64Value":
      return BigInt.asIntN(64, field?.whole ?? 0n);
    default:
      return undefined;
  }
}

export function jsonValue(value: Uint8Array, depth = 1): CelValue {
  if (depth > DEPTH_MAX) throw new CelFault("messages within too many messages");
  const field = fieldsOf(value).at(-1);
  switch (field?.tag) {
    case VALUE.number:
      return field.bytes.length === 8 ? field.bytes.readDoubleLE() : null;
    case VALUE.text:
      return field.bytes.toString("latin1");
    case VALUE.boolean:
      return field.whole === 1n;
    case VALUE.struct:
      return structValue(field.bytes, depth + 1);
    case VALUE.list:
      return listValue(field.bytes, depth + 1);
    default:
      return null;
  }
}

/** Throws `CelFault` where it is no message. */
export function fieldsOf(message: Uint8Array): Field[] {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = bytes[at];
      if (byte === undefined || shift >= VARINT_BITS_MAX) throw new CelFault("not a message");
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
      shift += 7n;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const kind = key % 8;
    const fixed = kind === FIXED64 ? 8 : kind === FIXED32 ? 4 : 0;
    const isKind = fixed > 0 || kind === VARINT || kind === BYTES;
    const whole = fixed > 0 ? 0n : varint();
    const length = kind === BYTES ? Number(whole) : fixed;
    if (!isKind || key < 8 || length > bytes.length - at) throw new CelFault("not a message");
    fields.push({ tag: (key - kind) / 8, whole, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}
