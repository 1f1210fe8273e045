//! Tells in one pass over a text, nearly always, that it is none of some others.
//!
//! The texts of a request are new: to look one up in a `Map` costs V8's hash of it and likely
//! misses of the cache, some three times what this takes.

import { FNV1A_32_OFFSET, FNV1A_32_PRIME } from "../base/fnv1a.ts";

/** In a word of 32 bits: of sixty texts that are not in the filter about one seems to be. */
const TEXTS_PER_WORD = 2;
const WORDS_MIN = 32;

/** Of an empty text: another one for each set of texts in the same filter. */
export function seedOf(position: number): number {
  return Math.imul(FNV1A_32_OFFSET ^ position, FNV1A_32_PRIME);
}

/** FNV-1a of the text's first `end` characters, given that of its first `start`. */
export function hashOn(hash: number, text: string, start: number, end: number): number {
  let sum = hash;
  for (let at = start; at < end; at += 1) {
    sum = Math.imul(sum ^ text.charCodeAt(at), FNV1A_32_PRIME);
  }
  return sum;
}

/** A Bloom filter of two bits in one word: of what was not added it tells so nearly always. */
export class HashFilter {
  readonly #mask: number;
  readonly #words: Int32Array;

  constructor(hashes: readonly number[]) {
    let words = WORDS_MIN;
    while (words * TEXTS_PER_WORD < hashes.length) words *= 2;
    this.#mask = words - 1;
    this.#words = new Int32Array(words);
    for (const hash of hashes) {
      const at = mixed(hash) & this.#mask;
      this.#words[at] = (this.#words[at] ?? 0) | bitsOf(hash);
    }
  }

  mayHave(hash: number): boolean {
    const bits = bitsOf(hash);
    return ((this.#words[mixed(hash) & this.#mask] ?? 0) & bits) === bits;
  }
}

/** The low bits of FNV-1a alone tell too little of the characters that came first. */
function mixed(hash: number): number {
  return hash ^ (hash >>> 15);
}

/** By the high bits, which `mixed` leaves out where a filter is not huge. */
function bitsOf(hash: number): number {
  return (1 << (hash >>> 27)) | (1 << (hash >>> 22));
}
