//! Percent-encoding as HTML forms have it: what is no escape stays as it is.

import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const PERCENT: u8 = 0x25;
const PLUS: u8 = 0x2b;
const SPACE: u8 = 0x20;

export function hasEscapes(from: usize, end: usize): bool {
  for (let at = from; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == PERCENT || byte == PLUS) return true;
  }
  return false;
}

/** Whether the bytes, decoded, are that name. */
export function isSpelled(from: usize, end: usize, name: Utf8): bool {
  let at = from;
  for (let index: usize = 0; index < name.length; index++) {
    if (at >= end || decoded(at, end) != load<u8>(name.pointer + index)) return false;
    at += width(at, end);
  }
  return at == end;
}

/** Gives the length of what was written, which is not more than what was read. */
export function decodeInto(into: usize, from: usize, end: usize): usize {
  let to = into;
  for (let at = from; at < end; at += width(at, end)) {
    store<u8>(to, decoded(at, end));
    to++;
  }
  return to - into;
}

function width(at: usize, end: usize): usize {
  return isEscape(at, end) ? 3 : 1;
}

function decoded(at: usize, end: usize): u8 {
  if (isEscape(at, end)) {
    return <u8>((hexValue(load<u8>(at, 1)) << 4) | hexValue(load<u8>(at, 2)));
  }
  const byte = load<u8>(at);
  return byte == PLUS ? SPACE : byte;
}

function isEscape(at: usize, end: usize): bool {
  if (load<u8>(at) != PERCENT || at + 2 >= end) return false;
  return hexValue(load<u8>(at, 1)) >= 0 && hexValue(load<u8>(at, 2)) >= 0;
}

/** -1: it is no hexadecimal digit. */
export function hexValue(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}
