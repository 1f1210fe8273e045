//! IP addresses as `ipaddr.js` reads them, and networks of them.

import { isDigit } from "./operand";
import { hexValue } from "./query";

const BYTES_MAX: usize = 64;
const COLON: u8 = 0x3a;
const DOT: u8 = 0x2e;
const PERCENT: u8 = 0x25;
const SMALL_X: u8 = 0x78;
const GROUPS: i32 = 8;
/** Of a group, and of the last four bytes written in decimal. */
const HEX_DIGITS_MAX: usize = 4;

/** The address read last: 4 or 16 bytes. */
const ADDRESS: usize = memory.data(16);
let bytes: i32 = 0;

export class Network {
  constructor(
    readonly address: Uint8Array,
    readonly bits: i32,
  ) {}

  /** Whether the address read last is in it. */
  has(): bool {
    if (bytes != this.address.length) return false;
    for (let index = 0; index * 8 < this.bits; index++) {
      const left = this.bits - index * 8;
      const mask: u32 = left >= 8 ? 0xff : (0xff00 >> left) & 0xff;
      if (((<u32>load<u8>(ADDRESS + index) ^ <u32>this.address[index]) & mask) != 0) return false;
    }
    return true;
  }
}

/** False: it is none. An IPv4 address mapped into IPv6 counts as the IPv4 address. */
export function readAddress(start: usize, length: usize): bool {
  if (length > BYTES_MAX) return false;
  const end = start + length;
  for (let at = start; at < end; at++) {
    if (load<u8>(at) == COLON) return readLong(start, end);
  }
  return readShort(start, end, ADDRESS, true);
}

/** `isStrict`: decimal without leading zeros; within IPv6 such are taken, and hexadecimal ones. */
function readShort(start: usize, end: usize, into: usize, isStrict: bool): bool {
  bytes = 4;
  let at = start;
  for (let index = 0; index < 4; index++) {
    if (index > 0) {
      if (at >= end || load<u8>(at) != DOT) return false;
      at++;
    }
    const from = at;
    const isHex =
      !isStrict && end - at > 2 && load<u8>(at) == 0x30 && (load<u8>(at, 1) | 0x20) == SMALL_X;
    if (isHex) at += 2;
    const digits = at;
    let value: u32 = 0;
    for (; at < end; at++) {
      const byte = load<u8>(at);
      const digit = isHex ? hexValue(byte) : isDigit(byte) ? <i32>byte - 0x30 : -1;
      if (digit < 0) break;
      value = min<u32>(value * (isHex ? 16 : 10) + digit, 0xffff);
    }
    if (at == digits || value > 0xff) return false;
    if (isStrict && at - from > 1 && load<u8>(from) == 0x30) return false;
    store<u8>(into + index, <u8>value);
  }
  return at == end;
}

function readLong(start: usize, whole: usize): bool {
  let end = start;
  while (end < whole && load<u8>(end) != PERCENT) end++;
  if (end < whole && !isZone(end + 1, whole)) return false;
  let short = end;
  for (let at = start; at < end; at++) {
    if (load<u8>(at) == DOT) {
      short = at;
      while (short > start && load<u8>(short - 1) != COLON) short--;
      break;
    }
  }
  const hasShort = short < end;
  if (hasShort && !readShort(short, end, ADDRESS + 12, false)) return false;
  // What is written `::1.2.3.4` is meant as mapped.
  if (hasShort && short - start == 2) return toShort();
  const groups = hasShort ? GROUPS - 2 : GROUPS;
  if (!readGroups(start, hasShort ? groupsEnd(start, short) : end, groups)) return false;
  bytes = 16;
  return isMapped() ? toShort() : true;
}

/** Without the colon before the last four bytes, where it is not one of two. */
function groupsEnd(start: usize, short: usize): usize {
  return short - start >= 2 && load<u8>(short - 2) == COLON ? short : short - 1;
}

function readGroups(start: usize, end: usize, groups: i32): bool {
  memory.fill(ADDRESS, 0, groups * 2);
  let count = 0;
  let gap = -1;
  let at = start;
  if (end - at >= 2 && load<u8>(at) == COLON && load<u8>(at, 1) == COLON) {
    gap = 0;
    at += 2;
  }
  while (at < end) {
    const from = at;
    let value: u32 = 0;
    for (; at < end && hexValue(load<u8>(at)) >= 0; at++) {
      value = (value << 4) | hexValue(load<u8>(at));
    }
    if (at == from || at - from > HEX_DIGITS_MAX || count == groups) return false;
    store<u16>(ADDRESS + count * 2, bswap<u16>(<u16>value));
    count++;
    if (at == end) break;
    if (load<u8>(at) != COLON) return false;
    at++;
    if (at == end) return false;
    if (load<u8>(at) == COLON) {
      if (gap >= 0) return false;
      gap = count;
      at++;
    }
  }
  if (gap < 0) return count == groups;
  if (count >= groups) return false;
  const moved = (count - gap) * 2;
  memory.copy(ADDRESS + groups * 2 - moved, ADDRESS + gap * 2, moved);
  memory.fill(ADDRESS + gap * 2, 0, (groups - count) * 2);
  return true;
}

function isZone(from: usize, end: usize): bool {
  for (let at = from; at < end; at++) {
    const lower = load<u8>(at) | 0x20;
    if (!isDigit(load<u8>(at)) && (lower < 0x61 || lower > 0x7a)) return false;
  }
  return from < end;
}

/** `::ffff:0:0/96`. */
function isMapped(): bool {
  return (
    load<u64>(ADDRESS) == 0 && load<u16>(ADDRESS + 8) == 0 && load<u16>(ADDRESS + 10) == 0xffff
  );
}

function toShort(): bool {
  memory.copy(ADDRESS, ADDRESS + 12, 4);
  bytes = 4;
  return true;
}
