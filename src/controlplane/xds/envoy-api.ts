//! Envoy's API messages between their JSON form (as Envoy prints them) and bytes.
//!
//! The schema is data: `generated/envoy-api/descriptor.json`. A field that it does not have is an
//! error, never dropped: a resource that says less than we meant would route otherwise.

import { readFileSync } from "node:fs";
import type { Json, JsonObject } from "../../base/json.ts";
import { WIRE_BYTES, WIRE_VARINT, WireReader, WireWriter } from "./wire.ts";
import { decodeWellKnown, encodeWellKnown } from "./well-known.ts";
import {
  decodeScalar,
  encodeScalar,
  isPackable,
  isScalar,
  wireTypeOf,
  type ScalarType,
} from "./scalar.ts";

interface FieldInfo {
  readonly id: number;
  /** A scalar's name, or the full name of a message or an enum. */
  readonly type: string;
  readonly rule?: "repeated";
  /** Present: a map, and `type` is of its values. */
  readonly keyType?: ScalarType;
}

interface MessageInfo {
  readonly fields: Readonly<Record<string, FieldInfo>>;
}

interface EnumInfo {
  readonly values: Readonly<Record<string, number>>;
}

export type Descriptor = Readonly<Record<string, MessageInfo | EnumInfo>>;

/** A JSON form that does not fit its message; says where. */
export class EncodeError extends Error {
  override readonly name = "EncodeError";
}

const ANY = "google.protobuf.Any";
const TYPE_URL_PREFIX = "type.googleapis.com/";
const ANY_TYPE_URL = 1;
const ANY_VALUE = 2;
/** Well-known types within an Any have their JSON form under this name. */
const ANY_JSON_VALUE = "value";
const NESTING_MAX = 64;

export class EnvoyApi {
  readonly #descriptor: Descriptor;
  readonly #byId = new Map<string, ReadonlyMap<number, readonly [string, FieldInfo]>>();

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  static load(path: string): EnvoyApi {
    return new EnvoyApi(JSON.parse(readFileSync(path, "utf8")) as Descriptor);
  }

  /** Throws `EncodeError` when `value` is not the JSON form of such a message. */
  encode(type: string, value: Json, path: string = type): Buffer {
    const wellKnown = encodeWellKnown(type, value);
    if (wellKnown !== null) return wellKnown;
    if (type === ANY) return this.#encodeAny(value, path);
    const info = this.#descriptor[type];
    if (info === undefined || "values" in info) {
      throw new EncodeError(`${path}: the message type ${type} is not known`);
    }
    if (!isObject(value)) throw new EncodeError(`${path}: an object is needed`);
    const writer = new WireWriter();
    for (const [name, content] of Object.entries(value)) {
      const field = Object.hasOwn(info.fields, name) ? info.fields[name] : undefined;
      if (field === undefined) throw new EncodeError(`${path}: ${type} has no field ${name}`);
      this.#encodeField(writer, field, content, `${path}.${name}`);
    }
    return writer.finish();
  }

