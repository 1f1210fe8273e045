//! A number of a JSON document as JavaScript prints it: the nearest double, in the fewest digits
//! that give it again (ECMA-262, Number::toString).

import { Big } from "./big";
import { Output } from "./output";
import { isDigit } from "./operand";

/** Two numbers of so few digits are never one double. */
const PLAIN_DIGITS: i32 = 15;
const PLAIN_POINT_MIN: i32 = -300;
const PLAIN_POINT_MAX: i32 = 300;
/** What tells doubles apart has 767 digits at most; of what stands behind only "more" counts. */
const DIGITS_MAX: i32 = 800;
/** More than a body has digits. */
const EXPONENT_MAX: i32 = 10000000;
const MANTISSA_BITS: i32 = 53;
const EXPONENT_BITS_MIN: i32 = -1022;
const EXPONENT_BITS_MAX: i32 = 1023;
const LOG10_OF_2: f64 = 0.30102999566398114;
const MINUS: u8 = 0x2d;
const DOT: u8 = 0x2e;
const ZERO: u8 = 0x30;
const SMALL_E: u8 = 0x65;
const INFINITY_TEXT = memory.data<u8>([0x49, 0x6e, 0x66, 0x69, 0x6e, 0x69, 0x74, 0x79]);
const INFINITY_BYTES: usize = 8;

/** The number is 0.DIGITS times ten to `point`; no digits: zero. */
const digits = new StaticArray<u8>(DIGITS_MAX + 1);
let count: i32 = 0;
let point: i32 = 0;

const r = new Big();
const s = new Big();
const above = new Big();
const below = new Big();
const sum = new Big();

/** What stands from `start` to `end` is written as a JSON number has to be. */
export function writeNumber(start: usize, end: usize, output: Output): void {
  const isNegative = load<u8>(start) == MINUS;
  readDigits(isNegative ? start + 1 : start, end);
  const isPlain =
    count <= PLAIN_DIGITS && point >= PLAIN_POINT_MIN && point <= PLAIN_POINT_MAX;
  const isFinite = count == 0 || isPlain || toShortest();
  if (isNegative && (count > 0 || !isFinite)) output.byte(MINUS);
  if (isFinite) writeDigits(output);
  else output.copy(INFINITY_TEXT, INFINITY_BYTES);
}

function readDigits(start: usize, end: usize): void {
  count = 0;
  point = 0;
  let hasDot = false;
  let isMore = false;
  let at = start;
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == DOT) hasDot = true;
    else if (!isDigit(byte)) break;
    else if (byte == ZERO && count == 0) point -= hasDot ? 1 : 0;
    else {
      if (count < DIGITS_MAX) unchecked((digits[count++] = byte - ZERO));
      else if (byte != ZERO) isMore = true;
      if (!hasDot) point++;
    }
  }
  if (isMore) unchecked((digits[count++] = 1));
  while (count > 0 && unchecked(digits[count - 1]) == 0) count--;
  if (at < end) point += exponentOf(at + 1, end);
}

function exponentOf(start: usize, end: usize): i32 {
  const isSigned = !isDigit(load<u8>(start));
  let exponent: i32 = 0;
  for (let at = isSigned ? start + 1 : start; at < end; at++) {
    exponent = min(exponent * 10 + <i32>(load<u8>(at) - ZERO), EXPONENT_MAX);
  }
  return isSigned && load<u8>(start) == MINUS ? -exponent : exponent;
}

let mantissa: u64 = 0;
/** The double is `mantissa` times two to this. */
let power: i32 = 0;

/** False: it is too large for a double. */
function toShortest(): bool {
  if (point > 310) return false;
  if (point < -330) {
    count = 0;
    return true;
  }
  if (!toDouble()) return false;
  if (mantissa == 0) count = 0;
  else toDigits();
  return true;
}

