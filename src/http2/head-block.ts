//! A block of fields that comes in several frames (RFC 9113 section 6.10).

import { HEAD_BYTES_MAX } from "../http/limits.ts";

/** Of a block as it is sent, in all its frames. */
export const BLOCK_BYTES_MAX: number = 2 * HEAD_BYTES_MAX;
/** Frames of one block behind the first: some may be empty, and a block needs few. */
export const CONTINUATION_COUNT_MAX = 64;

export class HeadBlock {
  /** Whose block it is; 0 when none is open. */
  stream = 0;
  endsStream = false;
  #parts: Buffer[] = [];
  #bytes = 0;
  #count = 0;

  begin(stream: number, endsStream: boolean): void {
    this.stream = stream;
    this.endsStream = endsStream;
    this.#parts = [];
    this.#bytes = 0;
    this.#count = 0;
  }

  /** False: that is too much. */
  add(bytes: Buffer, start: number, end: number): boolean {
    this.#bytes += end - start;
    this.#count += 1;
    if (this.#bytes > BLOCK_BYTES_MAX || this.#count > 1 + CONTINUATION_COUNT_MAX) return false;
    // A copy: what was read is kept no longer than its turn.
    if (end > start) this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    return true;
  }

  /** What has come of it, whole. */
  take(): Buffer {
    const block = Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    return block;
  }
}
