/**
 * Inverted lists in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { IDSelector } from "../../selector.ts";
import type { IVFStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort, isShortCopy } from "./work.ts";

/** {@linkcode IVFStore} of the cpu backend. */
export class CpuIVFStore implements IVFStore {
  readonly d: number;
  readonly nlist: number;
  readonly #handle: NativeHandle;
  #count = 0;
  // Measured once between changes: reading all of many lists is linear.
  #sizes: Float64Array | undefined;

  constructor(d: number, nlist: number) {
    this.d = d;
    this.nlist = nlist;
    this.#handle = new NativeHandle("inverted lists", (out, call) => {
      return library().symbols.mf_ivf_create(d, nlist, out, call);
    });
  }

  get count(): number {
    return this.#count;
  }

  async add(x: Float32Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    const n = countRows(x, this.d, "x");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    const { object } = this.#handle;
    const { symbols } = library();
    if (isShortCopy(x.byteLength)) {
      invoke((call) => symbols.mf_ivf_add(object, n, x, lists, ids, call));
      this.#recount();
    } else {
      await this.#change((call) => symbols.mf_ivf_add_async(object, n, x, lists, ids, call));
    }
  }

  async append(other: IVFStore, addId: number): Promise<void> {
    if (!(other instanceof CpuIVFStore)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const { object } = this.#handle;
    const source = other.#handle.object;
    await this.#change((call) => {
      return library().symbols.mf_ivf_append_async(object, source, addId, call);
    });
    other.#recount();
  }

  sizes(): Float64Array {
    const sizes = new Float64Array(this.nlist);
    invoke((call) => library().symbols.mf_ivf_sizes(this.#handle.object, sizes, call));
    return sizes;
  }

  list(list: number): { x: Float32Array; ids: BigInt64Array } {
    this.#sizes ??= this.sizes();
    const size = this.#sizes[list];
    if (size === undefined) {
      throw new RangeError(`Cannot read list ${list}: there are ${this.nlist}`);
    }
    const x = new Float32Array(size * this.d);
    const ids = new BigInt64Array(size);
    invoke((call) => library().symbols.mf_ivf_get(this.#handle.object, list, size, x, ids, call));
    return { x, ids };
  }

  locate(ids: BigInt64Array): BigInt64Array {
    const locations = new BigInt64Array(ids.length);
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_ivf_locate(object, ids.length, ids, locations, call));
    return locations;
  }

  gather(locations: BigInt64Array, out: Float32Array): void {
    checkLength(out, locations.length * this.d, "out");
    const { object } = this.#handle;
    invoke((call) => {
      return library().symbols.mf_ivf_gather(object, locations.length, locations, out, call);
    });
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const { object } = this.#handle;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await this.#change((call) => {
      return library().symbols.mf_ivf_remove_async(object, ids, removed, call);
    });
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => library().symbols.mf_ivf_clear(this.#handle.object, call));
    this.#recount();
  }

  async search(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    if (isShort(this.#work(probes))) return this.searchSync(queries, probes, k, how);
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, probes, k, how, selector);
    const report = await invokeAsync((call) => {
      return library().symbols.mf_ivf_search_async(
        record,
        queries,
        probes,
        distances,
        labels,
        call,
      );
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  searchSync(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors {
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, probes, k, how, selector);
    const report = invoke((call) => {
      return library().symbols.mf_ivf_search(record, queries, probes, distances, labels, call);
    });
    return { distances, labels, run: runInfo(report) };
  }

  async rangeSearch(
    queries: Float32Array,
    probes: BigInt64Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    how.signal?.throwIfAborted();
    using selector = createFilter(how.selector);
    const nq = countRows(queries, this.d, "queries");
    const record = this.#record(nq, probes, 0, radius, how, selector);
    const lims = new BigUint64Array(nq + 1);
    const out = new Uint32Array(1);
    const { symbols } = library();
    const report = isShort(this.#work(probes))
      ? invoke((call) => symbols.mf_ivf_range_search(record, queries, probes, lims, out, call))
      : await invokeAsync((call) => {
        return symbols.mf_ivf_range_search_async(record, queries, probes, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }

  /** Multiply-adds of a search, if rows are spread evenly over the lists. */
  #work(probes: BigInt64Array): number {
    return probes.length * (this.#count / this.nlist) * this.d;
  }

  async #change(body: (call: Uint8Array) => Promise<number>): Promise<void> {
    await invokeAsync(body);
    this.#recount();
  }

  #recount(): void {
    this.#sizes = undefined;
    this.#count = this.sizes().reduce((sum, size) => sum + size, 0);
  }

  #prepare(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
    selector?: NativeHandle,
  ) {
    const nq = countRows(queries, this.d, "queries");
    return {
      record: this.#record(nq, probes, k, 0, how, selector),
      distances: new Float32Array(nq * k),
      labels: new BigInt64Array(nq * k),
    };
  }

  #record(
    nq: number,
    probes: BigInt64Array,
    k: number,
    radius: number,
    how: StoreSearch,
    selector?: NativeHandle,
  ) {
    return searchRecord({
      object: this.#handle.object,
      metric: how.metric,
      metricArg: how.metricArg,
      radius,
      selector: selector?.object ?? 0,
      nprobe: nq === 0 ? 0 : countRows(probes, nq, "probes"),
      nq,
      k,
    });
  }
}
