/**
 * What every index can do.
 *
 * @module
 */

import type {
  Backend,
  BackendName,
  RangeNeighbors,
  RunInfo,
  StoreSearch,
} from "../backend/backend.ts";
import { backend as defaultBackend, createBackend } from "../backend/select.ts";
import type { MimeBundle } from "../display.ts";
import { DisposedError, NotTrainedError, UnsupportedError } from "../errors.ts";
import { type IdInput, toIds, toRows, type VectorInput } from "../matrix.ts";
import { checkMetric, type Metric } from "../metric.ts";
import { RangeSearchResult, SearchAndReconstructResult, type SearchResult } from "../result.ts";
import { type Filter, type IDSelector, resolvePredicates, toSelector } from "../selector.ts";
import type { ClusteringProgress } from "./clustering.ts";
import { indexBundle, indexLine } from "./index_display.ts";
import { Lock, writeBoth } from "./lock.ts";
import type { SearchParameters } from "./search_parameters.ts";

export type { SearchParameters };

/** Options of an index's constructor. */
export interface IndexOptions {
  /** What runs the index; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /** `p` of {@linkcode Metric.Lp}. */
  metricArg?: number | undefined;
}

/** How an index is trained. */
export interface TrainOptions {
  /** Stops the training; the index stays as it was. */
  signal?: AbortSignal | undefined;
  /** Called after every iteration of clustering. */
  onProgress?: ((progress: ClusteringProgress) => void) | undefined;
}

/** A search whose arguments were checked. @internal */
export interface CheckedSearch {
  /** The selector, not yet without functions. */
  selector: IDSelector | undefined;
  /** What the caller asked for. */
  params: SearchParameters;
  /** Whether labels are to be locations in lists. */
  locations?: boolean | undefined;
}

/** Results that fit in one typed array. */
const LARGEST_RESULT = 2 ** 32;

/**
 * An index over vectors of one dimension. Calls may overlap: searches run side by side,
 * and a change waits for the searches before it and holds up those after it.
 */
export abstract class Index implements Disposable {
  /** Dimension. */
  readonly d: number;
  /** How vectors are compared. */
  readonly metric: Metric;
  /** `p` of {@linkcode Metric.Lp}; 0 otherwise. */
  readonly metricArg: number;
  /** What runs the index. */
  readonly backend: Backend;
  #lastRun: RunInfo | undefined;
  #disposed = false;
  readonly #lock = new Lock();

  /**
   * Checks what every index has.
   *
   * @param d Dimension.
   * @param metric How vectors are compared.
   * @param options Backend and metric argument.
   * @throws {RangeError} If `d` is not an integer above 0, or there is no such metric.
   */
  constructor(d: number, metric: Metric, options: IndexOptions = {}) {
    if (!Number.isInteger(d) || d < 1 || d > 2 ** 20) {
      throw new RangeError(`Cannot make an index: d ${d} is no integer from 1 to 2^20`);
    }
    this.d = d;
    this.metric = metric;
    this.metricArg = options.metricArg ?? 0;
    checkMetric(metric, this.metricArg);
    this.backend = options.backend ?? defaultBackend();
  }

  /** Number of vectors. */
  abstract get ntotal(): number;

  /** Whether vectors can be added and searched. */
  abstract get isTrained(): boolean;

  /** Bytes that the vectors and ids take. */
  abstract memoryUsage(): number;

  /** What the last search ran. */
  get lastRun(): RunInfo | undefined {
    return this.#lastRun;
  }

  /**
   * Learns from vectors what the index needs; does nothing on indexes that need nothing.
   *
   * @param x `n × d` vectors.
   * @param options Progress and abort.
   * @throws {RangeError} If a number is NaN or infinite, or there are too few vectors.
   * @throws {TypeError} If `x` is empty or not in rows of `d`.
   */
  async train(x: VectorInput, options: TrainOptions = {}): Promise<void> {
    this.assertUsable("train");
    const rows = toRows(x, this.d, "x");
    await this.write("train", () => this.doTrain(rows, options), options.signal);
  }

  /**
   * Adds vectors; their ids follow on from `ntotal`. Nothing is added if one is refused.
   *
   * @param x `n × d` vectors.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If a number is NaN or infinite, naming its row.
   * @throws {TypeError} If `x` is empty or not in rows of `d`.
   */
  async add(x: VectorInput): Promise<void> {
    this.assertUsable("add");
    const rows = toRows(x, this.d, "x");
    await this.write("add", () => {
      this.#assertTrained("add");
      return this.doAdd(rows, undefined);
    });
  }

