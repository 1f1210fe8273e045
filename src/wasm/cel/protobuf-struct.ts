//! `google.protobuf.Struct` as a value of expressions: the JSON in messages of Envoy's API.

import { LiteralMap } from "./values.ts";
import type { CelValue } from "./values.ts";

const VALUE = { number: 2, text: 3, boolean: 4, struct: 5, list: 6 };
const ENTRY = { key: 1, value: 2 };
const FIXED64 = 1;
const BYTES = 2;

/** A field of a message: `bytes` of what is written with a length or in 8 bytes, else `number`. */
interface Field {
  readonly tag: number;
  readonly number: number;
  readonly bytes: Buffer;
}

/** The last field of that number in a well-formed message; empty when there is none. */
export function messageIn(message: Uint8Array, tag: number): Uint8Array {
  return fieldsOf(message).findLast((field) => field.tag === tag)?.bytes ?? Buffer.alloc(0);
}

export function structValue(struct: Uint8Array): CelValue {
  const entries = fieldsOf(struct).map(({ bytes }): [CelValue, CelValue] => [
    Buffer.from(messageIn(bytes, ENTRY.key)).toString("latin1"),
    jsonValue(messageIn(bytes, ENTRY.value)),
  ]);
  return new LiteralMap(entries);
}

function jsonValue(value: Uint8Array): CelValue {
  const [field] = fieldsOf(value);
  switch (field?.tag) {
    case VALUE.number:
      return field.bytes.readDoubleLE();
    case VALUE.text:
      return field.bytes.toString("latin1");
    case VALUE.boolean:
      return field.number === 1;
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
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8;
    const number = kind === FIXED64 ? 0 : varint();
    const length = kind === BYTES ? number : kind === FIXED64 ? 8 : 0;
    fields.push({ tag: (key - kind) / 8, number, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}
