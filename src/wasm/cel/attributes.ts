//! What an expression can name: the properties of an exchange, each with its type.
//!
//! Objects live as long as one evaluation, and read what they are asked for.

import type { PropertyType } from "../declared-properties.ts";
import { PARTS_OF_OBJECTS } from "../envoy-objects.ts";
import type { ObjectParts } from "../envoy-objects.ts";
import { latin1 } from "../field-text.ts";
import { decodePairs } from "../header-pairs.ts";
import { UNSERIALIZABLE } from "../property-encoding.ts";
import type { Attributes } from "./run.ts";
import { Message, NO_FIELDS, Opaque } from "./message.ts";
import { typedValue } from "./typed-value.ts";
import { CelFault, CelMap, Duration, LiteralMap, Timestamp, Uint } from "./values.ts";
import { mapIn, messageIn, structValue, wrappedValue } from "./protobuf-struct.ts";
import type { CelValue } from "./values.ts";

/** A property by its path, as a guest would get it; null: there is none. */
export type PropertyReader = (path: readonly string[]) => Uint8Array | null;

/** What a property that a plug-in has set was declared to be. */
export type TypeReader = (path: readonly string[]) => PropertyType;

type Decoder = (bytes: Uint8Array) => CelValue;

function number(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true);
}

const text: Decoder = latin1;
const int: Decoder = number;
const uint: Decoder = (bytes) => new Uint(BigInt.asUintN(64, number(bytes)));
const bool: Decoder = (bytes) => bytes[0] === 1;
const timestamp: Decoder = (bytes) => new Timestamp(number(bytes));
const duration: Decoder = (bytes) => new Duration(number(bytes));

type Fields = Readonly<Record<string, Decoder>>;

function allOf(decoder: Decoder, names: readonly string[]): Fields {
  return Object.fromEntries(names.map((name) => [name, decoder]));
}

const CERTIFICATES: readonly string[] = [
  ...["tls_version", "subject_local_certificate", "subject_peer_certificate"],
  ...["uri_san_local_certificate", "uri_san_peer_certificate", "dns_san_local_certificate"],
  ...["dns_san_peer_certificate", "sha256_peer_certificate_digest"],
];

const OBJECTS: Readonly<Record<string, Fields>> = {
  request: {
    ...allOf(text, ["path", "url_path", "host", "scheme", "method", "referer", "useragent"]),
    ...allOf(text, ["id", "protocol", "query"]),
    ...allOf(int, ["size", "total_size", "headers_bytes"]),
    time: timestamp,
    duration,
  },
  response: {
    ...allOf(int, ["code", "flags", "size", "total_size", "grpc_status", "headers_bytes"]),
    code_details: text,
    backend_latency: duration,
  },
  connection: {
    ...allOf(text, ["requested_server_name", "termination_details", ...CERTIFICATES]),
    id: uint,
    mtls: bool,
  },
  source: { address: text, port: int },
  destination: { address: text, port: int },
  upstream: {
    ...allOf(text, ["address", "local_address", "transport_failure_reason", ...CERTIFICATES]),
    port: int,
    request_attempt_count: uint,
    cx_pool_ready_duration: duration,
  },
  xds: {
    ...allOf(text, ["cluster_name", "route_name", "virtual_host_name", "filter_chain_name"]),
    listener_direction: int,
  },
};

const MAPS: Readonly<Record<string, readonly string[]>> = {
  request: ["headers"],
  response: ["headers", "trailers"],
};

/** Messages of Envoy's API. */
const METADATA: ReadonlySet<string> = new Set([
  ...["listener_metadata", "cluster_metadata", "route_metadata", "virtual_host_metadata"],
  ...["upstream_host_metadata", "upstream_host_locality_metadata"],
]);

/** Names that are no object; any other is a property that a plug-in has set. */
const PLAIN: Fields = {
  ...allOf(text, ["plugin_name", "plugin_root_id", "plugin_vm_id"]),
  ...allOf(text, ["cluster_name", "route_name"]),
  plugin_vm_memory: int,
  connection_id: uint,
};

