//! Cuts what a connection reads into frames (RFC 9113 section 4.1).
//!
//! A frame that lies whole in one read is handed on where it lies. One that does not is put
//! together first, DATA excepted: of that each part is handed on as it comes.

import {
  ErrorCode,
  Flag,
  FRAME_BYTES_MAX,
  FRAME_HEAD_BYTES,
  FrameType,
  PREFACE,
  readUint24,
  readUint32,
  STREAM_ID_MAX,
} from "./frames.ts";
import type { FrameHead } from "./frames.ts";

export interface FrameSink {
  /** Nothing more is wanted. */
  readonly isOver: boolean;
  /** A frame that is not DATA: its payload is [start, end). */
  onFrame(head: FrameHead, bytes: Buffer, start: number, end: number): void;
  /** DATA begins; of its payload `paddingBytes` are no body. */
  onDataHead(head: FrameHead, paddingBytes: number): void;
  onData(body: Buffer): void;
  onDataEnd(head: FrameHead): void;
  onFrameFault(code: ErrorCode): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #head: FrameHead = { length: 0, type: 0, flags: 0, stream: 0 };
  #needsPreface = true;
  /** The beginning of what has not come whole, and how much of it is there. */
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;
  /** What is still to come of a DATA frame that has begun. */
  #isInData = false;
  #bodyBytes = 0;
  #paddingBytes = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  read(chunk: Buffer): void {
    let at = 0;
    while (this.#heldBytes > 0 && !this.#sink.isOver) {
      at = this.#fillHeld(chunk, at);
      if (at === -1) return;
    }
    while (at < chunk.length && !this.#sink.isOver) {
      const next = this.#readOne(chunk, at);
      if (next === -1) {
        this.#hold(chunk, at);
        return;
      }
      at = next;
    }
  }

  /** Reads one frame, or a part of DATA, from `at`; -1 when not all that it needs is there. */
  #readOne(bytes: Buffer, at: number): number {
    if (this.#isInData) return this.#readData(bytes, at);
    const needed = this.#neededBytes(bytes, at);
    if (this.#sink.isOver) return bytes.length;
    if (bytes.length - at < needed) return -1;
    if (this.#needsPreface) {
      this.#needsPreface = false;
      return at + PREFACE.length;
    }
    const start = at + FRAME_HEAD_BYTES;
    if (this.#head.type !== FrameType.data) {
      this.#sink.onFrame(this.#head, bytes, start, start + this.#head.length);
      return start + this.#head.length;
    }
    return this.#beginData(bytes, start);
  }

  /** How much has to be there before what begins at `at` is read; more when more is known of it. */
  #neededBytes(bytes: Buffer, at: number): number {
    if (this.#needsPreface) {
      const known = Math.min(PREFACE.length, bytes.length - at);
      const isRight = bytes.compare(PREFACE, 0, known, at, at + known) === 0;
      if (!isRight) this.#sink.onFrameFault(ErrorCode.protocolError);
      return PREFACE.length;
    }
    if (bytes.length - at < FRAME_HEAD_BYTES) return FRAME_HEAD_BYTES;
    const head = this.#head;
    head.length = readUint24(bytes, at);
    head.type = bytes[at + 3] as number;
    head.flags = bytes[at + 4] as number;
    head.stream = readUint32(bytes, at + 5) & STREAM_ID_MAX;
    if (head.length > FRAME_BYTES_MAX) this.#sink.onFrameFault(ErrorCode.frameSizeError);
    if (head.type !== FrameType.data) return FRAME_HEAD_BYTES + head.length;
    if ((head.flags & Flag.padded) === 0) return FRAME_HEAD_BYTES;
    if (head.length === 0) this.#sink.onFrameFault(ErrorCode.frameSizeError);
    return FRAME_HEAD_BYTES + 1;
  }

  #beginData(bytes: Buffer, start: number): number {
    const head = this.#head;
    const isPadded = (head.flags & Flag.padded) !== 0;
    const paddingBytes = isPadded ? (bytes[start] as number) + 1 : 0;
    if (paddingBytes > head.length) {
      this.#sink.onFrameFault(ErrorCode.protocolError);
      return bytes.length;
    }
    this.#isInData = true;
    this.#bodyBytes = head.length - paddingBytes;
    this.#paddingBytes = isPadded ? paddingBytes - 1 : 0;
    this.#sink.onDataHead(head, paddingBytes);
    return this.#readData(bytes, isPadded ? start + 1 : start);
  }

  #readData(bytes: Buffer, start: number): number {
    const bodyEnd = Math.min(bytes.length, start + this.#bodyBytes);
    if (bodyEnd > start) {
      this.#bodyBytes -= bodyEnd - start;
      if (!this.#sink.isOver) this.#sink.onData(bytes.subarray(start, bodyEnd));
    }
    const end = Math.min(bytes.length, bodyEnd + this.#paddingBytes);
    this.#paddingBytes -= end - bodyEnd;
    if (this.#bodyBytes + this.#paddingBytes > 0) return end;
    this.#isInData = false;
    if (!this.#sink.isOver) this.#sink.onDataEnd(this.#head);
    return end;
  }

  #hold(bytes: Buffer, at: number): void {
    this.#heldBytes = bytes.length - at;
    const needed = this.#neededBytes(bytes, at);
    this.#held = Buffer.allocUnsafe(Math.max(needed, FRAME_HEAD_BYTES));
    bytes.copy(this.#held, 0, at);
  }

  /** Adds to what is held from `at` on, and reads it when it is whole. -1: it is not yet. */
  #fillHeld(bytes: Buffer, at: number): number {
    const held = this.#held.subarray(0, this.#heldBytes);
    const missing = this.#neededBytes(held, 0) - this.#heldBytes;
    if (this.#sink.isOver) return -1;
    const taken = Math.min(missing, bytes.length - at);
    this.#grow(this.#heldBytes + missing);
    bytes.copy(this.#held, this.#heldBytes, at, at + taken);
    this.#heldBytes += taken;
    if (taken < missing) return -1;
    const whole = this.#held.subarray(0, this.#heldBytes);
    // With the head there may be more to wait for.
    if (this.#neededBytes(whole, 0) > this.#heldBytes) return at + taken;
    this.#heldBytes = 0;
    this.#readOne(whole, 0);
    return at + taken;
  }

  #grow(bytes: number): void {
    if (bytes <= this.#held.length) return;
    const grown = Buffer.allocUnsafe(bytes);
    this.#held.copy(grown, 0, 0, this.#heldBytes);
    this.#held = grown;
  }
}
