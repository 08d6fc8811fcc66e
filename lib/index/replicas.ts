/**
 * The same vectors in several indexes, which share the queries.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../backend/backend.ts";
import { checkRows } from "../backend/reference/scan.ts";
import { Metric } from "../metric.ts";
import { SearchResult } from "../result.ts";
import type { IDSelector } from "../selector.ts";
import { type CheckedSearch, Index, type IndexOptions, type TrainOptions } from "./index.ts";
import { checkNesting } from "./nesting.ts";
import { joinSearches } from "./parts.ts";

/**
 * Copies of an index, on several devices for example: each answers a part of the queries, and changes
 * are made to all.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexReplicas } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using a = new IndexFlatL2(1);
 * using b = new IndexFlatL2(1);
 * using index = new IndexReplicas(1);
 * index.addReplica(a);
 * index.addReplica(b);
 * await index.add([[0], [1]]);
 * assert.deepEqual([a.ntotal, b.ntotal, index.ntotal], [2, 2, 2]);
 * assert.deepEqual([...(await index.search([[0], [1]], 1)).labels], [0n, 1n]);
 * ```
 */
export class IndexReplicas extends Index {
  /** Whether disposing of this index disposes of its replicas too. */
  ownFields = false;
  #replicas: Index[] = [];

  /**
   * An index without replicas yet.
   *
   * @param d Dimension.
   * @param metric How vectors are compared.
   * @param options Backend, metric argument.
   * @throws {RangeError} If `d` is not an integer above 0, or there is no such metric.
   */
  constructor(d: number, metric: Metric = Metric.L2, options: IndexOptions = {}) {
    super(d, metric, options);
  }

  /** The replicas. */
  get replicas(): readonly Index[] {
    return this.#replicas;
  }

  /**
   * Adds a replica, which has to hold the same vectors as the others.
   *
   * @param index The replica.
   * @throws {TypeError} If its dimension, metric, number of vectors or training is another, or it is
   * here already.
   */
  addReplica(index: Index): void {
    this.assertQuiet("addReplica");
    const { d, metric, metricArg, isTrained, ntotal } = index;
    if (d !== this.d || metric !== this.metric || metricArg !== this.metricArg) {
      throw new TypeError("Cannot addReplica: d or metric of the index differs");
    }
    if (this.#replicas.length > 0 && (isTrained !== this.isTrained || ntotal !== this.ntotal)) {
      throw new TypeError(
        `Cannot addReplica: it has ${ntotal} vectors, others ${this.ntotal}, or is trained alone`,
      );
    }
    if (this.#replicas.includes(index)) {
      throw new TypeError("Cannot addReplica: it is here already");
    }
    checkNesting(this, index);
    this.#replicas.push(index);
  }

  /**
   * Takes a replica out.
   *
   * @param index The replica.
   * @throws {TypeError} If it is none.
   */
  removeReplica(index: Index): void {
    this.assertQuiet("removeReplica");
    if (!this.#replicas.includes(index)) throw new TypeError("Cannot removeReplica: it is none");
    this.#replicas = this.#replicas.filter((replica) => replica !== index);
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#replicas[0]?.ntotal ?? 0;
  }

  /** Whether there are replicas, and they are trained. */
  override get isTrained(): boolean {
    return this.#replicas.length > 0 && this.#replicas.every(({ isTrained }) => isTrained);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { replicas: this.#replicas.length };
  }

  /** Bytes that the replicas take. */
  override memoryUsage(): number {
    return this.#replicas.reduce((sum, replica) => sum + replica.memoryUsage(), 0);
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    if (this.#replicas.length === 0) throw new TypeError("Cannot train: there are no replicas");
    for (const replica of this.#replicas) await replica.train(x, options);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    // Before any replica is changed.
    checkRows("add", x, this.d, this.metric === Metric.NaNEuclidean);
    for (const replica of this.#replicas) {
      await (ids === undefined ? replica.add(x) : replica.addWithIds(x, ids));
    }
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    { params }: CheckedSearch,
  ): Promise<SearchResult> {
    const parts = this.#parts(queries);
    const found = await Promise.all(parts.map((part, i) => {
      return this.#replicas[i]!.search(part, k, params);
    }));
    const nq = queries.length / this.d;
    const [distances, labels] = [new Float32Array(nq * k), new BigInt64Array(nq * k)];
    let at = 0;
    for (const part of found) {
      distances.set(part.distances, at);
      labels.set(part.labels, at);
      at += part.labels.length;
    }
    return new SearchResult(distances, labels, k, joinSearches(found.map(({ run }) => run)));
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    { params }: CheckedSearch,
  ): SearchResult {
    return this.#replicas[0]!.searchSync(queries, k, params);
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    { params }: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const parts = this.#parts(queries);
    const found = await Promise.all(parts.map((part, i) => {
      return this.#replicas[i]!.rangeSearch(part, radius, params);
    }));
    const total = found.reduce((sum, { labels }) => sum + labels.length, 0);
    const [distances, labels] = [new Float32Array(total), new BigInt64Array(total)];
    const lims = new BigUint64Array(queries.length / this.d + 1);
    let [at, query] = [0, 0];
    for (const part of found) {
      distances.set(part.distances, at);
      labels.set(part.labels, at);
      for (let i = 1; i < part.lims.length; i++) lims[++query] = BigInt(at) + part.lims[i]!;
      at += part.labels.length;
    }
    return { lims, distances, labels, run: joinSearches(found.map(({ run }) => run)) };
  }

  /** As many queries for each replica, while there are any. */
  #parts(queries: Float32Array): Float32Array[] {
    const step = Math.ceil(queries.length / this.d / this.#replicas.length) * this.d;
    return Array.from(
      { length: Math.ceil(queries.length / step) },
      (_, i) => queries.subarray(i * step, (i + 1) * step),
    );
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    if (ids.length === 0) return;
    if (this.#replicas.length === 0) {
      throw new RangeError(`Cannot reconstruct: id ${ids[0]} of 0 vectors`);
    }
    out.set(this.#replicas[0]!.reconstructBatch(ids));
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    let removed = 0;
    for (const replica of this.#replicas) removed = await replica.removeIds(selector);
    return removed;
  }

  /** @internal */
  override get keepsIds(): boolean {
    return this.#replicas[0]?.keepsIds ?? false;
  }

  /** @internal */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      for (const replica of this.#replicas) await replica.renumber(newId);
    });
  }

  /** @internal */
  protected override doMerge(_other: Index, _addId: number): Promise<void> {
    throw this.unsupported("mergeFrom", "merge into each replica");
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const { d, metric, metricArg } = this;
    const copy = new IndexReplicas(d, metric, { backend, metricArg });
    copy.ownFields = true;
    try {
      for (const replica of this.#replicas) copy.addReplica(await replica.to(backend));
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** @internal */
  protected override async doReset(): Promise<void> {
    for (const replica of this.#replicas) await replica.reset();
  }

  /** @internal */
  protected override doDispose(): void {
    if (this.ownFields) this.#replicas.forEach((replica) => replica.dispose());
  }

  /** @internal */
  protected override ids(): BigInt64Array | number {
    const [first] = this.#replicas;
    return first === undefined ? 0 : Index.idsOf(first);
  }
}
