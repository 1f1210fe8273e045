//! The messages of google.protobuf that have a JSON form of their own.

import type { Json, JsonObject } from "../../base/json.ts";
import { decodeScalar, encodeScalar, wireTypeOf } from "./scalar.ts";
import type { ScalarType } from "./scalar.ts";
import { WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireReader, WireWriter } from "./wire.ts";

const WRAPPERS: Readonly<Record<string, ScalarType>> = {
  "google.protobuf.BoolValue": "bool",
  "google.protobuf.Int32Value": "int32",
  "google.protobuf.Int64Value": "int64",
  "google.protobuf.UInt32Value": "uint32",
  "google.protobuf.UInt64Value": "uint64",
  "google.protobuf.DoubleValue": "double",
  "google.protobuf.FloatValue": "float",
  "google.protobuf.StringValue": "string",
  "google.protobuf.BytesValue": "bytes",
};
const DEFAULTS: Readonly<Record<ScalarType, Json>> = {
  bool: false,
  int32: 0,
  int64: "0",
  uint32: 0,
  uint64: "0",
  double: 0,
  float: 0,
  string: "",
  bytes: "",
};
const STRUCT = "google.protobuf.Struct";
const VALUE = "google.protobuf.Value";
const LIST = "google.protobuf.ListValue";
const DURATION = "google.protobuf.Duration";
const NANOS_DIGITS = 9;
/** Deeper than any metadata of ours or Envoy's. */
const NESTING_MAX = 32;

/** google.protobuf.Value's fields. */
const NULL_VALUE = 1;
const NUMBER_VALUE = 2;
const STRING_VALUE = 3;
const BOOL_VALUE = 4;
const STRUCT_VALUE = 5;
const LIST_VALUE = 6;

/** Null for every other type, and for a value that has not that form. */
export function encodeWellKnown(type: string, value: Json): Buffer | null {
  const scalar = WRAPPERS[type];
  if (scalar !== undefined) {
    const writer = new WireWriter();
    writer.tag(1, wireTypeOf(scalar));
    return encodeScalar(writer, scalar, value) ? writer.finish() : null;
  }
  if (type === DURATION) return encodeDuration(value);
  if (type === VALUE) return encodeValue(value);
  if (type === LIST && Array.isArray(value)) return encodeList(value as readonly Json[]);
  const isStruct = type === STRUCT && typeof value === "object" && !Array.isArray(value);
  return isStruct ? encodeStruct((value ?? {}) as JsonObject) : null;
}

/** Undefined for every other type. */
export function decodeWellKnown(type: string, bytes: Uint8Array): Json | undefined {
  const scalar = WRAPPERS[type];
  if (scalar !== undefined) return decodeWrapper(scalar, bytes);
  if (type === DURATION) return decodeDuration(bytes);
  if (type === STRUCT) return decodeStruct(bytes, 0);
  if (type === LIST) return decodeList(bytes, 0);
  return type === VALUE ? decodeValue(bytes, 0) : undefined;
}

function decodeWrapper(scalar: ScalarType, bytes: Uint8Array): Json {
  let value = DEFAULTS[scalar];
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (id === 1) value = decodeScalar(reader, scalar);
    else reader.skip(wireType);
  }
  return value;
}

function encodeDuration(value: Json): Buffer | null {
  const found = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(typeof value === "string" ? value : "");
  if (found === null) return null;
  const [, sign = "", seconds = "0", fraction = ""] = found;
  const direction = sign === "-" ? -1n : 1n;
  const writer = new WireWriter();
  writer.tag(1, WIRE_VARINT);
  writer.varint(direction * BigInt(seconds));
  writer.tag(2, WIRE_VARINT);
  writer.varint(direction * BigInt(fraction.padEnd(NANOS_DIGITS, "0")));
  return writer.finish();
}

function decodeDuration(bytes: Uint8Array): Json {
  let seconds = 0n;
  let nanos = 0n;
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (id === 1) seconds = BigInt.asIntN(64, reader.varint());
    else if (id === 2) nanos = BigInt.asIntN(32, reader.varint());
    else reader.skip(wireType);
  }
  const sign = seconds < 0n || nanos < 0n ? "-" : "";
  const absolute = (number: bigint): string => String(number < 0n ? -number : number);
  const fraction = absolute(nanos).padStart(NANOS_DIGITS, "0").replace(/0+$/, "");
  return `${sign}${absolute(seconds)}${fraction === "" ? "" : `.${fraction}`}s`;
}

function encodeStruct(struct: JsonObject): Buffer {
  const writer = new WireWriter();
  for (const [key, value] of Object.entries(struct)) {
    const entry = new WireWriter();
    entry.tag(1, WIRE_BYTES);
    entry.bytes(Buffer.from(key));
    entry.tag(2, WIRE_BYTES);
    entry.bytes(encodeValue(value));
    writer.tag(1, WIRE_BYTES);
    writer.bytes(entry.finish());
  }
  return writer.finish();
}

function encodeList(list: readonly Json[]): Buffer {
  const writer = new WireWriter();
  for (const value of list) {
    writer.tag(1, WIRE_BYTES);
    writer.bytes(encodeValue(value));
  }
  return writer.finish();
}

function encodeValue(value: Json): Buffer {
  const writer = new WireWriter();
  if (value === null) {
    writer.tag(NULL_VALUE, WIRE_VARINT);
    writer.varint(0n);
  } else if (typeof value === "number") {
    writer.tag(NUMBER_VALUE, WIRE_FIXED64);
    writer.double(value);
  } else if (typeof value === "boolean") {
    writer.tag(BOOL_VALUE, WIRE_VARINT);
    writer.varint(value ? 1n : 0n);
  } else if (typeof value === "string") {
    writer.tag(STRING_VALUE, WIRE_BYTES);
    writer.bytes(Buffer.from(value));
  } else {
    const isList = Array.isArray(value);
    writer.tag(isList ? LIST_VALUE : STRUCT_VALUE, WIRE_BYTES);
    writer.bytes(isList ? encodeList(value as Json[]) : encodeStruct(value as JsonObject));
  }
  return writer.finish();
}

function decodeStruct(bytes: Uint8Array, depth: number): JsonObject {
  const struct: Record<string, Json> = {};
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (id !== 1) {
      reader.skip(wireType);
      continue;
    }
    let key = "";
    let value: Json = null;
    for (const entry = new WireReader(reader.bytes()); !entry.isAtEnd;) {
      const tag = entry.tag();
      if (tag.id === 1) key = entry.bytes().toString();
      else if (tag.id === 2) value = decodeValue(entry.bytes(), depth + 1);
      else entry.skip(tag.wireType);
    }
    struct[key] = value;
  }
  return struct;
}

function decodeList(bytes: Uint8Array, depth: number): Json[] {
  const list: Json[] = [];
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (id === 1) list.push(decodeValue(reader.bytes(), depth + 1));
    else reader.skip(wireType);
  }
  return list;
}

function decodeValue(bytes: Uint8Array, depth: number): Json {
  let value: Json = null;
  if (depth > NESTING_MAX) return value;
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (id === NUMBER_VALUE) value = reader.double();
    else if (id === STRING_VALUE) value = reader.bytes().toString();
    else if (id === BOOL_VALUE) value = reader.varint() !== 0n;
    else if (id === STRUCT_VALUE) value = decodeStruct(reader.bytes(), depth);
    else if (id === LIST_VALUE) value = decodeList(reader.bytes(), depth);
    else reader.skip(wireType);
  }
  return value;
}
