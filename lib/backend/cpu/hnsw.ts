/**
 * HNSW graphs in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { IDSelector } from "../../selector.ts";
import type {
  HNSWGraph,
  HNSWOptions,
  HNSWSearch,
  HNSWStore,
  Neighbors,
  RangeNeighbors,
  StoreSearch,
} from "../backend.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort } from "./work.ts";

/** {@linkcode HNSWStore} of the cpu backend. */
export class CpuHNSWStore implements HNSWStore {
  readonly d: number;
  readonly #m: number;
  readonly #handle: NativeHandle;
  #count = 0;

  constructor({ d, m, metric, metricArg }: HNSWOptions) {
    this.d = d;
    this.#m = m;
    this.#handle = new NativeHandle("graph", (out, call) => {
      return library().symbols.mf_hnsw_create(d, m, metric, metricArg, out, call);
    });
  }

  get count(): number {
    return this.#count;
  }

  get links(): number {
    const sizes = new Float64Array(3);
    invoke((call) => {
      return library().symbols.mf_hnsw_graph(this.#handle.object, sizes, null, null, call);
    });
    return sizes[1]!;
  }

  async add(x: Float32Array, levels: Uint8Array, ef: number): Promise<void> {
    const n = countRows(x, this.d, "x");
    checkLength(levels, n, "levels");
    const { symbols } = library();
    const { object } = this.#handle;
    if (isShort(this.#work(n, ef))) {
      invoke((call) => symbols.mf_hnsw_add(object, n, x, levels, ef, call));
    } else {
      await invokeAsync((call) => symbols.mf_hnsw_add_async(object, n, x, levels, ef, call));
    }
    this.#count += n;
  }

  async addRows(x: Float32Array): Promise<void> {
    const n = countRows(x, this.d, "x");
    const { object } = this.#handle;
    await invokeAsync((call) => library().symbols.mf_hnsw_add_rows_async(object, n, x, call));
    this.#count += n;
  }

  async restore({ levels, links, entry }: HNSWGraph): Promise<void> {
    checkLength(levels, this.#count, "levels");
    const { object } = this.#handle;
    const words = links.length;
    await invokeAsync((call) => {
      return library().symbols.mf_hnsw_restore_async(object, words, entry, levels, links, call);
    });
  }

  graph(): HNSWGraph {
    const { symbols } = library();
    const { object } = this.#handle;
    const sizes = new Float64Array(3);
    invoke((call) => symbols.mf_hnsw_graph(object, sizes, null, null, call));
    const levels = new Uint8Array(sizes[0]!);
    const links = new Int32Array(sizes[1]!);
    invoke((call) => symbols.mf_hnsw_graph(object, sizes, levels, links, call));
    return { levels, links, entry: sizes[2]! };
  }

  async update(rows: BigInt64Array, x: Float32Array, ef: number): Promise<void> {
    checkLength(x, rows.length * this.d, "x");
    const { object } = this.#handle;
    const n = rows.length;
    await invokeAsync((call) => {
      return library().symbols.mf_hnsw_update_async(object, n, rows, x, ef, call);
    });
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const { object } = this.#handle;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await invokeAsync((call) => {
      return library().symbols.mf_hnsw_remove_async(object, ids, removed, call);
    });
    this.#count -= removed[0]!;
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => library().symbols.mf_hnsw_clear(this.#handle.object, call));
    this.#count = 0;
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    checkLength(out, rows.length * this.d, "out");
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_hnsw_gather(object, rows.length, rows, out, call));
  }

  async search(queries: Float32Array, k: number, how: HNSWSearch): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    const work = this.#work(queries.length / this.d, Math.max(how.efSearch, k));
    if (isShort(work)) return this.searchSync(queries, k, how);
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = await invokeAsync((call) => {
      return library().symbols.mf_hnsw_search_async(record, queries, distances, labels, call);
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  searchSync(queries: Float32Array, k: number, how: HNSWSearch): Neighbors {
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = invoke((call) => {
      return library().symbols.mf_hnsw_search(record, queries, distances, labels, call);
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
    const record = this.#record(nq, 0, radius, 0, how, selector);
    const lims = new BigUint64Array(nq + 1);
    const out = new Uint32Array(1);
    const { symbols } = library();
    const report = isShort(queries.length * this.#count)
      ? invoke((call) => symbols.mf_hnsw_range_search(record, queries, lims, out, call))
      : await invokeAsync((call) => {
        return symbols.mf_hnsw_range_search_async(record, queries, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }

  /** Multiply-adds of walks: each of the nodes kept has links, half of which were met before. */
  #work(walks: number, ef: number): number {
    return walks * Math.min(ef * this.#m, this.#count + walks) * this.d;
  }

  #prepare(queries: Float32Array, k: number, how: HNSWSearch, selector?: NativeHandle) {
    const nq = countRows(queries, this.d, "queries");
    return {
      record: this.#record(nq, k, 0, how.efSearch, how, selector),
      distances: new Float32Array(nq * k),
      labels: new BigInt64Array(nq * k),
    };
  }

  #record(
    nq: number,
    k: number,
    radius: number,
    ef: number,
    how: StoreSearch,
    selector?: NativeHandle,
  ) {
    return searchRecord({
      object: this.#handle.object,
      metric: how.metric,
      metricArg: how.metricArg,
      radius,
      selector: selector?.object ?? 0,
      nprobe: ef,
      nq,
      k,
    });
  }
}
