//! `multipart/form-data` (RFC 7578), read as strictly as `src/dataplane/filter/multipart-form.ts`
//! reads it: where two parsers could see different fields, there are none.

import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { isWord } from "./media-type";
import {
  findParameter,
  isTokenByte,
  parameterBytes,
  readParameters,
  writeParameter,
} from "./parameters";

const PARTS_MAX: i32 = 1000;
const PART_HEAD_BYTES_MAX: usize = 8192;
const BOUNDARY_BYTES_MAX: usize = 70;
const CR: u8 = 0x0d;
const LF: u8 = 0x0a;
const HYPHEN: u8 = 0x2d;
const COLON: u8 = 0x3a;
const SEMICOLON: u8 = 0x3b;
const PERCENT: u8 = 0x25;
const BOUNDARY_NAME = new Utf8("boundary");
const NAME = new Utf8("name");
const OTHER_NAME = new Utf8("name*");
const FILE = new Utf8("filename");
const OTHER_FILE = new Utf8("filename*");
const DISPOSITION = String.UTF8.encode("content-disposition");
const ENCODING = String.UTF8.encode("content-transfer-encoding");
const FORM_DATA = String.UTF8.encode("form-data");
const SEVEN = String.UTF8.encode("7bit");
const EIGHT = String.UTF8.encode("8bit");
const BINARY = String.UTF8.encode("binary");
/** Behind the boundary's two hyphens and a line's end before. */
const HEAD_END = memory.data<u8>([0x0d, 0x0a, 0x0d, 0x0a]);

/** Of the fields, in their order; names are in a buffer of their own. */
const nameStarts = new StaticArray<usize>(PARTS_MAX);
const nameLengths = new StaticArray<usize>(PARTS_MAX);
const valueStarts = new StaticArray<usize>(PARTS_MAX);
const valueEnds = new StaticArray<usize>(PARTS_MAX);
let count: i32 = 0;
let names: usize = 0;
let namesEnd: usize = 0;
/** `\r\n--BOUNDARY`. */
const DELIMITER: usize = memory.data(76);
let delimiterBytes: usize = 0;

/** What the form before has held is given back. */
export function forgetParts(): void {
  count = 0;
  if (names != 0) heap.free(names);
  names = 0;
}

/** Without fields where the form is not well-formed. */
export function readParts(type: usize, typeEnd: usize, start: usize, length: usize): void {
  forgetParts();
  if (!readBoundary(type, typeEnd)) return;
  names = heap.alloc(max<usize>(length, 1));
  namesEnd = names;
  if (!readAll(start, start + length)) count = 0;
}

/** The number of the first field of that name; -1: there is none. */
export function findField(name: Utf8): i32 {
  for (let index = 0; index < count; index++) {
    if (nameLengths[index] != name.length) continue;
    if (memory.compare(nameStarts[index], name.pointer, name.length) == 0) return index;
  }
  return -1;
}

export function fieldStart(index: i32): usize {
  return valueStarts[index];
}

export function fieldEnd(index: i32): usize {
  return valueEnds[index];
}

function readBoundary(type: usize, typeEnd: usize): bool {
  if (!readParameters(type, typeEnd)) return false;
  const index = findParameter(BOUNDARY_NAME.pointer, BOUNDARY_NAME.length);
  // As many bytes again for escapes.
  if (index < 0 || parameterBytes(index) > 2 * BOUNDARY_BYTES_MAX) return false;
  const written = heap.alloc(2 * BOUNDARY_BYTES_MAX);
  const length = writeParameter(index, written);
  const isGood = isBoundary(written, length);
  if (isGood) {
    store<u8>(DELIMITER, CR);
    store<u8>(DELIMITER, LF, 1);
    store<u8>(DELIMITER, HYPHEN, 2);
    store<u8>(DELIMITER, HYPHEN, 3);
    memory.copy(DELIMITER + 4, written, length);
    delimiterBytes = length + 4;
  }
  heap.free(written);
  return isGood;
}

/** RFC 2046, 5.1.1. */
function isBoundary(start: usize, length: usize): bool {
  if (length == 0 || length > BOUNDARY_BYTES_MAX) return false;
  for (let index: usize = 0; index < length; index++) {
    const byte = load<u8>(start + index);
    const lower = byte | 0x20;
    if ((lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x3a)) continue;
    if (byte == 0x20 && index + 1 < length) continue;
    // '()+,-./ and _=?
    const isSign = byte >= 0x27 && byte <= 0x2f && byte != 0x2a;
    if (!isSign && byte != 0x5f && byte != 0x3d && byte != 0x3f) return false;
  }
  return true;
}

function readAll(start: usize, end: usize): bool {
  // The first stands without the line's end before it.
  const first = delimiterBytes - 2;
  if (!isAt(start, end, DELIMITER + 2, first) || !isLineEnd(start + first, end)) return false;
  let at = start + first + 2;
  for (let index = 0; index < PARTS_MAX; index++) {
    at = readPart(at, end);
    if (at == 0) return false;
    if (at == end) return true;
  }
  return false;
}

