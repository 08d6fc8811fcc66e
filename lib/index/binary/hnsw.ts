/**
 * Search through a graph of vectors of bits.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryGraph, BinaryGraphSearch, BinaryNeighbors } from "../../backend/binary.ts";
import { type IdInput, toIds } from "../../matrix.ts";
import { Random } from "../../random.ts";
import type { IDSelector } from "../../selector.ts";
import type { HNSWParameters } from "../hnsw.ts";
import { levelProbabilities, randomLevels } from "../hnsw_levels.ts";
import { type BinaryInput, toCodes } from "./codes_input.ts";
import { type BinaryIndexOptions, type CheckedBinarySearch, IndexBinary } from "./index_binary.ts";
import { checkPositions } from "./positions.ts";

/** Bytes that a copy moves at once. */
const COPIED = 2 ** 26;
/** Links that the native graph can have. */
const MOST_LINKS = 1024;

/** Parameters of a graph of codes of bits. */
export type BinaryHNSWParameters = Omit<HNSWParameters, "checkRelativeDistance">;

/** Parts of an {@linkcode IndexBinaryHNSW} that was read from a file. @internal */
export interface BinaryHNSWParts {
  /** Bits of a vector. */
  d: number;
  /** Parameters. */
  hnsw: Partial<BinaryHNSWParameters> & { readonly M: number };
  /** Vectors and graph. */
  store: BinaryGraph;
}

/**
 * Vectors of bits, each linked to others near it (hierarchical navigable small world). An id is a
 * position. As in `IndexHNSWFlat`, vectors can be removed and replaced, and a filter keeps its recall.
 *
 * @example
 * ```ts
 * import { IndexBinaryHNSW } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryHNSW(16, 8);
 * await index.add(Uint8Array.from({ length: 512 }, (_, i) => i % 2 ? 0 : i / 2));
 * index.hnsw.efSearch = 32;
 * const found = await index.search(Uint8Array.of(77, 0), 1);
 * assert.deepEqual(found.row(0), [{ id: 77, distance: 0 }]);
 * ```
 */
export class IndexBinaryHNSW extends IndexBinary {
  /** Parameters: `hnsw.efSearch` and `hnsw.efConstruction` may be set. */
  readonly hnsw: BinaryHNSWParameters;
  #store: BinaryGraph;

  /**
   * An empty index.
   *
   * @param d Bits of a vector: a multiple of 8.
   * @param M Links of a vector; 16 to 64 are usual.
   * @param options Backend.
   * @throws {RangeError} If `d` or `M` is out of range.
   * @throws {UnsupportedError} If the backend is a GPU.
   */
  constructor(d: number, M = 32, options: BinaryIndexOptions = {}) {
    super(d, options);
    if (!Number.isInteger(M) || M < 2 || M > MOST_LINKS) {
      throw new RangeError(`Cannot make an index: M ${M} is no integer from 2 to ${MOST_LINKS}`);
    }
    this.hnsw = { M, efConstruction: 40, efSearch: 16 };
    this.#store = this.backend.createBinaryGraph(d, M);
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts({ d, hnsw, store }: BinaryHNSWParts, backend: Backend): IndexBinaryHNSW {
    const index = new IndexBinaryHNSW(d, hnsw.M, { backend });
    index.#store[Symbol.dispose]();
    index.#store = store;
    Object.assign(index.hnsw, hnsw);
    return index;
  }

  /** Vectors and graph. @internal */
  get store(): BinaryGraph {
    return this.#store;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#store.count;
  }

  /** Always true: there is nothing to train. */
  override get isTrained(): boolean {
    return true;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return `BHNSW${this.hnsw.M}`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...this.hnsw };
  }

  /** Bytes that vectors and links take. */
  override memoryUsage(): number {
    // A float holds three bytes; beside it a node has its level and where its upper links are.
    const row = Math.ceil(this.codeSize / 3) * 4;
    return this.ntotal * (row + 5) + this.#store.links * 4;
  }

  /**
   * Replaces vectors; their ids stay.
   *
   * @param ids The `n` ids, none twice.
   * @param x `n × codeSize` bytes.
   * @throws {RangeError} If an id is not in the index or there twice.
   * @throws {TypeError} If there are not `n` ids, or `x` is empty or not in rows of `codeSize`.
   */
  async updateVectors(ids: IdInput, x: BinaryInput): Promise<void> {
    this.assertUsable("updateVectors");
    const codes = toCodes(x, this.codeSize, "x");
    const checked = toIds(ids, codes.length / this.codeSize, "ids");
    await this.write("updateVectors", () => {
      return this.#store.update(checked, codes, this.#ef("efConstruction", undefined));
    });
  }

  /** @internal */
  protected override async doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    if (ids !== undefined) {
      throw this.unsupported("addWithIds", "an id is a position; wrap it in IndexBinaryIDMap");
    }
    const random = new Random(12345 + this.ntotal);
    const levels = randomLevels(x.length / this.codeSize, levelProbabilities(this.hnsw.M), random);
    await this.#store.add(x, levels, this.#ef("efConstruction", undefined));
  }

  #ef(name: "efSearch" | "efConstruction", given: number | undefined): number {
    const ef = given ?? this.hnsw[name];
    if (Number.isInteger(ef) && ef >= 1 && ef < 2 ** 31) return ef;
    throw new RangeError(`Cannot use ${name} ${ef}: it is no integer from 1 to 2^31 - 1`);
  }

  #search(how: CheckedBinarySearch): BinaryGraphSearch {
    return { ...this.storeSearch(how), efSearch: this.#ef("efSearch", how.params.efSearch) };
  }

  /** @internal */
  protected override doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    return this.#store.search(queries, k, this.#search(how));
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    return this.#store.searchSync(queries, k, this.#search(how));
  }

  /** @internal */
  protected override doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    return this.#store.rangeSearch(queries, radius, this.storeSearch(how));
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    checkPositions(ids, this.ntotal);
    return this.#store.gather(ids);
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    return this.#store.remove(this.resolved(selector));
  }

  /** @internal */
  protected override async doMerge(other: IndexBinary, addId: number): Promise<void> {
    if (addId !== 0) throw this.unsupported("mergeFrom with addId", "an id is a position");
    const from = other as IndexBinaryHNSW;
    for (const x of from.chunks()) await this.doAdd(x, undefined);
    from.#store.clear();
  }

  /** Copies of the vectors, many at a time. @internal */
  *chunks(bytes = COPIED): Generator<Uint8Array> {
    const step = Math.max(1, Math.floor(bytes / this.codeSize));
    for (let row = 0; row < this.ntotal; row += step) {
      const n = Math.min(step, this.ntotal - row);
      yield this.#store.gather(BigInt64Array.from({ length: n }, (_, i) => BigInt(row + i)));
    }
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<IndexBinary> {
    const { d, hnsw } = this;
    const store = backend.createBinaryGraph(d, hnsw.M);
    try {
      for (const x of this.chunks()) await store.addRows(x);
      if (this.ntotal > 0) await store.restore(this.#store.graph());
    } catch (error) {
      store[Symbol.dispose]();
      throw error;
    }
    return IndexBinaryHNSW.fromParts({ d, hnsw, store }, backend);
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store.clear();
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store[Symbol.dispose]();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}
