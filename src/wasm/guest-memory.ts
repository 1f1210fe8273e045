//! The linear memory of one VM: bounds-checked reads, writes and allocations.
//!
//! Pointers and lengths arrive as signed i32 and mean u32. Views over the memory die when the guest
//! grows it; a dead view has length 0, which is how one is noticed without asking the engine.

import { Status } from "./enums.ts";
import type { FuelGauge } from "./fuel/gauge.ts";

/** Envoy's limit of guest memory. Beyond it the guest is stopped as by a trap. */
const GUEST_MEMORY_BYTES_MAX = 1 << 30;
/** Text up to this length is copied by a loop; beyond it a native copy is faster. */
const LOOP_COPY_MAX = 48;

export class GuestMemory {
  readonly #gauge: FuelGauge;
  #memory: WebAssembly.Memory | null = null;
  #allocate: (size: number) => number = () => 0;
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));

  /** What host functions do with the memory is charged to `gauge`. */
  constructor(gauge: FuelGauge) {
    this.#gauge = gauge;
  }

  /**
   * Ties it to an instance: until then nothing is inside. `allocate` is the guest's `malloc`, or
   * its `proxy_on_memory_allocate`.
   */
  attach(memory: WebAssembly.Memory, allocate: (size: number) => number): void {
    this.#memory = memory;
    this.#allocate = allocate;
  }

  /** All bytes, live until the guest next runs. */
  get bytes(): Buffer {
    if (this.#bytes.length === 0) this.#refresh();
    return this.#bytes;
  }

  /** The same bytes, for reading several at once. */
  get view(): DataView {
    if (this.#bytes.length === 0) this.#refresh();
    return this.#view;
  }

  /** Whether `[pointer, pointer + length)` lies inside the memory. */
  isInside(pointer: number, length: number): boolean {
    this.#gauge.touch(length);
    return this.#fits(pointer, length);
  }

  #fits(pointer: number, length: number): boolean {
    return (pointer >>> 0) + (length >>> 0) <= this.bytes.length;
  }

  /** A copy of the bytes, or null when they lie outside the memory. */
  copy(pointer: number, length: number): Uint8Array | null {
    if (!this.isInside(pointer, length)) return null;
    const start = pointer >>> 0;
    return Uint8Array.prototype.slice.call(this.bytes, start, start + (length >>> 0));
  }

  /** A little-endian u32. The caller has checked the bounds. */
  u32At(pointer: number): number {
    if (this.#bytes.length === 0) this.#refresh();
    return this.#view.getUint32(pointer >>> 0, true);
  }

  writeU8(pointer: number, value: number): Status {
    if (!this.isInside(pointer, 1)) return Status.invalidMemoryAccess;
    this.#view.setUint8(pointer >>> 0, value);
    return Status.ok;
  }

  writeU32(pointer: number, value: number): Status {
    if (!this.isInside(pointer, 4)) return Status.invalidMemoryAccess;
    this.#view.setUint32(pointer >>> 0, value, true);
    return Status.ok;
  }

  writeU64(pointer: number, value: bigint): Status {
    if (!this.isInside(pointer, 8)) return Status.invalidMemoryAccess;
    this.#view.setBigUint64(pointer >>> 0, value, true);
    return Status.ok;
  }

  fillZero(pointer: number, length: number): Status {
    if (!this.isInside(pointer, length)) return Status.invalidMemoryAccess;
    this.bytes.fill(0, pointer >>> 0, (pointer >>> 0) + (length >>> 0));
    return Status.ok;
  }

  /**
   * Hands Latin-1 text to the guest: allocates exactly its length, copies, and writes pointer and
   * length to the two out addresses. Nothing is allocated for the empty text.
   */
  giveLatin1(text: string, outPointer: number, outLength: number): Status {
    const length = text.length;
    const start = this.#reserve(length, outPointer, outLength);
    if (start === -1) return Status.invalidMemoryAccess;
    if (length > LOOP_COPY_MAX) this.#bytes.write(text, start, "latin1");
    else {
      const bytes = this.#bytes;
      for (let index = 0; index < length; index++) bytes[start + index] = text.charCodeAt(index);
    }
    return Status.ok;
  }

  /** As `giveLatin1`, for bytes. */
  giveBytes(source: Uint8Array, outPointer: number, outLength: number): Status {
    const start = this.#reserve(source.length, outPointer, outLength);
    if (start === -1) return Status.invalidMemoryAccess;
    if (source.length > 0) this.#bytes.set(source, start);
    return Status.ok;
  }

  /** Allocates, writes both out addresses, and returns the start; -1 when any address is bad. */
  #reserve(length: number, outPointer: number, outLength: number): number {
    this.#gauge.touch(length);
    if (!this.#fits(outPointer, 4) || !this.#fits(outLength, 4)) return -1;
    let start = 0;
    if (length > 0) {
      start = this.#allocate(length) >>> 0;
      if (start === 0 || !this.#fits(start, length)) return -1;
    }
    this.#view.setUint32(outPointer >>> 0, start, true);
    this.#view.setUint32(outLength >>> 0, length, true);
    return start;
  }

  #refresh(): void {
    if (this.#memory === null) return;
    const { buffer } = this.#memory;
    if (buffer.byteLength > GUEST_MEMORY_BYTES_MAX) {
      throw new RangeError(`guest memory passed its limit of ${GUEST_MEMORY_BYTES_MAX} bytes`);
    }
    this.#bytes = Buffer.from(buffer);
    this.#view = new DataView(buffer);
  }
}