/** Where the next part begins; `end`: this was the last; 0: it is broken. */
function readPart(start: usize, end: usize): usize {
  const headEnd = find(start, end, HEAD_END, 4);
  if (headEnd == 0 || headEnd - start > PART_HEAD_BYTES_MAX) return 0;
  const isField = readHead(start, headEnd);
  if (!isGood) return 0;
  const value = headEnd + 4;
  const valueEnd = find(value, end, DELIMITER, delimiterBytes);
  if (valueEnd == 0) return 0;
  if (isField) {
    valueStarts[count] = value;
    valueEnds[count] = valueEnd;
    count++;
  }
  const after = valueEnd + delimiterBytes;
  // Behind a delimiter a part begins, if only to be found broken.
  if (isLineEnd(after, end)) return after + 2 == end ? 0 : after + 2;
  const rest = end - after;
  if (rest != 2 && !(rest == 4 && isLineEnd(after + 2, end))) return 0;
  return load<u8>(after) == HYPHEN && load<u8>(after, 1) == HYPHEN ? end : 0;
}

/** Whether the head says plainly what the part is. */
let isGood: bool = false;

/** Whether it is a field: its name is noted as that of the next one. */
function readHead(start: usize, end: usize): bool {
  isGood = readDisposition(start, end) && readParameters(dispositionStart, dispositionEnd);
  if (!isGood) return false;
  const name = findParameter(NAME.pointer, NAME.length);
  // RFC 7578, 4.2: who reads `name*` does not agree with who does not.
  isGood = name >= 0 && findParameter(OTHER_NAME.pointer, OTHER_NAME.length) < 0;
  if (!isGood) return false;
  if (findParameter(FILE.pointer, FILE.length) >= 0) return false;
  if (findParameter(OTHER_FILE.pointer, OTHER_FILE.length) >= 0) return false;
  const written = writeParameter(name, namesEnd);
  nameStarts[count] = namesEnd;
  nameLengths[count] = makePlain(namesEnd, written);
  namesEnd += nameLengths[count];
  return true;
}

let dispositionStart: usize = 0;
let dispositionEnd: usize = 0;

/** False: a line is none, or the disposition is not one of a form. */
function readDisposition(start: usize, end: usize): bool {
  dispositionStart = 0;
  let at = start;
  while (at <= end) {
    let next = find(at, end, HEAD_END, 2);
    if (next == 0) next = end;
    if (!readLine(at, next)) return false;
    at = next + 2;
  }
  if (dispositionStart == 0) return false;
  const wordEnd = dispositionStart + <usize>FORM_DATA.byteLength;
  if (wordEnd > dispositionEnd || !isWord(dispositionStart, wordEnd, FORM_DATA)) return false;
  const behind = skipBlanks(wordEnd, dispositionEnd);
  return behind == dispositionEnd || load<u8>(behind) == SEMICOLON;
}

function readLine(start: usize, end: usize): bool {
  let at = start;
  while (at < end && isTokenByte(load<u8>(at))) at++;
  if (at == start || at == end || load<u8>(at) != COLON) return false;
  const value = skipBlanks(at + 1, end);
  for (let index = value; index < end; index++) {
    const byte = load<u8>(index);
    if (byte == 0 || byte == CR || byte == LF) return false;
  }
  if (isWord(start, at, ENCODING)) return isPlainEncoding(value, end);
  if (!isWord(start, at, DISPOSITION)) return true;
  if (dispositionStart != 0) return false;
  dispositionStart = value;
  dispositionEnd = end;
  return true;
}

function isPlainEncoding(start: usize, whole: usize): bool {
  let end = whole;
  while (end > start && (load<u8>(end - 1) == 0x20 || load<u8>(end - 1) == 0x09)) end--;
  return isWord(start, end, SEVEN) || isWord(start, end, EIGHT) || isWord(start, end, BINARY);
}

/** Browsers write `"`, CR and LF as %22, %0D and %0A, and a `%` as it is. Gives the new length. */
function makePlain(start: usize, length: usize): usize {
  const end = start + length;
  let to = start;
  for (let at = start; at < end; at++) {
    let byte = load<u8>(at);
    if (byte == PERCENT && end - at >= 3) {
      const plain = plainOf(load<u8>(at, 1), load<u8>(at, 2));
      if (plain != 0) {
        byte = plain;
        at += 2;
      }
    }
    store<u8>(to++, byte);
  }
  return to - start;
}

function plainOf(first: u8, second: u8): u8 {
  if (first == 0x32 && second == 0x32) return 0x22;
  if (first != 0x30) return 0;
  const lower = second | 0x20;
  return lower == 0x64 ? CR : lower == 0x61 ? LF : 0;
}

function skipBlanks(start: usize, end: usize): usize {
  let at = start;
  while (at < end && (load<u8>(at) == 0x20 || load<u8>(at) == 0x09)) at++;
  return at;
}

function isLineEnd(at: usize, end: usize): bool {
  return isAt(at, end, HEAD_END, 2);
}

function isAt(at: usize, end: usize, text: usize, length: usize): bool {
  return at <= end && end - at >= length && memory.compare(at, text, length) == 0;
}

/** 0: it is not there. */
function find(start: usize, end: usize, text: usize, length: usize): usize {
  const first = load<u8>(text);
  for (let at = start; at + length <= end; at++) {
    if (load<u8>(at) == first && memory.compare(at, text, length) == 0) return at;
  }
  return 0;
}
