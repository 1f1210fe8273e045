//! Timestamps and durations: their texts, and the parts that an expression can ask for.

import { dateOf as clockDate, wallTimeOf } from "../../base/clock.ts";
import { CelFault, Duration, Timestamp } from "./values.ts";

const SECOND = 1_000_000_000n;
const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  ms: 1_000_000n,
  s: SECOND,
  m: 60n * SECOND,
  h: 3_600n * SECOND,
};
const TERM = /(\d*)(?:\.(\d*))?(ns|us|ms|s|m|h)/y;
const DURATION_TEXT_MAX = 64;
const INT64_MAX = 2n ** 63n - 1n;

export function parseDuration(text: string): Duration {
  const fault = new CelFault("not a duration");
  if (text.length > DURATION_TEXT_MAX) throw fault;
  const sign = /^[+-]/.test(text) ? 1 : 0;
  if (text.slice(sign) === "0") return new Duration(0n);
  let ns = 0n;
  TERM.lastIndex = sign;
  do {
    const [, whole = "", part = "", unit = ""] = TERM.exec(text) ?? [];
    if (whole + part === "") throw fault;
    const size = UNITS[unit] as bigint;
    ns += BigInt(whole === "" ? "0" : whole) * size;
    if (part !== "") ns += (BigInt(part) * size) / 10n ** BigInt(part.length);
  } while (TERM.lastIndex < text.length);
  return inRange(text.startsWith("-") ? -ns : ns);
}

export function inRange(ns: bigint): Duration {
  if (ns > INT64_MAX || ns < -INT64_MAX) throw new CelFault("a duration out of range");
  return new Duration(ns);
}

const RFC3339 =
  /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,18}))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

export function parseTimestamp(text: string): Timestamp {
  const [, date = "", time = "", part = "", zone = ""] = RFC3339.exec(text) ?? [];
  const ms = wallTimeOf(`${date}T${time}${zone}`);
  if (Number.isNaN(ms)) throw new CelFault("not a timestamp");
  return new Timestamp(BigInt(ms) * 1_000_000n + BigInt(part.padEnd(9, "0").slice(0, 9)));
}

/** 0, 3, 6 or 9 digits, as many as are needed. */
function fraction(ns: bigint): string {
  if (ns === 0n) return "";
  const digits = ns.toString().padStart(9, "0");
  return `.${digits.replace(/(?:000){1,2}$/, "")}`;
}

export function durationText({ ns }: Duration): string {
  const size = ns < 0n ? -ns : ns;
  return `${ns < 0n ? "-" : ""}${size / SECOND}${fraction(size % SECOND)}s`;
}

export function timestampText({ ns }: Timestamp): string {
  const seconds = floorDivide(ns, SECOND);
  const date = dateOf(seconds * 1_000n)
    .toISOString()
    .slice(0, 19);
  return `${date}${fraction(ns - seconds * SECOND)}Z`;
}

export function floorDivide(left: bigint, right: bigint): bigint {
  const whole = left / right;
  return left % right < 0n ? whole - 1n : whole;
}

/** A time of which JavaScript knows no date has no parts. */
function dateOf(ms: bigint): Date {
  const date = clockDate(Number(ms));
  if (Number.isNaN(date.getTime())) throw new CelFault("a timestamp out of range");
  return date;
}

const DURATION_PARTS: Readonly<Record<string, (ns: bigint) => bigint>> = {
  getHours: (ns) => ns / (3_600n * SECOND),
  getMinutes: (ns) => ns / (60n * SECOND),
  getSeconds: (ns) => ns / SECOND,
  getMilliseconds: (ns) => (ns / 1_000_000n) % 1_000n,
};

export function durationPart(name: string, { ns }: Duration): bigint {
  const read = DURATION_PARTS[name];
  if (read === undefined) throw new CelFault(`a duration has no ${name}`);
  return read(ns);
}

const DAY_MS = 86_400_000;

const DATE_PARTS: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) =>
    Math.floor((date.getTime() - wallTimeOf(`${date.toISOString().slice(0, 4)}-01-01`)) / DAY_MS),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};

export const TIME_PARTS: readonly string[] = Object.keys(DATE_PARTS);

export function timestampPart(name: string, { ns }: Timestamp, zone: string): bigint {
  const date = inZone(dateOf(floorDivide(ns, 1_000_000n)), zone);
  return BigInt((DATE_PARTS[name] as (date: Date) => number)(date));
}

const OFFSET = /^([+-]?)(\d\d):(\d\d)$/;
const ZONE_NAME = /^[A-Za-z0-9_+\-/]{1,64}$/;

/** The date whose UTC parts are the parts in that zone. */
function inZone(date: Date, zone: string): Date {
  const offset = OFFSET.exec(zone);
  if (offset !== null) {
    const ms = (Number(offset[2]) * 60 + Number(offset[3])) * 60_000;
    return clockDate(date.getTime() + (offset[1] === "-" ? -ms : ms));
  }
  if (zone === "UTC") return date;
  if (!ZONE_NAME.test(zone)) throw new CelFault("not a time zone");
  const text = localText(date, zone);
  const [, month = "", day = "", year = "", time = ""] =
    /^(\d\d)\/(\d\d)\/(\d{4}), (.*)$/.exec(text) ?? [];
  const ms = wallTimeOf(`${year}-${month}-${day}T${time}Z`);
  if (Number.isNaN(ms)) throw new CelFault("a time that the zone does not have");
  return clockDate(ms + date.getUTCMilliseconds());
}

/** Making one takes a system's library tens of milliseconds the first time. */
const formats = new Map<string, Intl.DateTimeFormat>();
const FORMATS_MAX = 32;

function localText(date: Date, zone: string): string {
  return formatOf(zone).format(date);
}

/** Also called when an expression is made: then there is time. */
export function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  if (formats.size >= FORMATS_MAX) formats.clear();
  const two = "2-digit";
  try {
    const made = new Intl.DateTimeFormat("en-US", {
      ...{ timeZone, hourCycle: "h23", year: "numeric", month: two, day: two },
      ...{ hour: two, minute: two, second: two },
    });
    formats.set(timeZone, made);
    return made;
  } catch {
    throw new CelFault("not a time zone");
  }
}
