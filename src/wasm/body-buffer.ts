//! The bytes of a body that one callback of a plug-in sees and changes: one chunk, or all that is
//! held back so far. Changes follow Envoy, which edits its start and its end only.

import { Status } from "./enums.ts";

const EMPTY = Buffer.alloc(0);

export class BodyBuffer {
  /** A guest has changed it: lengths that were announced before no longer hold. */
  isModified = false;
  #chunks: Buffer[];
  #size: number;

  /** Keeps a copy of `chunk`, which may be a part of a buffer that is reused. */
  constructor(chunk: Uint8Array = EMPTY) {
    this.#size = chunk.length;
    this.#chunks = chunk.length === 0 ? [] : [Buffer.from(chunk)];
  }

  get size(): number {
    return this.#size;
  }

  /** Everything in one piece. Valid until the next change. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#size)];
    return this.#chunks[0] ?? EMPTY;
  }

  /** The pieces as they are: for whoever writes them on and needs no copy. */
  get chunks(): readonly Buffer[] {
    return this.#chunks;
  }

  /** Empties it: what it held goes to the caller. */
  take(): readonly Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#size = 0;
    return chunks;
  }

  /** Takes over all of `other`. */
  append(other: BodyBuffer): void {
    this.isModified ||= other.isModified;
    this.#add(other.#chunks, other.#size);
  }

  /**
   * `proxy_set_buffer_bytes`: from 0 it drops `length` bytes (clipped) and puts `value` before the
   * rest; from the end on it appends; inside it is refused, as in Envoy.
   */
  set(start: number, length: number, value: Uint8Array): Status {
    if (start !== 0 && start < this.#size) return Status.badArgument;
    this.isModified = true;
    // Copies: both `bytes` and `value` are views of memory that lives on.
    const copy = Buffer.from(value);
    if (start !== 0) {
      this.#add([copy], copy.length);
      return Status.ok;
    }
    const rest = this.bytes.subarray(Math.min(length, this.#size));
    this.#chunks = [copy, rest].filter((chunk) => chunk.length > 0);
    this.#size = copy.length + rest.length;
    return Status.ok;
  }

  #add(chunks: readonly Buffer[], size: number): void {
    this.#chunks.push(...chunks);
    this.#size += size;
  }
}
