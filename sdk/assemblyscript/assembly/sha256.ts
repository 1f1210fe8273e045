//! SHA-256 (FIPS 180-4) of bytes in memory, as a big-endian number modulo a small one.

// prettier-ignore
const ROUND_CONSTANTS: StaticArray<u32> = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];
// prettier-ignore
const START: StaticArray<u32> = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

const BLOCK_BYTES: usize = 64;
const state = new StaticArray<u32>(8);
const schedule = new StaticArray<u32>(64);
const lastBlocks = memory.data(128);

/** Each of 32 bits. */
export const DIGEST_WORDS: i32 = 8;

/** The digest as one big-endian number, or its first words, modulo `modulo` (at least 1). */
export function sha256Remainder(
  bytes: usize,
  length: usize,
  modulo: u32,
  words: i32 = DIGEST_WORDS,
): u32 {
  for (let index = 0; index < 8; index++) unchecked((state[index] = START[index]));
  const whole = length & ~(BLOCK_BYTES - 1);
  for (let at: usize = 0; at < whole; at += BLOCK_BYTES) compress(bytes + at);
  const rest = length - whole;
  memory.fill(lastBlocks, 0, 2 * BLOCK_BYTES);
  memory.copy(lastBlocks, bytes + whole, rest);
  store<u8>(lastBlocks + rest, 0x80);
  const padded: usize = rest < BLOCK_BYTES - 8 ? BLOCK_BYTES : 2 * BLOCK_BYTES;
  store<u64>(lastBlocks + padded - 8, bswap<u64>(<u64>length * 8));
  for (let at: usize = 0; at < padded; at += BLOCK_BYTES) compress(lastBlocks + at);
  let remainder: u64 = 0;
  for (let index = 0; index < words; index++) {
    remainder = ((remainder << 32) | unchecked(state[index])) % modulo;
  }
  return <u32>remainder;
}

function compress(block: usize): void {
  for (let index = 0; index < 16; index++) {
    unchecked((schedule[index] = bswap<u32>(load<u32>(block + (index << 2)))));
  }
  for (let index = 16; index < 64; index++) {
    const early = unchecked(schedule[index - 15]);
    const late = unchecked(schedule[index - 2]);
    const first = rotr<u32>(early, 7) ^ rotr<u32>(early, 18) ^ (early >> 3);
    const second = rotr<u32>(late, 17) ^ rotr<u32>(late, 19) ^ (late >> 10);
    unchecked((schedule[index] = schedule[index - 16] + first + schedule[index - 7] + second));
  }
  let a = unchecked(state[0]);
  let b = unchecked(state[1]);
  let c = unchecked(state[2]);
  let d = unchecked(state[3]);
  let e = unchecked(state[4]);
  let f = unchecked(state[5]);
  let g = unchecked(state[6]);
  let h = unchecked(state[7]);
  for (let index = 0; index < 64; index++) {
    const high = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const added = unchecked(ROUND_CONSTANTS[index] + schedule[index]);
    const first = h + high + ((e & f) ^ (~e & g)) + added;
    const low = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const second = low + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  unchecked((state[0] += a));
  unchecked((state[1] += b));
  unchecked((state[2] += c));
  unchecked((state[3] += d));
  unchecked((state[4] += e));
  unchecked((state[5] += f));
  unchecked((state[6] += g));
  unchecked((state[7] += h));
}
