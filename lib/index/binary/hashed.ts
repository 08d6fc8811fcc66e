/**
 * What indexes of hashes of bits have in common.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryNeighbors, BinaryStore } from "../../backend/binary.ts";
import type { IDSelector } from "../../selector.ts";
import { BucketTable } from "./bucket_table.ts";
import { type BinaryIndexOptions, type CheckedBinarySearch, IndexBinary } from "./index_binary.ts";
import { copyCodes } from "./positions.ts";

/** Vectors that a table can number. */
const MOST_ROWS = 2 ** 31;

/**
 * Vectors of bits, in buckets by some of their bits; a search looks at those in the buckets of its
 * query, and in those of which at most `nflip` bits differ.
 */
export abstract class IndexBinaryHashed extends IndexBinary {
  /** Bits of a hash. */
  readonly b: number;
  /** Number of hashes. */
  readonly nhash: number;
  /** Bits of a hash that may differ: more find more. */
  nflip = 0;
  readonly #store: BinaryStore;
  #tables: BucketTable[];

  /** An empty index. @internal */
  constructor(d: number, nhash: number, b: number, options: BinaryIndexOptions) {
    super(d, options);
    if (!Number.isInteger(b) || b < 1 || b > Math.min(d, 64)) {
      throw new RangeError(
        `Cannot make an index: b ${b} is no integer from 1 to ${Math.min(d, 64)}`,
      );
    }
    if (!Number.isInteger(nhash) || nhash < 1 || nhash * b > d) {
      throw new RangeError(
        `Cannot make an index: nhash ${nhash} of ${b} bits is no integer from 1 to ${
          Math.floor(d / b)
        }, for which ${d} bits are enough`,
      );
    }
    this.b = b;
    this.nhash = nhash;
    this.#store = this.backend.createBinary(d);
    this.#tables = this.#newTables();
  }

  #newTables(): BucketTable[] {
    return Array.from({ length: this.nhash }, (_, i) => new BucketTable(i * this.b, this.b));
  }

  /** The vectors. @internal */
  get store(): BinaryStore {
    return this.#store;
  }

  /** The buckets of a hash, in order of their first vector: their bits and positions. @internal */
  bucketsOf(hash: number): { low: number; high: number; rows: Int32Array }[] {
    return this.#tables[hash]!.buckets();
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#store.codes.count;
  }

  /** Always true: there is nothing to train. */
  override get isTrained(): boolean {
    return true;
  }

  /** Bytes that vectors and buckets take. */
  override memoryUsage(): number {
    const tables = this.#tables.reduce((sum, { bytes }) => sum + bytes, 0);
    return this.ntotal * this.codeSize + tables;
  }

  /** Number of buckets of all hashes: FAISS's `hashtable_size`. */
  get hashtableSize(): number {
    return this.#tables.reduce((sum, { size }) => sum + size, 0);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { nhash: this.nhash, b: this.b, nflip: this.nflip, buckets: this.hashtableSize };
  }

  /** Appends vectors. @internal */
  async append(x: Uint8Array): Promise<void> {
    if (this.ntotal + x.length / this.codeSize >= MOST_ROWS) {
      throw new RangeError("Cannot add: buckets hold at most 2^31 - 1 vectors");
    }
    await this.#store.codes.add(x);
    for (const table of this.#tables) table.add(x, this.codeSize);
  }

  /** Removes vectors by position. @internal */
  protected async removeAt(gone: IDSelector): Promise<number> {
    const removed = await this.#store.codes.remove(gone);
    if (removed === 0) return 0;
    this.#tables = this.#newTables();
    for (const codes of copyCodes(this.#store.codes)) {
      for (const table of this.#tables) table.add(codes, this.codeSize);
    }
    return removed;
  }

  /** The id of a position; by default itself. @internal */
  protected idAt(row: number): bigint {
    return BigInt(row);
  }

  /** The positions that each query looks at, as the store takes them. */
  #candidates(queries: Uint8Array, how: CheckedBinarySearch): Uint32Array {
    const { b, codeSize, ntotal } = this;
    const nflip = how.params.nflip ?? this.nflip;
    if (!Number.isInteger(nflip) || nflip < 0 || nflip > b) {
      throw new RangeError(`Cannot search: nflip ${nflip} is no integer from 0 to b ${b}`);
    }
    const selector = this.storeSearch(how).selector;
    const nq = queries.length / codeSize;
    let found = new Uint32Array(nq + 1 + 1024);
    let count = 0;
    // With several hashes a vector may come up more than once: whose query saw it last.
    const seen = this.nhash > 1 ? new Uint32Array(ntotal) : undefined;
    const visit = (row: number) => {
      if (seen !== undefined) {
        if (seen[row] === stamp) return;
        seen[row] = stamp;
      }
      if (selector !== undefined && !selector.isMember(this.idAt(row))) return;
      if (nq + 1 + count === found.length) {
        const larger = new Uint32Array(2 * found.length);
        larger.set(found);
        found = larger;
      }
      found[nq + 1 + count++] = row;
    };
    let stamp = 0;
    for (let query = 0; query < nq; query++) {
      stamp = query + 1;
      for (const table of this.#tables) {
        table.near(table.key(queries, query * codeSize), nflip, visit);
      }
      if (count >= 2 ** 32) throw new RangeError("Cannot search: 2^32 candidates are too many");
      found[query + 1] = count;
    }
    return found.subarray(0, nq + 1 + count);
  }

  /** @internal */
  protected override doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    const { signal } = how.params;
    return this.#store.among(queries, this.#candidates(queries, how), k, { signal });
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    return this.#store.amongSync(queries, this.#candidates(queries, how), k);
  }

  /** @internal */
  protected override doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    const { signal } = how.params;
    return this.#store.rangeAmong(queries, this.#candidates(queries, how), radius, { signal });
  }

  /** @internal */
  override checkMergeable(other: IndexBinary): void {
    super.checkMergeable(other);
    const { b, nhash } = other as IndexBinaryHashed;
    if (b !== this.b || nhash !== this.nhash) {
      throw new TypeError("Cannot mergeFrom: the hashes of the two indexes differ");
    }
  }

  /** @internal */
  protected override async doMerge(other: IndexBinary, addId: number): Promise<void> {
    const from = other as IndexBinaryHashed;
    await this.takeIds(from, addId);
    for (const codes of copyCodes(from.#store.codes)) await this.append(codes);
    await from.doReset();
  }

  /** Takes over the ids of vectors that are about to be merged, where an index has them. @internal */
  protected abstract takeIds(from: IndexBinaryHashed, addId: number): Promise<void>;

  /** An index of the same hashes and ids without vectors. @internal */
  protected abstract makeEmpty(backend: Backend): IndexBinaryHashed;

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<IndexBinary> {
    const copy = this.makeEmpty(backend);
    copy.nflip = this.nflip;
    try {
      for (const codes of copyCodes(this.#store.codes)) await copy.append(codes);
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store.codes.clear();
    this.#tables = this.#newTables();
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store[Symbol.dispose]();
    this.#tables = [];
  }
}
