//! Decimal numbers: an optional sign, 1 to 15 digits, and perhaps a dot with 1 to 15 more.

import { isDigit } from "./operand";

const BYTES_MAX: usize = 64;
const DIGITS_MAX: i32 = 15;
const DOT: u8 = 0x2e;
const PLUS: u8 = 0x2b;
const MINUS: u8 = 0x2d;

let isNegative: bool = false;
let whole: u64 = 0;
/** In units of 10^-15. */
let fraction: u64 = 0;

/**
 * The smallest of such numbers that compares in a certain way: the comparison of doubles becomes
 * one of digits, so that nothing is rounded here.
 */
export class DecimalBound {
  constructor(
    readonly isNegative: bool,
    readonly whole: u64,
    readonly fraction: u64,
  ) {}

  /** Whether the number read last is the bound or more. */
  isReached(): bool {
    if (isNegative != this.isNegative) return this.isNegative;
    if (isNegative) {
      return whole != this.whole ? whole < this.whole : fraction <= this.fraction;
    }
    return whole != this.whole ? whole > this.whole : fraction >= this.fraction;
  }
}

/** False: it is none. */
export function readDecimal(start: usize, length: usize): bool {
  if (length > BYTES_MAX || length == 0) return false;
  const end = start + length;
  let at = start;
  const sign = load<u8>(at);
  isNegative = sign == MINUS;
  if (sign == MINUS || sign == PLUS) at++;
  let digits: i32 = 0;
  whole = 0;
  for (; at < end && isDigit(load<u8>(at)); at++, digits++) whole = whole * 10 + digitAt(at);
  if (digits < 1 || digits > DIGITS_MAX) return false;
  fraction = 0;
  if (at < end) {
    if (load<u8>(at) != DOT) return false;
    at++;
    digits = 0;
    for (; at < end && isDigit(load<u8>(at)); at++, digits++) {
      fraction = fraction * 10 + digitAt(at);
    }
    if (digits < 1 || digits > DIGITS_MAX || at < end) return false;
    for (; digits < DIGITS_MAX; digits++) fraction *= 10;
  }
  if (whole == 0 && fraction == 0) isNegative = false;
  return true;
}

function digitAt(at: usize): u64 {
  return <u64>(load<u8>(at) - 0x30);
}
