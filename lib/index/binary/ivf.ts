/**
 * Search among the nearest of many lists of vectors of bits.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryLists, BinaryNeighbors } from "../../backend/binary.ts";
import { Random } from "../../random.ts";
import type { IDSelector } from "../../selector.ts";
import { Clustering, type ClusteringParameters } from "../clustering.ts";
import type { TrainOptions } from "../index.ts";
import { checkNesting } from "../nesting.ts";
import { type BinaryIndexOptions, type CheckedBinarySearch, IndexBinary } from "./index_binary.ts";

/** Parts of an {@linkcode IndexBinaryIVF} that was read from a file. @internal */
export interface BinaryIVFParts {
  /** Index that holds the centroids. */
  quantizer: IndexBinary;
  /** Bits of a vector. */
  d: number;
  /** Number of lists. */
  nlist: number;
  /** Lists a query looks at. */
  nprobe: number;
  /** The number that the next added vector gets. */
  ntotal: number;
  /** The lists. */
  store: BinaryLists;
}

/**
 * Vectors of bits in `nlist` lists, one a centroid; a query looks at the `nprobe` nearest lists. The
 * centroids are those of k-means over bits as 1 and −1, rounded to bits. Ids stay when others are
 * removed, and may repeat.
 *
 * @example
 * ```ts
 * import { IndexBinaryFlat, IndexBinaryIVF } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using quantizer = new IndexBinaryFlat(8);
 * using index = new IndexBinaryIVF(quantizer, 8, 2);
 * index.cp.minPointsPerCentroid = 1;
 * await index.train(Uint8Array.of(0, 1, 254, 255));
 * await index.addWithIds(Uint8Array.of(0, 1, 254, 255), [5, 6, 7, 8]);
 * assert.deepEqual((await index.search(Uint8Array.of(3), 1)).row(0), [{ id: 6, distance: 1 }]);
 * ```
 */
