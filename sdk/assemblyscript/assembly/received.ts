//! Where the host puts what it hands over. Every host function returns at most one value, so one
//! block is enough for all of them: it is reused, and nothing needs to be freed.
//!
//! The received bytes are valid until the next call of a host function that returns a value.

/** A larger block is given back as soon as something else is received. */
const KEPT_BYTES_MAX: usize = 64 * 1024;
const BLOCK_BYTES_MIN: usize = 256;

let block: usize = 0;
let capacity: usize = 0;

/** Called by the host for the value that it hands over. Export it from your entry file. */
export function malloc(size: usize): usize {
  if (size > capacity || capacity > KEPT_BYTES_MAX) {
    if (block != 0) heap.free(block);
    capacity = max(size, BLOCK_BYTES_MIN);
    block = heap.alloc(capacity);
  }
  return block;
}

/** Two words: the host writes the value's address and length here. */
const OUT: usize = memory.data(8);

// @ts-ignore: decorator
@inline
export function outPointer(): usize {
  return OUT;
}

// @ts-ignore: decorator
@inline
export function outLength(): usize {
  return OUT + 4;
}

/** Address of the value received last. */
// @ts-ignore: decorator
@inline
export function receivedPointer(): usize {
  return load<u32>(OUT);
}

/** Its length in bytes. */
// @ts-ignore: decorator
@inline
export function receivedLength(): usize {
  return load<u32>(OUT, 4);
}

/** The value received last, copied as UTF-8 text. */
export function receivedText(): string {
  return String.UTF8.decodeUnsafe(receivedPointer(), receivedLength());
}
