/**
 * Stores of codes in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { CodecSpec } from "../../codec/codec.ts";
import type { IDSelector } from "../../selector.ts";
import type { CodeStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { createCodec, scanCost, specCodeSize } from "./codec.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort, isShortCopy } from "./work.ts";

/** {@linkcode CodeStore} of the cpu backend. */
export class CpuCodeStore implements CodeStore {
  readonly d: number;
  readonly codeSize: number;
  readonly #handle: NativeHandle;
  readonly #cost: { code: number; list: number };
  #count = 0;

  constructor(spec: CodecSpec) {
    this.d = spec.d;
    this.codeSize = specCodeSize(spec);
    this.#cost = scanCost(spec);
    using codec = createCodec(spec);
    const { object } = codec;
    this.#handle = new NativeHandle("store of codes", (out, call) => {
      return library().symbols.mf_codes_create(object, out, call);
    });
  }

  get count(): number {
    return this.#count;
  }

  async add(codes: Uint8Array): Promise<void> {
    const n = countRows(codes, this.codeSize, "codes");
    const { symbols } = library();
    const { object } = this.#handle;
    if (isShortCopy(codes.length)) invoke((call) => symbols.mf_codes_add(object, n, codes, call));
    else await invokeAsync((call) => symbols.mf_codes_add_async(object, n, codes, call));
    this.#count += n;
  }

  async append(other: CodeStore): Promise<void> {
    if (!(other instanceof CpuCodeStore)) {
      throw new TypeError("Cannot append: the stores belong to different backends");
    }
    const added = other.count;
    const { object } = this.#handle;
    const source = other.#handle.object;
    await invokeAsync((call) => library().symbols.mf_codes_append_async(object, source, call));
    this.#count += added;
  }

  codes(start: number, n: number): Uint8Array {
    if (!Number.isInteger(start) || !Number.isInteger(n) || start < 0 || n < 0) {
      throw new RangeError(`Cannot get ${n} codes from ${start}: these are no counts`);
    }
    if (start + n > this.#count) {
      throw new RangeError(`Cannot get codes ${start} to ${start + n}: there are ${this.#count}`);
    }
    const codes = new Uint8Array(n * this.codeSize);
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_codes_get(object, start, n, codes, call));
    return codes;
  }

  gather(rows: BigInt64Array, out: Float32Array): void {
    checkLength(out, rows.length * this.d, "out");
    const { object } = this.#handle;
    invoke((call) => library().symbols.mf_codes_gather(object, rows.length, rows, out, call));
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const object = this.#handle.object;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await invokeAsync((call) => {
      return library().symbols.mf_codes_remove_async(object, ids, removed, call);
    });
    this.#count -= removed[0]!;
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => library().symbols.mf_codes_clear(this.#handle.object, call));
    this.#count = 0;
  }

  async search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors> {
    how.signal?.throwIfAborted();
    if (isShort(this.#work(queries))) return this.searchSync(queries, k, how);
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = await invokeAsync((call) => {
      return library().symbols.mf_codes_search_async(record, queries, distances, labels, call);
    }, how.signal);
    return { distances, labels, run: runInfo(report) };
  }

  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors {
    using selector = createFilter(how.selector);
    const { record, distances, labels } = this.#prepare(queries, k, how, selector);
    const report = invoke((call) => {
      return library().symbols.mf_codes_search(record, queries, distances, labels, call);
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
    const report = isShort(this.#work(queries))
      ? invoke((call) => symbols.mf_codes_range_search(record, queries, lims, out, call))
      : await invokeAsync((call) => {
        return symbols.mf_codes_range_search_async(record, queries, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }

  /** Multiply-adds of a search. */
  #work(queries: Float32Array): number {
    return queries.length / this.d * (this.#count * this.#cost.code + this.#cost.list);
  }

  #prepare(queries: Float32Array, k: number, how: StoreSearch, selector?: NativeHandle) {
    const nq = countRows(queries, this.d, "queries");
    return {
      record: this.#record(nq, k, 0, how, selector),
      distances: new Float32Array(nq * k),
      labels: new BigInt64Array(nq * k),
    };
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