  /**
   * Adds vectors with ids of your own, which may repeat.
   *
   * @param x `n × d` vectors.
   * @param ids `n` ids, not negative.
   * @throws {UnsupportedError} If the index numbers its vectors itself.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If an id is negative, or a number is NaN or infinite.
   * @throws {TypeError} If there are not `n` ids, or `x` is empty or not in rows of `d`.
   */
  async addWithIds(x: VectorInput, ids: IdInput): Promise<void> {
    this.assertUsable("addWithIds");
    const rows = toRows(x, this.d, "x");
    const checked = toIds(ids, rows.length / this.d, "ids");
    await this.write("addWithIds", () => {
      this.#assertTrained("addWithIds");
      return this.doAdd(rows, checked);
    });
  }

  /**
   * The nearest `k` vectors of each query, best first.
   *
   * @param queries `nq × d` vectors.
   * @param k How many; where there are fewer the label is −1 and the distance ±FLT_MAX.
   * @param params Filter, abort, nprobe.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If `k` or `nprobe` is out of range, or a number is NaN or infinite.
   * @throws {TypeError} If `queries` is empty or not in rows of `d`.
   */
  async search(
    queries: VectorInput,
    k: number,
    params: SearchParameters = {},
  ): Promise<SearchResult> {
    this.assertUsable("search");
    const rows = toRows(queries, this.d, "queries");
    this.#checkK(k, rows.length / this.d);
    return await this.#read("search", params, (how) => this.doSearch(rows, k, how));
  }

