//! Values of the Common Expression Language as Envoy's runtime has them: what is equal, what may be
//! the key of a map, and how a result is written for a guest.

import { encodePairs } from "../header-pairs.ts";
import { latin1 } from "../field-text.ts";
import { encodeBoolean } from "../property-encoding.ts";

/** Texts have one character for each byte of UTF-8, so that no byte of a header is lost. */
export type CelValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | CelType
  | CelMap
  | readonly CelValue[];

/** The expression has no value: no such field, no such overload, or it costs too much. */
export class CelFault extends Error {
  /** It is an ordinary outcome: gathering a stack would cost more than the expression. */
  constructor(message: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
  }
}

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

export class Timestamp {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

export class Duration {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

export class CelType {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export abstract class CelMap {
  abstract get size(): number;
  abstract get(key: CelValue): CelValue | undefined;
  abstract keys(): readonly CelValue[];
  /** Its own form for a guest; undefined: pairs, as of any map. Null: it has none. */
  encoded(): Uint8Array | null | undefined {
    return undefined;
  }
}

/** A map that an expression writes out. */
export class LiteralMap extends CelMap {
  readonly #entries = new Map<string, readonly [key: CelValue, value: CelValue]>();

  constructor(entries: readonly (readonly [key: CelValue, value: CelValue])[]) {
    super();
    for (const entry of entries) {
      const key = typeof entry[0] === "number" ? null : keyOf(entry[0]);
      if (key === null || this.#entries.has(key)) throw new CelFault("not a key, or one twice");
      this.#entries.set(key, entry);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: CelValue): CelValue | undefined {
    const name = keyOf(key);
    return name === null ? undefined : this.#entries.get(name)?.[1];
  }

  keys(): readonly CelValue[] {
    return [...this.#entries.values()].map(([key]) => key);
  }
}

/** Numbers of all three kinds are the same key; null: nothing has this key. */
function keyOf(key: CelValue): string | null {
  if (typeof key === "string") return `s${key}`;
  if (typeof key === "boolean") return `b${String(key)}`;
  const number = exactNumber(key);
  if (typeof number === "bigint") return `n${number}`;
  return number !== null && Number.isInteger(number) ? `n${BigInt(number)}` : null;
}

/** A number of any kind; null: it is none. */
export function exactNumber(value: CelValue): bigint | number | null {
  if (typeof value === "bigint" || typeof value === "number") return value;
  return value instanceof Uint ? value.value : null;
}

export function celEquals(left: CelValue, right: CelValue): boolean {
  const first = exactNumber(left);
  const second = exactNumber(right);
  // JavaScript compares a whole number of any size with a fraction exactly.
  if (first !== null && second !== null) return first == second;
  if (Array.isArray(left) && Array.isArray(right)) {
    return (
      left.length === right.length &&
      left.every((item: CelValue, at) => celEquals(item, right[at] as CelValue))
    );
  }
  if (left instanceof CelMap && right instanceof CelMap) return mapsEqual(left, right);
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return Buffer.compare(left, right) === 0;
  }
  if (left instanceof CelType && right instanceof CelType) return left.name === right.name;
  const times = timesOf(left, right);
  return times === null ? left === right : times[0] === times[1];
}

/** Both in nanoseconds, when they are two timestamps or two durations. */
export function timesOf(left: CelValue, right: CelValue): [bigint, bigint] | null {
  if (left instanceof Timestamp && right instanceof Timestamp) return [left.ns, right.ns];
  if (left instanceof Duration && right instanceof Duration) return [left.ns, right.ns];
  return null;
}

function mapsEqual(left: CelMap, right: CelMap): boolean {
  if (left.size !== right.size) return false;
  return left.keys().every((key) => {
    const other = right.get(key);
    return other !== undefined && celEquals(left.get(key) as CelValue, other);
  });
}

export function typeOf(value: CelValue): string {
  if (value === null) return "null_type";
  if (Array.isArray(value)) return "list";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "string":
      return "string";
    default:
      return CLASSES.find(([known]) => value instanceof known)?.[1] ?? "map";
  }
}

const CLASSES: readonly (readonly [known: abstract new (...values: never) => object, string])[] = [
  [Uint, "uint"],
  [Uint8Array, "bytes"],
  [Timestamp, "google.protobuf.Timestamp"],
  [Duration, "google.protobuf.Duration"],
  [CelType, "type"],
];

/** As `proxy_get_property` gives a value of that type; null: it has no such form. */
export function encodeValue(value: CelValue): Uint8Array | null {
  if (value === null || value instanceof CelType) return null;
  if (typeof value === "boolean") return encodeBoolean(value);
  if (typeof value === "bigint") return encodeInt64(value);
  if (typeof value === "string") return Buffer.from(value, "latin1");
  if (value instanceof Uint8Array) return value;
  if (value instanceof Uint) return encodeInt64(value.value);
  if (value instanceof Timestamp || value instanceof Duration) return encodeTime(value.ns);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return bytes;
  }
  if (value instanceof CelMap) return encodeMap(value);
  return encodeEntries(value.map((item) => [item, ""]));
}

function encodeInt64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

const INT64_MAX = 2n ** 63n - 1n;

/** A time that 64 bits of nanoseconds cannot hold is the last that they can. */
function encodeTime(ns: bigint): Uint8Array {
  if (ns > INT64_MAX) return encodeInt64(INT64_MAX);
  return encodeInt64(ns < -INT64_MAX - 1n ? -INT64_MAX - 1n : ns);
}

function encodeMap(map: CelMap): Uint8Array | null {
  const own = map.encoded();
  if (own !== undefined) return own;
  return encodeEntries(map.keys().map((key) => [key, map.get(key) ?? null]));
}

function encodeEntries(entries: readonly (readonly [CelValue, CelValue])[]): Uint8Array | null {
  const pairs: [string, string][] = [];
  for (const [key, value] of entries) {
    const name = encodeValue(key);
    const text = encodeValue(value);
    if (name === null || text === null) return null;
    pairs.push([latin1(name), latin1(text)]);
  }
  return encodePairs(pairs);
}
