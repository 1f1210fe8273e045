//! Decodes a chunked body (RFC 9112 section 7.1) from bytes that may be cut anywhere.
//!
//! Strict: lines end in CR LF, sizes are hexadecimal digits only, extensions must follow their
//! grammar (they are checked, bounded and dropped). A lone LF in a chunk line is a way to smuggle.

import type { HttpFaultCode } from "./fault.ts";
import { NO_TRAILER } from "./field-names.ts";
import { FAULT, HeadReader } from "./head-reader.ts";
import type { Headers } from "./headers.ts";
import { CHUNK_EXTENSION_BYTES_MAX, type Limits } from "./limits.ts";
import { CR, LF, SPACE, TAB, TOKEN_LOWER, VALUE_BYTE } from "./syntax.ts";

const SIZE_FIRST = 0;
const SIZE = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILERS = 6;
const DONE = 7;
/** States of `;name=value`: white space before `;`, after it, the name, white space, `=` ... */
const EXT_BEFORE = 8;
const EXT_NAME_FIRST = 9;
const EXT_NAME = 10;
const EXT_NAME_AFTER = 11;
const EXT_VALUE_FIRST = 12;
const EXT_TOKEN = 13;
const EXT_QUOTED = 14;
const EXT_ESCAPE = 15;
const EXT_QUOTED_AFTER = 16;

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Value of a hexadecimal digit; 255 for another byte. */
const HEX: Uint8Array = Uint8Array.from({ length: 256 }, (_unused, byte) => {
  const value = "0123456789abcdef".indexOf(String.fromCharCode(byte).toLowerCase());
  return value === -1 ? 255 : value;
});

export class ChunkedDecoder {
  readonly #onData: (chunk: Buffer) => void;
  readonly #lineBytesMax: number;
  readonly #trailerReader: HeadReader;

  #state = SIZE_FIRST;
  /** Size of the chunk while its line is read, then bytes of it that are still to come. */
  #leftBytes = 0;
  #lineBytes = 0;
  #extensionBytes = 0;
  #faultCode: HttpFaultCode = "bad_chunk_size";

