/** Rows in one growing array. Rows already there never move under a reader. */
export class Rows {
  readonly #d: number;
  #x = new Float32Array(0);
  /** Rows held. */
  count = 0;

  constructor(d: number) {
    this.#d = d;
  }

  /** The numbers; more than `count` rows may be allocated. */
  get x(): Float32Array {
    return this.#x;
  }

  /** Appends whole rows. */
  push(x: Float32Array): void {
    const used = this.count * this.#d;
    if (used + x.length > this.#x.length) {
      const larger = new Float32Array(Math.max(used + x.length, Math.ceil(used * 1.5)));
      larger.set(this.#x.subarray(0, used));
      this.#x = larger;
    }
    this.#x.set(x, used);
    this.count += x.length / this.#d;
  }

  /** One row. */
  row(i: number): Float32Array {
    return this.#x.subarray(i * this.#d, (i + 1) * this.#d);
  }

  /** The rows that are kept, in the same order. */
  filtered(keep: (row: number) => boolean): Rows {
    const kept = new Rows(this.#d);
    for (let i = 0; i < this.count; i++) {
      if (keep(i)) kept.push(this.row(i));
    }
    return kept;
  }
}