/** Of one evaluation. Without an exchange there is no object but `xds`. */
export function attributesOf(
  read: PropertyReader,
  typeOf: TypeReader,
  hasStream: boolean,
): Attributes {
  const readers = { read, typeOf };
  const objects = new Map<string, CelValue | undefined>();
  return (name) => {
    if (objects.has(name)) return objects.get(name);
    const value = attribute(readers, name, hasStream);
    objects.set(name, value);
    return value;
  };
}

interface Readers {
  readonly read: PropertyReader;
  readonly typeOf: TypeReader;
}

function attribute(
  { read, typeOf }: Readers,
  name: string,
  hasStream: boolean,
): CelValue | undefined {
  const object = Object.hasOwn(OBJECTS, name) ? OBJECTS[name] : undefined;
  const isThere = hasStream || name === "xds";
  if (object !== undefined) return isThere ? new FieldsObject(read, name, object) : undefined;
  if (name === "metadata") return hasStream ? messageOf(read, [name]) : undefined;
  if (name === "filter_state") return hasStream ? new FilterState(read, typeOf) : undefined;
  const path = [Buffer.from(name, "latin1").toString("utf8")];
  const value = read(path);
  if (value === null) return undefined;
  if (value === UNSERIALIZABLE) return new Message(null, NO_FIELDS);
  if (Object.hasOwn(PLAIN, name)) return (PLAIN[name] as Decoder)(value);
  return typedValue(value, typeOf(path));
}

class FieldsObject extends Opaque {
  readonly #read: PropertyReader;
  readonly #name: string;
  readonly #fields: Fields;
  readonly #maps = new Map<string, FieldValues>();

  constructor(read: PropertyReader, name: string, fields: Fields) {
    super();
    this.#read = read;
    this.#name = name;
    this.#fields = fields;
  }

