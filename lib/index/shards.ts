/**
 * Vectors in several indexes, searched as one.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../backend/backend.ts";
import { checkRows } from "../backend/reference/scan.ts";
import { isSimilarity, Metric, missingDistance } from "../metric.ts";
import { SearchResult } from "../result.ts";
import { type IDSelector, resolvePredicates, toBitmap } from "../selector.ts";
import { joinSearches } from "./parts.ts";
import {
  type CheckedSearch,
  Index,
  type IndexOptions,
  type SearchParameters,
  type TrainOptions,
} from "./index.ts";
import { checkNesting } from "./nesting.ts";

/** Options of an {@linkcode IndexShards}. */
export interface IndexShardsOptions extends IndexOptions {
  /**
   * Whether ids of a shard follow on from those of the shards before it, as in FAISS by default.
   * Otherwise shards keep the ids they are given: lists and id maps do.
   */
  successiveIds?: boolean | undefined;
}

/**
 * Vectors spread over indexes: each of them is searched, and the best of all are kept.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexShards } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using a = new IndexFlatL2(1);
 * using b = new IndexFlatL2(1);
 * using index = new IndexShards(1);
 * index.addShard(a);
 * index.addShard(b);
 * await index.add([[0], [1], [2], [3]]);
 * assert.equal(b.ntotal, 2);
 * assert.deepEqual((await index.search([[3]], 2)).row(0), [
 *   { id: 3, distance: 0 },
 *   { id: 2, distance: 1 },
 * ]);
 * ```
 */
export class IndexShards extends Index {
  /** Whether ids of a shard follow on from those of the shards before it. */
  readonly successiveIds: boolean;
  /** Whether disposing of this index disposes of its shards too. */
  ownFields = false;
  #shards: Index[] = [];

  /**
   * An index without shards yet.
   *
   * @param d Dimension.
   * @param metric How vectors are compared.
   * @param options Numbering, backend, metric argument.
   * @throws {RangeError} If `d` is not an integer above 0, or there is no such metric.
   */
  constructor(d: number, metric: Metric = Metric.L2, options: IndexShardsOptions = {}) {
    super(d, metric, options);
    this.successiveIds = options.successiveIds ?? true;
  }

  /** The shards. */
  get shards(): readonly Index[] {
    return this.#shards;
  }

  /**
   * Adds a shard, with the vectors it holds.
   *
   * @param index The shard.
   * @throws {TypeError} If its dimension or metric is another, it is trained and others are not, or it
   * is here already.
   */
  addShard(index: Index): void {
    this.assertQuiet("addShard");
    const { d, metric, metricArg, isTrained } = index;
    if (d !== this.d || metric !== this.metric || metricArg !== this.metricArg) {
      throw new TypeError("Cannot addShard: d or metric of the index differs");
    }
    if (this.#shards.length > 0 && isTrained !== this.isTrained) {
      throw new TypeError("Cannot addShard: some shards are trained, others are not");
    }
    if (this.#shards.includes(index)) throw new TypeError("Cannot addShard: it is here already");
    checkNesting(this, index);
    this.#shards.push(index);
  }

  /**
   * Takes a shard out, with its vectors.
   *
   * @param index The shard.
   * @throws {TypeError} If it is none.
   */
  removeShard(index: Index): void {
    this.assertQuiet("removeShard");
    if (!this.#shards.includes(index)) throw new TypeError("Cannot removeShard: it is none");
    this.#shards = this.#shards.filter((shard) => shard !== index);
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.ntotal, 0);
  }

  /** Whether there are shards, and all are trained. */
  override get isTrained(): boolean {
    return this.#shards.length > 0 && this.#shards.every(({ isTrained }) => isTrained);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { shards: this.#shards.length, successiveIds: this.successiveIds };
  }

  /** Bytes that the shards take. */
  override memoryUsage(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.memoryUsage(), 0);
  }

  /** @internal */
  protected override async doTrain(x: Float32Array, options: TrainOptions): Promise<void> {
    this.#assertShards("train");
    for (const shard of this.#shards) await shard.train(x, options);
  }

  /** @internal */
  protected override async doAdd(x: Float32Array, ids: BigInt64Array | undefined): Promise<void> {
    if (this.successiveIds && ids !== undefined) {
      throw this.unsupported("addWithIds", "ids follow on from shard to shard");
    }
    if (this.successiveIds && this.ntotal > 0) {
      throw this.unsupported("add again", "ids of later shards would change");
    }
    // Before any shard is changed.
    checkRows("add", x, this.d, this.metric === Metric.NaNEuclidean);
    const n = x.length / this.d;
    const first = BigInt(this.ntotal);
    const numbers = ids ?? BigInt64Array.from({ length: n }, (_, i) => first + BigInt(i));
    const count = this.#shards.length;
    for (const [i, shard] of this.#shards.entries()) {
      const [from, to] = [Math.floor(i * n / count), Math.floor((i + 1) * n / count)];
      if (from === to) continue;
      const rows = x.subarray(from * this.d, to * this.d);
      if (this.successiveIds) await shard.add(rows);
      else await shard.addWithIds(rows, numbers.subarray(from, to));
    }
  }

  /** @internal */
  protected override async doSearch(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): Promise<SearchResult> {
    const offsets = this.#offsets();
    const found = await Promise.all(this.#shards.map((shard, i) => {
      return shard.search(queries, k, this.#inner(how, shard, offsets[i]!));
    }));
    return this.#merge(found, offsets);
  }

