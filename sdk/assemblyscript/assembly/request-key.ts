//! Where in what was received the key stands: as `src/dataplane/filter/request-operands.ts` has it.

import { Utf8 } from "./text";

const SPACE: u8 = 0x20;
const TAB: u8 = 0x09;
const SEMICOLON: u8 = 0x3b;
const EQUALS: u8 = 0x3d;
const COMMA: u8 = 0x2c;
const COLON: u8 = 0x3a;
const DOT: u8 = 0x2e;
const BRACKET: u8 = 0x5b;
const BRACKET_END: u8 = 0x5d;
/** `::ffff:`, before an IPv4 address that is mapped into IPv6. */
const MAPPED = new Utf8("::ffff:");

let start: usize = 0;
let length: usize = 0;

export function foundStart(): usize {
  return start;
}

export function foundLength(): usize {
  return length;
}

/** `name` null: the whole. Of several cookies of a name the first counts. */
export function cookieKey(bytes: usize, count: usize, name: Utf8 | null): bool {
  if (name === null) {
    start = bytes;
    length = count;
    return true;
  }
  const end = bytes + count;
  for (let at = bytes; at <= end; ) {
    const next = indexOf(at, end, SEMICOLON);
    const equals = indexOf(at, next, EQUALS);
    if (equals < next) {
      trim(at, equals);
      if (length == name.length && memory.compare(start, name.pointer, length) == 0) {
        trim(equals + 1, next);
        return true;
      }
    }
    at = next + 1;
  }
  return false;
}

/** The address that stands `hops` before the last one. False: there are fewer. */
export function hopKey(bytes: usize, count: usize, hops: i32): bool {
  let end = bytes + count;
  for (let index = 0; index <= hops; index++) {
    let at = end;
    while (at > bytes && load<u8>(at - 1) != COMMA) at--;
    if (index == hops) {
      trim(at, end);
      unmap();
      return length > 0;
    }
    if (at == bytes) return false;
    end = at - 1;
  }
  return false;
}

/** Without the port, and without the brackets of IPv6. */
export function addressKey(bytes: usize, count: usize): bool {
  let end = bytes + count;
  if (count > 0 && load<u8>(bytes) == BRACKET) {
    start = bytes + 1;
    length = indexOf(start, end, BRACKET_END) - start;
  } else {
    while (end > bytes && load<u8>(end - 1) != COLON) end--;
    start = bytes;
    length = end == bytes ? count : end - 1 - bytes;
  }
  unmap();
  return length > 0;
}

function unmap(): void {
  if (length <= MAPPED.length || memory.compare(start, MAPPED.pointer, MAPPED.length) != 0) return;
  if (indexOf(start, start + length, DOT) == start + length) return;
  start += MAPPED.length;
  length -= MAPPED.length;
}

/** `end` when it is not there. */
function indexOf(at: usize, end: usize, byte: u8): usize {
  while (at < end && load<u8>(at) != byte) at++;
  return at;
}

function trim(from: usize, to: usize): void {
  while (from < to && isBlank(load<u8>(from))) from++;
  while (to > from && isBlank(load<u8>(to - 1))) to--;
  start = from;
  length = to - from;
}

function isBlank(byte: u8): bool {
  return byte == SPACE || byte == TAB;
}
