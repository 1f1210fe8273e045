//! The request line: `method SP request-target SP HTTP-version` (RFC 9112 section 3).

import type { HttpFaultCode } from "./fault.ts";
import { FAULT, hasLf, NEED_MORE, type StartLine } from "./head-reader.ts";
import { METHOD_BYTES_MAX } from "./limits.ts";
import { CR, LF, SPACE, TARGET_BYTE, TOKEN_LOWER } from "./syntax.ts";

/** "HTTP/1.1" and CR LF. */
const VERSION_BYTES = 8;
const VERSION_AND_END_BYTES: number = VERSION_BYTES + 2;

const DOT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
const NINE = 0x39;

export class RequestLine implements StartLine {
  readonly lineBytesMax: number;
  readonly tooLongCode = "target_too_long";
  readonly #targetBytesMax: number;
  #faultCode: HttpFaultCode = "bad_request_line";

  #methodStart = 0;
  #methodEnd = 0;
  #targetStart = 0;
  #targetEnd = 0;

  method = "";
  target = "";
  versionMinor: 0 | 1 = 1;

  constructor(targetBytesMax: number) {
    this.#targetBytesMax = targetBytesMax;
    this.lineBytesMax = METHOD_BYTES_MAX + 1 + targetBytesMax + 1 + VERSION_AND_END_BYTES;
  }

  get faultCode(): HttpFaultCode {
    return this.#faultCode;
  }

  scan(bytes: Buffer, start: number, end: number): number {
    let position = start;
    while (position < end && TOKEN_LOWER[bytes[position] as number] !== 0) position++;
    this.#methodStart = start;
    this.#methodEnd = position;
    if (position >= end) return NEED_MORE;
    if (bytes[position] !== SPACE || position === start) {
      return this.#faultAt(bytes, position, end, lineFault(bytes[position], "bad_method"));
    }
    if (position - start > METHOD_BYTES_MAX) {
      return this.#faultAt(bytes, position, end, "method_too_long");
    }

    position++;
    this.#targetStart = position;
    while (position < end && TARGET_BYTE[bytes[position] as number] === 1) position++;
    this.#targetEnd = position;
    if (position >= end) return NEED_MORE;
    if (bytes[position] !== SPACE || position === this.#targetStart) {
      const code = bytes[position] === SPACE ? "bad_request_line" : "bad_target";
      return this.#faultAt(bytes, position, end, lineFault(bytes[position], code));
    }
    if (position - this.#targetStart > this.#targetBytesMax) {
      return this.#faultAt(bytes, position, end, "target_too_long");
    }
    return this.#scanVersion(bytes, position + 1, end);
  }

  #scanVersion(bytes: Buffer, start: number, end: number): number {
    const isShape = start + VERSION_BYTES < end && isVersionShape(bytes, start);
    if (start + VERSION_AND_END_BYTES > end) {
      const code = isShape && bytes[start + VERSION_BYTES] === LF ? "bare_lf" : "bad_request_line";
      return this.#faultAt(bytes, start, end, code);
    }
    const first = bytes[start + VERSION_BYTES];
    if (!isShape || first !== CR || bytes[start + VERSION_BYTES + 1] !== LF) {
      const code = isShape && first === LF ? "bare_lf" : "bad_request_line";
      return this.#faultAt(bytes, start, end, code);
    }
    const minor = (bytes[start + 7] as number) - ZERO;
    if (bytes[start + 5] !== 0x31 || (minor !== 0 && minor !== 1)) {
      return this.#faultAt(bytes, start, end, "unsupported_version");
    }
    this.versionMinor = minor;
    return start + VERSION_AND_END_BYTES;
  }

  take(text: string, base: number): void {
    const methodStart = this.#methodStart - base;
    this.target = text.substring(this.#targetStart - base, this.#targetEnd - base);
    const methodBytes = this.#methodEnd - this.#methodStart;
    const isGet = methodBytes === 3 && text.startsWith("GET", methodStart);
    this.method = isGet ? "GET" : text.substring(methodStart, this.#methodEnd - base);
  }

  #faultAt(bytes: Buffer, position: number, end: number, code: HttpFaultCode): number {
    if (!hasLf(bytes, position, end)) return NEED_MORE;
    this.#faultCode = code;
    return FAULT;
  }
}

/** A line that ends too early is a bad line, whatever part was being read. */
function lineFault(byte: number | undefined, code: HttpFaultCode): HttpFaultCode {
  return byte === CR || byte === LF ? "bad_request_line" : code;
}

/** `"HTTP/" DIGIT "." DIGIT`, case-sensitive (RFC 9112 2.3). */
export function isVersionShape(bytes: Buffer, start: number): boolean {
  return (
    bytes[start] === 0x48 &&
    bytes[start + 1] === 0x54 &&
    bytes[start + 2] === 0x54 &&
    bytes[start + 3] === 0x50 &&
    bytes[start + 4] === SLASH &&
    isDigit(bytes[start + 5]) &&
    bytes[start + 6] === DOT &&
    isDigit(bytes[start + 7])
  );
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}