  /** @internal */
  protected override doSearchSync(
    queries: Float32Array,
    k: number,
    how: CheckedSearch,
  ): SearchResult {
    const offsets = this.#offsets();
    const found = this.#shards.map((shard, i) => {
      return shard.searchSync(queries, k, this.#inner(how, shard, offsets[i]!));
    });
    return this.#merge(found, offsets);
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Float32Array,
    radius: number,
    how: CheckedSearch,
  ): Promise<RangeNeighbors> {
    const offsets = this.#offsets();
    const found = await Promise.all(this.#shards.map((shard, i) => {
      return shard.rangeSearch(queries, radius, this.#inner(how, shard, offsets[i]!));
    }));
    const total = found.reduce((sum, { labels }) => sum + labels.length, 0);
    const [distances, labels] = [new Float32Array(total), new BigInt64Array(total)];
    const nq = queries.length / this.d;
    const lims = new BigUint64Array(nq + 1);
    let at = 0;
    for (let query = 0; query < nq; query++) {
      for (const [shard, part] of found.entries()) {
        for (let i = Number(part.lims[query]); i < Number(part.lims[query + 1]); i++, at++) {
          distances[at] = part.distances[i]!;
          labels[at] = part.labels[i]! + offsets[shard]!;
        }
      }
      lims[query + 1] = BigInt(at);
    }
    return { lims, distances, labels, run: joinSearches(found.map(({ run }) => run)) };
  }

  /** The id of each shard's first vector. */
  #offsets(): bigint[] {
    let next = 0n;
    return this.#shards.map((shard) => {
      const offset = next;
      if (this.successiveIds) next += BigInt(shard.ntotal);
      return offset;
    });
  }

  #inner({ selector, params }: CheckedSearch, shard: Index, offset: bigint): SearchParameters {
    if (selector === undefined) return params;
    return { ...params, filter: this.#ownSelector(selector, shard, offset) };
  }

  /** The ids of a shard that are selected. */
  #ownSelector(selector: IDSelector, shard: Index, offset: bigint): IDSelector {
    if (!this.successiveIds) return resolvePredicates(selector, () => Index.idsOf(shard));
    const isMember = (id: bigint) => selector.isMember(id + offset);
    return toBitmap({ isMember }, shard.ntotal);
  }

  #merge(found: SearchResult[], offsets: bigint[]): SearchResult {
    const { nq, k } = found[0]!;
    const sign = isSimilarity(this.metric) ? -1 : 1;
    const distances = new Float32Array(nq * k).fill(missingDistance(this.metric));
    const labels = new BigInt64Array(nq * k).fill(-1n);
    const heads = new Int32Array(found.length);
    for (let query = 0; query < nq; query++) {
      heads.fill(query * k);
      for (let place = query * k; place < (query + 1) * k; place++) {
        let best = -1;
        for (const [shard, { distances: own, labels: ids }] of found.entries()) {
          const at = heads[shard]!;
          if (at === (query + 1) * k || ids[at] === -1n) continue;
          const least = best < 0 ? Infinity : sign * found[best]!.distances[heads[best]!]!;
          const value = sign * own[at]!;
          const id = ids[at]! + offsets[shard]!;
          if (value < least || (value === least && (best < 0 || id < labels[place]!))) {
            best = shard;
            labels[place] = id;
          }
        }
        if (best < 0) break;
        distances[place] = found[best]!.distances[heads[best]!++]!;
      }
    }
    return new SearchResult(distances, labels, k, joinSearches(found.map(({ run }) => run)));
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array, out: Float32Array): void {
    const offsets = this.#offsets();
    ids.forEach((id, i) => out.set(this.#vector(id, offsets), i * this.d));
  }

  #vector(id: bigint, offsets: bigint[]): Float32Array {
    for (const [i, shard] of this.#shards.entries()) {
      const own = id - offsets[i]!;
      if (this.successiveIds && own >= shard.ntotal) continue;
      try {
        return shard.reconstruct(own);
      } catch (error) {
        // Where shards keep ids, another one may have it.
        if (this.successiveIds || !(error instanceof RangeError)) throw error;
      }
    }
    throw new RangeError(`Cannot reconstruct: id ${id} is not in the index`);
  }

  /** @internal */
  protected override async doRemove(selector: IDSelector): Promise<number> {
    const offsets = this.#offsets();
    const own = this.#shards.map((shard, i) => this.#ownSelector(selector, shard, offsets[i]!));
    let removed = 0;
    for (const [i, shard] of this.#shards.entries()) removed += await shard.removeIds(own[i]!);
    return removed;
  }

  /** @internal */
  override get keepsIds(): boolean {
    return !this.successiveIds;
  }

  /** @internal */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.write("renumber", async () => {
      for (const shard of this.#shards) await shard.renumber(newId);
    });
  }

  /** @internal */
  protected override doMerge(_other: Index, _addId: number): Promise<void> {
    throw this.unsupported("mergeFrom", "add the other's shards to this index");
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<Index> {
    const { d, metric, metricArg, successiveIds } = this;
    const copy = new IndexShards(d, metric, { backend, metricArg, successiveIds });
    copy.ownFields = true;
    try {
      for (const shard of this.#shards) copy.addShard(await shard.to(backend));
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** @internal */
  protected override async doReset(): Promise<void> {
    for (const shard of this.#shards) await shard.reset();
  }

  /** @internal */
  protected override doDispose(): void {
    if (this.ownFields) this.#shards.forEach((shard) => shard.dispose());
  }

  #assertShards(name: string): void {
    if (this.#shards.length === 0) throw new TypeError(`Cannot ${name}: there are no shards`);
  }

  /** @internal */
  protected override ids(): BigInt64Array | number {
    if (this.successiveIds) return this.ntotal;
    const all = this.#shards.map((shard) => Index.idsOf(shard));
    return BigInt64Array.from(all.flatMap((ids) => {
      return typeof ids === "number" ? Array.from({ length: ids }, (_, i) => BigInt(i)) : [...ids];
    }));
  }
}
