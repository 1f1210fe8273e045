//! The operators, with the overloads that Envoy's runtime has: numbers of different kinds can be
//! compared, but not be reckoned with; what does not fit 64 bits has no value.

import type { Run } from "./run.ts";
import { inRange } from "./times.ts";
import { celEquals, CelFault, CelMap, Duration, exactNumber } from "./values.ts";
import { timesOf, Timestamp, Uint } from "./values.ts";
import type { CelValue } from "./values.ts";

const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

export function toInt(value: bigint): bigint {
  if (value > INT64_MAX || value < -INT64_MAX - 1n) throw new CelFault("an int out of range");
  return value;
}

export function toUint(value: bigint): Uint {
  if (value > UINT64_MAX || value < 0n) throw new CelFault("a uint out of range");
  return new Uint(value);
}

export type Operator = (run: Run, left: CelValue, right: CelValue) => CelValue;

export const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ["==", (run, left, right) => equals(run, left, right)],
  ["!=", (run, left, right) => !equals(run, left, right)],
  ["in", isIn],
  ["[]", (run, left, right) => valueAt(run, left, right)],
  ["<", (run, left, right) => order(run, left, right) < 0],
  ["<=", (run, left, right) => order(run, left, right) <= 0],
  [">", (run, left, right) => order(run, left, right) > 0],
  [">=", (run, left, right) => order(run, left, right) >= 0],
  ["+", add],
  ["-", subtract],
  ["*", (_run, left, right) => reckon("*", left, right)],
  ["/", (_run, left, right) => reckon("/", left, right)],
  ["%", (_run, left, right) => reckon("%", left, right)],
]);

function equals(run: Run, left: CelValue, right: CelValue): boolean {
  run.spend(Math.min(sizeOf(left), sizeOf(right)));
  return celEquals(left, right);
}

/** What looking through the whole value costs. */
export function sizeOf(value: CelValue): number {
  if (typeof value === "string" || value instanceof Uint8Array) return value.length >> 6;
  if (Array.isArray(value)) {
    const items = value as readonly CelValue[];
    return items.reduce<number>((sum, item) => sum + 1 + sizeOf(item), 0);
  }
  if (!(value instanceof CelMap)) return 0;
  return value.keys().reduce<number>((sum, key) => sum + 1 + sizeOf(value.get(key) ?? null), 0);
}

function isIn(run: Run, item: CelValue, all: CelValue): boolean {
  if (all instanceof CelMap) return all.get(item) !== undefined;
  if (!Array.isArray(all)) throw new CelFault("`in` wants a list or a map");
  return (all as readonly CelValue[]).some((other) => {
    run.spend(1);
    return equals(run, item, other);
  });
}

/** A list by its place, a map by its key. */
export function valueAt(_run: Run, all: CelValue, key: CelValue): CelValue {
  const found = all instanceof CelMap ? all.get(key) : itemAt(all, key);
  if (found === undefined) throw new CelFault("no such key");
  return found;
}

function itemAt(all: CelValue, key: CelValue): CelValue | undefined {
  const place = exactNumber(key);
  if (!Array.isArray(all) || place === null) throw new CelFault("no such overload of []");
  return all[Number(place)] as CelValue | undefined;
}

/** Below 0, 0 or above 0; not a number when one of them is none. */
function order(run: Run, left: CelValue, right: CelValue): number {
  const first = exactNumber(left);
  const second = exactNumber(right);
  if (first !== null && second !== null) return compare(first, second);
  const times = timesOf(left, right);
  if (times !== null) return compare(...times);
  if (typeof left === "boolean" && typeof right === "boolean") {
    return Number(left) - Number(right);
  }
  run.spend(Math.min(sizeOf(left), sizeOf(right)));
  if (typeof left === "string" && typeof right === "string") return compare(left, right);
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right);
  throw new CelFault("no such comparison");
}

function compare<Value extends bigint | number | string>(left: Value, right: Value): number {
  if (left < right) return -1;
  if (left > right) return 1;
  return left == right ? 0 : NaN;
}

function add(run: Run, left: CelValue, right: CelValue): CelValue {
  if (typeof left === "string" && typeof right === "string") {
    run.spend((left.length + right.length) >> 6);
    return left + right;
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    run.spend((left.length + right.length) >> 6);
    return Buffer.concat([left, right]);
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    run.spend(left.length + right.length);
    return [...(left as readonly CelValue[]), ...(right as readonly CelValue[])];
  }
  if (right instanceof Duration) {
    if (left instanceof Timestamp) return new Timestamp(left.ns + right.ns);
    if (left instanceof Duration) return inRange(left.ns + right.ns);
  }
  if (left instanceof Duration && right instanceof Timestamp) return add(run, right, left);
  return reckon("+", left, right);
}

function subtract(_run: Run, left: CelValue, right: CelValue): CelValue {
  const times = timesOf(left, right);
  if (times !== null) return inRange(times[0] - times[1]);
  if (left instanceof Timestamp && right instanceof Duration) {
    return new Timestamp(left.ns - right.ns);
  }
  return reckon("-", left, right);
}

type Sign = "+" | "-" | "*" | "/" | "%";

const WHOLE: Readonly<Record<Sign, (left: bigint, right: bigint) => bigint>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "%": (left, right) => left % right,
};
const BROKEN: Readonly<Partial<Record<Sign, (left: number, right: number) => number>>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
};

function reckon(sign: Sign, left: CelValue, right: CelValue): CelValue {
  if (typeof left === "bigint" && typeof right === "bigint") {
    return toInt(ofWhole(sign, left, right));
  }
  if (left instanceof Uint && right instanceof Uint) {
    return toUint(ofWhole(sign, left.value, right.value));
  }
  const broken = BROKEN[sign];
  if (broken === undefined || typeof left !== "number" || typeof right !== "number") {
    throw new CelFault(`no such overload of ${sign}`);
  }
  return broken(left, right);
}

function ofWhole(sign: Sign, left: bigint, right: bigint): bigint {
  if (right === 0n && (sign === "/" || sign === "%")) throw new CelFault("division by zero");
  return WHOLE[sign](left, right);
}

export function negative(value: CelValue): CelValue {
  if (typeof value === "bigint") return toInt(-value);
  if (typeof value === "number") return -value;
  throw new CelFault("no such overload of -");
}
