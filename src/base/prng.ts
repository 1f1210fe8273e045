//! The only door to chance. A seeded generator replays a test; the system one starts from entropy.

export interface Prng {
  /** A whole number, uniform in [0, limit). `limit` is 1 to 2^32. */
  below(limit: number): number;
}

/** xorshift32 (Marsaglia 2003): small and fast; not for secrets. */
export class SeededPrng implements Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 === 0 ? 0x9e3779b9 : seed >>> 0;
  }

  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return Math.floor((this.#state / 0x1_0000_0000) * limit);
  }
}

export const systemPrng: Prng = new SeededPrng(Math.floor(Math.random() * 0xffff_ffff));
