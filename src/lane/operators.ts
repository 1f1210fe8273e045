//! The closed set of operators: from a test's constants to a predicate, made once at prepare time.
//!
//! Operand values are *wire texts*, one character for each byte, as the HTTP codec gives header
//! values; constants are brought into the same form here.

import ipaddr from "ipaddr.js";
import parseVersion from "semver/functions/parse.js";
import Range from "semver/classes/range.js";
import { fullMatcher } from "../base/full-match.ts";
import type { Operand, Operator, Test } from "../snapshot/snapshot.ts";
import { makeKeyHash, MODULO_DEFAULT, PPM_TOTAL, toWireText } from "./key-hash.ts";
import type { KeyHash } from "./key-hash.ts";

/** Tells whether an operand that is there satisfies the test. */
export type Predicate = (value: string) => boolean;

/** Parts per million of one percent. */
const PERCENT_PPM = PPM_TOTAL / 100;
/** A longer text is no number, no version and no address. */
const PARSED_CHARS_MAX = 64;
const DECIMAL = /^[+-]?\d{1,15}(\.\d{1,15})?$/;

/** The operators that hold when the operand is missing; every other one is false then. */
const HOLDS_WHEN_MISSING: ReadonlySet<Operator> = new Set<Operator>(["!=", "notIn", "absent"]);

/** The outcome for a missing operand (design: lanes, missing key). */
export function holdsWhenMissing(operator: Operator): boolean {
  return HOLDS_WHEN_MISSING.has(operator);
}

/** The name under which a request is asked: as the bytes that a query or a form would hold. */
export function operandNameOf({ kind, name }: Operand): string {
  return kind === "query" || kind === "bodyForm" ? toWireText(name) : name;
}

/** Makes the predicate of an operator from the constants, as texts and as wire texts. */
type Maker = (wanted: readonly string[], test: Test) => Predicate;

const first = (wanted: readonly string[]): string => wanted[0] ?? "";

const MAKERS: Readonly<Record<Operator, Maker>> = {
  "==": (wanted) => equality(first(wanted), true),
  "!=": (wanted) => equality(first(wanted), false),
  in: (wanted) => membership(wanted, true),
  notIn: (wanted) => membership(wanted, false),
  prefix: (wanted) => {
    const start = first(wanted);
    return (value) => value.startsWith(start);
  },
  suffix: (wanted) => {
    const end = first(wanted);
    return (value) => value.endsWith(end);
  },
  contains: (wanted) => {
    const part = first(wanted);
    return (value) => value.includes(part);
  },
  regex: (wanted) => fullMatcher(first(wanted)),
  exists: () => () => true,
  absent: () => () => false,
  "<": (wanted) => comparison(first(wanted), (number, limit) => number < limit),
  "<=": (wanted) => comparison(first(wanted), (number, limit) => number <= limit),
  ">": (wanted) => comparison(first(wanted), (number, limit) => number > limit),
  ">=": (wanted) => comparison(first(wanted), (number, limit) => number >= limit),
  semver: (wanted) => versionRange(first(wanted)),
  cidr: (wanted) => isWithinOneOf(wanted),
  percentage: (_wanted, test) => percentage(test),
};

/** Throws what re2js throws when a regular expression is not of RE2; `validate` refuses such. */
export function makePredicate(test: Test): Predicate {
  return MAKERS[test.operator](test.values.map(toWireText), test);
}

function equality(wanted: string, isEqual: boolean): Predicate {
  return (value) => (value === wanted) === isEqual;
}

function membership(wanted: readonly string[], isIn: boolean): Predicate {
  const values = new Set(wanted);
  return (value) => values.has(value) === isIn;
}

function comparison(
  limitText: string,
  holds: (number: number, limit: number) => boolean,
): Predicate {
  const limit = Number(limitText);
  return (value) =>
    value.length <= PARSED_CHARS_MAX && DECIMAL.test(value) && holds(Number(value), limit);
}

function versionRange(text: string): Predicate {
  const range = new Range(text, { includePrerelease: true });
  return (value) => {
    if (value.length > PARSED_CHARS_MAX) return false;
    const version = parseVersion(value);
    return version !== null && range.test(version);
  };
}

/** Whether an address is in one of the networks, or is one of the addresses. */
export function isWithinOneOf(texts: readonly string[]): Predicate {
  const ranges = texts.map((text) =>
    text.includes("/") ? ipaddr.parseCIDR(text) : wholeAddress(text),
  );
  return (value) => {
    const address = parseAddress(value);
    return address !== null && ranges.some((range) => isWithin(address, range));
  };
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

function wholeAddress(text: string): [Address, number] {
  const address = ipaddr.process(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/** An IPv4 address mapped into IPv6 counts as the IPv4 address. */
function parseAddress(value: string): Address | null {
  if (value.length > PARSED_CHARS_MAX) return null;
  const isWritten = ipaddr.IPv4.isValidFourPartDecimal(value) || ipaddr.IPv6.isValid(value);
  return isWritten ? ipaddr.process(value) : null;
}

function isWithin(address: Address, [network, bits]: readonly [Address, number]): boolean {
  if (address.kind() !== network.kind()) return false;
  return address.match(network, bits);
}

function percentage(test: Test): Predicate {
  const hash = percentageHash(test);
  const limitPpm = percentageLimitPpm(test);
  return (value) => hash.bucketOf(value) < limitPpm;
}

/** `fnv1a` without salt, modulo 100, unless the test names another. */
export function percentageHash(test: Test): KeyHash {
  return makeKeyHash({ hash: test.hash ?? "fnv1a", salt: "", modulo: MODULO_DEFAULT });
}

export function percentageLimitPpm(test: Test): number {
  return Math.round(Number(test.values[0] ?? "0") * PERCENT_PPM);
}
