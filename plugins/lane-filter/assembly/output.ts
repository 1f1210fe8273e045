//! Bytes that are written one behind the other, as texts are taken out of a body. Each operand has
//! an output of its own: its value stays there until it is read for another request.

/** A larger buffer is given back before the next value. */
const KEPT_BYTES_MAX: usize = 4096;
const BYTES_MIN: usize = 64;

export class Output {
  start: usize = 0;
  length: usize = 0;
  private capacity: usize = 0;

  clear(): void {
    this.length = 0;
    if (this.capacity <= KEPT_BYTES_MAX) return;
    heap.free(this.start);
    this.start = 0;
    this.capacity = 0;
  }

  byte(value: u32): void {
    if (this.length == this.capacity) this.grow(1);
    store<u8>(this.start + this.length, <u8>value);
    this.length += 1;
  }

  copy(from: usize, bytes: usize): void {
    if (this.length + bytes > this.capacity) this.grow(bytes);
    memory.copy(this.start + this.length, from, bytes);
    this.length += bytes;
  }

  /** A code point as UTF-8. */
  point(code: u32): void {
    if (code < 0x80) {
      this.byte(code);
      return;
    }
    if (code < 0x800) this.byte(0xc0 | (code >> 6));
    else {
      if (code < 0x10000) this.byte(0xe0 | (code >> 12));
      else {
        this.byte(0xf0 | (code >> 18));
        this.byte(0x80 | ((code >> 12) & 0x3f));
      }
      this.byte(0x80 | ((code >> 6) & 0x3f));
    }
    this.byte(0x80 | (code & 0x3f));
  }

  private grow(bytes: usize): void {
    const capacity = max(max(this.capacity * 2, BYTES_MIN), this.length + bytes);
    const wider = heap.alloc(capacity);
    memory.copy(wider, this.start, this.length);
    if (this.start != 0) heap.free(this.start);
    this.start = wider;
    this.capacity = capacity;
  }
}
