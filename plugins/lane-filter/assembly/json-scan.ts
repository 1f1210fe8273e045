//! Reads a JSON document (RFC 8259) once, as strictly as `JSON.parse` does, and notes where the
//! places are that rules name. Levels are on a stack of its own: no document can exhaust this VM's.

import { BACKSLASH, COMMA, MINUS, QUOTE, isBlank, writeName } from "./json-text";
import { JsonPaths, NOWHERE } from "./json-paths";
import { isDigit } from "./operand";
import { Output } from "./output";
import { hexValue } from "./query";

/** One more than steps of a path. */
const PLACES: i32 = 34;
const OBJECT: u8 = 1;
const LIST: u8 = 2;
const COLON: u8 = 0x3a;
const OPEN_LIST: u8 = 0x5b;
const CLOSE_LIST: u8 = 0x5d;
const OPEN_OBJECT: u8 = 0x7b;
const CLOSE_OBJECT: u8 = 0x7d;
const TRUE = memory.data<u8>([0x74, 0x72, 0x75, 0x65]);
const FALSE = memory.data<u8>([0x66, 0x61, 0x6c, 0x73, 0x65]);
const NULL = memory.data<u8>([0x6e, 0x75, 0x6c, 0x6c]);

const name = new Output();
/** Of the open lists and objects, by level; beyond `PLACES` none is named. */
const places = new StaticArray<i32>(PLACES);
const indexes = new StaticArray<i32>(PLACES);
let at: usize = 0;
let end: usize = 0;
/** Of the string or name read last. */
let isAscii: bool = true;
let kinds: usize = 0;
let depth: i32 = 0;

/** False: it is no JSON, and nothing was found. */
export function findPlaces(start: usize, length: usize, paths: JsonPaths): bool {
  paths.clear();
  at = start;
  end = start + length;
  depth = 0;
  // What is open has to be closed: more levels than half of the bytes there cannot be.
  const levelsMax = (length >> 1) + 1;
  kinds = heap.alloc(levelsMax);
  const isRead = readDocument(paths, <i32>levelsMax);
  heap.free(kinds);
  if (!isRead) paths.clear();
  return isRead;
}

function readDocument(paths: JsonPaths, levelsMax: i32): bool {
  let place: i32 = 0;
  while (true) {
    skipBlanks();
    if (at == end) return false;
    if (place != NOWHERE) paths.begin(place, at);
    const first = load<u8>(at);
    if (first == OPEN_OBJECT || first == OPEN_LIST) {
      if (depth == levelsMax) return false;
      at++;
      store<u8>(kinds + depth, first == OPEN_LIST ? LIST : OBJECT);
      if (depth < PLACES) {
        unchecked((places[depth] = place));
        unchecked((indexes[depth] = 0));
      }
      depth++;
      skipBlanks();
      if (!isNext(first == OPEN_LIST ? CLOSE_LIST : CLOSE_OBJECT)) {
        place = first == OPEN_LIST ? elementPlace(paths) : memberPlace(paths);
        if (at == 0) return false;
        continue;
      }
      at++;
      depth--;
    } else if (!readScalar(first)) return false;
    if (place != NOWHERE) paths.end(place, at);
    const next = nextPlace(paths);
    if (at == 0) return false;
    if (depth == 0) return at == end;
    place = next;
  }
}

/** Behind a value: closes what ends here, up to the next value. `at` is 0: it is no JSON. */
function nextPlace(paths: JsonPaths): i32 {
  while (true) {
    skipBlanks();
    if (depth == 0) return NOWHERE;
    const isList = load<u8>(kinds + depth - 1) == LIST;
    if (isNext(COMMA)) {
      at++;
      if (!isList) {
        skipBlanks();
        return memberPlace(paths);
      }
      if (depth <= PLACES) unchecked(indexes[depth - 1]++);
      return elementPlace(paths);
    }
    if (!isNext(isList ? CLOSE_LIST : CLOSE_OBJECT)) return failed();
    at++;
    depth--;
    const place = depth < PLACES ? unchecked(places[depth]) : NOWHERE;
    if (place != NOWHERE) paths.end(place, at);
  }
}

function elementPlace(paths: JsonPaths): i32 {
  const place = depth <= PLACES ? unchecked(places[depth - 1]) : NOWHERE;
  return place == NOWHERE ? NOWHERE : paths.findElement(place, unchecked(indexes[depth - 1]));
}

/** Reads the name and the colon. */
function memberPlace(paths: JsonPaths): i32 {
  const start = at + 1;
  if (!isNext(QUOTE) || !readString()) return failed();
  const length = at - 1 - start;
  const isPlain = isAscii;
  skipBlanks();
  if (!isNext(COLON)) return failed();
  at++;
  const place = depth <= PLACES ? unchecked(places[depth - 1]) : NOWHERE;
  if (place == NOWHERE) return NOWHERE;
  if (isPlain) return paths.findMember(place, start, length);
  writeName(start, start + length, name);
  return paths.findMember(place, name.start, name.length);
}

function failed(): i32 {
  at = 0;
  return NOWHERE;
}

function isNext(byte: u8): bool {
  return at < end && load<u8>(at) == byte;
}

function skipBlanks(): void {
  while (at < end && isBlank(load<u8>(at))) at++;
}

function readScalar(first: u8): bool {
  if (first == QUOTE) return readString();
  if (first == 0x74) return readWord(TRUE, 4);
  if (first == 0x66) return readWord(FALSE, 5);
  if (first == 0x6e) return readWord(NULL, 4);
  return readNumber();
}

function readWord(word: usize, length: usize): bool {
  if (end - at < length || memory.compare(at, word, length) != 0) return false;
  at += length;
  return true;
}

function readString(): bool {
  isAscii = true;
  at++;
  while (at < end) {
    const byte = load<u8>(at);
    if (byte == QUOTE) {
      at++;
      return true;
    }
    if (byte < 0x20) return false;
    if (byte >= 0x80) isAscii = false;
    if (byte == BACKSLASH && !readEscape()) return false;
    at++;
  }
  return false;
}

/** Up to its last byte. */
function readEscape(): bool {
  isAscii = false;
  at++;
  if (at >= end) return false;
  const kind = load<u8>(at);
  if (kind == 0x75) {
    if (end - at < 5) return false;
    for (let index: usize = 1; index <= 4; index++) {
      if (hexValue(load<u8>(at + index)) < 0) return false;
    }
    at += 4;
    return true;
  }
  const isControl =
    kind == 0x62 || kind == 0x66 || kind == 0x6e || kind == 0x72 || kind == 0x74;
  return isControl || kind == QUOTE || kind == BACKSLASH || kind == 0x2f;
}

function readNumber(): bool {
  if (isNext(MINUS)) at++;
  if (isNext(0x30)) at++;
  else if (!readDigits()) return false;
  if (isNext(0x2e)) {
    at++;
    if (!readDigits()) return false;
  }
  if (at < end && (load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (at < end && (load<u8>(at) == 0x2b || load<u8>(at) == MINUS)) at++;
    if (!readDigits()) return false;
  }
  return true;
}

function readDigits(): bool {
  const start = at;
  while (at < end && isDigit(load<u8>(at))) at++;
  return at > start;
}
