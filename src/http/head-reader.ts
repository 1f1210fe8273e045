//! Reads a start line and field lines up to the empty line; also a trailer section, which has no
//! start line. Both parsers and the chunked decoder stand on it.
//!
//! One pass over the bytes. It can stop and go on at any line: the lines that are complete are kept
//! as strings, the bytes of the one that is cut are held. A fault of a line is reported only when
//! the line's LF is there, so the verdict does not depend on how the bytes were cut into chunks.

import type { HttpFaultCode } from "./fault.ts";
import {
  FIRST_FIELD,
  hashStep,
  internFieldName,
  isSpelledAt,
  type FieldName,
} from "./field-names.ts";
import { Headers } from "./headers.ts";
import { FIELD_COUNT_MAX } from "./limits.ts";
import { COLON, CR, LF, SPACE, TAB, TOKEN_LOWER, VALUE_BYTE } from "./syntax.ts";

/** Returned in place of a position: the line is not complete. */
export const NEED_MORE = -1;
/** Returned in place of a position: `faultCode` says what is wrong. */
export const FAULT = -2;

/** The first line of a head. Positions are those of the buffer that `scan` was given. */
export interface StartLine {
  /** Bytes of the longest line that can be right, CR LF included. */
  readonly lineBytesMax: number;
  /** The fault of a longer one. */
  readonly tooLongCode: HttpFaultCode;
  /** Set when `scan` returned FAULT. */
  readonly faultCode: HttpFaultCode;
  /** Returns the position after CR LF, NEED_MORE or FAULT. */
  scan(bytes: Buffer, position: number, end: number): number;
  /** Takes its strings from `text`, whose first character was at `base` for `scan`. */
  take(text: string, base: number): void;
}

export interface HeadReaderOptions {
  /** Null for a trailer section. */
  readonly startLine: StartLine | null;
  readonly bytesMax: number;
  readonly fieldCountMax: number;
  readonly tooLargeCode: HttpFaultCode;
}

const HELD_BYTES_MIN = 256;

/** In Node for ever, but not in its types; `toString("latin1")` first looks the encoding up. */
type Latin1Buffer = Buffer & { latin1Slice(start: number, end: number): string };

/** Bounds of the values that one scan found; shared, as a scan never yields. */
let valueBounds = new Int32Array(2 * FIELD_COUNT_MAX);

export class HeadReader {
  readonly #startLine: StartLine | null;
  readonly #bytesMax: number;
  readonly #fieldCountMax: number;
  readonly #tooLargeCode: HttpFaultCode;

  #headers = new Headers();
  #seenBits = 0;
  #repeatedBits = 0;
  #needsStartLine: boolean;
  #faultCode: HttpFaultCode = "bad_field_name";
  /** Bytes of the head before the line that is being read. */
  #usedBytes = 0;
  /** The bytes of a line that was cut, `#heldBytes` of them. */
  #held: Buffer | null = null;
  #heldBytes = 0;
  /** Where the first line begins that the last `#scan` did not complete. */
  #resume = 0;
  #isDone = false;

  constructor(options: HeadReaderOptions) {
    this.#startLine = options.startLine;
    this.#bytesMax = options.bytesMax;
    this.#fieldCountMax = options.fieldCountMax;
    this.#tooLargeCode = options.tooLargeCode;
    this.#needsStartLine = options.startLine !== null;
    if (2 * options.fieldCountMax > valueBounds.length) {
      valueBounds = new Int32Array(2 * options.fieldCountMax);
    }
  }

  /** The fields read. A new object for each head: the caller may keep and change it. */
  get headers(): Headers {
    return this.#headers;
  }

  /** Bits (`field-names.ts`) of the fields that were seen. */
  get seenBits(): number {
    return this.#seenBits;
  }

  /** Bits of the fields that were seen more than once. */
  get repeatedBits(): number {
    return this.#repeatedBits;
  }

  get faultCode(): HttpFaultCode {
    return this.#faultCode;
  }

  /** The empty line was read. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Makes ready for another head. */
  reset(): void {
    this.#headers = new Headers();
    this.#seenBits = 0;
    this.#repeatedBits = 0;
    this.#needsStartLine = this.#startLine !== null;
    this.#usedBytes = 0;
    this.#isDone = false;
  }

