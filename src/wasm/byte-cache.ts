//! Makes one value of one run of guest bytes, and makes it once. Guests name the same few headers
//! and properties again and again: comparing bytes is several times cheaper than decoding text.

/** Slots of the table. A full table forgets: the newest key takes the slot. */
const SLOTS_MAX = 256;
/** Longer keys are made each time. */
const KEY_BYTES_MAX = 64;

interface Slot<T> {
  readonly key: Uint8Array;
  readonly value: T;
}

export class ByteCache<T> {
  readonly #slots: (Slot<T> | undefined)[] = new Array<Slot<T> | undefined>(SLOTS_MAX);
  readonly #make: (bytes: Uint8Array) => T;

  /** `make` must depend on the bytes alone and may not keep them. */
  constructor(make: (bytes: Uint8Array) => T) {
    this.#make = make;
  }

  /** The value of `memory[start, start + length)`. The caller has checked the bounds. */
  get(memory: Uint8Array, start: number, length: number): T {
    if (length === 0 || length > KEY_BYTES_MAX) {
      return this.#make(memory.subarray(start, start + length));
    }
    const index = slotOf(memory, start, length);
    const slot = this.#slots[index];
    if (slot !== undefined && isEqual(slot.key, memory, start, length)) return slot.value;
    // A copy: slice of a Buffer would be a view, and change with the guest's memory.
    const key = new Uint8Array(memory.subarray(start, start + length));
    const value = this.#make(key);
    this.#slots[index] = { key, value };
    return value;
  }
}

/** Four bytes and the length: enough to tell apart the few names that one guest uses. */
function slotOf(memory: Uint8Array, start: number, length: number): number {
  const first = memory[start] as number;
  const middle = memory[start + (length >> 1)] as number;
  const late = memory[start + length - (length >> 2) - 1] as number;
  const last = memory[start + length - 1] as number;
  return (first + middle * 5 + late * 17 + last * 61 + length * 131) & (SLOTS_MAX - 1);
}

function isEqual(key: Uint8Array, memory: Uint8Array, start: number, length: number): boolean {
  if (key.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (key[index] !== memory[start + index]) return false;
  }
  return true;
}
