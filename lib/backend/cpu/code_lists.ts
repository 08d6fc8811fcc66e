/**
 * Inverted lists of codes in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { CodecSpec } from "../../codec/codec.ts";
import type { IDSelector } from "../../selector.ts";
import type {
  CodeLists,
  Neighbors,
  RangeNeighbors,
  ResidualLists,
  StoreSearch,
} from "../backend.ts";
import { createCodec, scanCost, specCodeSize } from "./codec.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort, isShortCopy } from "./work.ts";

/** {@linkcode CodeLists} of the cpu backend. */
export class CpuCodeLists implements CodeLists {
  readonly d: number;
  readonly codeSize: number;
  readonly nlist: number;
  readonly #handle: NativeHandle;
  readonly #cost: { code: number; list: number };
  #count = 0;
  // Measured once between changes: reading all of many lists is linear.
  #sizes: Float64Array | undefined;

  constructor(spec: CodecSpec, nlist: number, residual?: ResidualLists) {
    this.d = spec.d;
    this.codeSize = specCodeSize(spec);
    this.#cost = scanCost(spec);
    this.nlist = nlist;
    const centroids = residual?.centroids ?? null;
    if (centroids !== null) checkLength(centroids, nlist * this.d, "centroids");
    using codec = createCodec(spec);
    const { object } = codec;
    this.#handle = new NativeHandle("lists of codes", (out, call) => {
      return library().symbols.mf_lists_create(object, nlist, centroids, out, call);
    });
  }

  get count(): number {
    return this.#count;
  }

  async add(codes: Uint8Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    const n = countRows(codes, this.codeSize, "codes");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    const { object } = this.#handle;
    const { symbols } = library();
    if (isShortCopy(codes.length)) {
      invoke((call) => symbols.mf_lists_add(object, n, codes, lists, ids, call));
      this.#recount();
    } else {
      await this.#change((call) => symbols.mf_lists_add_async(object, n, codes, lists, ids, call));
    }
  }

  async append(other: CodeLists, addId: number): Promise<void> {
    if (!(other instanceof CpuCodeLists)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const { object } = this.#handle;
    const source = other.#handle.object;
    await this.#change((call) => {
      return library().symbols.mf_lists_append_async(object, source, addId, call);
    });
    other.#recount();
  }

  sizes(): Float64Array {
    const sizes = new Float64Array(this.nlist);
    invoke((call) => library().symbols.mf_lists_sizes(this.#handle.object, sizes, call));
    return sizes;
  }

  list(list: number): { codes: Uint8Array; ids: BigInt64Array } {
    this.#sizes ??= this.sizes();
    const size = this.#sizes[list];
    if (size === undefined) {
      throw new RangeError(`Cannot read list ${list}: there are ${this.nlist}`);
    }
    const codes = new Uint8Array(size * this.codeSize);
    const ids = new BigInt64Array(size);
    invoke((call) =>
      library().symbols.mf_lists_get(this.#handle.object, list, size, codes, ids, call)
    );
    return { codes, ids };
  }

  locate(ids: BigInt64Array): BigInt64Array {
    const locations = new BigInt64Array(ids.length);
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_lists_locate(object, ids.length, ids, locations, call));
    return locations;
  }

  gather(locations: BigInt64Array, out: Float32Array): void {
    checkLength(out, locations.length * this.d, "out");
    const { object } = this.#handle;
    invoke((call) => {
      return library().symbols.mf_lists_gather(object, locations.length, locations, out, call);
    });
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const { object } = this.#handle;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await this.#change((call) => {
      return library().symbols.mf_lists_remove_async(object, ids, removed, call);
    });
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => library().symbols.mf_lists_clear(this.#handle.object, call));
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
      return library().symbols.mf_lists_search_async(
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
      return library().symbols.mf_lists_search(record, queries, probes, distances, labels, call);
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
      ? invoke((call) => symbols.mf_lists_range_search(record, queries, probes, lims, out, call))
      : await invokeAsync((call) => {
        return symbols.mf_lists_range_search_async(record, queries, probes, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }

  /** Multiply-adds of a search, if rows are spread evenly over the lists. */
  #work(probes: BigInt64Array): number {
    const { code, list } = this.#cost;
    return probes.length * (this.#count / this.nlist * code + list);
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
