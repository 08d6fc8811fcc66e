/**
 * Buckets of vectors of bits by a part of their bits.
 *
 * @module
 */

/** Least number of places. */
const FEWEST = 16;

/** A part of a vector's bits: the lower 32 and the others. */
export interface Key {
  /** Bits 0 to 31. */
  low: number;
  /** Bits 32 to 63. */
  high: number;
}

/** Up to 32 bits of a vector, from the bit `from` on. */
function readBits(codes: Uint8Array, at: number, from: number, count: number): number {
  let value = codes[at + (from >> 3)]! >> (from & 7);
  let read = 8 - (from & 7);
  for (let byte = at + (from >> 3) + 1; read < count; byte++, read += 8) {
    // As a float: up to 39 bits.
    value += codes[byte]! * 2 ** read;
  }
  return value % 2 ** count >>> 0;
}

/** Vectors by position, in buckets of those that have the same bits from `from` to `from + b`. */
export class BucketTable {
  readonly #from: number;
  readonly #b: number;
  // Open addressing: the last vector of a bucket, −1 where there is none, and the bucket's bits.
  #heads = new Int32Array(FEWEST).fill(-1);
  #lows = new Uint32Array(FEWEST);
  #highs = new Uint32Array(FEWEST);
  // Of each vector the one before it in its bucket, −1 at the end.
  #before = new Int32Array(0);
  #rows = 0;
  #buckets = 0;

  /** An empty table. */
  constructor(from: number, b: number) {
    this.#from = from;
    this.#b = b;
  }

  /** Number of buckets. */
  get size(): number {
    return this.#buckets;
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return 12 * this.#heads.length + 4 * this.#before.length;
  }

  /** The bits of a vector that starts at a byte. */
  key(codes: Uint8Array, at: number): Key {
    const [from, b] = [this.#from, this.#b];
    return {
      low: readBits(codes, at, from, Math.min(b, 32)),
      high: b > 32 ? readBits(codes, at, from + 32, b - 32) : 0,
    };
  }

  /** Appends vectors. */
  add(codes: Uint8Array, codeSize: number): void {
    const n = codes.length / codeSize;
    this.#reserve(this.#rows + n);
    for (let i = 0; i < n; i++) {
      const { low, high } = this.key(codes, i * codeSize);
      const slot = this.#slot(low, high);
      if (this.#heads[slot] === -1) {
        this.#buckets++;
        this.#lows[slot] = low;
        this.#highs[slot] = high;
      }
      this.#before[this.#rows] = this.#heads[slot]!;
      this.#heads[slot] = this.#rows++;
      if (2 * this.#buckets > this.#heads.length) this.#widen();
    }
  }

  #reserve(rows: number): void {
    if (rows <= this.#before.length) return;
    const larger = new Int32Array(Math.max(rows, Math.ceil(this.#rows * 1.5)));
    larger.set(this.#before.subarray(0, this.#rows));
    this.#before = larger;
  }

  /** Where a bucket is, or where there is room for it. */
  #slot(low: number, high: number): number {
    const mask = this.#heads.length - 1;
    let slot = Math.imul(Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b), 0xc2b2ae35);
    for (slot = (slot ^ slot >>> 15) & mask; this.#heads[slot] !== -1; slot = (slot + 1) & mask) {
      if (this.#lows[slot] === low && this.#highs[slot] === high) break;
    }
    return slot;
  }

  #widen(): void {
    const [heads, lows, highs] = [this.#heads, this.#lows, this.#highs];
    this.#heads = new Int32Array(2 * heads.length).fill(-1);
    this.#lows = new Uint32Array(2 * heads.length);
    this.#highs = new Uint32Array(2 * heads.length);
    heads.forEach((head, i) => {
      if (head === -1) return;
      const slot = this.#slot(lows[i]!, highs[i]!);
      this.#heads[slot] = head;
      this.#lows[slot] = lows[i]!;
      this.#highs[slot] = highs[i]!;
    });
  }

  /** Visits the vectors of the buckets of which at most `nflip` bits differ, from the last back. */
  near({ low, high }: Key, nflip: number, visit: (row: number) => void): void {
    const bits = this.#b;
    if (flips(bits, nflip) > this.#heads.length) {
      this.#heads.forEach((head, i) => {
        const differ = ones(this.#lows[i]! ^ low) + ones(this.#highs[i]! ^ high);
        if (head !== -1 && differ <= nflip) this.#visit(head, visit);
      });
      return;
    }
    const walk = (low: number, high: number, first: number, left: number) => {
      this.#visit(this.#heads[this.#slot(low >>> 0, high >>> 0)]!, visit);
      if (left === 0) return;
      for (let bit = first; bit < bits; bit++) {
        if (bit < 32) walk(low ^ 1 << bit, high, bit + 1, left - 1);
        else walk(low, high ^ 1 << bit - 32, bit + 1, left - 1);
      }
    };
    walk(low, high, 0, nflip);
  }

  #visit(head: number, visit: (row: number) => void): void {
    for (let row = head; row !== -1; row = this.#before[row]!) visit(row);
  }

  /** Each bucket's bits and its vectors in order; buckets are in order of their first one. */
  buckets(): (Key & { rows: Int32Array })[] {
    const found: (Key & { rows: Int32Array })[] = [];
    this.#heads.forEach((head, slot) => {
      if (head === -1) return;
      const rows: number[] = [];
      this.#visit(head, (row) => rows.push(row));
      const [low, high] = [this.#lows[slot]!, this.#highs[slot]!];
      found.push({ low, high, rows: Int32Array.from(rows).reverse() });
    });
    return found.sort((a, b) => a.rows[0]! - b.rows[0]!);
  }
}

/** Ways to change at most `most` of so many bits. */
function flips(bits: number, most: number): number {
  let [ways, total] = [1, 1];
  for (let i = 1; i <= Math.min(most, bits); i++) {
    ways = ways * (bits - i + 1) / i;
    total += ways;
  }
  return total;
}

/** Bits of a word that are set. */
function ones(word: number): number {
  let bits = word - (word >>> 1 & 0x55555555);
  bits = (bits & 0x33333333) + (bits >>> 2 & 0x33333333);
  return Math.imul(bits + (bits >>> 4) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
