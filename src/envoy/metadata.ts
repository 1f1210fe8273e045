//! `metadata` of listeners, virtual hosts, routes, clusters and endpoints, and `locality`: nothing
//! here goes by it, but plug-ins read it.

import { NO_METADATA } from "../snapshot/metadata.ts";
import type { Locality, Metadata, TypedValue } from "../snapshot/metadata.ts";
import type { Cursor } from "../resources/cursor.ts";
import { unsupported } from "./common.ts";

type Members = Readonly<Record<string, unknown>>;

const TYPED_STRUCT = /^(udpa\.type\.v1|xds\.type\.v3)\.TypedStruct$/;
const INT32_MAX = 2n ** 31n;
const INT64_MAX = 2n ** 63n;
const RANGES: Readonly<Record<string, readonly [least: bigint, most: bigint]>> = {
  Int32Value: [-INT32_MAX, INT32_MAX - 1n],
  UInt32Value: [0n, 2n * INT32_MAX - 1n],
  Int64Value: [-INT64_MAX, INT64_MAX - 1n],
  UInt64Value: [0n, 2n * INT64_MAX - 1n],
};
const KINDS: readonly string[] = [
  ...["StringValue", "BytesValue", "BoolValue", "FloatValue", "DoubleValue", "Struct"],
  ...Object.keys(RANGES),
];
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** Undefined: none is written. */
export function readMetadata(cursor: Cursor): Metadata | undefined {
  if (cursor.isAbsent) return undefined;
  if (!cursor.isMap(["filter_metadata", "typed_filter_metadata"])) return NO_METADATA;
  const typed = cursor.at("typed_filter_metadata").entries();
  return {
    filter: Object.fromEntries(
      cursor
        .at("filter_metadata")
        .entries()
        .map(([name, value]) => [name, readJsonMap(value)]),
    ),
    typed: Object.fromEntries(
      typed.flatMap(([name, value]) => {
        const read = readTyped(value);
        return read === null ? [] : [[name, read] as const];
      }),
    ),
  };
}

/** Any JSON. */
export function readJsonMap(cursor: Cursor): Members {
  if (cursor.isAbsent) return {};
  const { value } = cursor;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
  cursor.wrong("a map");
  return {};
}

export function readLocality(cursor: Cursor): Locality {
  if (!cursor.isAbsent) cursor.isMap(["region", "zone", "sub_zone"]);
  return {
    region: cursor.at("region").text(),
    zone: cursor.at("zone").text(),
    subZone: cursor.at("sub_zone").text(),
  };
}

/** A message of a type that says how it is written; others are not known here. */
function readTyped(cursor: Cursor): TypedValue | null {
  if (cursor.entries().length === 0) return null;
  const typeUrl = cursor.at("@type").text(null);
  const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  if (TYPED_STRUCT.test(type)) {
    cursor.isMap(["@type", "type_url", "value"]);
    const value = readJsonMap(cursor.at("value"));
    return { typeUrl, value: { typeUrl: cursor.at("type_url").text(), value } };
  }
  const kind = type.replace(/^google\.protobuf\./, "");
  if (kind === type || !KINDS.includes(kind)) {
    const known = KINDS.map((name) => `google.protobuf.${name}`).join(", ");
    unsupported(cursor, `metadata of the type ${type}`, `Known here are ${known}, TypedStruct.`);
    return null;
  }
  cursor.isMap(["@type", "value"]);
  return { typeUrl, value: readValue(cursor.at("value"), kind) };
}

function readValue(cursor: Cursor, kind: string): unknown {
  switch (kind) {
    case "Struct":
      return readJsonMap(cursor);
    case "StringValue":
      return cursor.text();
    case "BytesValue":
      if (!BASE64.test(cursor.text())) cursor.wrong("bytes in base64");
      return cursor.text();
    case "BoolValue":
      return cursor.flag(false);
    case "FloatValue":
    case "DoubleValue":
      return readNumber(cursor);
    default:
      return readWhole(cursor, kind);
  }
}

function readNumber(cursor: Cursor): number {
  if (cursor.isAbsent) return 0;
  const number = typeof cursor.value === "string" ? Number(cursor.value) : cursor.value;
  if (typeof number === "number" && !Number.isNaN(number)) return number;
  cursor.wrong("a number");
  return 0;
}

/** In protobuf's JSON numbers of 64 bits are texts, too. */
function readWhole(cursor: Cursor, kind: string): string {
  if (cursor.isAbsent) return "0";
  const { value } = cursor;
  const text = typeof value === "number" || typeof value === "string" ? String(value) : "";
  const [least, most] = RANGES[kind] ?? [0n, 0n];
  const whole = /^-?\d{1,20}$/.test(text) ? BigInt(text) : null;
  if (whole !== null && whole >= least && whole <= most) return text;
  cursor.wrong(`a whole number from ${least} to ${most}`);
  return "0";
}
