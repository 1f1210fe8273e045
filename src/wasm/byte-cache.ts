//! Makes one value of one run of guest bytes, and makes it once. Guests name the same few headers
//! and properties again and again: comparing bytes is several times cheaper than decoding text, and
//! four at a time cheaper than one by one.

/** Slots of the table. A full table forgets: the newest key takes the slot. */
const SLOT_BITS = 8;
/** Longer keys are made each time. */
const KEY_BYTES_MAX = 64;
const WORD_BYTES = 4;
/** Odd numbers without a pattern: their product's high bits depend on all bits of the other. */
const FIRST_FACTOR = 0x9e3779b1;
const LAST_FACTOR = 0x85ebca77;

/** Words are i32, and overlap where the length is no multiple of four. */
interface Slot<T> {
  readonly length: number;
  readonly first: number;
  readonly last: number;
  /** Those between. A plain array: elements of a typed one cost a further check each. */
  readonly middle: readonly number[];
  readonly value: T;
}

export class ByteCache<T> {
  readonly #slots = new Array<Slot<T> | undefined>(1 << SLOT_BITS);
  readonly #make: (bytes: Uint8Array) => T;

  /** `make` must depend on the bytes alone and may not keep them. */
  constructor(make: (bytes: Uint8Array) => T) {
    this.#make = make;
  }

  /** The value of `memory[start, start + length)`. The caller has checked the bounds. */
  get(memory: DataView, start: number, length: number): T {
    if (length === 0 || length > KEY_BYTES_MAX) return this.#make(bytesOf(memory, start, length));
    let first: number;
    let last: number;
    if (length >= WORD_BYTES) {
      first = memory.getInt32(start, true);
      last = memory.getInt32(start + length - WORD_BYTES, true);
    } else {
      first = memory.getUint8(start) | (memory.getUint8(start + (length >> 1)) << 8);
      last = memory.getUint8(start + length - 1);
    }
    const mixed = Math.imul(first, FIRST_FACTOR) + Math.imul(last + length, LAST_FACTOR);
    const index = (mixed | 0) >>> (32 - SLOT_BITS);
    const slot = this.#slots[index];
    if (
      slot?.length === length &&
      slot.first === first &&
      slot.last === last &&
      isEqual(slot.middle, memory, start + WORD_BYTES)
    ) {
      return slot.value;
    }
    const value = this.#make(bytesOf(memory, start, length));
    this.#slots[index] = { length, first, last, middle: middleOf(memory, start, length), value };
    return value;
  }
}

function bytesOf(memory: DataView, start: number, length: number): Uint8Array {
  return new Uint8Array(memory.buffer, memory.byteOffset + start, length);
}

function middleOf(memory: DataView, start: number, length: number): readonly number[] {
  const words: number[] = [];
  for (let at = WORD_BYTES; at < length - WORD_BYTES; at += WORD_BYTES) {
    words.push(memory.getInt32(start + at, true));
  }
  return words;
}

function isEqual(words: readonly number[], memory: DataView, start: number): boolean {
  for (let index = 0; index < words.length; index++) {
    if (memory.getInt32(start + index * WORD_BYTES, true) !== words[index]) return false;
  }
  return true;
}
