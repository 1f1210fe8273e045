//! Parameters of a header's value (`; name=value; name="value"`), as strict as RFC 9110 has them.

import { isSpace } from "./media-type";

/** Those of one field, as in `src/dataplane/filter/multipart-form.ts`. */
const PARAMETERS_MAX: i32 = 32;
const SEMICOLON: u8 = 0x3b;
const EQUALS: u8 = 0x3d;
const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;

const nameStarts = new StaticArray<usize>(PARAMETERS_MAX);
const nameLengths = new StaticArray<usize>(PARAMETERS_MAX);
const valueStarts = new StaticArray<usize>(PARAMETERS_MAX);
const valueEnds = new StaticArray<usize>(PARAMETERS_MAX);
const quoted = new StaticArray<bool>(PARAMETERS_MAX);
let count: i32 = 0;

/** False: one stands twice, there are too many, or one is broken. */
export function readParameters(start: usize, end: usize): bool {
  count = 0;
  let at = start;
  while (at < end && load<u8>(at) != SEMICOLON) at++;
  if (at == end) return true;
  while (at > start && isSpace(load<u8>(at - 1))) at--;
  while (true) {
    const next = readParameter(at, end);
    if (next == 0) return isRest(at, end);
    if (count == PARAMETERS_MAX || isKnown()) return false;
    count++;
    at = next;
  }
}

/** -1: there is none. `name` is lower-case. */
export function findParameter(name: usize, length: usize): i32 {
  for (let index = 0; index < count; index++) {
    if (unchecked(nameLengths[index]) != length) continue;
    if (isSame(unchecked(nameStarts[index]), name, length)) return index;
  }
  return -1;
}

/** Without quotes; `into` has room for all of it. Gives its length. */
export function writeParameter(index: i32, into: usize): usize {
  const end = valueEnds[index];
  let to = into;
  for (let at = valueStarts[index]; at < end; at++) {
    const isEscape =
      quoted[index] && load<u8>(at) == BACKSLASH && at + 1 < end && isEscapable(load<u8>(at, 1));
    if (isEscape) at++;
    store<u8>(to++, load<u8>(at));
  }
  return to - into;
}

export function parameterBytes(index: i32): usize {
  return valueEnds[index] - valueStarts[index];
}

/** Letters of the first text may be in either case. */
export function isSame(start: usize, lower: usize, length: usize): bool {
  for (let index: usize = 0; index < length; index++) {
    const byte = load<u8>(start + index);
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    if ((isUpper ? byte | 0x20 : byte) != load<u8>(lower + index)) return false;
  }
  return true;
}

/** RFC 9110, 5.6.2. */
export function isTokenByte(byte: u8): bool {
  const lower = byte | 0x20;
  if ((lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39)) return true;
  switch (byte) {
    case 0x21:
    case 0x23:
    case 0x24:
    case 0x25:
    case 0x26:
    case 0x27:
    case 0x2a:
    case 0x2b:
    case 0x2d:
    case 0x2e:
    case 0x5e:
    case 0x5f:
    case 0x60:
    case 0x7c:
    case 0x7e:
      return true;
    default:
      return false;
  }
}

/** Into the place behind the last; gives where it ends, and 0 where there is none. */
function readParameter(start: usize, end: usize): usize {
  let at = skipBlanks(start, end);
  if (at == end || load<u8>(at) != SEMICOLON) return 0;
  at = skipBlanks(at + 1, end);
  const name = at;
  while (at < end && isTokenByte(load<u8>(at))) at++;
  if (at == name || at == end || load<u8>(at) != EQUALS) return 0;
  const nameEnd = at;
  at++;
  const isQuoted = at < end && load<u8>(at) == QUOTE;
  const value = isQuoted ? at + 1 : at;
  const valueEnd = isQuoted ? quotedEnd(value, end) : tokenEnd(value, end);
  if (valueEnd == 0) return 0;
  if (count < PARAMETERS_MAX) {
    nameStarts[count] = name;
    nameLengths[count] = nameEnd - name;
    valueStarts[count] = value;
    valueEnds[count] = valueEnd;
    quoted[count] = isQuoted;
  }
  return isQuoted ? valueEnd + 1 : valueEnd;
}

/** Where the quote is that closes; 0: there is none. */
function quotedEnd(start: usize, end: usize): usize {
  for (let at = start; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == QUOTE) return at;
    if (byte != BACKSLASH) continue;
    at++;
    if (at < end && (load<u8>(at) == 0x0a || load<u8>(at) == 0x0d)) return 0;
  }
  return 0;
}

function tokenEnd(start: usize, end: usize): usize {
  let at = start;
  while (at < end && isTokenByte(load<u8>(at))) at++;
  return at == start ? 0 : at;
}

/** Of the one read last. */
function isKnown(): bool {
  const name = nameStarts[count];
  const length = nameLengths[count];
  for (let index = 0; index < count; index++) {
    if (nameLengths[index] == length && isSameName(nameStarts[index], name, length)) return true;
  }
  return false;
}

function isSameName(one: usize, other: usize, length: usize): bool {
  for (let index: usize = 0; index < length; index++) {
    const a = load<u8>(one + index);
    const b = load<u8>(other + index);
    if (a == b) continue;
    const lower = a | 0x20;
    if ((b | 0x20) != lower || lower < 0x61 || lower > 0x7a) return false;
  }
  return true;
}

/** Nothing but blanks, and at most one semicolon. */
function isRest(start: usize, end: usize): bool {
  let at = skipBlanks(start, end);
  if (at < end && load<u8>(at) == SEMICOLON) at = skipBlanks(at + 1, end);
  return at == end;
}

function skipBlanks(start: usize, end: usize): usize {
  let at = start;
  while (at < end && (load<u8>(at) == 0x20 || load<u8>(at) == 0x09)) at++;
  return at;
}


function isEscapable(byte: u8): bool {
  return byte == QUOTE || byte == BACKSLASH;
}
