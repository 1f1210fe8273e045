//! Protocol Buffers' scalar types between their JSON form and the wire.

import type { Json } from "../../base/json.ts";
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./wire.ts";
import type { WireReader, WireWriter } from "./wire.ts";

export type ScalarType =
  "bool" | "int32" | "int64" | "uint32" | "uint64" | "double" | "float" | "string" | "bytes";

const WIRE_TYPES: Readonly<Record<ScalarType, number>> = {
  bool: WIRE_VARINT,
  int32: WIRE_VARINT,
  int64: WIRE_VARINT,
  uint32: WIRE_VARINT,
  uint64: WIRE_VARINT,
  double: WIRE_FIXED64,
  float: WIRE_FIXED32,
  string: WIRE_BYTES,
  bytes: WIRE_BYTES,
};

/** The numbers that each whole-number type holds. */
const RANGES: Readonly<Partial<Record<ScalarType, readonly [bigint, bigint]>>> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
};

export function isScalar(type: string): type is ScalarType {
  return Object.hasOwn(WIRE_TYPES, type);
}

export function wireTypeOf(type: ScalarType): number {
  return WIRE_TYPES[type];
}

/** Whether a list of such may come as one field. */
export function isPackable(type: ScalarType): boolean {
  return WIRE_TYPES[type] !== WIRE_BYTES;
}

/** False when the value is none of that type; then nothing is written. */
export function encodeScalar(writer: WireWriter, type: ScalarType, value: Json): boolean {
  if (RANGES[type] !== undefined) return encodeWhole(writer, type, value);
  if (type === "bool") {
    if (typeof value === "boolean") writer.varint(value ? 1n : 0n);
    return typeof value === "boolean";
  }
  if (type === "double" || type === "float") return encodeFraction(writer, type, value);
  if (typeof value !== "string") return false;
  writer.bytes(Buffer.from(value, type === "string" ? "utf8" : "base64"));
  return true;
}

function encodeFraction(writer: WireWriter, type: "double" | "float", value: Json): boolean {
  if (typeof value !== "number") return false;
  if (type === "double") writer.double(value);
  else writer.float(value);
  return true;
}

function encodeWhole(writer: WireWriter, type: ScalarType, value: Json): boolean {
  const isWhole =
    typeof value === "number"
      ? Number.isSafeInteger(value)
      : typeof value === "string" && /^-?\d{1,20}$/.test(value);
  if (!isWhole) return false;
  const number = BigInt(value as string | number);
  const [low, high] = RANGES[type] ?? [0n, 0n];
  if (number < low || number > high) return false;
  writer.varint(number);
  return true;
}

/** Numbers of 64 bits are text, as JSON has it. */
export function decodeScalar(reader: WireReader, type: ScalarType): string | number | boolean {
  switch (type) {
    case "bool":
      return reader.varint() !== 0n;
    case "int32":
      return Number(BigInt.asIntN(32, reader.varint()));
    case "uint32":
      return Number(BigInt.asUintN(32, reader.varint()));
    case "int64":
      return String(BigInt.asIntN(64, reader.varint()));
    case "uint64":
      return String(reader.varint());
    case "double":
      return reader.double();
    case "float":
      return reader.float();
    case "string":
      return reader.text();
    case "bytes":
      return reader.bytes().toString("base64");
  }
}