  /**
   * {@linkcode search} on this thread: for work under about 100 µs.
   *
   * @param queries `nq × d` vectors.
   * @param k How many.
   * @param params Filter, nprobe.
   * @throws {Error} If a change of the index is still under way, and as {@linkcode search} does.
   */
  searchSync(queries: VectorInput, k: number, params: SearchParameters = {}): SearchResult {
    this.assertQuiet("searchSync");
    const rows = toRows(queries, this.d, "queries");
    this.#checkK(k, rows.length / this.d);
    const found = this.doSearchSync(rows, k, this.#checkSearch("searchSync", params));
    this.#lastRun = found.run;
    return found;
  }

  /**
   * The vectors strictly within a radius of each query.
   *
   * @param queries `nq × d` vectors.
   * @param radius Distances are below it, similarities above it.
   * @param params Filter, abort, nprobe.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If `radius` or a vector holds a NaN, or `nprobe` is out of range.
   * @throws {TypeError} If `queries` is empty or not in rows of `d`.
   */
  async rangeSearch(
    queries: VectorInput,
    radius: number,
    params: SearchParameters = {},
  ): Promise<RangeSearchResult> {
    this.assertUsable("rangeSearch");
    const rows = toRows(queries, this.d, "queries");
    if (typeof radius !== "number" || Number.isNaN(radius)) {
      throw new RangeError(`Cannot rangeSearch: radius ${radius} is no number`);
    }
    return await this.#read("rangeSearch", params, async (how) => {
      const found = await this.doRangeSearch(rows, radius, how);
      return new RangeSearchResult(found.lims, found.distances, found.labels, found.run);
    });
  }

  /**
   * {@linkcode search}, with the vectors that were found.
   *
   * @param queries `nq × d` vectors.
   * @param k How many.
   * @param params Filter, abort, nprobe.
   * @returns The result with `nq × k × d` vectors, NaN where there is none.
   */
  async searchAndReconstruct(
    queries: VectorInput,
    k: number,
    params: SearchParameters = {},
  ): Promise<SearchAndReconstructResult> {
    this.assertUsable("searchAndReconstruct");
    const rows = toRows(queries, this.d, "queries");
    this.#checkK(k, rows.length / this.d);
    return await this.#read(
      "searchAndReconstruct",
      params,
      (how) => this.doSearchAndReconstruct(rows, k, how),
    );
  }

  /**
   * A copy of one vector.
   *
   * @param id Its id.
   * @returns `d` numbers.
   * @throws {RangeError} If the id is not in the index.
   * @throws {UnsupportedError} If the index cannot find a vector by its id.
   */
  reconstruct(id: number | bigint): Float32Array {
    return this.reconstructBatch([id]);
  }

  /**
   * Copies of the vectors with consecutive ids.
   *
   * @param start First id.
   * @param n How many.
   * @returns `n × d` numbers.
   * @throws {RangeError} If one of the ids is not in the index.
   */
  reconstructN(start: number | bigint, n: number): Float32Array {
    if (!Number.isInteger(n) || n < 0 || n > this.ntotal) {
      throw new RangeError(`Cannot reconstructN: n ${n} is no integer from 0 to ${this.ntotal}`);
    }
    const [first] = toIds([start], 1, "start");
    return this.reconstructBatch(BigInt64Array.from({ length: n }, (_, i) => first! + BigInt(i)));
  }

  /**
   * Copies of vectors.
   *
   * @param ids Their `n` ids.
   * @returns `n × d` numbers.
   * @throws {RangeError} If one of the ids is not in the index.
   */
  reconstructBatch(ids: IdInput): Float32Array {
    this.assertQuiet("reconstruct");
    const checked = toIds(ids, undefined, "ids");
    const out = new Float32Array(checked.length * this.d);
    this.doReconstruct(checked, out);
    return out;
  }

  /**
   * Removes vectors.
   *
   * @param filter The ids to remove: a selector, a list, or a function.
   * @returns How many vectors went.
   */
  async removeIds(filter: Filter): Promise<number> {
    this.assertUsable("removeIds");
    const selector = toSelector(filter);
    return await this.write("removeIds", () => this.doRemove(selector));
  }

  /**
   * Moves another index's vectors here; the other is left empty.
   *
   * @param other An index of the same kind, shape and backend.
   * @param addId Added to the ids of the other's vectors, where an index keeps ids.
   * @throws {TypeError} If the other index does not fit.
   * @throws {RangeError} If `other` is this index, or `addId` is not an integer of at least 0.
   */
  async mergeFrom(other: Index, addId = 0): Promise<void> {
    this.assertUsable("mergeFrom");
    if (other === this) throw new RangeError("Cannot mergeFrom: other is this index");
    if (!Number.isSafeInteger(addId) || addId < 0) {
      throw new RangeError(`Cannot mergeFrom: addId ${addId} is no integer of at least 0`);
    }
    await writeBoth(this.#lock, other.#lock, async () => {
      this.assertUsable("mergeFrom");
      other.assertUsable("mergeFrom");
      this.checkMergeable(other);
      await this.doMerge(other, addId);
    });
  }

  /** Removes every vector; the index stays trained. */
  async reset(): Promise<void> {
    this.assertUsable("reset");
    await this.write("reset", () => this.doReset());
  }

  /**
   * The ids of the nearest vectors.
   *
   * @param x `n × d` vectors.
   * @param k How many for each.
   * @returns `n × k` ids.
   */
  async assign(x: VectorInput, k = 1): Promise<BigInt64Array> {
    return (await this.search(x, k)).labels;
  }

  /**
   * Writes the index to a file in FAISS's format.
   *
   * @param path The file; replaced in one step.
   */
  async save(path: string | URL): Promise<void> {
    this.assertUsable("save");
    // Loaded here because files know every kind of index.
    const { writeIndex } = await import("../io/faiss_file.ts");
    await this.#lock.read(() => {
      this.assertUsable("save");
      return writeIndex(this, path);
    });
  }

  /**
   * A copy of this index on another backend: the same kind, vectors, ids and parameters.
   * This index stays as it is, so that what happens to a GPU does not lose its vectors. The
   * copy owns all of its parts.
   *
   * @param backend `"gpu"`, `"cpu"` or `"reference"`, or a backend.
   * @returns The copy; dispose of it too.
   * @throws {DeviceError} If there is no such device; it says what to do.
   * @throws {OutOfMemoryError} If the device has too little memory.
   *
   * @example
   * ```ts
   * import { IndexFlatL2 } from "@metalfaiss/metalfaiss";
   * import assert from "node:assert/strict";
   *
   * using index = new IndexFlatL2(2);
   * await index.add([[0, 0], [3, 4]]);
   * using copy = await index.to("reference");
   * assert.deepEqual((await copy.search([[3, 3]], 1)).row(0), [{ id: 1, distance: 1 }]);
   * ```
   */
  async to(backend: BackendName | Backend): Promise<this> {
    this.assertUsable("to");
    const target = typeof backend === "string" ? createBackend(backend) : backend;
    return await this.hold("to", () => this.doCopy(target)) as this;
  }

  /** Frees the vectors. Every later call throws `DisposedError`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.doDispose();
  }

  /** Frees the vectors. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return indexBundle(this, this.#disposed ? undefined : this.parameters());
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return indexLine(this, this.#disposed);
  }

  /** FAISS's factory string, of kinds that have one. @internal */
  factoryString(): string | undefined {
    return undefined;
  }

  /** What is shown of this kind of index alone. @internal */
  protected parameters(): Record<string, unknown> {
    return {};
  }

  /** Learns from checked vectors. @internal */
  protected abstract doTrain(x: Float32Array, options: TrainOptions): Promise<void>;
  /** Adds checked vectors. @internal */
  protected abstract doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void>;
  /** Searches checked queries. @internal */
  protected abstract doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult>;
  /** Searches checked queries on this thread. @internal */
  protected abstract doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult;
  /** Searches checked queries and copies what they find. @internal */
  protected async doSearchAndReconstruct(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchAndReconstructResult> {
    const found = await this.doSearch(queries, k, how);
    return new SearchAndReconstructResult(found, this.#vectorsOf(found.labels));
  }
  /** Searches checked queries by radius. @internal */
  protected abstract doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors>;
  /** Copies vectors, or throws if one is missing. @internal */
  protected abstract doReconstruct(ids: BigInt64Array, out: Float32Array): void;
  /** Removes vectors. @internal */
  protected abstract doRemove(selector: IDSelector): Promise<number>;
  /** Moves the vectors of a fitting index. @internal */
  protected abstract doMerge(other: Index, addId: number): Promise<void>;
  /** Removes every vector. @internal */
  protected abstract doReset(): Promise<void>;
  /** Makes a copy on a backend, which owns its parts. @internal */
  protected doCopy(_backend: Backend): Promise<Index> {
    throw this.unsupported("to", "this kind of index cannot be copied");
  }
  /** Frees what the index holds. @internal */
  protected abstract doDispose(): void;
  /** The ids in the index, or their number where they are `0 … n − 1`. @internal */
  protected abstract ids(): BigInt64Array | number;

  /** Throws unless the other index's vectors fit here. @internal */
  checkMergeable(other: Index): void {
    const fits = other.d === this.d && other.metric === this.metric &&
      other.metricArg === this.metricArg && other.backend.name === this.backend.name;
    if (!fits) {
      throw new TypeError("Cannot mergeFrom: d, metric or backend of the two indexes differ");
    }
  }

  /** How a store is searched. @internal */
  protected storeSearch(how: CheckedSearch): StoreSearch {
    return {
      metric: this.metric,
      metricArg: this.metricArg,
      selector: how.selector && resolvePredicates(how.selector, () => this.ids()),
      signal: how.params.signal,
    };
  }

  /** Runs a change alone. @internal */
  protected write<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#lock.write(() => {
      this.assertUsable(name);
      return work();
    }, signal);
  }

  /** Runs what only reads, and no change meanwhile. @internal */
  hold<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#lock.read(() => {
      this.assertUsable(name);
      return work();
    });
  }

  async #read<T extends { run: RunInfo }>(
    name: string,
    params: SearchParameters,
    work: (how: CheckedSearch) => Promise<T>,
  ): Promise<T> {
    const found = await this.#lock.read(
      () => work(this.#checkSearch(name, params)),
      params.signal,
    );
    this.#lastRun = found.run;
    return found;
  }

  #checkSearch(name: string, params: SearchParameters): CheckedSearch {
    this.assertUsable(name);
    params.signal?.throwIfAborted();
    this.#assertTrained(name);
    const { filter } = params;
    return { selector: filter === undefined ? undefined : toSelector(filter), params };
  }

  #checkK(k: number, nq: number): void {
    if (!Number.isInteger(k) || k < 1) {
      throw new RangeError(`Cannot search: k ${k} is no integer above 0`);
    }
    if (nq * k >= LARGEST_RESULT) {
      throw new RangeError(`Cannot search: k ${k} for ${nq} queries is more than 2^32 results`);
    }
  }

  #vectorsOf(labels: BigInt64Array): Float32Array {
    const vectors = new Float32Array(labels.length * this.d).fill(NaN);
    const at: number[] = [];
    labels.forEach((label, i) => {
      if (label !== -1n) at.push(i);
    });
    const found = new Float32Array(at.length * this.d);
    this.doReconstruct(BigInt64Array.from(at, (i) => labels[i]!), found);
    at.forEach((i, row) => {
      vectors.set(found.subarray(row * this.d, (row + 1) * this.d), i * this.d);
    });
    return vectors;
  }

  #assertTrained(name: string): void {
    if (!this.isTrained) throw new NotTrainedError(`Cannot ${name}: call train() first`);
  }

  /** Whether ids stay when other vectors go, so that a wrapper by position renumbers them. @internal */
  get keepsIds(): boolean {
    return false;
  }

  /** Gives every vector a new id, −1 drops it, where ids stay when others go. @internal */
  renumber(_newId: (id: bigint) => bigint): Promise<void> {
    throw this.unsupported("renumber", "an id is a position");
  }

  /** The ids in an index, for one around it. @internal */
  protected static idsOf(index: Index): BigInt64Array | number {
    return index.ids();
  }

  /** Throws if the index was disposed of. @internal */
  assertUsable(name: string): void {
    if (this.#disposed) {
      throw new DisposedError(`Cannot ${name}: the ${this.constructor.name} was disposed`);
    }
  }

  /** Throws if the index was disposed of or is changing. @internal */
  protected assertQuiet(name: string): void {
    this.assertUsable(name);
    if (this.#lock.changing) {
      throw new Error(`Cannot ${name}: a change is under way, await it first`);
    }
  }

  /** The error of an operation that this kind of index lacks. @internal */
  protected unsupported(name: string, why: string): UnsupportedError {
    return new UnsupportedError(`Cannot ${name} on ${this.constructor.name}: ${why}`);
  }
}
