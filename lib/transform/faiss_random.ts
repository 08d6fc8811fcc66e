/**
 * FAISS's random numbers: the same seed gives the same ones.
 *
 * @module
 */

const STATE = 624;
const SHIFT = 397;
const UPPER = 0x80000000;
const LOWER = 0x7fffffff;

/** The Mersenne Twister of 32 bits (Matsumoto and Nishimura, 1998), as C++'s `std::mt19937`. */
export class MersenneTwister {
  readonly #state = new Uint32Array(STATE);
  #at = STATE;

  /**
   * Starts from a seed.
   *
   * @param seed An integer, of which the low 32 bits count.
   */
  constructor(seed: number) {
    this.#state[0] = seed % 2 ** 32;
    for (let i = 1; i < STATE; i++) {
      const before = this.#state[i - 1]! ^ (this.#state[i - 1]! >>> 30);
      this.#state[i] = Math.imul(before, 1812433253) + i;
    }
  }

  /** The next 32 bits, unsigned. */
  next(): number {
    if (this.#at === STATE) this.#twist();
    let bits = this.#state[this.#at++]!;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  }

  /** 31 bits: FAISS's `rand_int()`. */
  integer(): number {
    return this.next() & LOWER;
  }

  /** A number in [0, 1]: FAISS's `rand_double()`. */
  uniform(): number {
    return this.next() / 0xffffffff;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE; i++) {
      const mixed = (state[i]! & UPPER) | (state[(i + 1) % STATE]! & LOWER);
      const odd = (mixed & 1) === 0 ? 0 : 0x9908b0df;
      state[i] = state[(i + SHIFT) % STATE]! ^ (mixed >>> 1) ^ odd;
    }
    this.#at = 0;
  }
}

/** Runs of numbers that FAISS draws from generators of their own, so that threads can share them. */
const BLOCKS = 1024;

/**
 * Numbers of the standard normal distribution: FAISS's `float_randn`.
 *
 * @param n How many.
 * @param seed Seed.
 */
export function randomNormals(n: number, seed: number): Float32Array {
  const out = new Float32Array(n);
  const blocks = n < BLOCKS ? 1 : BLOCKS;
  const seeds = new MersenneTwister(seed);
  const [first, step] = [seeds.integer(), seeds.integer()];
  for (let block = 0; block < blocks; block++) {
    const random = new MersenneTwister(first + block * step);
    const end = Math.floor((block + 1) * n / blocks);
    for (let i = Math.floor(block * n / blocks); i < end; i += 2) {
      // Marsaglia's polar method: two numbers a round, of which an odd block's last is dropped.
      let [x, y, square] = [0, 0, 1];
      while (square >= 1) {
        x = 2 * random.uniform() - 1;
        y = 2 * random.uniform() - 1;
        square = x * x + y * y;
      }
      const scale = Math.sqrt(-2 * Math.log(square) / square);
      out[i] = x * scale;
      if (i + 1 < end) out[i + 1] = y * scale;
    }
  }
  return out;
}

/**
 * The first `count` of a random permutation of `0 … n − 1`: FAISS's `rand_perm`.
 *
 * @param n How many integers there are.
 * @param count How many are wanted.
 * @param seed Seed.
 */
export function randomRows(n: number, count: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const random = new MersenneTwister(seed);
  for (let i = 0; i < Math.min(count, n - 1); i++) {
    const j = i + random.next() % (n - i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order.slice(0, count);
}

/** Seed of the rows that FAISS trains on where it is given too many. */
const SUBSAMPLE = 1234;

/**
 * At most `most` rows: FAISS's `fvecs_maybe_subsample`.
 *
 * @param x Rows of `d` numbers.
 * @param d Numbers a row.
 * @param most Rows wanted at most.
 */
export function subsample(x: Float32Array, d: number, most: number): Float32Array {
  const n = x.length / d;
  if (n <= most) return x;
  const out = new Float32Array(most * d);
  randomRows(n, most, SUBSAMPLE).forEach((row, i) => {
    out.set(x.subarray(row * d, (row + 1) * d), i * d);
  });
  return out;
}

const MASK = 2n ** 64n - 1n;

/**
 * Signs by SplitMix64 (Steele, Lea and Flood, 2014): FAISS's of a Hadamard rotation.
 *
 * @param n How many.
 * @param seed Seed.
 * @returns 1 and −1.
 */
export function randomSigns(n: number, seed: number): Float32Array {
  let state = BigInt(seed);
  return Float32Array.from({ length: n }, () => {
    state = (state + 0x9e3779b97f4a7c15n) & MASK;
    let bits = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    bits = ((bits ^ (bits >> 27n)) * 0x94d049bb133111ebn) & MASK;
    return ((bits ^ (bits >> 31n)) & 1n) === 0n ? -1 : 1;
  });
}
