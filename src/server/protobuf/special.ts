//! Values of Kubernetes' protobuf whose JSON is no object of their fields.

import { timestampMs } from "../../base/clock.ts";
import { parseJson } from "../call.ts";
import { WIRE_VARINT, WireError, WireReader } from "../../controlplane/xds/wire.ts";

export type Value = string | number | boolean | null | readonly Value[] | ValueObject;
interface ValueObject {
  readonly [name: string]: Value;
}

type Part = bigint | Buffer;
const EMPTY = Buffer.alloc(0);
const MS_PER_SECOND = 1_000n;
/** Of 9999-12-31T23:59:59Z: RFC 3339 writes years of four digits. */
const SECONDS_MAX = 253_402_300_799n;
const SECONDS_MIN = -62_135_596_800n;

/** A string, a bool, an int or bytes; absent: zero. Throws `WireError`. */
export function scalarOf(type: string, part: Part | undefined): Value {
  switch (type) {
    case "bool":
      return part !== undefined && part !== 0n;
    case "int":
      return Number(BigInt.asIntN(64, typeof part === "bigint" ? part : 0n));
    case "bytes":
      return Buffer.isBuffer(part) ? part.toString("base64") : "";
    default:
      return Buffer.isBuffer(part) ? part.toString("utf8") : "";
  }
}

type Read = (bytes: Buffer) => Value | undefined;

const SPECIAL: Readonly<Record<string, Read>> = {
  time: (bytes) => timeOf(bytes, 0),
  microTime: (bytes) => timeOf(bytes, 6),
  quantity: (bytes) => textIn(bytes, 1),
  intOrString,
  json: jsonOf,
  texts: textsOf,
};

export function isSpecial(type: string): boolean {
  return Object.hasOwn(SPECIAL, type);
}

/** Undefined: it says nothing. Throws `WireError`, or a 400 for JSON within. */
export function readSpecial(type: string, part: Part | undefined): Value | undefined {
  return SPECIAL[type]?.(Buffer.isBuffer(part) ? part : EMPTY);
}

/** Numbers and what has a length, the last of each field. */
function lastOf(bytes: Buffer): ReadonlyMap<number, Part> {
  const parts = new Map<number, Part>();
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (wireType === WIRE_VARINT) parts.set(id, reader.varint());
    else parts.set(id, reader.bytes());
  }
  return parts;
}

/** Go's zero time is an empty message, and its JSON null. */
function timeOf(bytes: Buffer, digits: number): Value | undefined {
  if (bytes.length === 0) return undefined;
  const parts = lastOf(bytes);
  const seconds = BigInt.asIntN(64, numberIn(parts, 1));
  const nanos = Number(BigInt.asIntN(32, numberIn(parts, 2)));
  if (seconds > SECONDS_MAX || seconds < SECONDS_MIN || nanos < 0 || nanos >= 1e9) {
    throw new WireError("a time is out of range");
  }
  const whole = timestampMs(Number(seconds * MS_PER_SECOND)).slice(0, -".000Z".length);
  const fraction = String(nanos).padStart(9, "0").slice(0, digits);
  return digits === 0 ? `${whole}Z` : `${whole}.${fraction}Z`;
}

function intOrString(bytes: Buffer): Value {
  const parts = lastOf(bytes);
  if (numberIn(parts, 1) !== 0n) return textIn(bytes, 3);
  return Number(BigInt.asIntN(32, numberIn(parts, 2)));
}

function jsonOf(bytes: Buffer): Value | undefined {
  const text = textIn(bytes, 1);
  if (text === "") return undefined;
  return parseJson(text) as Value;
}

function textsOf(bytes: Buffer): Value {
  const texts: string[] = [];
  for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
    const { id, wireType } = reader.tag();
    if (id === 1) texts.push(reader.text());
    else reader.skip(wireType);
  }
  return texts;
}

function numberIn(parts: ReadonlyMap<number, Part>, id: number): bigint {
  const part = parts.get(id) ?? 0n;
  if (typeof part !== "bigint") throw new WireError(`field ${id} is not a number`);
  return part;
}

function textIn(bytes: Buffer, id: number): string {
  const part = lastOf(bytes).get(id) ?? EMPTY;
  if (typeof part === "bigint") throw new WireError(`field ${id} is not a text`);
  return part.toString("utf8");
}
