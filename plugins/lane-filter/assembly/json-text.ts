//! Texts of a JSON document whose syntax has been checked. Bytes that are no UTF-8, and halves of
//! surrogate pairs, become U+FFFD, as in the embedded gateway (WHATWG Encoding, "UTF-8 decoder").

import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { writeNumber } from "./number-text";
import { Output } from "./output";
import { hexValue } from "./query";

export const QUOTE: u8 = 0x22;
export const BACKSLASH: u8 = 0x5c;
export const COMMA: u8 = 0x2c;
export const MINUS: u8 = 0x2d;
const REPLACEMENT: u32 = 0xfffd;
/** In the name of a member: in no name that a rule has. */
const NO_NAME: u32 = 0xff;
const OPEN_LIST: u8 = 0x5b;
const CLOSE_LIST: u8 = 0x5d;
const OPEN_OBJECT: u8 = 0x7b;

/** A text, number or truth value, or a list of them with commas between; false: none of these. */
export function writeValue(start: usize, end: usize, output: Output): bool {
  output.clear();
  if (load<u8>(start) != OPEN_LIST) return writeScalar(start, end, output);
  let at = start + 1;
  let isFirst = true;
  while (true) {
    while (isBlank(load<u8>(at)) || (!isFirst && load<u8>(at) == COMMA)) at++;
    if (load<u8>(at) == CLOSE_LIST) return true;
    if (!isFirst) output.byte(COMMA);
    isFirst = false;
    const next = scalarEnd(at);
    if (next == 0 || !writeScalar(at, next, output)) return false;
    at = next;
  }
}

/** Whether it is one of the texts, or a list that has one of them. */
export function hasText(start: usize, end: usize, texts: Utf8[], output: Output): bool {
  if (load<u8>(start) == QUOTE) return isOneOf(start, end, texts, output);
  if (load<u8>(start) != OPEN_LIST) return false;
  let at = start + 1;
  while (true) {
    while (isBlank(load<u8>(at)) || load<u8>(at) == COMMA) at++;
    const next = scalarEnd(at);
    if (load<u8>(at) == CLOSE_LIST || next == 0) return false;
    if (load<u8>(at) == QUOTE && isOneOf(at, next, texts, output)) return true;
    at = next;
  }
}

function isOneOf(start: usize, end: usize, texts: Utf8[], output: Output): bool {
  output.clear();
  writeScalar(start, end, output);
  for (let index = 0; index < texts.length; index++) {
    const text = texts[index];
    if (text.length != output.length) continue;
    if (memory.compare(text.pointer, output.start, text.length) == 0) return true;
  }
  return false;
}

export function isBlank(byte: u8): bool {
  return byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09;
}

/** 0: it is a list or an object. */
function scalarEnd(start: usize): usize {
  const first = load<u8>(start);
  if (first == OPEN_LIST || first == OPEN_OBJECT) return 0;
  let at = start + 1;
  if (first != QUOTE) {
    while (load<u8>(at) != COMMA && load<u8>(at) != CLOSE_LIST && !isBlank(load<u8>(at))) at++;
    return at;
  }
  for (; load<u8>(at) != QUOTE; at++) {
    if (load<u8>(at) == BACKSLASH) at++;
  }
  return at + 1;
}

function writeScalar(start: usize, end: usize, output: Output): bool {
  const first = load<u8>(start);
  if (first == QUOTE) writeString(start + 1, end - 1, output, REPLACEMENT);
  else if (first == MINUS || (first >= 0x30 && first <= 0x39)) writeNumber(start, end, output);
  else if (first == 0x74 || first == 0x66) output.copy(start, end - start);
  else return false;
  return true;
}

/** Of a member, between its quotes. */
export function writeName(start: usize, end: usize, output: Output): void {
  output.clear();
  writeString(start, end, output, NO_NAME);
}

function writeString(start: usize, end: usize, output: Output, lone: u32): void {
  let at = start;
  while (at < end) {
    const from = at;
    while (at < end && load<u8>(at) < 0x80 && load<u8>(at) != BACKSLASH) at++;
    if (at > from) output.copy(from, at - from);
    if (at == end) return;
    const isEscape = load<u8>(at) == BACKSLASH;
    at = isEscape ? writeEscape(at, end, output, lone) : writeRune(at, end, output);
  }
}

function writeEscape(at: usize, end: usize, output: Output, lone: u32): usize {
  const kind = load<u8>(at, 1);
  if (kind != 0x75) {
    output.byte(escaped(kind));
    return at + 2;
  }
  const code = unitAt(at + 2);
  if (code < 0xd800 || code > 0xdfff) {
    output.point(code);
    return at + 6;
  }
  const isPaired =
    code < 0xdc00 && end - at >= 12 && load<u8>(at, 6) == BACKSLASH && load<u8>(at, 7) == 0x75;
  const low = isPaired ? unitAt(at + 8) : 0;
  if (low >= 0xdc00 && low <= 0xdfff) {
    output.point(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
    return at + 12;
  }
  if (lone == NO_NAME) output.byte(NO_NAME);
  else output.point(lone);
  return at + 6;
}

function escaped(kind: u8): u32 {
  if (kind == 0x62) return 0x08;
  if (kind == 0x66) return 0x0c;
  if (kind == 0x6e) return 0x0a;
  if (kind == 0x72) return 0x0d;
  return kind == 0x74 ? 0x09 : kind;
}

function unitAt(at: usize): u32 {
  let unit: u32 = 0;
  for (let index: usize = 0; index < 4; index++) {
    unit = (unit << 4) | <u32>hexValue(load<u8>(at + index));
  }
  return unit;
}

/** Of what is no rune as much as could begin one is replaced at once. */
function writeRune(start: usize, end: usize, output: Output): usize {
  const lead = load<u8>(start);
  const more = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  let low: u8 = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  let high: u8 = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  let at = start + 1;
  for (let index = 0; index < more; index++) {
    const byte: u8 = at < end ? load<u8>(at) : 0;
    if (byte < low || byte > high) {
      output.point(REPLACEMENT);
      return at;
    }
    low = 0x80;
    high = 0xbf;
    at++;
  }
  if (more == 0) output.point(REPLACEMENT);
  else output.copy(start, at - start);
  return at;
}
