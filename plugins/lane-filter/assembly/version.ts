//! Semantic versions (semver.org, 2.0.0) as npm reads them, and ranges of them.

import { isDigit } from "./operand";

const BYTES_MAX: usize = 64;
/** 2^53 - 1. */
const NUMBER_MAX: u64 = 9007199254740991;
/** A longer number is none that a version may have; one of a pre-release is larger than all. */
const DIGITS_MAX: usize = 16;
const DOT: u8 = 0x2e;
const HYPHEN: u8 = 0x2d;
const PLUS: u8 = 0x2b;
const SMALL_V: u8 = 0x76;

/** An identifier of a pre-release. */
export class Identifier {
  constructor(
    readonly isNumber: bool,
    readonly number: u64,
    readonly text: ArrayBuffer,
  ) {}
}

export enum Comparison {
  any,
  equal,
  less,
  lessOrEqual,
  greater,
  greaterOrEqual,
}

export class Comparator {
  constructor(
    readonly comparison: Comparison,
    readonly major: u64,
    readonly minor: u64,
    readonly patch: u64,
    readonly prerelease: Identifier[],
  ) {}

  holds(): bool {
    if (this.comparison == Comparison.any) return true;
    const order = this.order();
    switch (this.comparison) {
      case Comparison.equal:
        return order == 0;
      case Comparison.less:
        return order < 0;
      case Comparison.lessOrEqual:
        return order <= 0;
      case Comparison.greater:
        return order > 0;
      default:
        return order >= 0;
    }
  }

  /** Of the version read last beside this one. */
  private order(): i32 {
    if (major != this.major) return major < this.major ? -1 : 1;
    if (minor != this.minor) return minor < this.minor ? -1 : 1;
    if (patch != this.patch) return patch < this.patch ? -1 : 1;
    const hasOwn = preStart < preEnd;
    if (this.prerelease.length == 0) return hasOwn ? -1 : 0;
    return hasOwn ? this.prereleaseOrder() : 1;
  }

  private prereleaseOrder(): i32 {
    let at = preStart;
    for (let index = 0; index < this.prerelease.length; index++) {
      if (at > preEnd) return -1;
      const end = identifierEnd(at, preEnd);
      const order = identifierOrder(at, end, this.prerelease[index]);
      if (order != 0) return order;
      at = end + 1;
    }
    return at > preEnd ? 0 : 1;
  }
}

let major: u64 = 0;
let minor: u64 = 0;
let patch: u64 = 0;
/** Empty: it has none. */
let preStart: usize = 0;
let preEnd: usize = 0;

/** False: it is none. */
export function readVersion(start: usize, length: usize): bool {
  if (length > BYTES_MAX) return false;
  let end = start + length;
  let at = start;
  while (at < end && isSpace(load<u8>(at))) at++;
  while (end > at && isSpace(load<u8>(end - 1))) end--;
  if (at < end && load<u8>(at) == SMALL_V) at++;
  at = readNumber(at, end);
  if (at == 0 || at >= end || load<u8>(at) != DOT) return false;
  major = number;
  at = readNumber(at + 1, end);
  if (at == 0 || at >= end || load<u8>(at) != DOT) return false;
  minor = number;
  at = readNumber(at + 1, end);
  if (at == 0) return false;
  patch = number;
  preStart = at;
  preEnd = at;
  if (at < end && load<u8>(at) == HYPHEN) {
    preStart = at + 1;
    preEnd = identifiersEnd(preStart, end, true);
    if (preEnd == 0) return false;
    at = preEnd;
  }
  if (at < end && load<u8>(at) == PLUS) at = identifiersEnd(at + 1, end, false);
  return at == end;
}

let number: u64 = 0;

/** Gives where it ends; 0: there is none that is written as it must be. */
function readNumber(from: usize, end: usize): usize {
  let at = from;
  number = 0;
  while (at < end && isDigit(load<u8>(at))) {
    if (at - from < DIGITS_MAX) number = number * 10 + <u64>(load<u8>(at) - 0x30);
    at++;
  }
  const digits = at - from;
  if (digits == 0 || digits > DIGITS_MAX || number > NUMBER_MAX) return 0;
  return digits > 1 && load<u8>(from) == 0x30 ? 0 : at;
}

/** Of identifiers with dots between them; 0: one is empty, or a number that begins in 0. */
function identifiersEnd(from: usize, end: usize, isPrerelease: bool): usize {
  let at = from;
  while (true) {
    const start = at;
    let isNumber = true;
    for (; at < end && isIdentifier(load<u8>(at)); at++) {
      if (!isDigit(load<u8>(at))) isNumber = false;
    }
    if (at == start) return 0;
    if (isPrerelease && isNumber && at - start > 1 && load<u8>(start) == 0x30) return 0;
    if (at >= end || load<u8>(at) != DOT) return at;
    at++;
  }
}

function identifierEnd(from: usize, end: usize): usize {
  let at = from;
  while (at < end && load<u8>(at) != DOT) at++;
  return at;
}

function identifierOrder(from: usize, end: usize, other: Identifier): i32 {
  let isNumber = true;
  let value: u64 = 0;
  for (let at = from; at < end; at++) {
    const byte = load<u8>(at);
    if (!isDigit(byte)) isNumber = false;
    else if (at - from < DIGITS_MAX) value = value * 10 + <u64>(byte - 0x30);
  }
  if (isNumber != other.isNumber) return isNumber ? -1 : 1;
  if (isNumber) {
    if (end - from > DIGITS_MAX) return 1;
    return value == other.number ? 0 : value < other.number ? -1 : 1;
  }
  const length = end - from;
  const otherLength = <usize>other.text.byteLength;
  const shared = min(length, otherLength);
  const order = memory.compare(from, changetype<usize>(other.text), shared);
  if (order != 0) return order;
  return length == otherLength ? 0 : length < otherLength ? -1 : 1;
}

function isIdentifier(byte: u8): bool {
  const lower = byte | 0x20;
  return isDigit(byte) || byte == HYPHEN || (lower >= 0x61 && lower <= 0x7a);
}

/** As JavaScript's `trim`; a character is a byte here. */
function isSpace(byte: u8): bool {
  return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte == 0xa0;
}
