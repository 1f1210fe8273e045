//! The status line: `HTTP-version SP 3DIGIT SP [ reason-phrase ]` (RFC 9112 section 4).

import type { HttpFaultCode } from "./fault.ts";
import { FAULT, hasLf, NEED_MORE, type StartLine } from "./head-reader.ts";
import { isVersionShape } from "./request-line.ts";
import { CR, LF, SPACE, VALUE_BYTE } from "./syntax.ts";

/** "HTTP/1.1 200" */
const FIXED_BYTES = 12;
const LINE_BYTES_MAX: number = 8 * 1024;
const ZERO = 0x30;
const ONE = 0x31;

export class StatusLine implements StartLine {
  readonly lineBytesMax: number = LINE_BYTES_MAX;
  readonly tooLongCode = "head_too_large";
  #faultCode: HttpFaultCode = "bad_status_line";
  #reasonStart = 0;
  #reasonEnd = 0;

  status = 0;
  reason = "";
  versionMinor: 0 | 1 = 1;

  get faultCode(): HttpFaultCode {
    return this.#faultCode;
  }

  scan(bytes: Buffer, start: number, end: number): number {
    const isShape = start + 8 < end && isVersionShape(bytes, start);
    if (!isShape || bytes[start + 8] !== SPACE) {
      return this.#faultAt(bytes, start, end, "bad_status_line");
    }
    const minor = (bytes[start + 7] as number) - ZERO;
    if (bytes[start + 5] !== ONE || (minor !== 0 && minor !== 1)) {
      return this.#faultAt(bytes, start, end, "unsupported_version");
    }
    const status = start + FIXED_BYTES < end ? digits(bytes, start + 9) : -1;
    if (status === -1) return this.#faultAt(bytes, start, end, "bad_status_line");
    if (status < 100 || status > 599) return this.#faultAt(bytes, start, end, "bad_status");
    this.status = status;
    this.versionMinor = minor;
    return this.#scanReason(bytes, start + FIXED_BYTES, end);
  }

  /** Many servers leave out the space before an empty reason; nothing is ambiguous then. */
  #scanReason(bytes: Buffer, start: number, end: number): number {
    let position = start;
    if (bytes[position] === SPACE) position++;
    else if (bytes[position] !== CR) return this.#faultAt(bytes, start, end, "bad_status_line");
    this.#reasonStart = position;
    while (position < end && VALUE_BYTE[bytes[position] as number] === 1) position++;
    this.#reasonEnd = position;
    if (position >= end || (bytes[position] === CR && position + 1 >= end)) return NEED_MORE;
    if (bytes[position] === CR && bytes[position + 1] === LF) return position + 2;
    if (bytes[position] === LF) return this.#faultAt(bytes, position, end, "bare_lf");
    const code = bytes[position] === CR ? "bare_cr" : "bad_status_line";
    return this.#faultAt(bytes, position, end, code);
  }

  take(text: string, base: number): void {
    this.reason = text.substring(this.#reasonStart - base, this.#reasonEnd - base);
  }

  #faultAt(bytes: Buffer, position: number, end: number, code: HttpFaultCode): number {
    if (!hasLf(bytes, position, end)) return NEED_MORE;
    this.#faultCode = code;
    return FAULT;
  }
}

/** The number of three digits, -1 if they are none. */
function digits(bytes: Buffer, start: number): number {
  let value = 0;
  for (let index = start; index < start + 3; index++) {
    const digit = (bytes[index] as number) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