export class IndexBinaryIVF extends IndexBinary {
  /** Lists that a query looks at. */
  nprobe = 1;
  /** Whether disposing of the index disposes of its quantizer too. */
  ownFields = false;
  /** The index that finds the nearest lists. */
  readonly quantizer: IndexBinary;
  /** Number of lists. */
  readonly nlist: number;
  /** How the centroids are found. */
  readonly cp: ClusteringParameters = { niter: 10 };
  #store: BinaryLists;
  #total = 0;
  #hasCentroids: boolean;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Bits of a vector: a multiple of 8.
   * @param nlist Number of lists.
   * @param options Backend; by default the quantizer's.
   * @throws {RangeError} If `d` or `nlist` is out of range.
   * @throws {TypeError} If the quantizer has another dimension.
   */
  constructor(
    quantizer: IndexBinary,
    d: number,
    nlist: number,
    options: BinaryIndexOptions = {},
  ) {
    super(d, { backend: options.backend ?? quantizer.backend });
    if (!Number.isInteger(nlist) || nlist < 1 || nlist >= 2 ** 31) {
      throw new RangeError(`Cannot make an index: nlist ${nlist} is no integer from 1 to 2^31`);
    }
    if (quantizer.d !== d) {
      throw new TypeError(`Cannot make an index: its quantizer has d ${quantizer.d}, not ${d}`);
    }
    checkNesting(this, quantizer);
    this.quantizer = quantizer;
    this.nlist = nlist;
    this.#hasCentroids = quantizer.isTrained && quantizer.ntotal === nlist;
    this.#store = this.backend.createBinaryLists(d, nlist);
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(parts: BinaryIVFParts): IndexBinaryIVF {
    const index = new IndexBinaryIVF(parts.quantizer, parts.d, parts.nlist);
    index.#store[Symbol.dispose]();
    index.#store = parts.store;
    index.#total = parts.ntotal;
    index.nprobe = parts.nprobe;
    index.ownFields = true;
    return index;
  }

  /** The lists. @internal */
  get store(): BinaryLists {
    return this.#store;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#total;
  }

  /** Whether the centroids are known. */
  override get isTrained(): boolean {
    return this.#hasCentroids;
  }

  /** @internal */
  override get keepsIds(): boolean {
    return true;
  }

  /** Bytes that the vectors, ids and centroids take. */
  override memoryUsage(): number {
    return this.ntotal * (this.codeSize + 8) + this.quantizer.memoryUsage();
  }

  /** @internal */
  override factoryString(): string | undefined {
    const quantizer = this.quantizer.factoryString();
    if (quantizer === "BFlat") return `BIVF${this.nlist}`;
    const graph = /^B(HNSW\d+)$/.exec(quantizer ?? "")?.[1];
    return graph && `BIVF${this.nlist}_${graph}`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { nlist: this.nlist, nprobe: this.nprobe };
  }

  /** @internal */
  protected override async doTrain(x: Uint8Array, options: TrainOptions): Promise<void> {
    if (this.#hasCentroids) return;
    const { backend, cp, d, nlist, quantizer } = this;
    const clustering = new Clustering(d, nlist, cp);
    using codec = backend.createCodec({ kind: "binary", d });
    const numbers = await codec.decode(this.#sample(x));
    await clustering.train(numbers, { ...options, backend });
    const centroids = await codec.encode(clustering.centroids);
    await quantizer.reset();
    await quantizer.train(centroids, options);
    await quantizer.add(centroids);
    this.#hasCentroids = true;
  }

  /** What clustering would choose itself, of numbers that take 32 times the memory. */
  #sample(x: Uint8Array): Uint8Array {
    const { codeSize, cp, nlist } = this;
    const most = nlist * (cp.maxPointsPerCentroid ?? 256);
    const n = x.length / codeSize;
    const seed = cp.seed ?? 1234;
    if (n <= most) return x;
    const random = new Random(seed >= 0 ? seed : Math.floor(Math.random() * 2 ** 32));
    const sample = new Uint8Array(most * codeSize);
    random.permutation(n, most).forEach((row, i) => {
      sample.set(x.subarray(row * codeSize, (row + 1) * codeSize), i * codeSize);
    });
    return sample;
  }

  /** @internal */
  protected override async doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    const n = x.length / this.codeSize;
    const lists = await this.quantizer.assign(x);
    const first = BigInt(this.#total);
    const numbers = ids ?? BigInt64Array.from({ length: n }, (_, i) => first + BigInt(i));
    await this.#store.lists.add(x, lists, numbers);
    this.#total += n;
  }

  /** @internal */
  protected override async doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    const probes = await this.#probes(queries, how);
    return await this.#store.search(queries, probes, k, this.storeSearch(how));
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    const { quantizerParams } = how.params;
    const { labels } = this.quantizer.searchSync(queries, this.#nprobe(how), quantizerParams);
    return this.#store.searchSync(queries, labels, k, this.storeSearch(how));
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    const probes = await this.#probes(queries, how);
    return await this.#store.rangeSearch(queries, probes, radius, this.storeSearch(how));
  }

  #nprobe(how: CheckedBinarySearch): number {
    const nprobe = how.params.nprobe ?? this.nprobe;
    if (Number.isInteger(nprobe) && nprobe >= 1 && nprobe <= this.nlist) return nprobe;
    throw new RangeError(
      `Cannot search: nprobe ${nprobe} is no integer from 1 to nlist ${this.nlist}`,
    );
  }

  async #probes(queries: Uint8Array, how: CheckedBinarySearch): Promise<BigInt64Array> {
    const { quantizerParams, signal } = how.params;
    const params = { signal, ...quantizerParams };
    return (await this.quantizer.search(queries, this.#nprobe(how), params)).labels;
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    const locations = this.#store.lists.locate(ids);
    const missing = locations.indexOf(-1n);
    if (missing >= 0) {
      throw new RangeError(`Cannot reconstruct: id ${ids[missing]} is not in the index`);
    }
    return this.#store.gather(locations);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const removed = await this.#store.lists.remove(this.resolved(selector));
    this.#total -= removed;
    return removed;
  }

  /** @internal */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      const store = this.backend.createBinaryLists(this.d, this.nlist);
      try {
        await this.#copyLists(store, newId);
      } catch (error) {
        store[Symbol.dispose]();
        throw error;
      }
      this.#store[Symbol.dispose]();
      this.#store = store;
      this.#total = store.lists.count;
    });
  }

  /** Adds every vector to other lists, under the id that it is given there. */
  async #copyLists({ lists: to }: BinaryLists, newId = (id: bigint) => id): Promise<void> {
    for (let list = 0; list < this.nlist; list++) {
      const { codes, ids: old } = this.#store.lists.list(list);
      if (old.length === 0) continue;
      const ids = old.map(newId);
      await to.add(codes, ids.map((id) => id < 0n ? -1n : BigInt(list)), ids);
    }
  }

  /** @internal */
  override checkMergeable(other: IndexBinary): void {
    super.checkMergeable(other);
    const { nlist, quantizer, isTrained } = other as IndexBinaryIVF;
    if (nlist !== this.nlist) {
      throw new TypeError(`Cannot mergeFrom: the other has not ${this.nlist} lists of vectors`);
    }
    if (!this.isTrained || !isTrained) {
      throw new TypeError("Cannot mergeFrom: both indexes have to be trained");
    }
    if (quantizer === this.quantizer) return;
    const ours = this.quantizer.reconstructN(0, this.nlist);
    const theirs = quantizer.reconstructN(0, this.nlist);
    if (ours.some((byte, i) => byte !== theirs[i])) {
      throw new TypeError("Cannot mergeFrom: the centroids of the two indexes differ");
    }
  }

  /** @internal */
  protected override async doMerge(other: IndexBinary, addId: number): Promise<void> {
    const from = other as IndexBinaryIVF;
    await this.#store.lists.append(from.#store.lists, addId);
    this.#total += from.#total;
    from.#total = 0;
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<IndexBinary> {
    const { d, nlist, nprobe } = this;
    using stack = new DisposableStack();
    const quantizer = stack.use(await this.quantizer.to(backend));
    const store = stack.use(backend.createBinaryLists(d, nlist));
    await this.#copyLists(store);
    stack.move();
    const copy = IndexBinaryIVF.fromParts({
      quantizer,
      d,
      nlist,
      nprobe,
      ntotal: this.#total,
      store,
    });
    Object.assign(copy.cp, this.cp);
    return copy;
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store.lists.clear();
    this.#total = 0;
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store[Symbol.dispose]();
    if (this.ownFields) this.quantizer.dispose();
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    const { lists } = this.#store;
    const all = new BigInt64Array(lists.count);
    for (let list = 0, at = 0; at < all.length; list++) {
      const { ids } = lists.list(list);
      all.set(ids, at);
      at += ids.length;
    }
    return all;
  }
}