  /** Reads on at `position`. Returns the position after what it took, or FAULT. */
  read(bytes: Buffer, position: number): number {
    let start = position;
    if (this.#heldBytes > 0) {
      start = this.#readHeld(bytes, position);
      if (start === FAULT || this.#isDone || this.#heldBytes > 0) return start;
    }

    const end = Math.min(bytes.length, start + this.#bytesMax - this.#usedBytes);
    const stop = this.#scan(bytes, start, end);
    if (stop >= 0) {
      this.#isDone = true;
      return stop;
    }
    if (stop === FAULT) return FAULT;
    this.#usedBytes += this.#resume - start;
    return this.#hold(bytes, this.#resume);
  }

  /** Completes the line whose beginning is held, if its LF is in `bytes`. */
  #readHeld(bytes: Buffer, position: number): number {
    const lf = bytes.indexOf(LF, position);
    const roomBytes = this.#lineRoomBytes() - this.#heldBytes;
    if (lf === -1 || lf - position >= roomBytes) return this.#hold(bytes, position);

    this.#append(bytes, position, lf + 1);
    const line = this.#held as Buffer;
    const lineBytes = this.#heldBytes;
    this.#held = null;
    this.#heldBytes = 0;
    const stop = this.#scan(line, 0, lineBytes);
    if (stop === FAULT) return FAULT;
    this.#isDone = stop >= 0;
    this.#usedBytes += lineBytes;
    return lf + 1;
  }

  /** Keeps what is left of `bytes` from `position`: the beginning of a line without its LF. */
  #hold(bytes: Buffer, position: number): number {
    const roomBytes = this.#lineRoomBytes() - this.#heldBytes;
    if (bytes.length - position >= roomBytes) return this.#failTooLarge();
    if (position < bytes.length) this.#append(bytes, position, bytes.length);
    return bytes.length;
  }

  /** Bytes that the line being read may have. */
  #lineRoomBytes(): number {
    const roomBytes = this.#bytesMax - this.#usedBytes;
    if (!this.#needsStartLine || this.#startLine === null) return roomBytes;
    return Math.min(roomBytes, this.#startLine.lineBytesMax);
  }

  #failTooLarge(): number {
    const isStartLine =
      this.#needsStartLine &&
      this.#startLine !== null &&
      this.#startLine.lineBytesMax <= this.#bytesMax;
    return this.#fail(isStartLine ? this.#startLine.tooLongCode : this.#tooLargeCode);
  }

  #append(bytes: Buffer, start: number, end: number): void {
    const neededBytes = this.#heldBytes + end - start;
    if (this.#held === null || this.#held.length < neededBytes) {
      const grown = Buffer.allocUnsafeSlow(Math.max(HELD_BYTES_MIN, 2 * neededBytes));
      this.#held?.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes, start, end);
    this.#heldBytes = neededBytes;
  }

