//! Properties that plug-ins read of metadata: of Envoy's message, and of each part of it.

import {
  encodeBoolean,
  encodeInteger,
  encodeNumber,
  encodeUtf8,
} from "../../wasm/property-encoding.ts";
import { NO_METADATA } from "../../snapshot/metadata.ts";
import type { Metadata, TypedValue } from "../../snapshot/metadata.ts";
import {
  EMPTY,
  encodePairs,
  field,
  fixed32Field,
  fixed64Field,
  jsonProperty,
  mapField,
  structOf,
  textField,
  varintField,
} from "./protobuf-values.ts";

/** Field numbers of `Metadata`, `google.protobuf.Any` and `xds.type.v3.TypedStruct`. */
const METADATA = { filter: 1, typed: 2 };
const ANY = { typeUrl: 1, value: 2 };
const TYPED_STRUCT = { typeUrl: 1, value: 2 };
/** Of all messages that wrap one value. */
const WRAPPED = 1;

/** `path` is what follows the metadata's own; null: there is no such part. */
export function metadataProperty(
  metadata: Metadata | undefined,
  path: readonly string[],
): Uint8Array | null {
  const { filter, typed } = metadata ?? NO_METADATA;
  const [part, ...rest] = path;
  switch (part) {
    case undefined:
      return metadataMessage({ filter, typed });
    case "filter_metadata":
      return jsonProperty(filter, rest);
    case "typed_filter_metadata":
      return typedProperty(typed, rest);
    default:
      return null;
  }
}

function metadataMessage({ filter, typed }: Metadata): Uint8Array {
  const anyOf = ({ typeUrl, value }: TypedValue): Buffer =>
    Buffer.concat([
      textField(ANY.typeUrl, typeUrl),
      bytesField(ANY.value, messageOf(typeUrl, value)),
    ]);
  return Buffer.concat([
    mapField(METADATA.filter, Object.entries(filter), structOf),
    mapField(METADATA.typed, Object.entries(typed), anyOf),
  ]);
}

function typedProperty(
  typed: Metadata["typed"],
  [name, ...rest]: readonly string[],
): Uint8Array | null {
  if (name === undefined) {
    return encodePairs(
      Object.entries(typed).map(([key, value]) => [
        encodeUtf8(key),
        valueProperty(value, []) ?? EMPTY,
      ]),
    );
  }
  const value = Object.hasOwn(typed, name) ? typed[name] : undefined;
  return value === undefined ? null : valueProperty(value, rest);
}

/** A message that wraps one value is that value. */
function valueProperty({ typeUrl, value }: TypedValue, path: readonly string[]): Uint8Array | null {
  const [part, ...rest] = path;
  switch (kindOf(typeUrl)) {
    case "Struct":
      return jsonProperty(value, path);
    case "TypedStruct": {
      if (part === undefined) return messageOf(typeUrl, value);
      const inner = value as TypedValue;
      if (part === "type_url") return rest.length > 0 ? null : encodeUtf8(inner.typeUrl);
      return part === "value" ? jsonProperty(inner.value, rest) : null;
    }
    default:
      return part === undefined ? scalar(kindOf(typeUrl), value) : null;
  }
}

function kindOf(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
}

function scalar(kind: string, value: unknown): Uint8Array {
  switch (kind) {
    case "StringValue":
      return encodeUtf8(value as string);
    case "BytesValue":
      return Buffer.from(value as string, "base64");
    case "BoolValue":
      return encodeBoolean(value as boolean);
    case "FloatValue":
      return encodeNumber(Math.fround(value as number));
    case "DoubleValue":
      return encodeNumber(value as number);
    default:
      return encodeInteger(BigInt(value as string | number));
  }
}

/** A default value is not written. */
function messageOf(typeUrl: string, value: unknown): Buffer {
  const kind = kindOf(typeUrl);
  switch (kind) {
    case "Struct":
      return structOf(value as object);
    case "TypedStruct": {
      const inner = value as TypedValue;
      const struct = structOf(inner.value as object);
      const url = textField(TYPED_STRUCT.typeUrl, inner.typeUrl);
      return Buffer.concat([url, field(TYPED_STRUCT.value, struct)]);
    }
    case "StringValue":
    case "BytesValue":
      return bytesField(WRAPPED, scalar(kind, value));
    case "BoolValue":
      return value === true ? varintField(WRAPPED, 1) : EMPTY;
    case "DoubleValue":
      return value === 0 ? EMPTY : fixed64Field(WRAPPED, scalar(kind, value));
    case "FloatValue":
      return value === 0 ? EMPTY : fixed32Field(WRAPPED, floatOf(value as number));
    default: {
      const whole = BigInt(value as string | number);
      return whole === 0n ? EMPTY : varintField(WRAPPED, whole);
    }
  }
}

function floatOf(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function bytesField(number: number, bytes: Uint8Array): Buffer {
  return bytes.length === 0 ? EMPTY : field(number, bytes);
}
