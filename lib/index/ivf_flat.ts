/**
 * Search among the nearest of many lists of vectors.
 *
 * @module
 */

import type { Backend, IVFStore, RangeNeighbors, RunInfo } from "../backend/backend.ts";
import { Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { Clustering, type ClusteringParameters } from "./clustering.ts";
import { IndexFlat } from "./flat.ts";
import { type CheckedSearch, Index, type IndexOptions, type TrainOptions } from "./index.ts";
import { checkNesting } from "./nesting.ts";

/** Parts of an {@linkcode IndexIVFFlat} that was read from a file. @internal */
export interface IVFFlatParts {
  /** The index that finds the lists. */
  quantizer: Index;
  /** Dimension. */
  d: number;
  /** Number of lists. */
  nlist: number;
  /** How vectors are compared. */
  metric: Metric;
  /** `p` of Lp. */
  metricArg: number;
  /** Lists a query looks at. */
  nprobe: number;
  /** The number that the next added vector gets. */
  ntotal: number;
  /** Whether the quantizer is ready. */
  isTrained: boolean;
  /** The lists. */
  store: IVFStore;
}

/** Numbers that a copy moves at once: 256 MiB, or one list. */
const COPIED = 2 ** 26;

/** Probes that one call of the store gets: 12 MiB with their distances. */
const PROBES_A_CALL = 2 ** 20;

/**
 * Vectors in `nlist` lists, one a centroid; a query looks at the `nprobe` nearest lists.
 * Ids stay when others are removed, and may repeat; as in FAISS, added vectors are
 * numbered from `ntotal`, so that ids repeat if vectors were removed before.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFFlat, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 8 }, () => random.normal());
 * using index = new IndexIVFFlat(new IndexFlatL2(8), 8, 10);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 8), 3, { nprobe: 4 });
 * assert.deepEqual(found.row(0)[0], { id: 0, distance: 0 });
 * ```
 */
export class IndexIVFFlat extends Index {
  /** Lists that a query looks at. */
  nprobe = 1;
  /** Whether disposing of the index disposes of its quantizer too. */
  ownFields = false;
  /** The index that finds the nearest lists. */
  readonly quantizer: Index;
  /** Number of lists. */
  readonly nlist: number;
  /** How the centroids are found; spherical where the metric compares directions. */
  readonly cp: ClusteringParameters;
  #store: IVFStore;
  #ntotal = 0;
  #isTrained: boolean;

  /**
   * An index without vectors; it is trained if its quantizer holds the centroids.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param metric How vectors are compared.
   * @param options Backend, and `metricArg` of {@linkcode Metric.Lp}.
   * @throws {RangeError} If `d` or `nlist` is not an integer above 0.
   * @throws {TypeError} If the quantizer has another dimension.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    metric: Metric = Metric.L2,
    options: IndexOptions = {},
  ) {
    super(d, metric, { backend: quantizer.backend, ...options });
    if (!Number.isInteger(nlist) || nlist < 1 || nlist >= 2 ** 31) {
      throw new RangeError(`Cannot make an index: nlist ${nlist} is no integer from 1 to 2^31`);
    }
    if (quantizer.d !== d) {
      throw new TypeError(`Cannot make an index: its quantizer has d ${quantizer.d}, not ${d}`);
    }
    checkNesting(this, quantizer);
    this.quantizer = quantizer;
    this.nlist = nlist;
    this.#store = this.backend.createIVF(d, nlist);
    this.#isTrained = quantizer.isTrained && quantizer.ntotal === nlist;
    const spherical = metric === Metric.InnerProduct || metric === Metric.Cosine;
    this.cp = { niter: 10, spherical };
  }

  /** An index of parts read from a file; it owns them. @internal */
  static fromParts(parts: IVFFlatParts): IndexIVFFlat {
    const { quantizer, d, nlist, metric, metricArg } = parts;
    const index = new IndexIVFFlat(quantizer, d, nlist, metric, { metricArg });
    index.#store[Symbol.dispose]();
    index.#store = parts.store;
    index.#ntotal = parts.ntotal;
    index.#isTrained = parts.isTrained;
    index.nprobe = parts.nprobe;
    index.ownFields = true;
    return index;
  }

  /** The lists. @internal */
  get store(): IVFStore {
    return this.#store;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#ntotal;
  }

  /** Whether the centroids are known. */
  override get isTrained(): boolean {
    return this.#isTrained;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const quantizer = this.quantizer.factoryString();
    if (quantizer === undefined) return undefined;
    return `IVF${this.nlist}${quantizer === "Flat" ? "" : `(${quantizer})`},Flat`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { nlist: this.nlist, nprobe: this.nprobe };
  }

  /** Bytes that vectors, ids and centroids take. */
  override memoryUsage(): number {
    return this.#store.count * (this.d * 4 + 8) + this.quantizer.memoryUsage();
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.#isTrained) return;
    const { quantizer, backend } = this;
    const spherical = this.cp.spherical === true;
    // A flat quantizer's own metric assigns the vectors, as in FAISS.
    const metric = quantizer instanceof IndexFlat
      ? quantizer.metric
      : spherical
      ? Metric.InnerProduct
      : Metric.L2;
    const { metricArg } = quantizer;
    using assigner = new IndexFlat(this.d, metric, { backend, metricArg });
    const clustering = new Clustering(this.d, this.nlist, this.cp);
    await clustering.train(x, { ...options, index: assigner });
    await quantizer.reset();
    await quantizer.train(clustering.centroids, options);
    await quantizer.add(clustering.centroids);
    this.#isTrained = true;
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    const n = x.length / this.d;
    const lists = await this.#assignLists(x);
    const lost = lists.indexOf(-1n);
    if (lost >= 0) {
      throw new RangeError(`Cannot add: row ${lost} has no distance to any centroid`);
    }
    const first = BigInt(this.#ntotal);
    const numbers = ids ?? BigInt64Array.from({ length: n }, (_, i) => first + BigInt(i));
    await this.#store.add(x, lists, numbers);
    this.#ntotal += n;
  }

  /** The list of each row; a refused row is named as the caller knows it. */
  async #assignLists(x: Float32Array): Promise<BigInt64Array> {
    try {
      return await this.quantizer.assign(x);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const reason = cause.message.replace(/^.*query (?=\d)/, "row ");
      throw new RangeError(`Cannot add: ${reason}`, { cause });
    }
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const nprobe = this.#nprobe(how);
    const rows = Math.ceil(PROBES_A_CALL / nprobe);
    const nq = queries.length / this.d;
    const search = this.storeSearch(how);
    if (nq <= rows) {
      const coarse = await this.#probes(queries, nprobe, how);
      const found = await this.#store.search(queries, coarse.labels, k, search);
      return new SearchResult(found.distances, found.labels, k, addTime(found.run, coarse.run));
    }
    // In parts, so that the probes take little memory however many queries there are.
    const distances = new Float32Array(nq * k);
    const labels = new BigInt64Array(nq * k);
    let [scanned, recomputed] = [0, 0];
    let before: RunInfo | undefined;
    for (let from = 0;; from += rows) {
      const part = queries.subarray(from * this.d, (from + rows) * this.d);
      const coarse = await this.#probes(part, nprobe, how);
      const found = await this.#store.search(part, coarse.labels, k, search);
      distances.set(found.distances, from * k);
      labels.set(found.labels, from * k);
      scanned += found.run.scanned;
      recomputed += found.run.recomputed;
      const run = before = addTime(addTime(found.run, coarse.run), before);
      if (from + rows >= nq) {
        return new SearchResult(distances, labels, k, { ...run, scanned, recomputed });
      }
    }
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const nprobe = this.#nprobe(how);
    const coarse = this.quantizer.searchSync(queries, nprobe, how.params.quantizerParams);
    const found = this.#store.searchSync(queries, coarse.labels, k, this.storeSearch(how));
    return new SearchResult(found.distances, found.labels, k, addTime(found.run, coarse.run));
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const coarse = await this.#probes(queries, this.#nprobe(how), how);
    const search = this.storeSearch(how);
    const found = await this.#store.rangeSearch(queries, coarse.labels, radius, search);
    return { ...found, run: addTime(found.run, coarse.run) };
  }

  #nprobe(how: CheckedSearch): number {
    const nprobe = how.params.nprobe ?? this.nprobe;
    if (!Number.isInteger(nprobe) || nprobe < 1 || nprobe > this.nlist) {
      throw new RangeError(
        `Cannot search: nprobe ${nprobe} is no integer from 1 to nlist ${this.nlist}`,
      );
    }
    return nprobe;
  }

  async #probes(
    queries: Float32Array,
    nprobe: number,
    { params: { quantizerParams, signal } }: CheckedSearch,
  ): Promise<SearchResult> {
    return await this.quantizer.search(queries, nprobe, { signal, ...quantizerParams });
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const locations = this.#store.locate(ids);
    const missing = locations.indexOf(-1n);
    if (missing >= 0) {
      throw new RangeError(`Cannot reconstruct: id ${ids[missing]} is not in the index`);
    }
    this.#store.gather(locations, out);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    const removed = await this.#store.remove(how.selector!);
    this.#ntotal -= removed;
    return removed;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexIVFFlat) || other.nlist !== this.nlist) {
      throw new TypeError(`Cannot mergeFrom: the other has not ${this.nlist} lists of vectors`);
    }
    if (!this.isTrained || !other.isTrained) {
      throw new TypeError("Cannot mergeFrom: both indexes have to be trained");
    }
    if (other.quantizer === this.quantizer) return;
    const ours = this.quantizer.reconstructN(0, this.nlist);
    const theirs = other.quantizer.reconstructN(0, this.nlist);
    if (ours.some((value, i) => value !== theirs[i])) {
      throw new TypeError("Cannot mergeFrom: the centroids of the two indexes differ");
    }
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    const from = other as IndexIVFFlat;
    await this.#store.append(from.#store, addId);
    this.#ntotal += from.#ntotal;
    from.#ntotal = 0;
  }

  /** @internal */
  override get keepsIds(): boolean {
    return true;
  }

  /**
   * Gives every vector a new id, for a wrapper that numbers vectors by position; −1 drops
   * the vector.
   *
   * @internal
   */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      const store = this.backend.createIVF(this.d, this.nlist);
      for (let list = 0; list < this.nlist; list++) {
        const { x, ids: old } = this.#store.list(list);
        if (old.length === 0) continue;
        const ids = old.map(newId);
        await store.add(x, ids.map((id) => id < 0n ? -1n : BigInt(list)), ids);
      }
      this.#store[Symbol.dispose]();
      this.#store = store;
      this.#ntotal = store.count;
    });
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const { d, nlist, metric, metricArg, nprobe } = this;
    const quantizer = await this.quantizer.to(backend);
    const store = backend.createIVF(d, nlist);
    try {
      await this.#copyLists(store);
    } catch (error) {
      store[Symbol.dispose]();
      quantizer.dispose();
      throw error;
    }
    const [ntotal, isTrained] = [this.#ntotal, this.#isTrained];
    const parts = { quantizer, d, nlist, metric, metricArg, nprobe, ntotal, isTrained, store };
    const copy = IndexIVFFlat.fromParts(parts);
    Object.assign(copy.cp, this.cp);
    return copy;
  }

  /** Adds every row to another store, many at a time: a GPU lays all out anew. */
  async #copyLists(store: IVFStore): Promise<void> {
    const sizes = this.#store.sizes();
    for (let list = 0; list < this.nlist;) {
      const first = list;
      let rows = 0;
      do rows += sizes[list++]!; while (
        list < this.nlist && (rows + sizes[list]!) * this.d <= COPIED
      );
      if (rows === 0) continue;
      const x = new Float32Array(rows * this.d);
      const [lists, ids] = [new BigInt64Array(rows), new BigInt64Array(rows)];
      for (let from = first, at = 0; from < list; from++) {
        if (sizes[from] === 0) continue;
        const held = this.#store.list(from);
        x.set(held.x, at * this.d);
        ids.set(held.ids, at);
        lists.fill(BigInt(from), at, at += held.ids.length);
      }
      await store.add(x, lists, ids);
    }
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    this.#store.clear();
    this.#ntotal = 0;
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.#store[Symbol.dispose]();
    if (this.ownFields) this.quantizer.dispose();
  }

  /** @internal */
  protected override ids(): BigInt64Array {
    const all = new BigInt64Array(this.#store.count);
    let at = 0;
    for (let list = 0; list < this.nlist; list++) {
      const { ids } = this.#store.list(list);
      all.set(ids, at);
      at += ids.length;
    }
    return all;
  }
}

/** What ran, with the GPU time of what ran before it. */
function addTime(run: RunInfo, before: RunInfo | undefined): RunInfo {
  if (run.gpuSeconds === undefined) return run;
  return { ...run, gpuSeconds: run.gpuSeconds + (before?.gpuSeconds ?? 0) };
}
