//! The functions of the standard library, as many as Envoy's runtime has.

import { RE2JS } from "re2js";
import { latin1 } from "../field-text.ts";
import { sizeOf, toInt, toUint } from "./operators.ts";
import type { Run } from "./run.ts";
import {
  durationPart,
  durationText,
  floorDivide,
  parseDuration,
  parseTimestamp,
  formatOf,
} from "./times.ts";
import { TIME_PARTS, timestampPart, timestampText } from "./times.ts";
import { CelFault, CelMap, CelType, Duration, Timestamp, typeOf, Uint } from "./values.ts";
import type { CelValue } from "./values.ts";

export interface CelFunction {
  /** How many arguments it takes, a receiver included. */
  readonly arity: readonly number[];
  /** Called as `a.f()`, as `f(a)`, or both. */
  readonly style: "receiver" | "plain" | "both";
  readonly run: (run: Run, values: readonly CelValue[]) => CelValue;
  /** Does beforehand what takes long, for a last argument that stands in the expression. */
  readonly prepare?: (argument: string) => void;
}

const PATTERN_BYTES_MAX = 256;
/** Of compiling a pattern. */
const PATTERN_STEPS = 500;
/** A time zone's rules are looked up by the system's library. */
const ZONE_STEPS = 500;

type Conversion = (value: CelValue) => CelValue | undefined;

const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  dyn: (value) => value,
  type: (value) => new CelType(typeOf(value)),
  bool: (value) => (typeof value === "string" ? BOOLEANS[value] : booleanOf(value)),
  int: toIntValue,
  uint: toUintValue,
  double: toDouble,
  string: toText,
  bytes: (value) => (typeof value === "string" ? Buffer.from(value, "latin1") : bytesOf(value)),
  duration: (value) => (typeof value === "string" ? parseDuration(value) : durationOf(value)),
  timestamp: toTimestamp,
};

const BOOLEANS: Readonly<Partial<Record<string, boolean>>> = {
  ...{ true: true, True: true, TRUE: true, t: true, "1": true },
  ...{ false: false, False: false, FALSE: false, f: false, "0": false },
};

function booleanOf(value: CelValue): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function bytesOf(value: CelValue): Uint8Array | undefined {
  return value instanceof Uint8Array ? value : undefined;
}

function durationOf(value: CelValue): Duration | undefined {
  return value instanceof Duration ? value : undefined;
}

const SPACES = "[ \\t\\n\\v\\f\\r]*";
const WHOLE = new RegExp(`^${SPACES}([+-]?\\d{1,20})${SPACES}$`);
const BROKEN = new RegExp(`^${SPACES}([+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?)${SPACES}$`);

function wholeOf(text: string): bigint {
  const digits = WHOLE.exec(text)?.[1];
  if (digits === undefined) throw new CelFault("not a whole number");
  return BigInt(digits.replace("+", ""));
}

function truncated(value: number): bigint {
  if (!Number.isFinite(value)) throw new CelFault("not a finite number");
  return BigInt(Math.trunc(value));
}

function toIntValue(value: CelValue): CelValue | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "number") return toInt(truncated(value));
  if (typeof value === "string") return toInt(wholeOf(value));
  if (value instanceof Uint) return toInt(value.value);
  return value instanceof Timestamp ? floorDivide(value.ns, 1_000_000_000n) : undefined;
}

function toUintValue(value: CelValue): CelValue | undefined {
  if (value instanceof Uint) return value;
  if (typeof value === "bigint") return toUint(value);
  if (typeof value === "number") return toUint(value < 0 ? -1n : truncated(value));
  return typeof value === "string" ? toUint(wholeOf(value)) : undefined;
}

function toDouble(value: CelValue): CelValue | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint) return Number(value.value);
  if (typeof value !== "string") return undefined;
  const digits = BROKEN.exec(value)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function toTimestamp(value: CelValue): CelValue | undefined {
  if (typeof value === "string") return parseTimestamp(value);
  if (typeof value === "bigint") return new Timestamp(value * 1_000_000_000n);
  return value instanceof Timestamp ? value : undefined;
}

function toText(value: CelValue): CelValue | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
    case "bigint":
      return String(value);
    case "number":
      return doubleText(value);
    default:
      return objectText(value);
  }
}