  constructor(limits: Limits, onData: (chunk: Buffer) => void) {
    this.#onData = onData;
    this.#lineBytesMax = limits.chunkLineBytesMax;
    this.#trailerReader = new HeadReader({
      startLine: null,
      bytesMax: limits.trailerBytesMax,
      fieldCountMax: limits.fieldCountMax,
      tooLargeCode: "trailers_too_large",
    });
  }

  /** Makes ready for another body. */
  reset(): void {
    this.#state = SIZE_FIRST;
    this.#leftBytes = 0;
    this.#lineBytes = 0;
    this.#extensionBytes = 0;
    this.#trailerReader.reset();
  }

  get isDone(): boolean {
    return this.#state === DONE;
  }

  get faultCode(): HttpFaultCode {
    return this.#faultCode;
  }

  /** The trailer section of a body that is done; null without fields. */
  get trailers(): Headers | null {
    return this.#trailerReader.headers.size === 0 ? null : this.#trailerReader.headers;
  }

  /** Decodes from `start`. Returns the position after what it took, or FAULT. */
  execute(bytes: Buffer, start: number): number {
    let position = start;
    while (position < bytes.length && this.#state !== DONE) {
      if (this.#state === DATA) {
        const end = Math.min(bytes.length, position + this.#leftBytes);
        this.#leftBytes -= end - position;
        if (this.#leftBytes === 0) this.#state = DATA_CR;
        this.#onData(bytes.subarray(position, end));
        position = end;
      } else if (this.#state === TRAILERS) {
        position = this.#readTrailers(bytes, position);
        if (position === FAULT) return FAULT;
      } else {
        const code = this.#step(bytes[position] as number);
        if (code !== null) return this.#fail(code);
        position++;
      }
    }
    return position;
  }

  #fail(code: HttpFaultCode): number {
    this.#faultCode = code;
    return FAULT;
  }

  #readTrailers(bytes: Buffer, start: number): number {
    const reader = this.#trailerReader;
    const position = reader.read(bytes, start);
    if (position === FAULT) return this.#fail(reader.faultCode);
    if (!reader.isDone) return position;
    if ((reader.seenBits & NO_TRAILER) !== 0) return this.#fail("forbidden_trailer");
    this.#state = DONE;
    return position;
  }

  /** One byte outside of data and trailers. */
  #step(byte: number): HttpFaultCode | null {
    switch (this.#state) {
      case DATA_CR:
        if (byte !== CR) return "bad_chunk_end";
        this.#state = DATA_LF;
        return null;
      case DATA_LF:
        if (byte !== LF) return "bad_chunk_end";
        this.#state = SIZE_FIRST;
        return null;
      default:
        this.#lineBytes++;
        if (this.#lineBytes > this.#lineBytesMax) return "chunk_line_too_long";
        return this.#state <= SIZE_LF ? this.#stepSize(byte) : this.#stepExtension(byte);
    }
  }

  #stepSize(byte: number): HttpFaultCode | null {
    if (this.#state === SIZE_LF) {
      if (byte !== LF) return "bare_cr";
      this.#lineBytes = 0;
      this.#state = this.#leftBytes === 0 ? TRAILERS : DATA;
      return null;
    }
    const digit = HEX[byte] as number;
    if (digit !== 255) {
      this.#leftBytes = this.#leftBytes * 16 + digit;
      this.#state = SIZE;
      return this.#leftBytes > Number.MAX_SAFE_INTEGER ? "bad_chunk_size" : null;
    }
    if (this.#state === SIZE_FIRST) return "bad_chunk_size";
    if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) this.#state = EXT_NAME_FIRST;
    else if (isBlank(byte)) this.#state = EXT_BEFORE;
    else return byte === LF ? "bare_lf" : "bad_chunk_size";
    return null;
  }

  /** `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 7.1.1. */
  #stepExtension(byte: number): HttpFaultCode | null {
    this.#extensionBytes++;
    if (this.#extensionBytes > CHUNK_EXTENSION_BYTES_MAX) return "chunk_extensions_too_large";
    const next = nextExtensionState(this.#state, byte);
    if (next === FAULT) return byte === LF ? "bare_lf" : "bad_chunk_extension";
    this.#state = next;
    return null;
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

function nextExtensionState(state: number, byte: number): number {
  const isTokenByte = TOKEN_LOWER[byte] !== 0;
  switch (state) {
    case EXT_BEFORE:
      return isBlank(byte) ? EXT_BEFORE : byte === SEMICOLON ? EXT_NAME_FIRST : FAULT;
    case EXT_NAME_FIRST:
      return isBlank(byte) ? EXT_NAME_FIRST : isTokenByte ? EXT_NAME : FAULT;
    case EXT_NAME:
      return isTokenByte ? EXT_NAME : afterName(byte);
    case EXT_NAME_AFTER:
      return byte === CR ? FAULT : afterName(byte);
    case EXT_VALUE_FIRST:
      if (isBlank(byte)) return EXT_VALUE_FIRST;
      return byte === QUOTE ? EXT_QUOTED : isTokenByte ? EXT_TOKEN : FAULT;
    case EXT_TOKEN:
      return isTokenByte ? EXT_TOKEN : afterValue(byte);
    case EXT_QUOTED:
      if (byte === QUOTE) return EXT_QUOTED_AFTER;
      if (byte === BACKSLASH) return EXT_ESCAPE;
      return VALUE_BYTE[byte] === 1 ? EXT_QUOTED : FAULT;
    case EXT_ESCAPE:
      return VALUE_BYTE[byte] === 1 ? EXT_QUOTED : FAULT;
    default:
      return afterValue(byte);
  }
}

function afterName(byte: number): number {
  if (byte === EQUALS) return EXT_VALUE_FIRST;
  if (byte === SEMICOLON) return EXT_NAME_FIRST;
  if (isBlank(byte)) return EXT_NAME_AFTER;
  return byte === CR ? SIZE_LF : FAULT;
}

function afterValue(byte: number): number {
  if (byte === SEMICOLON) return EXT_NAME_FIRST;
  if (isBlank(byte)) return EXT_BEFORE;
  return byte === CR ? SIZE_LF : FAULT;
}
