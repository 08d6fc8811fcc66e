/**
 * Flat stores in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { IDSelector } from "../../selector.ts";
import type { FlatStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort, isShortCopy } from "./work.ts";

/** {@linkcode FlatStore} of the cpu backend. */
export class CpuFlatStore implements FlatStore {
  readonly d: number;
  readonly #handle: NativeHandle;
  #count = 0;

  constructor(d: number) {
    this.d = d;
    this.#handle = new NativeHandle("flat store", (out, call) => {
      return library().symbols.mf_flat_create(d, out, call);
    });
  }

  get count(): number {
    return this.#count;
  }

  async add(x: Float32Array, allowNaN = false): Promise<void> {
    const n = countRows(x, this.d, "x");
    const { symbols } = library();
    const { object } = this.#handle;
    const nan = allowNaN ? 1 : 0;
    if (isShortCopy(x.byteLength)) invoke((call) => symbols.mf_flat_add(object, n, x, nan, call));
    else await invokeAsync((call) => symbols.mf_flat_add_async(object, n, x, nan, call));
    this.#count += n;
  }

  async append(other: FlatStore): Promise<void> {
    if (!(other instanceof CpuFlatStore)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const added = other.count;
    const { object } = this.#handle;
    const source = other.#handle.object;
    await invokeAsync((call) => library().symbols.mf_flat_append_async(object, source, call));
    this.#count += added;
  }

  get(start: number, out: Float32Array): void {
    const n = countRows(out, this.d, "out");
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_flat_get(object, start, n, out, call));
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    checkLength(out, rows.length * this.d, "out");
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_flat_gather(object, rows.length, rows, out, call));
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const object = this.#handle.object;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await invokeAsync((call) => {
      return library().symbols.mf_flat_remove_async(object, ids, removed, call);
    });
    this.#count -= removed[0]!;
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => library().symbols.mf_flat_clear(this.#handle.object, call));
    this.#count = 0;
  }

  async search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    if (isShort(queries.length * this.#count)) return this.searchSync(queries, k, how);
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = await invokeAsync((call) => {
      return library().symbols.mf_flat_search_async(record, queries, distances, labels, call);
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors {
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = invoke((call) => {
      return library().symbols.mf_flat_search(record, queries, distances, labels, call);
    });
    return { distances, labels, run: runInfo(report) };
  }

  async rangeSearch(
    queries: Float32Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    how.signal?.throwIfAborted();
    using selector = createFilter(how.selector);
    const nq = countRows(queries, this.d, "queries");
    const record = this.#record(nq, 0, radius, how, selector);
    const lims = new BigUint64Array(nq + 1);
    const out = new Uint32Array(1);
    const { symbols } = library();
    const report = isShort(queries.length * this.#count)
      ? invoke((call) => symbols.mf_flat_range_search(record, queries, lims, out, call))
      : await invokeAsync((call) => {
        return symbols.mf_flat_range_search_async(record, queries, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  async rerank(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    if (isShort(candidates.length * this.d)) return this.rerankSync(queries, candidates, k, how);
    const { record, distances, labels } = this.#prepareRerank(queries, candidates, k, how);
    const report = await invokeAsync((call) => {
      return library().symbols.mf_flat_rerank_async(
        record,
        queries,
        candidates,
        distances,
        labels,
        call,
      );
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  rerankSync(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors {
    const { record, distances, labels } = this.#prepareRerank(queries, candidates, k, how);
    const report = invoke((call) => {
      return library().symbols.mf_flat_rerank(record, queries, candidates, distances, labels, call);
    });
    return { distances, labels, run: runInfo(report) };
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }

  #prepare(queries: Float32Array, k: number, how: StoreSearch, selector?: NativeHandle) {
    const nq = countRows(queries, this.d, "queries");
    return {
      record: this.#record(nq, k, 0, how, selector),
      distances: new Float32Array(nq * k),
      labels: new BigInt64Array(nq * k),
    };
  }

  #prepareRerank(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    { metric, metricArg }: StoreSearch,
  ) {
    const nq = countRows(queries, this.d, "queries");
    const record = searchRecord({
      object: this.#handle.object,
      metric,
      metricArg,
      radius: 0,
      selector: 0,
      // Candidates of each query.
      nprobe: countRows(candidates, nq, "candidates"),
      nq,
      k,
    });
    return { record, distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
  }

  #record(nq: number, k: number, radius: number, how: StoreSearch, selector?: NativeHandle) {
    return searchRecord({
      object: this.#handle.object,
      metric: how.metric,
      metricArg: how.metricArg,
      radius,
      selector: selector?.object ?? 0,
      nprobe: 0,
      nq,
      k,
    });
  }
}