function objectText(value: CelValue): string | undefined {
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Timestamp) return timestampText(value);
  if (value instanceof Duration) return durationText(value);
  if (!(value instanceof Uint8Array)) return undefined;
  const text = latin1(value);
  return isUtf8(text) ? text : undefined;
}

function isUtf8(text: string): boolean {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.compare(Buffer.from(bytes.toString("utf8"), "utf8"), bytes) === 0;
}

/** The shortest digits that mean the number, with an exponent from six places on. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (Object.is(value, -0)) return "-0";
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (value === 0 || (power >= -4 && power < 6)) return String(value);
  const sign = power < 0 ? "-" : "+";
  return `${digits}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}

function sizeOfValue(_run: Run, [value = null]: readonly CelValue[]): CelValue {
  // Each character of UTF-8 has one byte that continues none.
  if (typeof value === "string") return BigInt(value.replace(/[\x80-\xbf]+/g, "").length);
  if (value instanceof Uint8Array || Array.isArray(value)) return BigInt(value.length);
  if (value instanceof CelMap) return BigInt(value.size);
  throw new CelFault("no such overload of size");
}

const patterns = new Map<string, RE2JS>();
const PATTERNS_MAX = 64;

/** It matches in linear time, whatever the pattern is. */
function patternOf(text: string): RE2JS {
  const known = patterns.get(text);
  if (known !== undefined) return known;
  if (text.length > PATTERN_BYTES_MAX) throw new CelFault("the pattern is too long");
  if (patterns.size >= PATTERNS_MAX) patterns.clear();
  try {
    const made = RE2JS.compile(Buffer.from(text, "latin1").toString("utf8"));
    patterns.set(text, made);
    return made;
  } catch {
    throw new CelFault("not a pattern");
  }
}

function matches(run: Run, text: string, pattern: string): boolean {
  if (!patterns.has(pattern)) run.spend(PATTERN_STEPS);
  return patternOf(pattern).matcher(Buffer.from(text, "latin1").toString("utf8")).find();
}

type TextTest = (run: Run, text: string, other: string) => boolean;

/** Of two texts, and what 64 bytes of the first cost. */
const TEXT_TESTS: readonly (readonly [name: string, steps: number, test: TextTest])[] = [
  ["contains", 1, (_run, text, other) => text.includes(other)],
  ["startsWith", 1, (_run, text, other) => text.startsWith(other)],
  ["endsWith", 1, (_run, text, other) => text.endsWith(other)],
  ["matches", 32, matches],
];
function textTest(name: string, steps: number, test: TextTest): CelFunction {
  return {
    arity: [2],
    style: "both",
    ...(name === "matches" ? { prepare: patternOf } : {}),
    run(run, [text = null, other = null]) {
      if (typeof text !== "string" || typeof other !== "string") {
        throw new CelFault(`no such overload of ${name}`);
      }
      run.spend(steps * (1 + sizeOf(text)));
      return test(run, text, other);
    },
  };
}

function timePart(name: string): CelFunction {
  return {
    arity: [1, 2],
    style: "receiver",
    prepare: formatOf,
    run(run, [time = null, zone = "UTC"]) {
      if (time instanceof Duration) return durationPart(name, time);
      if (!(time instanceof Timestamp) || typeof zone !== "string") {
        throw new CelFault(`no such overload of ${name}`);
      }
      if (zone !== "UTC") run.spend(ZONE_STEPS);
      return timestampPart(name, time, zone);
    },
  };
}

function conversion(name: string, convert: Conversion): CelFunction {
  return {
    arity: [1],
    style: "plain",
    run(run, [value = null]) {
      run.spend(sizeOf(value));
      const converted = convert(value);
      if (converted === undefined) throw new CelFault(`no such overload of ${name}`);
      return converted;
    },
  };
}

export const FUNCTIONS: ReadonlyMap<string, CelFunction> = new Map<string, CelFunction>([
  ["size", { arity: [1], style: "both", run: sizeOfValue }],
  ...TEXT_TESTS.map(
    ([name, steps, test]) => [name, textTest(name, steps, test)] as [string, CelFunction],
  ),
  ...TIME_PARTS.map((name) => [name, timePart(name)] as [string, CelFunction]),
  ...Object.entries(CONVERSIONS).map(
    ([name, convert]) => [name, conversion(name, convert)] as [string, CelFunction],
  ),
]);

export const TYPE_NAMES: ReadonlySet<string> = new Set([
  ...["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"],
]);
