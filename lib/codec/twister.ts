/**
 * The random numbers that FAISS's local search draws.
 *
 * @module
 */

const SIZE = 624;

/** MT19937, and integers below a limit as C++'s standard library makes them of it. */
export class Twister {
  readonly #state = new Uint32Array(SIZE);
  #at = SIZE;

  /** A generator that begins with a seed. */
  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < SIZE; i++) {
      const last = this.#state[i - 1]!;
      this.#state[i] = Math.imul(1812433253, last ^ last >>> 30) + i;
    }
  }

  /** 32 random bits. */
  next(): number {
    const state = this.#state;
    if (this.#at === SIZE) {
      for (let i = 0; i < SIZE; i++) {
        const y = state[i]! & 0x80000000 | state[(i + 1) % SIZE]! & 0x7fffffff;
        state[i] = state[(i + 397) % SIZE]! ^ y >>> 1 ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.#at = 0;
    }
    let y = state[this.#at++]!;
    y ^= y >>> 11;
    y ^= y << 7 & 0x9d2c5680;
    y ^= y << 15 & 0xefc60000;
    return (y ^ y >>> 18) >>> 0;
  }

  /** An integer from 0 to below the limit: the upper half of a product, unless the lower one favours some. */
  below(limit: number): number {
    const wide = BigInt(limit);
    const least = 2n ** 32n % wide;
    for (;;) {
      const product = BigInt(this.next()) * wide;
      if ((product & 0xffffffffn) >= least) return Number(product >> 32n);
    }
  }
}
