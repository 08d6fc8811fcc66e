/** What rows are made of: numbers, or the bytes of codes. */
type Items = Float32Array | Uint8Array;

/** Rows in one growing array. Rows already there never move under a reader. */
export class Rows<T extends Items = Float32Array> {
  readonly #d: number;
  readonly #make: (length: number) => T;
  #x: T;
  /** Rows held. */
  count = 0;

  constructor(d: number, make: (length: number) => T) {
    this.#d = d;
    this.#make = make;
    this.#x = make(0);
  }

  /** Empty rows of `d` numbers. */
  static ofNumbers(d: number): Rows {
    return new Rows(d, (length) => new Float32Array(length));
  }

  /** Empty rows of `codeSize` bytes. */
  static ofCodes(codeSize: number): Rows<Uint8Array> {
    return new Rows(codeSize, (length) => new Uint8Array(length));
  }

  /** The numbers; more than `count` rows may be allocated. */
  get x(): T {
    return this.#x;
  }

  /** Appends whole rows. */
  push(x: T): void {
    const used = this.count * this.#d;
    if (used + x.length > this.#x.length) {
      const larger = this.#make(Math.max(used + x.length, Math.ceil(used * 1.5)));
      larger.set(this.#x.subarray(0, used));
      this.#x = larger;
    }
    this.#x.set(x, used);
    this.count += x.length / this.#d;
  }

  /** One row. */
  row(i: number): T {
    return this.#x.subarray(i * this.#d, (i + 1) * this.#d) as T;
  }

  /** The rows that are kept, in the same order. */
  filtered(keep: (row: number) => boolean): Rows<T> {
    const kept = new Rows(this.#d, this.#make);
    for (let i = 0; i < this.count; i++) {
      if (keep(i)) kept.push(this.row(i));
    }
    return kept;
  }
}
