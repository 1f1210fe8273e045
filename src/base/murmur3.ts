//! MurmurHash3, 32 bit, the x86 variant (Austin Appleby, public domain). Cohorts are dealt by it.

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/** murmur3_x86_32 of the first `length` bytes, as an unsigned number. */
export function murmur3x86(bytes: Uint8Array, seed = 0, length: number = bytes.length): number {
  let hash = seed | 0;
  const blocksEnd = length - (length % 4);
  for (let at = 0; at < blocksEnd; at += 4) {
    hash ^= mixed(littleEndian(bytes, at, 4));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  if (blocksEnd < length) hash ^= mixed(littleEndian(bytes, blocksEnd, length - blocksEnd));
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** `count` bytes as a little-endian word. */
function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let word = 0;
  for (let index = 0; index < count; index++) word |= (bytes[at + index] ?? 0) << (8 * index);
  return word;
}

function mixed(word: number): number {
  const scrambled = Math.imul(word, C1);
  return Math.imul((scrambled << 15) | (scrambled >>> 17), C2);
}