  #fail(code: HttpFaultCode): number {
    this.#faultCode = code;
    return FAULT;
  }

  /**
   * Scans whole lines from `start`, which begins a line. Returns the position after the empty line,
   * NEED_MORE (then `#resume` is set) or FAULT.
   */
  #scan(bytes: Buffer, start: number, end: number): number {
    let position = start;
    const startLine = this.#needsStartLine ? this.#startLine : null;
    if (startLine !== null) {
      position = startLine.scan(bytes, start, Math.min(end, start + startLine.lineBytesMax));
      this.#resume = start;
      if (position === NEED_MORE) return NEED_MORE;
      if (position === FAULT) return this.#fail(startLine.faultCode);
      this.#needsStartLine = false;
    }

    const bounds = valueBounds;
    const names = this.#headers.names;
    const countBefore = names.length;
    const countMax = this.#fieldCountMax;
    let count = 0;
    let outcome = NEED_MORE;
    let lineStart = position;
    let field = FIRST_FIELD;
    for (;;) {
      lineStart = position;
      const guess = field.next;
      let found: FieldName;
      if (guess !== null && isSpelledAt(guess, bytes, lineStart)) {
        found = guess;
        position += guess.bytes.length;
      } else {
        let hash = 0;
        while (position < end && TOKEN_LOWER[bytes[position] as number] !== 0) {
          hash = hashStep(hash, bytes[position] as number);
          position++;
        }
        if (position >= end) break;
        if (bytes[position] !== COLON || position === lineStart) {
          outcome = this.#endOrFault(bytes, lineStart, position, end);
          break;
        }
        position++;
        found = internFieldName(bytes, lineStart, hash);
        field.next = found;
      }
      while (position < end && isBlank(bytes[position] as number)) position++;
      const valueStart = position;
      position = skipValue(bytes, position, end);
      if (position + 1 >= end || bytes[position] !== CR || bytes[position + 1] !== LF) {
        outcome = this.#faultInValue(bytes, position, end);
        break;
      }
      if (countBefore + count === countMax) {
        outcome = this.#fail("too_many_fields");
        break;
      }
      let valueEnd = position;
      while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1] as number)) valueEnd--;

      field = found;
      if (field.bits !== 0) {
        this.#repeatedBits |= this.#seenBits & field.bits;
        this.#seenBits |= field.bits;
      }
      names.push(field.name);
      bounds[2 * count] = valueStart;
      bounds[2 * count + 1] = valueEnd;
      count++;
      position += 2;
    }

    if (outcome === FAULT) return FAULT;
    this.#resume = lineStart;
    if (startLine !== null || count > 0) this.#takeText(bytes, start, count, startLine);
    return outcome;
  }

  /** Makes the strings of the start line and of the `count` fields that a scan found. */
  #takeText(bytes: Buffer, start: number, count: number, startLine: StartLine | null): void {
    // One string of the whole head; V8 makes the long values slices of it without copying.
    const text = (bytes as Latin1Buffer).latin1Slice(start, this.#resume);
    startLine?.take(text, start);
    const bounds = valueBounds;
    const values = this.#headers.values;
    for (let index = 0; index < 2 * count; index += 2) {
      const valueStart = (bounds[index] as number) - start;
      values.push(text.substring(valueStart, (bounds[index + 1] as number) - start));
    }
  }

  /** The empty line at `lineStart`, or what is wrong with a name that ends at `position`. */
  #endOrFault(bytes: Buffer, lineStart: number, position: number, end: number): number {
    const byte = bytes[position];
    if (position === lineStart && byte === CR) {
      if (position + 1 >= end) return NEED_MORE;
      if (bytes[position + 1] === LF) return position + 2;
    }
    return this.#faultAt(bytes, position, end, nameFault(byte, position === lineStart));
  }

  #faultInValue(bytes: Buffer, position: number, end: number): number {
    const byte = bytes[position];
    if (position >= end || (byte === CR && position + 1 >= end)) return NEED_MORE;
    const code = byte === LF ? "bare_lf" : byte === CR ? "bare_cr" : "bad_field_value";
    return this.#faultAt(bytes, position, end, code);
  }

  /** A fault counts when its line is complete: see the head of this file. */
  #faultAt(bytes: Buffer, position: number, end: number, code: HttpFaultCode): number {
    return hasLf(bytes, position, end) ? this.#fail(code) : NEED_MORE;
  }
}

/** The position after the bytes that a field value may hold: most of a head, so four at once. */
function skipValue(bytes: Buffer, start: number, end: number): number {
  const allowed = VALUE_BYTE;
  const fourEnd = end - 3;
  let position = start;
  while (
    position < fourEnd &&
    ((allowed[bytes[position] as number] as number) &
      (allowed[bytes[position + 1] as number] as number) &
      (allowed[bytes[position + 2] as number] as number) &
      (allowed[bytes[position + 3] as number] as number)) ===
      1
  ) {
    position += 4;
  }
  while (position < end && allowed[bytes[position] as number] === 1) position++;
  return position;
}

/** Is there an LF in [position, end)? */
export function hasLf(bytes: Buffer, position: number, end: number): boolean {
  const lf = bytes.indexOf(LF, position);
  return lf !== -1 && lf < end;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** The fault of a field line whose name ends at `byte`. */
function nameFault(byte: number | undefined, isLineStart: boolean): HttpFaultCode {
  switch (byte) {
    case SPACE:
    case TAB:
      return isLineStart ? "line_folding" : "space_before_colon";
    case LF:
      return "bare_lf";
    case CR:
      return isLineStart ? "bare_cr" : "bad_field_name";
    case undefined:
    default:
      return "bad_field_name";
  }
}
