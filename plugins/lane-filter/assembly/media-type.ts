//! What a request's `content-type` says its body is, as `src/dataplane/filter/request-body.ts`
//! has it.

import { isSame } from "./parameters";

export enum BodyKind {
  /** Nothing that rules read. */
  other,
  json,
  form,
  parts,
}

const SLASH: u8 = 0x2f;
const PLUS: u8 = 0x2b;
const SEMICOLON: u8 = 0x3b;
const JSON_BYTES: usize = 4;
const JSON_WORD = memory.data<u8>([0x6a, 0x73, 0x6f, 0x6e]);
const APPLICATION = String.UTF8.encode("application");
const TEXT = String.UTF8.encode("text");
const FORM = String.UTF8.encode("application/x-www-form-urlencoded");
const PARTS = String.UTF8.encode("multipart/form-data");

export function bodyKindOf(contentType: usize, length: usize): BodyKind {
  let start = contentType;
  let end = start;
  while (end < start + length && load<u8>(end) != SEMICOLON) end++;
  while (start < end && isSpace(load<u8>(start))) start++;
  while (end > start && isSpace(load<u8>(end - 1))) end--;
  if (isWord(start, end, FORM)) return BodyKind.form;
  if (isWord(start, end, PARTS)) return BodyKind.parts;
  let slash = start;
  while (slash < end && load<u8>(slash) != SLASH) slash++;
  if (slash == end) return BodyKind.other;
  if (!isWord(start, slash, APPLICATION) && !isWord(start, slash, TEXT)) return BodyKind.other;
  return isJsonSubtype(slash + 1, end) ? BodyKind.json : BodyKind.other;
}

/** As JavaScript's `trim`; a character is a byte here. */
export function isSpace(byte: u8): bool {
  return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte == 0xa0;
}

export function isWord(start: usize, end: usize, lower: ArrayBuffer): bool {
  const length = <usize>lower.byteLength;
  return end - start == length && isSame(start, changetype<usize>(lower), length);
}

/** `json`, or something that ends in `+json`. */
function isJsonSubtype(start: usize, end: usize): bool {
  if (end - start < JSON_BYTES || !isSame(end - JSON_BYTES, JSON_WORD, JSON_BYTES)) return false;
  const before = end - JSON_BYTES;
  if (before == start) return true;
  if (before - start < 2 || load<u8>(before - 1) != PLUS) return false;
  for (let at = start; at < before; at++) {
    const byte = load<u8>(at);
    const lower = byte | 0x20;
    const isLetter = lower >= 0x61 && lower <= 0x7a;
    const isOther = byte == 0x5f || byte == 0x2e || byte == PLUS || byte == 0x2d;
    if (!isLetter && !isOther && !(byte >= 0x30 && byte <= 0x39)) return false;
  }
  return true;
}
