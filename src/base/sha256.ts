//! SHA-256 (FIPS 180-4) in plain TypeScript.
//!
//! Only for code that must run in a browser and answer at once (`crypto.subtle` is asynchronous):
//! the compatibility hashes of cohorts. Everything else takes node:crypto, which is much faster.

const BLOCK_BYTES = 64;

/** Fractional parts of the roots of the first primes, 32 bits (FIPS 180-4, 4.2.2 and 5.3.3). */
const PRIMES = primes(64);
const ROUND_WORDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
const START_WORDS = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));

/** The 32 bytes of the digest. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const state = Int32Array.from(START_WORDS);
  const schedule = new Int32Array(64);
  const padded = pad(bytes);
  for (let at = 0; at < padded.byteLength; at += BLOCK_BYTES) {
    compress(state, schedule, new DataView(padded.buffer, at, BLOCK_BYTES));
  }
  const digest = new Uint8Array(32);
  const view = new DataView(digest.buffer);
  state.forEach((word, index) => {
    view.setInt32(4 * index, word);
  });
  return digest;
}

/** The message, a 1 bit, zeros, and the message's length in bits. */
function pad(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const blocks = Math.ceil((bytes.length + 9) / BLOCK_BYTES);
  const padded = new Uint8Array(blocks * BLOCK_BYTES);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 0x2000_0000));
  view.setUint32(padded.length - 4, (bytes.length * 8) >>> 0);
  return padded;
}

function compress(state: Int32Array, schedule: Int32Array, block: DataView): void {
  expand(schedule, block);
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let round = 0; round < 64; round++) {
    const s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const chosen = (e & f) ^ (~e & g);
    const t1 = (h + s1 + chosen + wordAt(ROUND_WORDS, round) + wordAt(schedule, round)) | 0;
    const s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => {
    state[index] = (wordAt(state, index) + word) | 0;
  });
}

function expand(schedule: Int32Array, block: DataView): void {
  for (let round = 0; round < 16; round++) schedule[round] = block.getInt32(4 * round);
  for (let round = 16; round < 64; round++) {
    const early = wordAt(schedule, round - 15);
    const late = wordAt(schedule, round - 2);
    const s0 = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3);
    const s1 = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10);
    schedule[round] = wordAt(schedule, round - 16) + s0 + wordAt(schedule, round - 7) + s1;
  }
}

function wordAt(words: Int32Array, index: number): number {
  return words[index] ?? 0;
}

function rotated(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 0x1_0000_0000) | 0;
}

function primes(count: number): number[] {
  const found: number[] = [];
  for (let candidate = 2; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate);
  }
  return found;
}
