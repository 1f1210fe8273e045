//! `google.protobuf.Struct` as a value of expressions: the JSON in messages of Envoy's API.

import { LiteralMap, Uint } from "./values.ts";
import type { CelValue } from "./values.ts";

const VALUE = { number: 2, text: 3, boolean: 4, struct: 5, list: 6 };
const ENTRY = { key: 1, value: 2 };
const STRUCT_FIELDS = 1;
const WRAPPED = 1;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** A field of a message: `bytes` of what has a length, or 4 or 8 bytes, else `whole`. */
interface Field {
  readonly tag: number;
  readonly whole: bigint;
  readonly bytes: Buffer;
}

/** The last field of that number in a well-formed message; empty when there is none. */
export function messageIn(message: Uint8Array, tag: number): Uint8Array {
  return fieldsOf(message).findLast((field) => field.tag === tag)?.bytes ?? Buffer.alloc(0);
}

export function structValue(struct: Uint8Array): CelValue {
  return mapIn(struct, STRUCT_FIELDS, jsonValue);
}

/** A map of a message, of that number. */
export function mapIn(
  message: Uint8Array,
  tag: number,
  valueOf: (encoded: Uint8Array) => CelValue,
): CelValue {
  const entries = fieldsOf(message).filter((field) => field.tag === tag);
  return new LiteralMap(
    entries.map(({ bytes }): [CelValue, CelValue] => [
      Buffer.from(messageIn(bytes, ENTRY.key)).toString("latin1"),
      valueOf(messageIn(bytes, ENTRY.value)),
    ]),
  );
}

/** Of a message that wraps one value (`google.protobuf.StringValue`), by its kind. */
export function wrappedValue(message: Uint8Array, kind: string): CelValue | undefined {
  const field = fieldsOf(message).find(({ tag }) => tag === WRAPPED);
  const bytes = field?.bytes ?? Buffer.alloc(0);
  switch (kind) {
    case "StringValue":
      return bytes.toString("latin1");
    case "BytesValue":
      return bytes;
    case "BoolValue":
      return field?.whole === 1n;
    case "DoubleValue":
      return bytes.length === 0 ? 0 : bytes.readDoubleLE();
    case "FloatValue":
      return bytes.length === 0 ? 0 : bytes.readFloatLE();
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

function jsonValue(value: Uint8Array): CelValue {
  const [field] = fieldsOf(value);
  switch (field?.tag) {
    case VALUE.number:
      return field.bytes.readDoubleLE();
    case VALUE.text:
      return field.bytes.toString("latin1");
    case VALUE.boolean:
      return field.whole === 1n;
    case VALUE.struct:
      return structValue(field.bytes);
    case VALUE.list:
      return fieldsOf(field.bytes).map(({ bytes }) => jsonValue(bytes));
    default:
      return null;
  }
}

/** Of a message that we have written ourselves. */
function fieldsOf(message: Uint8Array): Field[] {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = bytes[at] ?? 0;
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
    const whole = fixed > 0 ? 0n : varint();
    const length = kind === BYTES ? Number(whole) : fixed;
    fields.push({ tag: (key - kind) / 8, whole, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}
