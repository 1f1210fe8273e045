//! The property `xds.node`: values of protobuf's messages, and of the JSON in them, as Envoy writes
//! them.

import {
  encodeBoolean,
  encodeMap,
  encodeNumber,
  encodeUtf8,
  UNSERIALIZABLE,
} from "../../wasm/property-encoding.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";

/** Envoy says "envoy". */
const USER_AGENT = "graylane";
const EMPTY_LIST = encodeMap([]);
/** Field numbers of `Node`, `Locality`, and `google.protobuf.Struct` with its parts. */
const NODE = { id: 1, cluster: 2, metadata: 3, locality: 4, userAgentName: 6 };
const LOCALITY = { region: 1, zone: 2, subZone: 3 };
const VALUE = { null: 1, number: 2, text: 3, boolean: 4, struct: 5, list: 6 };
const STRUCT_FIELDS = 1;
const ENTRY = { key: 1, value: 2 };
const LIST_VALUES = 1;

/** `path` is what follows `xds.node`; null: there is no such part. */
export function nodeProperty(node: ProxyNode, path: readonly string[]): Uint8Array | null {
  const [part, ...rest] = path;
  if (part === "metadata") return jsonProperty(node.metadata, rest);
  if (part === "locality") return localityProperty(node.locality, rest);
  if (rest.length > 0) return null;
  switch (part) {
    case undefined:
      return nodeMessage(node);
    case "id":
      return encodeUtf8(node.id);
    case "cluster":
      return encodeUtf8(node.cluster);
    case "user_agent_name":
      return encodeUtf8(USER_AGENT);
    case "user_agent_version":
      return encodeUtf8("");
    case "dynamic_parameters":
    case "client_features":
    case "listening_addresses":
      return EMPTY_LIST;
    default:
      return null;
  }
}

function localityProperty(
  locality: ProxyNode["locality"],
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

function jsonProperty(value: unknown, path: readonly string[]): Uint8Array | null {
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
  const parts = Array.isArray(value)
    ? value.map((item) => [encodeJson(item), EMPTY] as const)
    : Object.entries(value).map(([name, item]) => [encodeUtf8(name), encodeJson(item)] as const);
  if (parts.some((part) => part.includes(UNSERIALIZABLE))) return UNSERIALIZABLE;
  return encodeMap(parts.map(([name, item]) => [textOf(name), textOf(item)]));
}

const EMPTY = Buffer.alloc(0);

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function nodeMessage({ id, cluster, metadata, locality }: ProxyNode): Uint8Array {
  return Buffer.concat([
    textField(NODE.id, id),
    textField(NODE.cluster, cluster),
    Object.keys(metadata).length === 0 ? EMPTY : field(NODE.metadata, structOf(metadata)),
    field(NODE.locality, localityMessage(locality)),
    textField(NODE.userAgentName, USER_AGENT),
  ]);
}

function localityMessage({ region, zone, subZone }: ProxyNode["locality"]): Buffer {
  return Buffer.concat([
    textField(LOCALITY.region, region),
    textField(LOCALITY.zone, zone),
    textField(LOCALITY.subZone, subZone),
  ]);
}

function structOf(value: object): Buffer {
  const entries = Object.entries(value).map(([name, item]) =>
    field(
      STRUCT_FIELDS,
      Buffer.concat([textField(ENTRY.key, name), field(ENTRY.value, valueOf(item))]),
    ),
  );
  return Buffer.concat(entries);
}

function valueOf(value: unknown): Buffer {
  if (typeof value === "string") return field(VALUE.text, Buffer.from(value));
  if (typeof value === "boolean") return varintField(VALUE.boolean, value ? 1 : 0);
  if (typeof value === "number") {
    return Buffer.concat([varint(VALUE.number * WIRE_BITS + FIXED64), encodeNumber(value)]);
  }
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

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return Buffer.from([...bytes, left]);
}

function varintField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * WIRE_BITS), varint(value)]);
}

function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * WIRE_BITS + BYTES), varint(bytes.length), bytes]);
}

/** An empty text is not written. */
function textField(number: number, text: string): Buffer {
  return text === "" ? EMPTY : field(number, Buffer.from(text));
}
