import { DisposedError } from "../../errors.ts";
import type { IDSelector } from "../../selector.ts";
import type { FlatStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { Rows } from "./rows.ts";
import { type Blocks, checkRows, nearest, within } from "./scan.ts";
import { run, runSync } from "./steps.ts";

/** Rows in order of arrival, in plain TypeScript. */
export class ReferenceFlatStore implements FlatStore {
  readonly d: number;
  #held: Rows | undefined;

  constructor(d: number) {
    this.d = d;
    this.#held = Rows.ofNumbers(d);
  }

  get #rows(): Rows {
    if (this.#held === undefined) throw new DisposedError("Cannot use the store: it was disposed");
    return this.#held;
  }

  get count(): number {
    return this.#rows.count;
  }

  // deno-lint-ignore require-await
  async add(x: Float32Array, allowNaN = false): Promise<void> {
    checkRows("add", x, this.d, allowNaN);
    this.#rows.push(x);
  }

  // deno-lint-ignore require-await
  async append(other: FlatStore): Promise<void> {
    if (other.d !== this.d) throw new TypeError(`Cannot append rows of ${other.d} to ${this.d}`);
    const x = new Float32Array(other.count * this.d);
    other.get(0, x);
    this.#rows.push(x);
  }

  get(start: number, out: Float32Array): void {
    const end = start + out.length / this.d;
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end > this.count) {
      throw new RangeError(`Cannot get rows ${start} to ${end}: there are ${this.count}`);
    }
    out.set(this.#rows.x.subarray(start * this.d, end * this.d));
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    rows.forEach((row, i) => {
      if (row < 0n || row >= BigInt(this.count)) {
        throw new RangeError(`Cannot get row ${row}: there are ${this.count}`);
      }
      out.set(this.#rows.row(Number(row)), i * this.d);
    });
  }

  // deno-lint-ignore require-await
  async remove(selector: IDSelector): Promise<number> {
    const before = this.count;
    this.#held = this.#rows.filtered((row) => !selector.isMember(BigInt(row)));
    return before - this.count;
  }

  clear(): void {
    if (this.count > 0) this.#held = Rows.ofNumbers(this.d);
  }

  async search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors> {
    return await run(nearest(queries, this.#blocks(), k, this.d, how), how.signal);
  }

  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors {
    return runSync(nearest(queries, this.#blocks(), k, this.d, how));
  }

  async rangeSearch(
    queries: Float32Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    return await run(within(queries, this.#blocks(), radius, this.d, how), how.signal);
  }

  #blocks(): Blocks {
    const block = { x: this.#rows.x, count: this.count, id: BigInt };
    return () => [block];
  }

  [Symbol.dispose](): void {
    this.#held = undefined;
  }
}
