/**
 * What stores of rows in native memory have in common: a row's id is its position.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import type { NativeHandle } from "../../../ffi/handle.ts";
import { library, type Symbols } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { IDSelector } from "../../selector.ts";
import type { Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort } from "./work.ts";

/** Which store: of rows, of codes, or of rows in a graph. */
type Prefix = "mf_flat" | "mf_codes" | "mf_hnsw";

/** The calls of all. */
function callsOf(prefix: Prefix) {
  const { symbols }: { symbols: Symbols } = library();
  return {
    gather: symbols[`${prefix}_gather`],
    remove_async: symbols[`${prefix}_remove_async`],
    clear: symbols[`${prefix}_clear`],
    search: symbols[`${prefix}_search`],
    search_async: symbols[`${prefix}_search_async`],
    range_search: symbols[`${prefix}_range_search`],
    range_search_async: symbols[`${prefix}_range_search_async`],
  };
}

/** A store of the cpu backend. */
export abstract class CpuRows<How extends StoreSearch = StoreSearch> implements Disposable {
  readonly d: number;
  /** The native store. */
  protected readonly handle: NativeHandle;
  /** Rows in it. */
  protected held = 0;
  /** Whether all of them are in a file; a change ends it. */
  mapped = false;
  readonly #calls: ReturnType<typeof callsOf>;

  /** Takes over a new, empty store. */
  constructor(d: number, prefix: Prefix, handle: NativeHandle) {
    this.d = d;
    this.handle = handle;
    this.#calls = callsOf(prefix);
  }

  /** Multiply-adds of a search. */
  protected abstract searchWork(queries: Float32Array, k: number, how: How): number;

  /** Multiply-adds of a range search. */
  protected abstract rangeWork(queries: Float32Array): number;

  /** What a search keeps of each query besides its results; of graphs alone. */
  protected kept(_how: How): number {
    return 0;
  }

  get count(): number {
    return this.held;
  }

  /** The native store, for calls that are not of all stores. */
  get object(): number {
    return this.handle.object;
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    checkLength(out, rows.length * this.d, "out");
    const { object } = this.handle;
    invoke((call) => this.#calls.gather(object, rows.length, rows, out, call));
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const object = this.handle.object;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await invokeAsync((call) => {
      return this.#calls.remove_async(object, ids, removed, call);
    });
    this.held -= removed[0]!;
    this.mapped = false;
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => this.#calls.clear(this.handle.object, call));
    this.held = 0;
    this.mapped = false;
  }

  async search(queries: Float32Array, k: number, how: How): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    if (isShort(this.searchWork(queries, k, how))) return this.searchSync(queries, k, how);
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = await invokeAsync((call) => {
      return this.#calls.search_async(record, queries, distances, labels, call);
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  searchSync(queries: Float32Array, k: number, how: How): Neighbors {
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = invoke((call) => {
      return this.#calls.search(record, queries, distances, labels, call);
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
    const report = isShort(this.rangeWork(queries))
      ? invoke((call) => this.#calls.range_search(record, queries, lims, out, call))
      : await invokeAsync((call) => {
        return this.#calls.range_search_async(record, queries, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  [Symbol.dispose](): void {
    this.handle.dispose();
  }

  #prepare(queries: Float32Array, k: number, how: How, selector?: NativeHandle) {
    const nq = countRows(queries, this.d, "queries");
    return {
      record: this.#record(nq, k, 0, this.kept(how), how, selector),
      distances: new Float32Array(nq * k),
      labels: new BigInt64Array(nq * k),
    };
  }

  #record(
    nq: number,
    k: number,
    radius: number,
    nprobe: number,
    how: StoreSearch,
    selector?: NativeHandle,
  ) {
    return searchRecord({
      object: this.handle.object,
      metric: how.metric,
      metricArg: how.metricArg,
      radius,
      selector: selector?.object ?? 0,
      nprobe,
      nq,
      k,
    });
  }
}
