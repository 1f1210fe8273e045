//! What conditions read of a request: as `src/dataplane/filter/request-operands.ts` has it. Values
//! are bytes, and are looked for when the first condition asks.

import { cookieKey, foundLength, foundStart, hopKey } from "../../../sdk/assemblyscript/assembly/request-key";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import {
  addressBytes,
  addressStart,
  fieldLength,
  fieldStart,
  nextField,
  requestNumber,
  rewind,
} from "./head";
import { decodeInto, hasEscapes, isSpelled } from "./query";

const COOKIE = new Utf8("cookie");
const METHOD = new Utf8(":method");
const PATH = new Utf8(":path");
const AUTHORITY = new Utf8(":authority");
const FORWARDED = new Utf8("x-forwarded-for");
const QUESTION: u8 = 0x3f;
const AMPERSAND: u8 = 0x26;
const EQUALS: u8 = 0x3d;
const COLON: u8 = 0x3a;
const COMMA: u8 = 0x2c;
const DOT: u8 = 0x2e;

export enum OperandKind {
  none,
  header,
  cookie,
  query,
  method,
  path,
  host,
  clientIp,
  bodyJson,
  bodyForm,
  claim,
}

export function operandKindOf(kind: string): OperandKind {
  if (kind == "header") return OperandKind.header;
  if (kind == "cookie") return OperandKind.cookie;
  if (kind == "query") return OperandKind.query;
  if (kind == "method") return OperandKind.method;
  if (kind == "path") return OperandKind.path;
  if (kind == "host") return OperandKind.host;
  if (kind == "bodyJson") return OperandKind.bodyJson;
  if (kind == "bodyForm") return OperandKind.bodyForm;
  if (kind == "claim") return OperandKind.claim;
  return kind == "clientIp" ? OperandKind.clientIp : OperandKind.none;
}

export class Operand {
  /** Of the value; meaningful after `isThere`. */
  start: usize = 0;
  length: usize = 0;
  protected name: Utf8;
  private readAt: u32 = 0;
  private isFound: bool = false;
  /** Holds what is not in the head as it is. */
  private buffer: usize = 0;
  private bufferBytes: usize = 0;

  constructor(
    readonly kind: OperandKind,
    readonly text: string,
    /**
     * Of `clientIp`: how many addresses of x-forwarded-for are believed. Of a body: how many bytes
     * it may have.
     */
    readonly limit: i32,
  ) {
    this.name = new Utf8(text);
  }

  isThere(): bool {
    if (this.readAt != requestNumber()) {
      this.readAt = requestNumber();
      this.isFound = this.read();
    }
    return this.isFound;
  }

  protected read(): bool {
    rewind();
    switch (this.kind) {
      case OperandKind.header:
        return this.field(this.name);
      case OperandKind.cookie:
        return this.cookie();
      case OperandKind.query:
        return this.field(PATH) && this.query();
      case OperandKind.method:
        return this.field(METHOD);
      case OperandKind.path:
        return this.field(PATH) && this.path();
      case OperandKind.host:
        return this.field(AUTHORITY) && this.host();
      case OperandKind.clientIp:
        return this.address();
      default:
        return false;
    }
  }

  private field(name: Utf8): bool {
    if (!nextField(name)) return false;
    this.start = fieldStart();
    this.length = fieldLength();
    return true;
  }

  private found(): bool {
    this.start = foundStart();
    this.length = foundLength();
    return true;
  }

  private cookie(): bool {
    while (nextField(COOKIE)) {
      if (cookieKey(fieldStart(), fieldLength(), this.name)) return this.found();
    }
    return false;
  }

  private path(): bool {
    this.length = indexOf(this.start, this.start + this.length, QUESTION) - this.start;
    return true;
  }

  private query(): bool {
    const end = this.start + this.length;
    return this.parameter(indexOf(this.start, end, QUESTION) + 1, end);
  }

  /** Of a query or a form that stands there. */
  protected parameter(start: usize, end: usize): bool {
    let from = start;
    while (from <= end) {
      const next = indexOf(from, end, AMPERSAND);
      const equals = indexOf(from, next, EQUALS);
      if (equals > from && isSpelled(from, equals, this.name)) {
        this.start = min(equals + 1, next);
        this.length = next - this.start;
        if (hasEscapes(this.start, next)) this.decode();
        return true;
      }
      from = next + 1;
    }
    return false;
  }

  private decode(): void {
    const into = this.room(this.length);
    this.length = decodeInto(into, this.start, this.start + this.length);
    this.start = into;
  }

  /** Lower-case, without port and last dot. */
  private host(): bool {
    let end = this.start + this.length;
    let digits = end;
    while (digits > this.start && isDigit(load<u8>(digits - 1))) digits--;
    if (digits > this.start && load<u8>(digits - 1) == COLON) end = digits - 1;
    const length = end - this.start;
    const into = this.room(length);
    for (let at: usize = 0; at < length; at++) {
      store<u8>(into + at, lowered(load<u8>(this.start + at)));
    }
    this.start = into;
    this.length = length > 0 && load<u8>(into + length - 1) == DOT ? length - 1 : length;
    return true;
  }

  private address(): bool {
    if (this.limit > 0) {
      const length = this.joined();
      if (length > 0 && hopKey(this.buffer, length, this.limit)) return this.found();
    }
    this.start = addressStart();
    this.length = addressBytes();
    return this.length > 0;
  }

  /** All fields of x-forwarded-for, with commas between them; gives their length. */
  private joined(): usize {
    let length: usize = 0;
    while (nextField(FORWARDED)) length += fieldLength() + 1;
    if (length == 0) return 0;
    const into = this.room(length);
    let at = into;
    rewind();
    while (nextField(FORWARDED)) {
      memory.copy(at, fieldStart(), fieldLength());
      at += fieldLength() + 1;
      store<u8>(at - 1, COMMA);
    }
    return length - 1;
  }

  private room(bytes: usize): usize {
    if (bytes > this.bufferBytes) {
      if (this.buffer != 0) heap.free(this.buffer);
      this.bufferBytes = bytes;
      this.buffer = heap.alloc(bytes);
    }
    return this.buffer;
  }
}

/** `end` when it is not there. */
function indexOf(from: usize, end: usize, byte: u8): usize {
  let at = from;
  while (at < end && load<u8>(at) != byte) at++;
  return at;
}

export function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

/** Of ISO 8859-1, as JavaScript's: a character is a byte here. */
function lowered(byte: u8): u8 {
  const isAscii = byte >= 0x41 && byte <= 0x5a;
  const isLatin = byte >= 0xc0 && byte <= 0xde && byte != 0xd7;
  return isAscii || isLatin ? byte + 0x20 : byte;
}