  get(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") throw new CelFault("a field's name is a text");
    if (MAPS[this.#name]?.includes(key) === true) return this.#map(key);
    if (this.#name === "xds" && METADATA.has(key)) return messageOf(this.#read, ["xds", key]);
    if (key === "locality" && this.#name === "upstream") return localityOf(this.#read);
    if (key === "node" && this.#name === "xds") return nodeOf(this.#read);
    const decode = Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined;
    const value = decode === undefined ? null : this.#read([this.#name, key]);
    return decode === undefined || value === null ? undefined : decode(value);
  }

  #map(key: string): FieldValues {
    const map = this.#maps.get(key) ?? new FieldValues(this.#read([this.#name, key]));
    this.#maps.set(key, map);
    return map;
  }
}

/** Header or trailer fields: their names in lower case, all values of one joined. */
class FieldValues extends CelMap {
  readonly #values: ReadonlyMap<string, string>;

  constructor(encoded: Uint8Array | null) {
    super();
    this.#values = new Map(encoded === null ? [] : (decodePairs(encoded) ?? []));
  }

  get size(): number {
    return this.#values.size;
  }

  get(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") throw new CelFault("a field's name is a text");
    return this.#values.get(key.toLowerCase());
  }

  keys(): readonly CelValue[] {
    return [...this.#values.keys()];
  }
}

class FilterState extends Opaque {
  readonly #read: PropertyReader;
  readonly #typeOf: TypeReader;
  /** Reading a message takes its time: each is read once. */
  readonly #found = new Map<string, CelValue | undefined>();

  constructor(read: PropertyReader, typeOf: TypeReader) {
    super();
    this.#read = read;
    this.#typeOf = typeOf;
  }

  get(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") throw new CelFault("a key of filter_state is a text");
    if (!this.#found.has(key)) this.#found.set(key, this.#find(key));
    return this.#found.get(key);
  }

  /** An object of Envoy's with parts, or bytes; of a plug-in's what it was declared to be. */
  #find(key: string): CelValue | undefined {
    const path = ["filter_state", Buffer.from(key, "latin1").toString("utf8")];
    const value = this.#read(path);
    if (value === null) return undefined;
    const parts = PARTS_OF_OBJECTS.get(key);
    if (parts !== undefined) return new ObjectOfParts(this.#read, path, parts);
    return typedValue(value, this.#typeOf(path));
  }
}

/** Its parts can be asked for; listed, it is an empty map, as in Envoy. */
class ObjectOfParts extends CelMap {
  readonly size: number = 0;
  readonly #read: PropertyReader;
  readonly #path: readonly string[];
  readonly #parts: ObjectParts;

  constructor(read: PropertyReader, path: readonly string[], parts: ObjectParts) {
    super();
    this.#read = read;
    this.#path = path;
    this.#parts = parts;
  }

  get(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") return undefined;
    const kind = this.#parts.get(key);
    const value = kind === undefined ? null : this.#read([...this.#path, key]);
    if (value === null) return undefined;
    return kind === "number" ? int(value) : text(value);
  }

  keys(): readonly CelValue[] {
    return [];
  }
}

/** Field numbers of `envoy.config.core.v3.Metadata`, `google.protobuf.Any` and `TypedStruct`. */
const METADATA_FIELDS = { filter: 1, typed: 2 };
const ANY = { typeUrl: 1, value: 2 };
const TYPED_STRUCT = { typeUrl: 1, value: 2 };

/** Undefined: it is not there. */
function messageOf(read: PropertyReader, path: readonly string[]): CelValue | undefined {
  const value = read(path);
  if (value === null) return undefined;
  if (value === UNSERIALIZABLE) return new Message(null, NO_FIELDS);
  return new MetadataMessage(value, NO_FIELDS);
}

/** A configuration may say a lot: only what is asked for is read. */
class MetadataMessage extends Message {
  override get(key: CelValue): CelValue | undefined {
    const message = this.encoded();
    if (message === null) return undefined;
    if (key === "filter_metadata") return mapIn(message, METADATA_FIELDS.filter, structValue);
    if (key !== "typed_filter_metadata") return undefined;
    return mapIn(message, METADATA_FIELDS.typed, anyValue);
  }
}

/** What a message holds in itself is what it is. */
function anyValue(any: Uint8Array): CelValue {
  const type = latin1(messageIn(any, ANY.typeUrl));
  const message = messageIn(any, ANY.value);
  if (type.endsWith("/google.protobuf.Struct")) return structValue(message);
  if (!type.endsWith(".TypedStruct")) {
    const kind = type.slice(type.lastIndexOf(".") + 1);
    return wrappedValue(message, kind) ?? new Message(message, NO_FIELDS);
  }
  const fields = new Map<string, CelValue>([
    ["type_url", latin1(messageIn(message, TYPED_STRUCT.typeUrl))],
    ["value", structValue(messageIn(message, TYPED_STRUCT.value))],
  ]);
  return new Message(message, fields);
}

const NODE_TEXTS = ["id", "cluster", "user_agent_name", "user_agent_version"];
const LOCALITY_TEXTS = ["region", "zone", "sub_zone"];
/** Its number in the message (`envoy.config.core.v3.Node`). */
const NODE_METADATA = 3;

function nodeOf(read: PropertyReader): CelValue | undefined {
  const path = ["xds", "node"];
  const encoded = read(path);
  if (encoded === null) return undefined;
  const inner = [...path, "locality"];
  const locality = new Message(read(inner), textsOf(read, inner, LOCALITY_TEXTS));
  const fields = textsOf(read, path, NODE_TEXTS);
  const empty = new LiteralMap([]);
  const parts: readonly (readonly [string, CelValue])[] = [
    ["locality", locality],
    ["metadata", structValue(messageIn(encoded, NODE_METADATA))],
    ["dynamic_parameters", empty],
    ["client_features", []],
    ["listening_addresses", []],
  ];
  return new Message(encoded, new Map([...fields, ...parts]));
}

function textsOf(
  read: PropertyReader,
  path: readonly string[],
  names: readonly string[],
): Map<string, CelValue> {
  const texts = names.flatMap((name) => {
    const value = read([...path, name]);
    return value === null ? [] : [[name, text(value)] as const];
  });
  return new Map<string, CelValue>(texts);
}

function localityOf(read: PropertyReader): CelValue | undefined {
  const path = ["upstream", "locality"];
  const value = read(path);
  return value === null ? undefined : new Message(value, textsOf(read, path, LOCALITY_TEXTS));
}
