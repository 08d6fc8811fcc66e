/**
 * What every index with inverted lists does: finds lists, and asks those near a query.
 *
 * @module
 */

import type { InvertedLists, RangeNeighbors, RunInfo } from "../backend/backend.ts";
import { Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { Clustering, type ClusteringParameters } from "./clustering.ts";
import { IndexFlat } from "./flat.ts";
import { type CheckedSearch, Index, type IndexOptions, type TrainOptions } from "./index.ts";
import { checkNesting } from "./nesting.ts";

/** Probes that one call of the store gets: 12 MiB with their distances. */
const PROBES_A_CALL = 2 ** 20;

/**
 * Vectors in `nlist` lists, one a centroid; a query looks at the `nprobe` nearest lists.
 * Ids stay when others are removed, and may repeat; as in FAISS, added vectors are
 * numbered from `ntotal`, so that ids repeat if vectors were removed before.
 */
export abstract class IndexIVF extends Index {
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
  /** Number of vectors, as {@linkcode Index.ntotal} counts them. @internal */
  protected total = 0;
  /** Whether the quantizer holds the centroids. @internal */
  protected hasCentroids: boolean;

  /**
   * An index without vectors.
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
    this.hasCentroids = quantizer.isTrained && quantizer.ntotal === nlist;
    const spherical = metric === Metric.InnerProduct || metric === Metric.Cosine;
    this.cp = { niter: 10, spherical };
  }

  /** The lists. @internal */
  abstract get store(): InvertedLists;

  /** Name of the codes in the lists, for {@linkcode factoryString}. @internal */
  protected abstract codeName(): string | undefined;

  /** Adds checked vectors to lists that are known. @internal */
  protected abstract addToLists(
    x: Float32Array,
    lists: BigInt64Array,
    ids: BigInt64Array,
  ): Promise<void>;

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
  abstract override renumber(newId: (id: bigint) => bigint): Promise<void>;

  /** Vectors as they are compared: those of codes by cosine are of length 1. @internal */
  protected prepare(x: Float32Array): Float32Array {
    return x;
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.total;
  }

  /** Whether the centroids are known. */
  override get isTrained(): boolean {
    return this.hasCentroids;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const quantizer = this.quantizer.factoryString();
    const code = this.codeName();
    if (quantizer === undefined || code === undefined) return undefined;
    const graph = /^((?:HNSW|NSG)\d+),Flat$/.exec(quantizer)?.[1];
    const coarse = quantizer === "Flat" ? "" : graph ? `_${graph}` : `(${quantizer})`;
    return `IVF${this.nlist}${coarse},${code}`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { nlist: this.nlist, nprobe: this.nprobe };
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.hasCentroids) return;
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
    this.hasCentroids = true;
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    const n = x.length / this.d;
    const rows = this.prepare(x);
    const lists = await this.#assignLists(rows);
    const lost = lists.indexOf(-1n);
    if (lost >= 0) {
      throw new RangeError(`Cannot add: row ${lost} has no distance to any centroid`);
    }
    const first = BigInt(this.total);
    const numbers = ids ?? BigInt64Array.from({ length: n }, (_, i) => first + BigInt(i));
    await this.addToLists(rows, lists, numbers);
    this.total += n;
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
    x: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const nprobe = this.#nprobe(how);
    const rows = Math.ceil(PROBES_A_CALL / nprobe);
    const queries = this.prepare(x);
    const nq = queries.length / this.d;
    const search = this.storeSearch(how);
    if (nq <= rows) {
      const coarse = await this.#probes(queries, nprobe, how);
      const found = await this.store.search(queries, coarse.labels, k, search);
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
      const found = await this.store.search(part, coarse.labels, k, search);
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
    x: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const nprobe = this.#nprobe(how);
    const queries = this.prepare(x);
    const coarse = this.quantizer.searchSync(queries, nprobe, how.params.quantizerParams);
    const found = this.store.searchSync(queries, coarse.labels, k, this.storeSearch(how));
    return new SearchResult(found.distances, found.labels, k, addTime(found.run, coarse.run));
  }

  /** @internal */
  protected override async doRangeSearch(
    x: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const queries = this.prepare(x);
    const coarse = await this.#probes(queries, this.#nprobe(how), how);
    const search = this.storeSearch(how);
    const found = await this.store.rangeSearch(queries, coarse.labels, radius, search);
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
    const locations = this.store.locate(ids);
    const missing = locations.indexOf(-1n);
    if (missing >= 0) {
      throw new RangeError(`Cannot reconstruct: id ${ids[missing]} is not in the index`);
    }
    this.store.gather(locations, out);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const how = this.storeSearch({ selector, params: {} });
    const removed = await this.store.remove(how.selector!);
    this.total -= removed;
    return removed;
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    if (!(other instanceof IndexIVF) || other.nlist !== this.nlist) {
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
  protected override doReset(): Promise<void> {
    this.store.clear();
    this.total = 0;
    return Promise.resolve();
  }

  /** @internal */
  protected override doDispose(): void {
    this.store[Symbol.dispose]();
    if (this.ownFields) this.quantizer.dispose();
  }
}

/** What ran, with the GPU time of what ran before it. */
function addTime(run: RunInfo, before: RunInfo | undefined): RunInfo {
  if (run.gpuSeconds === undefined) return run;
  return { ...run, gpuSeconds: run.gpuSeconds + (before?.gpuSeconds ?? 0) };
}
