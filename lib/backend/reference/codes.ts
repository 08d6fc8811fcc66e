import type { CodecSpec } from "../../codec/codec.ts";
import { DisposedError } from "../../errors.ts";
import type { IDSelector } from "../../selector.ts";
import type { CodeStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { type Compare, countCodes, type PlainCodec, plainCodec } from "./codec.ts";
import { Rows } from "./rows.ts";
import { type Blocks, checkCodeMetric, nearest, within } from "./scan.ts";
import { run, runSync } from "./steps.ts";

/** Of blocks that are compared as codes. */
export const EMPTY: Float32Array = new Float32Array();

/** How a block of codes is compared. */
export function comparing(
  compare: Compare,
  codes: Uint8Array,
  codeSize: number,
  how: StoreSearch,
  about?: Float32Array,
): (query: Float32Array) => (row: number) => number {
  return (query) => {
    const pair = compare(codes, query, how, about);
    return (row) => pair(row * codeSize);
  };
}

/** Codes in order of arrival, in plain TypeScript: searches decode them all. */
export class ReferenceCodeStore implements CodeStore {
  readonly d: number;
  readonly #codec: PlainCodec;
  #held: Rows<Uint8Array> | undefined;

  constructor(spec: CodecSpec) {
    this.d = spec.d;
    this.#codec = plainCodec(spec);
    this.#held = Rows.ofCodes(this.codeSize);
  }

  get codeSize(): number {
    return this.#codec.codeSize;
  }

  get #rows(): Rows<Uint8Array> {
    if (this.#held === undefined) throw new DisposedError("Cannot use the store: it was disposed");
    return this.#held;
  }

  get count(): number {
    return this.#rows.count;
  }

  // deno-lint-ignore require-await
  async add(codes: Uint8Array): Promise<void> {
    countCodes(codes, this.codeSize);
    this.#rows.push(codes);
  }

  // deno-lint-ignore require-await
  async append(other: CodeStore): Promise<void> {
    if (other.d !== this.d || other.codeSize !== this.codeSize) {
      throw new TypeError("Cannot append: the other codes have another shape");
    }
    this.#rows.push(other.codes(0, other.count));
  }

  codes(start: number, n: number): Uint8Array {
    if (!Number.isInteger(start) || !Number.isInteger(n) || start < 0 || n < 0) {
      throw new RangeError(`Cannot get ${n} codes from ${start}: these are no counts`);
    }
    if (start + n > this.count) {
      throw new RangeError(`Cannot get codes ${start} to ${start + n}: there are ${this.count}`);
    }
    return this.#rows.x.slice(start * this.codeSize, (start + n) * this.codeSize);
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    rows.forEach((row, i) => {
      if (row < 0n || row >= BigInt(this.count)) {
        throw new RangeError(`Cannot get row ${row}: there are ${this.count}`);
      }
      const code = this.#rows.row(Number(row));
      this.#codec.decode(code, out.subarray(i * this.d, (i + 1) * this.d));
    });
  }

  // deno-lint-ignore require-await
  async remove(selector: IDSelector): Promise<number> {
    const before = this.count;
    this.#held = this.#rows.filtered((row) => !selector.isMember(BigInt(row)));
    return before - this.count;
  }

  clear(): void {
    if (this.count > 0) this.#held = Rows.ofCodes(this.codeSize);
  }

  async search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors> {
    return await run(nearest(queries, this.#blocks(how), k, this.d, how), how.signal);
  }

  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors {
    return runSync(nearest(queries, this.#blocks(how), k, this.d, how));
  }

  async rangeSearch(
    queries: Float32Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    return await run(within(queries, this.#blocks(how), radius, this.d, how), how.signal);
  }

  #blocks(how: StoreSearch): Blocks {
    checkCodeMetric(how.metric);
    const { count, codeSize } = this;
    const codes = this.#rows.x.subarray(0, count * codeSize);
    const { compare } = this.#codec;
    if (compare !== undefined) {
      const block = {
        x: EMPTY,
        count,
        id: BigInt,
        compare: comparing(compare, codes, codeSize, how),
      };
      return () => [block];
    }
    const x = new Float32Array(count * this.d);
    this.#codec.decode(codes, x);
    const block = { x, count, id: BigInt };
    return () => [block];
  }

  [Symbol.dispose](): void {
    this.#held = undefined;
  }
}
