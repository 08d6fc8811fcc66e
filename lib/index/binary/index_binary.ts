/**
 * What every index of bits can do.
 *
 * @module
 */

import type { Backend, BackendName, RangeNeighbors, RunInfo } from "../../backend/backend.ts";
import type { BinaryNeighbors, BinarySearch } from "../../backend/binary.ts";
import { backend as defaultBackend, createBackend } from "../../backend/select.ts";
import { binaryCodeSize } from "../../codec/binary_codes.ts";
import type { MimeBundle } from "../../display.ts";
import { DisposedError, NotTrainedError, UnsupportedError } from "../../errors.ts";
import { type IdInput, toIds } from "../../matrix.ts";
import { RangeSearchResult, SearchAndReconstructResult, SearchResult } from "../../result.ts";
import { type Filter, type IDSelector, resolvePredicates, toSelector } from "../../selector.ts";
import type { SearchParameters, TrainOptions } from "../index.ts";
import { indexBundle, indexLine } from "../index_display.ts";
import { Lock, writeBoth } from "../lock.ts";
import { type BinaryInput, toCodes } from "./codes_input.ts";

/** Options of the constructor of an index of bits. */
export interface BinaryIndexOptions {
  /** What runs the index; by default what `backend()` returns. */
  backend?: Backend | undefined;
}

/** How an index of bits is searched. */
export interface BinarySearchParameters extends SearchParameters {
  /** Bits of a hash that may differ, for the indexes of hashes; by default their own `nflip`. */
  nflip?: number | undefined;
}

/** What a search of bits found: distances are whole numbers, 2^31 − 1 where there is no result. */
export type BinarySearchResult = SearchResult<Int32Array>;

/** A search whose arguments were checked. @internal */
export interface CheckedBinarySearch {
  /** The selector, not yet without functions. */
  selector: IDSelector | undefined;
  /** What the caller asked for. */
  params: BinarySearchParameters;
}

/** Results that fit in one typed array. */
const LARGEST_RESULT = 2 ** 32;

/**
 * An index over vectors of bits, compared by how many of them differ (the Hamming distance). A vector
 * is `d / 8` bytes: bit `i` is bit `i % 8` of byte `i >> 3`. Calls may overlap, as those of an
 * `Index` may.
 */
export abstract class IndexBinary implements Disposable {
  /** Dimension: bits of a vector. */
  readonly d: number;
  /** Bytes of a vector. */
  readonly codeSize: number;
  /** What runs the index. */
  readonly backend: Backend;
  #lastRun: RunInfo | undefined;
  #disposed = false;
  readonly #lock = new Lock();

