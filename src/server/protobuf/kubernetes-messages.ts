//! Kubernetes' protobuf, which kubectl's own create commands and typed clients send, as the JSON
//! that it stands for: four bytes, then `runtime.Unknown`, whose `raw` is the object.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>. The messages
//! are data: `generated/kubernetes-api/messages.json`, made from the Go types of Kubernetes.

import { readFileSync } from "node:fs";
import { WIRE_BYTES, WIRE_VARINT, WireError, WireReader } from "../../controlplane/xds/wire.ts";
import { badRequest, refuse } from "../status.ts";
import { isSpecial, readSpecial, scalarOf } from "./special.ts";
import type { Value } from "./special.ts";

export interface FieldInfo {
  readonly number: number;
  /** Absent: its fields are those of the message around it. */
  readonly name?: string;
  /** A scalar, a special message, or the name of one of `messages`. */
  readonly type: string;
  readonly many?: "list" | "map";
  /** Of zero: told always; told when it comes (Go's pointers); absent: left out, as Go does. */
  readonly told?: "always" | "given";
}

interface Messages {
  /** By apiVersion and kind. */
  readonly kinds: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly messages: Readonly<Record<string, readonly FieldInfo[]>>;
}

type Fields = Readonly<Record<string, Value>>;

const MAGIC = Buffer.from("k8s\0");
/** The fields of `runtime.Unknown` and of the `TypeMeta` in it. */
const UNKNOWN: readonly FieldInfo[] = [
  { number: 1, name: "typeMeta", type: "typeMeta" },
  { number: 2, name: "raw", type: "raw" },
  { number: 3, name: "contentEncoding", type: "string" },
];
const TYPE_META: readonly FieldInfo[] = [
  { number: 1, name: "apiVersion", type: "string", told: "always" },
  { number: 2, name: "kind", type: "string", told: "always" },
];
/** They are sent to every group. */
const DELETE_OPTIONS = "DeleteOptions";
const META = "meta.k8s.io/v1";

export class KubernetesMessages {
  readonly #path: string;
  #known: Messages | null = null;

  /** The file is read when it is first needed. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Throws `StatusError`: 400 for what is none, 415 for a kind that is not read so. */
  decode(bytes: Buffer): Fields {
    if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw badRequest('the body is not Kubernetes\' protobuf: it does not begin with "k8s\\0"');
    }
    try {
      return this.#decodeUnknown(bytes.subarray(MAGIC.length));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw badRequest(`the body is not Kubernetes' protobuf: ${error.message}`);
    }
  }

  #decodeUnknown(bytes: Buffer): Fields {
    const parts = partsOf(bytes, UNKNOWN);
    const meta = partsOf(bytesOf(parts.get(1)), TYPE_META);
    const [apiVersion = "", kind = ""] = [1, 2].map((at) => bytesOf(meta.get(at)).toString());
    const encoding = bytesOf(parts.get(3)).toString();
    if (encoding !== "") throw badRequest(`the content encoding ${encoding} is not served`);
    this.#known ??= JSON.parse(readFileSync(this.#path, "utf8")) as Messages;
    const { kinds, messages } = this.#known;
    const type = own(own(kinds, kind === DELETE_OPTIONS ? META : apiVersion) ?? {}, kind);
    if (type === undefined) {
      const what = `${JSON.stringify(kind)} of ${JSON.stringify(apiVersion)}`;
      const message = `the kind ${what} is not read from Kubernetes' protobuf: send it as JSON`;
      throw refuse(415, "UnsupportedMediaType", message);
    }
    return { apiVersion, kind, ...this.#message(type, bytesOf(parts.get(2)), messages) };
  }

  #message(type: string, bytes: Buffer, messages: Messages["messages"]): Fields {
    const fields = messages[type] ?? [];
    const parts = partsOf(bytes, fields);
    const told: [string, Value][] = [];
    for (const field of fields) {
      const { name } = field;
      const value = this.#field(field, parts.get(field.number) ?? [], messages);
      if (name !== undefined) {
        if (value !== undefined) told.push([name, value]);
      } else if (typeof value === "object") told.push(...Object.entries(value as Fields));
    }
    return Object.fromEntries(told);
  }

  /** Undefined: it is left out. */
  #field(
    { type, many, told }: FieldInfo,
    parts: readonly Part[],
    messages: Messages["messages"],
  ): Value | undefined {
    const one = (part: Part | undefined): Value | undefined => {
      if (isSpecial(type)) return readSpecial(type, part);
      if (!Object.hasOwn(messages, type)) return scalarOf(type, part);
      return this.#message(type, bytesOf(part === undefined ? [] : [part]), messages);
    };
    if (many === "list")
      return parts.length === 0 ? undefined : parts.map((each) => one(each) ?? null);
    if (many === "map") return parts.length === 0 ? undefined : mapOf(parts, one);
    const part = parts.at(-1);
    if (part === undefined && told !== "always") return undefined;
    const value = one(part);
    return told === undefined && isZero(value) ? undefined : value;
  }
}

/** What stands in one field: a number, or what has a length. */
export type Part = bigint | Buffer;

/** By numbers, in order. Throws `WireError`. Fields that are not known are left out, as in Go. */
function partsOf(bytes: Buffer, fields: readonly FieldInfo[]): ReadonlyMap<number, Part[]> {
  const types = new Map(fields.map(({ number, type }) => [number, type]));
  const parts = new Map<number, Part[]>();
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    const type = types.get(id);
    if (type === undefined) {
      reader.skip(wireType);
      continue;
    }
    const expected = type === "int" || type === "bool" ? WIRE_VARINT : WIRE_BYTES;
    if (wireType !== expected) {
      throw new WireError(`field ${id} has the wire type ${wireType}, not ${expected}`);
    }
    const part = wireType === WIRE_VARINT ? reader.varint() : reader.bytes();
    const known = parts.get(id);
    if (known === undefined) parts.set(id, [part]);
    else known.push(part);
  }
  return parts;
}

function mapOf(parts: readonly Part[], one: (part: Part | undefined) => Value | undefined): Fields {
  const entry: readonly FieldInfo[] = [
    { number: 1, type: "string" },
    { number: 2, type: "raw" },
  ];
  return Object.fromEntries(
    parts.map((part) => {
      const both = partsOf(bytesOf([part]), entry);
      return [bytesOf(both.get(1)).toString(), one(both.get(2)?.at(-1)) ?? null] as const;
    }),
  );
}

/** The last that came; empty without one. */
function bytesOf(parts: readonly Part[] | undefined): Buffer {
  const part = parts?.at(-1);
  return Buffer.isBuffer(part) ? part : Buffer.alloc(0);
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function isZero(value: Value | undefined): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === "" || value === 0 || value === false;
}