/** The digits as the nearest double, of two the even one. */
function toDouble(): bool {
  r.set(0);
  for (let index = 0; index < count; index++) r.times(10, unchecked(digits[index]));
  s.set(1);
  const tens = point - count;
  if (tens >= 0) r.timesTenTo(tens);
  else s.timesTenTo(-tens);
  let bits = r.bits() - s.bits();
  if (bits > 0) s.shift(bits);
  else r.shift(-bits);
  if (r.order(s) < 0) {
    r.shift(1);
    bits--;
  }
  const wanted = min(MANTISSA_BITS, MANTISSA_BITS - (EXPONENT_BITS_MIN - bits));
  mantissa = 0;
  if (wanted < 0) return true;
  for (let index = 0; index < wanted; index++) {
    mantissa <<= 1;
    if (r.order(s) >= 0) {
      r.minus(s);
      mantissa |= 1;
    }
    r.shift(1);
  }
  const half = r.order(s);
  if (half > 0 || (half == 0 && (mantissa & 1) == 1)) mantissa += 1;
  power = bits - wanted + 1;
  if (mantissa == (<u64>1) << MANTISSA_BITS) {
    mantissa >>= 1;
    power += 1;
    bits += 1;
  }
  return bits <= EXPONENT_BITS_MAX;
}

/** Steele and White's digits, which end where they tell the double from its neighbours. */
function toDigits(): void {
  const isEven = (mantissa & 1) == 0;
  const lowest = EXPONENT_BITS_MIN - MANTISSA_BITS + 1;
  // The neighbour below is only half as far away.
  const more = mantissa == (<u64>1) << (MANTISSA_BITS - 1) && power > lowest ? 2 : 1;
  r.set(mantissa);
  r.shift(more + max(power, 0));
  s.set(1);
  s.shift(more + max(-power, 0));
  above.set(1);
  above.shift(more - 1 + max(power, 0));
  below.set(1);
  below.shift(max(power, 0));
  const bits = 63 - <i32>clz<u64>(mantissa) + power;
  point = <i32>Math.ceil(<f64>bits * LOG10_OF_2 - 1e-10);
  if (point >= 0) s.timesTenTo(point);
  else {
    r.timesTenTo(-point);
    above.timesTenTo(-point);
    below.timesTenTo(-point);
  }
  if (isAtTop(isEven)) point += 1;
  else timesTen();
  count = 0;
  while (true) {
    let digit: u8 = 0;
    for (; r.order(s) >= 0; digit++) r.minus(s);
    const isLow = r.order(below) < (isEven ? 1 : 0);
    const isHigh = isAtTop(isEven);
    if (isLow || isHigh) {
      if (isHigh && (!isLow || isUpper(digit))) digit += 1;
      unchecked((digits[count++] = digit));
      return;
    }
    unchecked((digits[count++] = digit));
    timesTen();
  }
}

function isAtTop(isEven: bool): bool {
  sum.setSum(r, above);
  return sum.order(s) > (isEven ? -1 : 0);
}

/** Whether what is left of `digit` is nearer to the next one; halfway the even one counts. */
function isUpper(digit: u8): bool {
  sum.setSum(r, r);
  const order = sum.order(s);
  return order > 0 || (order == 0 && (digit & 1) == 1);
}

function timesTen(): void {
  r.times(10);
  above.times(10);
  below.times(10);
}

function writeDigits(output: Output): void {
  if (count == 0) output.byte(ZERO);
  else if (point > 21 || point <= -6) writeScientific(output);
  else {
    if (point <= 0) writeZeros(1, output);
    for (let index = 0; index < max(count, point); index++) {
      if (index == max(point, 0)) writeDot(output);
      output.byte(ZERO + (index < count ? unchecked(digits[index]) : 0));
    }
  }
}

function writeDot(output: Output): void {
  output.byte(DOT);
  writeZeros(-point, output);
}

function writeZeros(zeros: i32, output: Output): void {
  for (let index = 0; index < zeros; index++) output.byte(ZERO);
}

function writeScientific(output: Output): void {
  for (let index = 0; index < count; index++) {
    if (index == 1) output.byte(DOT);
    output.byte(ZERO + unchecked(digits[index]));
  }
  output.byte(SMALL_E);
  const exponent = point - 1;
  output.byte(exponent < 0 ? MINUS : 0x2b);
  const size = exponent < 0 ? -exponent : exponent;
  if (size >= 100) output.byte(ZERO + <u8>(size / 100));
  if (size >= 10) output.byte(ZERO + <u8>((size / 10) % 10));
  output.byte(ZERO + <u8>(size % 10));
}
