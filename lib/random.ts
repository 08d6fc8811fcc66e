/**
 * Seeded random numbers: the same everywhere.
 *
 * @module
 */

/**
 * A small fast generator (sfc32): 128 bits of state, 32 a step.
 *
 * @example
 * ```ts
 * import { Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * assert.equal(new Random(7).uniform(), new Random(7).uniform());
 * assert.deepEqual([...new Random(1).permutation(3)].sort(), [0, 1, 2]);
 * ```
 */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;
  #spare: number | undefined;

  /**
   * Starts from a seed.
   *
   * @param seed An integer; all its 53 bits count.
   */
  constructor(seed: number) {
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = seed | 0;
    // Near seeds give near states until they are mixed.
    for (let i = 0; i < 15; i++) this.next();
  }

  /** The next 32 bits, unsigned. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A number in [0, 1), of 53 bits. */
  uniform(): number {
    return ((this.next() >>> 5) * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53;
  }

  /** A number of the standard normal distribution. */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    // Marsaglia's polar method: two numbers a round.
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const scale = Math.sqrt(-2 * Math.log(square) / square);
      this.#spare = y * scale;
      return x * scale;
    }
  }

  /**
   * An integer in [0, n).
   *
   * @param n How many integers to choose from.
   */
  integer(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /**
   * The first `count` of a random permutation of `0 … n − 1`.
   *
   * @param n How many integers there are.
   * @param count How many are wanted; by default all.
   */
  permutation(n: number, count = n): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < count; i++) {
      const j = i + this.integer(n - i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order.slice(0, count);
  }
}
