//! Values of protobuf's messages, and of the JSON in them, as plug-ins of Envoy read them.

import {
  encodeBoolean,
  encodeMap,
  encodeNumber,
  encodeUtf8,
  UNSERIALIZABLE,
} from "../../wasm/property-encoding.ts";
import type { Locality } from "../../snapshot/metadata.ts";

/** Field numbers of `Locality`, and `google.protobuf.Struct` with its parts. */
const LOCALITY = { region: 1, zone: 2, subZone: 3 };
const VALUE = { null: 1, number: 2, text: 3, boolean: 4, struct: 5, list: 6 };
const STRUCT_FIELDS = 1;
/** Of an entry of any map. */
export const ENTRY: { readonly key: number; readonly value: number } = { key: 1, value: 2 };
const LIST_VALUES = 1;

/** A part of JSON; null: there is none. */
export function jsonProperty(value: unknown, path: readonly string[]): Uint8Array | null {
  const [part, ...rest] = path;
  if (part === undefined) return encodeJson(value);
  if (Array.isArray(value)) {
    const index = /^\d{1,9}$/.test(part) ? Number(part) : value.length;
    return index < value.length ? jsonProperty(value[index], rest) : null;
  }
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return null;
  return jsonProperty((value as Record<string, unknown>)[part], rest);
}

/** Maps and lists are pairs of what is in them; a null cannot be written, nor what holds one. */
function encodeJson(value: unknown): Uint8Array {
  if (typeof value === "string") return encodeUtf8(value);
  if (typeof value === "number") return encodeNumber(value);
  if (typeof value === "boolean") return encodeBoolean(value);
  if (typeof value !== "object" || value === null) return UNSERIALIZABLE;
  return Array.isArray(value)
    ? encodePairs(value.map((item) => [encodeJson(item), EMPTY] as const))
    : encodePairs(
        Object.entries(value).map(([name, item]) => [encodeUtf8(name), encodeJson(item)] as const),
      );
}

/** Of a map whose values are written; none of it can be where one of them cannot. */
export function encodePairs(
  pairs: readonly (readonly [name: Uint8Array, value: Uint8Array])[],
): Uint8Array {
  if (pairs.some((pair) => pair.includes(UNSERIALIZABLE))) return UNSERIALIZABLE;
  return encodeMap(pairs.map(([name, value]) => [textOf(name), textOf(value)]));
}

export const EMPTY: Buffer = Buffer.alloc(0);

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** `path` is what follows the locality's own. */
export function localityProperty(
  locality: Locality,
  [part, ...rest]: readonly string[],
): Uint8Array | null {
  if (part === undefined) return localityMessage(locality);
  const { region, zone, subZone } = locality;
  const texts = new Map([
    ["region", region],
    ["zone", zone],
    ["sub_zone", subZone],
  ]);
  const text = texts.get(part);
  return text === undefined || rest.length > 0 ? null : encodeUtf8(text);
}

export function localityMessage({ region, zone, subZone }: Locality): Buffer {
  return Buffer.concat([
    textField(LOCALITY.region, region),
    textField(LOCALITY.zone, zone),
    textField(LOCALITY.subZone, subZone),
  ]);
}

export function structOf(value: object): Buffer {
  return mapField(STRUCT_FIELDS, Object.entries(value), valueOf);
}

/** A map's entries, each as a message. */
export function mapField<Value>(
  number: number,
  entries: readonly (readonly [string, Value])[],
  messageOf: (value: Value) => Uint8Array,
): Buffer {
  return Buffer.concat(
    entries.map(([name, item]) => {
      const parts = [textField(ENTRY.key, name), field(ENTRY.value, messageOf(item))];
      return field(number, Buffer.concat(parts));
    }),
  );
}

function valueOf(value: unknown): Buffer {
  if (typeof value === "string") return field(VALUE.text, Buffer.from(value));
  if (typeof value === "boolean") return varintField(VALUE.boolean, value ? 1 : 0);
  if (typeof value === "number") return fixed64Field(VALUE.number, encodeNumber(value));
  if (Array.isArray(value)) {
    const items = value.map((item) => field(LIST_VALUES, valueOf(item)));
    return field(VALUE.list, Buffer.concat(items));
  }
  if (typeof value !== "object" || value === null) return varintField(VALUE.null, 0);
  return field(VALUE.struct, structOf(value));
}

/** The low three bits of a tag say how the value is written (protobuf's encoding). */
const WIRE_BITS = 8;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, BigInt(value));
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(left)]);
}

export function varintField(number: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(number * WIRE_BITS), varint(value)]);
}

export function fixed64Field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * WIRE_BITS + FIXED64), bytes]);
}

export function fixed32Field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * WIRE_BITS + FIXED32), bytes]);
}

export function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * WIRE_BITS + BYTES), varint(bytes.length), bytes]);
}

/** An empty text is not written. */
export function textField(number: number, text: string): Buffer {
  return text === "" ? EMPTY : field(number, Buffer.from(text));
}