  /**
   * Checks what every index of bits has.
   *
   * @param d Bits of a vector: a multiple of 8.
   * @param options Backend.
   * @throws {RangeError} If `d` is not a multiple of 8 above 0.
   * @throws {UnsupportedError} If the backend is a GPU.
   */
  constructor(d: number, options: BinaryIndexOptions = {}) {
    if (!Number.isInteger(d) || d < 8 || d > 2 ** 20 || d % 8 !== 0) {
      throw new RangeError(`Cannot make an index: d ${d} is no multiple of 8 from 8 to 2^20`);
    }
    this.d = d;
    this.codeSize = binaryCodeSize(d);
    this.backend = options.backend ?? defaultBackend();
    if (this.backend.name === "gpu") {
      const name = this.constructor.name;
      throw new UnsupportedError(
        `Cannot make an index: ${name} runs on the cpu and reference backends, not on the gpu`,
      );
    }
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
   * @param x `n × codeSize` bytes.
   * @param options Progress and abort.
   * @throws {RangeError} If there are too few vectors.
   * @throws {TypeError} If `x` is empty or not in rows of `codeSize`.
   */
  async train(x: BinaryInput, options: TrainOptions = {}): Promise<void> {
    this.assertUsable("train");
    const codes = toCodes(x, this.codeSize, "x");
    await this.write("train", () => this.doTrain(codes, options), options.signal);
  }

  /**
   * Adds vectors; their ids follow on from `ntotal`.
   *
   * @param x `n × codeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {TypeError} If `x` is empty or not in rows of `codeSize`.
   */
  async add(x: BinaryInput): Promise<void> {
    this.assertUsable("add");
    const codes = toCodes(x, this.codeSize, "x");
    await this.write("add", () => {
      this.#assertTrained("add");
      return this.doAdd(codes, undefined);
    });
  }

  /**
   * Adds vectors with ids of your own, which may repeat.
   *
   * @param x `n × codeSize` bytes.
   * @param ids `n` ids, not negative.
   * @throws {UnsupportedError} If the index numbers its vectors itself.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If an id is negative.
   * @throws {TypeError} If there are not `n` ids, or `x` is empty or not in rows of `codeSize`.
   */
  async addWithIds(x: BinaryInput, ids: IdInput): Promise<void> {
    this.assertUsable("addWithIds");
    const codes = toCodes(x, this.codeSize, "x");
    const checked = toIds(ids, codes.length / this.codeSize, "ids");
    await this.write("addWithIds", () => {
      this.#assertTrained("addWithIds");
      return this.doAdd(codes, checked);
    });
  }

  /**
   * The nearest `k` vectors of each query, best first; of those as near, the lower id first.
   *
   * @param queries `nq × codeSize` bytes.
   * @param k How many; where there are fewer the label is −1 and the distance 2^31 − 1.
   * @param params Filter, abort, nprobe, efSearch, nflip.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If `k` or a parameter is out of range.
   * @throws {TypeError} If `queries` is empty or not in rows of `codeSize`.
   */
  async search(
    queries: BinaryInput,
    k: number,
    params: BinarySearchParameters = {},
  ): Promise<BinarySearchResult> {
    this.assertUsable("search");
    const codes = toCodes(queries, this.codeSize, "queries");
    this.#checkK(k, codes.length / this.codeSize);
    return await this.#read("search", params, async (how) => {
      return toResult(await this.doSearch(codes, k, how), k);
    });
  }

  /**
   * {@linkcode search} on this thread: for work under about 100 µs.
   *
   * @param queries `nq × codeSize` bytes.
   * @param k How many.
   * @param params Filter, nprobe, efSearch, nflip.
   * @throws {Error} If a change of the index is still under way, and as {@linkcode search} does.
   */
  searchSync(
    queries: BinaryInput,
    k: number,
    params: BinarySearchParameters = {},
  ): BinarySearchResult {
    this.assertQuiet("searchSync");
    const codes = toCodes(queries, this.codeSize, "queries");
    this.#checkK(k, codes.length / this.codeSize);
    const found = this.doSearchSync(codes, k, this.#checkSearch("searchSync", params));
    this.#lastRun = found.run;
    return toResult(found, k);
  }

  /**
   * The vectors of which fewer than `radius` bits differ from each query.
   *
   * @param queries `nq × codeSize` bytes.
   * @param radius Distances are below it.
   * @param params Filter, abort, nprobe, nflip.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {RangeError} If `radius` is a NaN, or a parameter is out of range.
   * @throws {TypeError} If `queries` is empty or not in rows of `codeSize`.
   */
  async rangeSearch(
    queries: BinaryInput,
    radius: number,
    params: BinarySearchParameters = {},
  ): Promise<RangeSearchResult> {
    this.assertUsable("rangeSearch");
    const codes = toCodes(queries, this.codeSize, "queries");
    if (typeof radius !== "number" || Number.isNaN(radius)) {
      throw new RangeError(`Cannot rangeSearch: radius ${radius} is no number`);
    }
    return await this.#read("rangeSearch", params, async (how) => {
      const found = await this.doRangeSearch(codes, radius, how);
      return new RangeSearchResult(found.lims, found.distances, found.labels, found.run);
    });
  }

  /**
   * {@linkcode search}, with the vectors that were found.
   *
   * @param queries `nq × codeSize` bytes.
   * @param k How many.
   * @param params Filter, abort, nprobe, efSearch, nflip.
   * @returns The result with `nq × k × codeSize` bytes, 255 where there is none.
   */
  async searchAndReconstruct(
    queries: BinaryInput,
    k: number,
    params: BinarySearchParameters = {},
  ): Promise<SearchAndReconstructResult<Int32Array, Uint8Array>> {
    this.assertUsable("searchAndReconstruct");
    const codes = toCodes(queries, this.codeSize, "queries");
    this.#checkK(k, codes.length / this.codeSize);
    return await this.#read("searchAndReconstruct", params, (how) => {
      return this.doSearchAndReconstruct(codes, k, how);
    });
  }

  /**
   * A copy of one vector.
   *
   * @param id Its id.
   * @returns `codeSize` bytes.
   * @throws {RangeError} If the id is not in the index.
   * @throws {UnsupportedError} If the index cannot find a vector by its id.
   */
  reconstruct(id: number | bigint): Uint8Array {
    return this.reconstructBatch([id]);
  }

  /**
   * Copies of the vectors with consecutive ids.
   *
   * @param start First id.
   * @param n How many.
   * @returns `n × codeSize` bytes.
   * @throws {RangeError} If one of the ids is not in the index.
   */
  reconstructN(start: number | bigint, n: number): Uint8Array {
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
   * @returns `n × codeSize` bytes.
   * @throws {RangeError} If one of the ids is not in the index.
   */
  reconstructBatch(ids: IdInput): Uint8Array {
    this.assertQuiet("reconstruct");
    return this.doReconstruct(toIds(ids, undefined, "ids"));
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
  async mergeFrom(other: IndexBinary, addId = 0): Promise<void> {
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
   * @param x `n × codeSize` bytes.
   * @param k How many for each.
   * @returns `n × k` ids.
   */
  async assign(x: BinaryInput, k = 1): Promise<BigInt64Array> {
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
    const { writeIndexBinary } = await import("../../io/faiss_binary_file.ts");
    await this.hold("save", () => writeIndexBinary(this, path));
  }

  /**
   * A copy of this index on another backend: the same kind, vectors, ids and parameters. The copy
   * owns all of its parts.
   *
   * @param backend `"cpu"` or `"reference"`, or a backend.
   * @returns The copy; dispose of it too.
   * @throws {UnsupportedError} If the backend is a GPU.
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

  /** Learns from vectors. @internal */
  protected doTrain(_x: Uint8Array, _options: TrainOptions): Promise<void> {
    return Promise.resolve();
  }
  /** Adds vectors. @internal */
  protected abstract doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void>;
  /** Searches. @internal */
  protected abstract doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors>;
  /** Searches on this thread. @internal */
  protected abstract doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors;
  /** Searches by radius. @internal */
  protected abstract doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors>;
  /** Copies vectors, or throws if one is missing. @internal */
  protected abstract doReconstruct(ids: BigInt64Array): Uint8Array;
  /** Removes vectors. @internal */
  protected abstract doRemove(selector: IDSelector): Promise<number>;
  /** Moves the vectors of a fitting index. @internal */
  protected abstract doMerge(other: IndexBinary, addId: number): Promise<void>;
  /** Removes every vector. @internal */
  protected abstract doReset(): Promise<void>;
  /** Makes a copy on a backend, which owns its parts. @internal */
  protected abstract doCopy(backend: Backend): Promise<IndexBinary>;
  /** Frees what the index holds. @internal */
  protected abstract doDispose(): void;
  /** The ids in the index, or their number where they are `0 … n − 1`. @internal */
  protected abstract ids(): BigInt64Array | number;

  /** Searches and copies what is found. @internal */
  protected async doSearchAndReconstruct(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<SearchAndReconstructResult<Int32Array, Uint8Array>> {
    const found = await this.doSearch(queries, k, how);
    const vectors = new Uint8Array(found.labels.length * this.codeSize).fill(255);
    const there = found.labels.filter((label) => label !== -1n);
    const codes = this.doReconstruct(there);
    let from = 0;
    found.labels.forEach((label, i) => {
      if (label === -1n) return;
      vectors.set(codes.subarray(from, from += this.codeSize), i * this.codeSize);
    });
    return new SearchAndReconstructResult(toResult(found, k), vectors);
  }

  /** Throws unless the other index's vectors fit here. @internal */
  checkMergeable(other: IndexBinary): void {
    if (other.constructor !== this.constructor) {
      throw new TypeError(
        `Cannot mergeFrom: a ${other.constructor.name} is no ${this.constructor.name}`,
      );
    }
    if (other.d !== this.d || other.backend.name !== this.backend.name) {
      throw new TypeError("Cannot mergeFrom: d or backend of the two indexes differ");
    }
  }

  /** How a store is searched. @internal */
  protected storeSearch(how: CheckedBinarySearch): BinarySearch {
    return {
      selector: how.selector && resolvePredicates(how.selector, () => this.ids()),
      signal: how.params.signal,
    };
  }

  /** A selector without functions, for a store. @internal */
  protected resolved(selector: IDSelector): IDSelector {
    return resolvePredicates(selector, () => this.ids());
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
    params: BinarySearchParameters,
    work: (how: CheckedBinarySearch) => Promise<T>,
  ): Promise<T> {
    const found = await this.#lock.read(
      () => work(this.#checkSearch(name, params)),
      params.signal,
    );
    this.#lastRun = found.run;
    return found;
  }

  #checkSearch(name: string, params: BinarySearchParameters): CheckedBinarySearch {
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

  #assertTrained(name: string): void {
    if (!this.isTrained) throw new NotTrainedError(`Cannot ${name}: call train() first`);
  }

  /** Whether ids stay when other vectors go. @internal */
  get keepsIds(): boolean {
    return false;
  }

  /** Gives every vector a new id, −1 drops it, where ids stay when others go. @internal */
  renumber(_newId: (id: bigint) => bigint): Promise<void> {
    throw this.unsupported("renumber", "an id is a position");
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

function toResult({ distances, labels, run }: BinaryNeighbors, k: number): BinarySearchResult {
  return new SearchResult(distances, labels, k, run);
}
