/**
 * What inverted lists in native memory have in common, whatever their rows are.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import type { NativeHandle } from "../../../ffi/handle.ts";
import { library, type Symbols } from "../../../ffi/library.ts";
import { searchRecord } from "../../../ffi/record.ts";
import type { DirectMapType } from "../../index/direct_map.ts";
import type { IDSelector } from "../../selector.ts";
import type {
  FileMap,
  InvertedLists,
  ListPlaces,
  Neighbors,
  RangeNeighbors,
  StoreSearch,
} from "../backend.ts";
import { CpuFileMap } from "./map.ts";
import { runInfo } from "./native.ts";
import { takeRange } from "./range.ts";
import { createFilter, createSelector } from "./selector.ts";
import { checkLength, countRows, isShort } from "./work.ts";

/** Which lists: of rows, or of codes. */
type Prefix = "mf_ivf" | "mf_lists";

/** Bits of `mf_search_flag`. */
const [LOCATIONS, WHOLE_LISTS] = [1, 2];

/** Multiply-adds that take as long as hashing an id. */
const HASHED = 500;

/** The calls of both. */
function callsOf(prefix: Prefix) {
  const { symbols }: { symbols: Symbols } = library();
  return {
    sizes: symbols[`${prefix}_sizes`],
    map: symbols[`${prefix}_map`],
    locate: symbols[`${prefix}_locate`],
    ids: symbols[`${prefix}_ids`],
    keep_map: symbols[`${prefix}_keep_map`],
    keep_map_async: symbols[`${prefix}_keep_map_async`],
    gather: symbols[`${prefix}_gather`],
    remove_async: symbols[`${prefix}_remove_async`],
    clear: symbols[`${prefix}_clear`],
    search: symbols[`${prefix}_search`],
    search_async: symbols[`${prefix}_search_async`],
    range_search: symbols[`${prefix}_range_search`],
    range_search_async: symbols[`${prefix}_range_search_async`],
  };
}

/** Multiply-adds of a search: a row of a list, and a list itself. */
export interface ListCost {
  row: number;
  list: number;
}

/** {@linkcode InvertedLists} of the cpu backend. */
export abstract class CpuLists implements InvertedLists {
  readonly d: number;
  readonly nlist: number;
  /** The native lists. */
  protected readonly handle: NativeHandle;
  /** Whether all rows are in a file; a change ends it. */
  mapped = false;
  readonly #calls: ReturnType<typeof callsOf>;
  readonly #cost: ListCost;
  #count = 0;
  // Measured once between changes: reading all of many lists is linear.
  #sizes: Float64Array | undefined;

  /** Takes over new, empty lists. */
  constructor(d: number, nlist: number, prefix: Prefix, handle: NativeHandle, cost: ListCost) {
    this.d = d;
    this.nlist = nlist;
    this.handle = handle;
    this.#calls = callsOf(prefix);
    this.#cost = cost;
  }

  get count(): number {
    return this.#count;
  }

  /** The native lists, for calls that are not of all lists. */
  get object(): number {
    return this.handle.object;
  }

  sizes(): Float64Array {
    const sizes = new Float64Array(this.nlist);
    invoke((call) => this.#calls.sizes(this.handle.object, sizes, call));
    return sizes;
  }

  /** Rows of a list. */
  protected size(list: number): number {
    this.#sizes ??= this.sizes();
    const size = this.#sizes[list];
    if (size === undefined) {
      throw new RangeError(`Cannot read list ${list}: there are ${this.nlist}`);
    }
    return size;
  }

  map(file: FileMap, { sizes, rows, ids }: ListPlaces): void {
    for (const array of [sizes, rows, ids]) checkLength(array, this.nlist, "the lists' places");
    const { object } = this.handle;
    const map = CpuFileMap.objectOf(file);
    invoke((call) => this.#calls.map(object, map, sizes, rows, ids, call));
    this.recount();
    this.mapped = this.#count > 0;
  }

  locate(ids: BigInt64Array): BigInt64Array {
    const locations = new BigInt64Array(ids.length);
    const { object } = this.handle;
    invoke((call) => this.#calls.locate(object, ids.length, ids, locations, call));
    return locations;
  }

  idsAt(locations: BigInt64Array): BigInt64Array {
    const ids = new BigInt64Array(locations.length);
    const { object } = this.handle;
    invoke((call) => this.#calls.ids(object, locations.length, locations, ids, call));
    return ids;
  }

  async keepMap(type: DirectMapType): Promise<void> {
    const { object } = this.handle;
    if (isShort(this.#count * HASHED)) {
      invoke((call) => this.#calls.keep_map(object, type, call));
    } else {
      await invokeAsync((call) => this.#calls.keep_map_async(object, type, call));
    }
  }

  gather(locations: BigInt64Array, out: Float32Array): void {
    checkLength(out, locations.length * this.d, "out");
    const { object } = this.handle;
    invoke((call) => {
      return this.#calls.gather(object, locations.length, locations, out, call);
    });
  }

  async remove(selector: IDSelector): Promise<number> {
    using selected = createSelector(selector);
    const { object } = this.handle;
    const ids = selected.object;
    const removed = new Float64Array(1);
    await this.change((call) => {
      return this.#calls.remove_async(object, ids, removed, call);
    });
    return removed[0]!;
  }

  clear(): void {
    invoke((call) => this.#calls.clear(this.handle.object, call));
    this.recount();
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
      return this.#calls.search_async(
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
      return this.#calls.search(record, queries, probes, distances, labels, call);
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
    const report = isShort(this.#work(probes))
      ? invoke((call) => this.#calls.range_search(record, queries, probes, lims, out, call))
      : await invokeAsync((call) => {
        return this.#calls.range_search_async(record, queries, probes, lims, out, call);
      }, how.signal);
    return takeRange(out[0]!, lims, runInfo(report));
  }

  [Symbol.dispose](): void {
    this.handle.dispose();
  }

  /** Multiply-adds of a search, if rows are spread evenly over the lists. */
  #work(probes: BigInt64Array): number {
    const { row, list } = this.#cost;
    return probes.length * (this.#count / this.nlist * row + list);
  }

  /** Makes a change, and counts again. */
  protected async change(body: (call: Uint8Array) => Promise<number>): Promise<void> {
    await invokeAsync(body);
    this.recount();
  }

  /** Counts after a change. */
  protected recount(): void {
    this.#sizes = undefined;
    this.mapped = false;
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
      object: this.handle.object,
      metric: how.metric,
      metricArg: how.metricArg,
      radius,
      selector: selector?.object ?? 0,
      nprobe: nq === 0 ? 0 : countRows(probes, nq, "probes"),
      nq,
      k,
      maxCodes: how.maxCodes ?? 0,
      flags: (how.locations ? LOCATIONS : 0) | (how.ensureTopkFull ? WHOLE_LISTS : 0),
    });
  }
}