  /** Throws `WireError`. Fields that are not known, and those of a type not known, are left out. */
  decode(type: string, bytes: Uint8Array, depth = 0): Json {
    const wellKnown = decodeWellKnown(type, bytes);
    if (wellKnown !== undefined) return wellKnown;
    if (type === ANY) return this.#decodeAny(bytes, depth);
    const fields = this.#fieldsById(type);
    const result: Record<string, Json> = {};
    if (depth > NESTING_MAX) return result;
    for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
      const { id, wireType } = reader.tag();
      const [name, field] = fields.get(id) ?? [];
      if (name === undefined || field === undefined) reader.skip(wireType);
      else if (field.keyType !== undefined) {
        const map = (result[name] ??= newMap()) as Record<string, Json>;
        this.#decodeEntry(map, field, reader.bytes(), depth);
      } else if (field.rule === "repeated") {
        const values = this.#decodeValues(field, wireType, reader, depth);
        result[name] = appended(result[name], values);
      } else result[name] = this.#decodeValue(field.type, reader, depth);
    }
    return result;
  }

  #encodeField(writer: WireWriter, field: FieldInfo, content: Json, path: string): void {
    if (field.keyType !== undefined) {
      if (!isObject(content)) throw new EncodeError(`${path}: an object is needed`);
      for (const [key, value] of Object.entries(content)) {
        const entry = new WireWriter();
        entry.tag(1, wireTypeOf(field.keyType));
        encodeScalar(entry, field.keyType, key);
        this.#encodeOne(entry, { id: 2, type: field.type }, value, `${path}.${key}`);
        writer.tag(field.id, WIRE_BYTES);
        writer.bytes(entry.finish());
      }
    } else if (field.rule === "repeated") {
      if (!Array.isArray(content)) throw new EncodeError(`${path}: a list is needed`);
      (content as readonly Json[]).forEach((value, index) => {
        this.#encodeOne(writer, field, value, `${path}[${index}]`);
      });
    } else this.#encodeOne(writer, field, content, path);
  }

  /** Repeated numbers go one by one: every reader takes them so, too. */
  #encodeOne(writer: WireWriter, { id, type }: FieldInfo, value: Json, path: string): void {
    const info = this.#descriptor[type];
    if (isScalar(type)) {
      writer.tag(id, wireTypeOf(type));
      if (!encodeScalar(writer, type, value)) {
        throw new EncodeError(`${path}: ${JSON.stringify(value)} is no ${type}`);
      }
    } else if (info !== undefined && "values" in info) {
      const number = typeof value === "string" ? info.values[value] : undefined;
      if (number === undefined) {
        throw new EncodeError(`${path}: ${JSON.stringify(value)} is no ${type}`);
      }
      writer.tag(id, WIRE_VARINT);
      writer.varint(BigInt(number));
    } else {
      writer.tag(id, WIRE_BYTES);
      writer.bytes(this.encode(type, value, path));
    }
  }

  #encodeAny(value: Json, path: string): Buffer {
    const url = isObject(value) ? value["@type"] : undefined;
    if (!isObject(value) || typeof url !== "string") {
      throw new EncodeError(`${path}: an object with @type is needed`);
    }
    const rest = Object.fromEntries(Object.entries(value).filter(([name]) => name !== "@type"));
    const type = url.slice(TYPE_URL_PREFIX.length);
    const inner = encodeWellKnown(type, rest[ANY_JSON_VALUE] ?? null);
    const writer = new WireWriter();
    writer.tag(ANY_TYPE_URL, WIRE_BYTES);
    writer.bytes(Buffer.from(url));
    writer.tag(ANY_VALUE, WIRE_BYTES);
    writer.bytes(inner ?? this.encode(type, rest, path));
    return writer.finish();
  }

  #decodeAny(bytes: Uint8Array, depth: number): Json {
    let url = "";
    let content: Uint8Array = Buffer.alloc(0);
    for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
      const { id, wireType } = reader.tag();
      if (id === ANY_TYPE_URL) url = reader.bytes().toString();
      else if (id === ANY_VALUE) content = reader.bytes();
      else reader.skip(wireType);
    }
    const type = url.slice(TYPE_URL_PREFIX.length);
    const wellKnown = decodeWellKnown(type, content);
    if (wellKnown !== undefined) return { "@type": url, [ANY_JSON_VALUE]: wellKnown };
    if (this.#descriptor[type] === undefined) return { "@type": url };
    return { "@type": url, ...(this.decode(type, content, depth + 1) as JsonObject) };
  }

  /** Into `map`, which may come to hold thousands of entries. */
  #decodeEntry(
    map: Record<string, Json>,
    { keyType = "string", type }: FieldInfo,
    bytes: Uint8Array,
    depth: number,
  ): void {
    let key = "";
    let value: Json = null;
    for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
      const { id, wireType } = reader.tag();
      if (id === 1) key = `${decodeScalar(reader, keyType)}`;
      else if (id === 2) value = this.#decodeValue(type, reader, depth);
      else reader.skip(wireType);
    }
    map[key] = value;
  }

  #decodeValues(field: FieldInfo, wireType: number, reader: WireReader, depth: number): Json[] {
    const { type } = field;
    const isNumber = isScalar(type) ? isPackable(type) : this.#isEnum(type);
    if (!isNumber || wireType !== WIRE_BYTES) return [this.#decodeValue(type, reader, depth)];
    const values: Json[] = [];
    for (const packed = new WireReader(reader.bytes()); !packed.isAtEnd;) {
      values.push(this.#decodeValue(type, packed, depth));
    }
    return values;
  }

  #decodeValue(type: string, reader: WireReader, depth: number): Json {
    if (isScalar(type)) return decodeScalar(reader, type);
    const info = this.#descriptor[type];
    if (info === undefined || !("values" in info)) {
      return this.decode(type, reader.bytes(), depth + 1);
    }
    const number = Number(BigInt.asIntN(32, reader.varint()));
    const named = Object.entries(info.values).find(([, value]) => value === number);
    return named?.[0] ?? number;
  }

  #isEnum(type: string): boolean {
    const info = this.#descriptor[type];
    return info !== undefined && "values" in info;
  }

  #fieldsById(type: string): ReadonlyMap<number, readonly [string, FieldInfo]> {
    const known = this.#byId.get(type);
    if (known !== undefined) return known;
    const info = this.#descriptor[type];
    const fields = info === undefined || "values" in info ? {} : info.fields;
    const byId = new Map(
      Object.entries(fields).map(([name, field]) => [field.id, [name, field] as const]),
    );
    this.#byId.set(type, byId);
    return byId;
  }
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Without a prototype: a key may be any text. */
function newMap(): JsonObject {
  return Object.create(null) as JsonObject;
}

function appended(known: Json | undefined, values: Json[]): Json[] {
  if (known === undefined) return values;
  (known as Json[]).push(...values);
  return known as Json[];
}
