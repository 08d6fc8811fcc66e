/**
 * Inverted lists in the memory of a GPU.
 *
 * @module
 */

import type { GpuBuffer } from "../../kernel/buffer.ts";
import { Metric } from "../../metric.ts";
import type { IDSelector } from "../../selector.ts";
import type { IVFStore, Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { checkLength, countRows } from "../cpu/work.ts";
import { checkRows } from "../reference/scan.ts";
import type { GpuContext } from "./context.ts";
import { keptRows, listRows } from "./filter.ts";
import { type ListSource, rangeSearchLists, searchLists } from "./ivf_search.ts";
import { ListLayout } from "./ivf_layout.ts";
import { checkAdded, GpuRows, paddedWidth, uploadRows } from "./rows.ts";
import { run, runSync } from "./steps.ts";
import { Task } from "./task.ts";
import { RowTerms } from "./terms.ts";
import { words } from "./words.ts";

/**
 * {@linkcode IVFStore} of the gpu backend: rows, ids and offsets list after list. A change
 * makes a new layout beside the old one and takes its place when all of it is there.
 */
export class GpuIVFStore implements IVFStore {
  readonly d: number;
  readonly nlist: number;
  readonly #rows: GpuRows;
  readonly #terms: RowTerms;
  #layout: ListLayout;
  #ids: GpuBuffer | undefined;
  #offsets: GpuBuffer | undefined;

  constructor(context: GpuContext, d: number, nlist: number) {
    this.d = d;
    this.nlist = nlist;
    this.#rows = new GpuRows(context, d);
    this.#terms = new RowTerms(this.#rows);
    this.#layout = ListLayout.empty(nlist);
  }

  get count(): number {
    return this.#layout.count;
  }

  async add(x: Float32Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void> {
    this.#rows.assertUsable();
    const n = countRows(x, this.d, "x");
    checkLength(lists, n, "lists");
    checkLength(ids, n, "ids");
    await checkAdded(x, this.d, false);
    const { layout, moved, placed } = this.#layout.with(lists, ids);
    if (layout.count === this.count) return;
    const staged = this.#context.allocatePrivate(n * paddedWidth(this.d) * 4, "added rows");
    try {
      await uploadRows(x, this.d, staged, 0);
      await this.#rebuild(layout, [[this.#rows.buffer, moved], [staged, placed]]);
    } finally {
      staged.dispose();
    }
    this.#terms.observe(x);
  }

  async append(other: IVFStore, addId: number): Promise<void> {
    this.#rows.assertUsable();
    const fits = other instanceof GpuIVFStore && other.d === this.d &&
      other.nlist === this.nlist && other.#context.device === this.#context.device;
    if (!fits) throw new TypeError("Cannot append: the lists differ in shape or backend");
    if (other.count > 0) {
      const { ids } = other.#layout;
      const offset = BigInt(addId);
      const more = this.#layout.with(other.#layout.lists(), ids.map((id) => id + offset));
      await this.#rebuild(more.layout, [
        [this.#rows.buffer, more.moved],
        [other.#rows.buffer, more.placed],
      ]);
      this.#terms.observeFrom(other.#terms, other.count);
    }
    other.clear();
  }

  sizes(): Float64Array {
    this.#rows.assertUsable();
    const { offsets } = this.#layout;
    return Float64Array.from({ length: this.nlist }, (_, list) => {
      return offsets[list + 1]! - offsets[list]!;
    });
  }

  list(list: number): { x: Float32Array; ids: BigInt64Array } {
    this.#rows.assertUsable();
    const [start, end] = this.#layout.range(list);
    const x = new Float32Array((end - start) * this.d);
    this.#rows.read(start, x);
    return { x, ids: this.#layout.ids.slice(start, end) };
  }

  locate(ids: BigInt64Array): BigInt64Array {
    this.#rows.assertUsable();
    return this.#layout.locate(ids);
  }

  gather(locations: BigInt64Array, out: Float32Array): void {
    checkLength(out, locations.length * this.d, "out");
    const rows = Uint32Array.from(locations, (location) => {
      const [start, end] = this.#layout.range(Number(location >> 32n));
      const row = start + Number(location & 0xffff_ffffn);
      if (row >= end) throw new RangeError(`Cannot get location ${location}: there is no row`);
      return row;
    });
    this.#rows.gather(rows, out);
  }

  async remove(selector: IDSelector): Promise<number> {
    this.#rows.assertUsable();
    const { count } = this;
    const kept = keptRows(selector, this.#layout.ids);
    if (kept.count === count) return 0;
    const layout = this.#layout.only(kept.bitmap);
    if (kept.count === 0) {
      this.clear();
      return count;
    }
    using task = new Task(this.#context, "remove from lists");
    const made = this.#upload(layout);
    try {
      await this.#rows.keep(task, listRows(task, kept, count), kept.count);
    } catch (error) {
      made.dispose();
      throw error;
    }
    this.#take(layout, made.ids, made.offsets);
    return count - kept.count;
  }

  clear(): void {
    this.#rows.assertUsable();
    this.#rows.replace(undefined, 0);
    this.#take(ListLayout.empty(this.nlist), undefined, undefined);
    this.#terms.clear();
  }

  async search(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors> {
    const nprobe = this.#check(queries, probes, how);
    const steps = searchLists(this.#source(), queries, probes, nprobe, k, how);
    return await run(steps, how.signal);
  }

  searchSync(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors {
    const nprobe = this.#check(queries, probes, how);
    return runSync(searchLists(this.#source(), queries, probes, nprobe, k, how));
  }

  async rangeSearch(
    queries: Float32Array,
    probes: BigInt64Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors> {
    const nprobe = this.#check(queries, probes, how);
    if (Number.isNaN(radius)) throw new RangeError("Cannot search: radius is NaN");
    const steps = rangeSearchLists(this.#source(), queries, probes, nprobe, radius, how);
    return await run(steps, how.signal);
  }

  [Symbol.dispose](): void {
    this.#rows[Symbol.dispose]();
    this.#terms[Symbol.dispose]();
    this.#take(this.#layout, undefined, undefined);
  }

  get #context(): GpuContext {
    return this.#rows.context;
  }

  #source(): ListSource {
    this.#rows.assertUsable();
    this.#ids ??= this.#context.allocatePrivate(0, "ids");
    this.#offsets ??= this.#context.allocatePrivate(0, "offsets");
    return {
      context: this.#context,
      rows: this.#rows,
      terms: this.#terms,
      layout: this.#layout,
      ids: this.#ids,
      offsets: this.#offsets,
    };
  }

  /** Moves rows of the device to their places in a new layout, which then becomes this one's. */
  async #rebuild(layout: ListLayout, sources: [from: GpuBuffer, to: Uint32Array][]): Promise<void> {
    const { width } = this.#rows;
    using task = new Task(this.#context, "build lists");
    const made = this.#upload(layout);
    let rows: GpuBuffer | undefined;
    try {
      rows = this.#context.allocatePrivate(layout.count * width * 4, "rows");
      for (const [from, to] of sources) {
        if (to.length === 0) continue;
        const places = task.input(to, "places of rows");
        const params = words(to.length, layout.count, width);
        task.dispatch(["filter.metal", "scatter_rows_b32"], [from, places, rows, params], {
          threadgroups: Math.ceil(to.length / 8),
          threadgroup: 256,
        });
      }
      await run(task.finish());
    } catch (error) {
      rows?.dispose();
      made.dispose();
      throw error;
    }
    this.#rows.replace(rows, layout.count);
    this.#take(layout, made.ids, made.offsets);
  }

  #upload(layout: ListLayout): { ids: GpuBuffer; offsets: GpuBuffer; dispose: () => void } {
    const ids = this.#context.allocatePrivate(layout.ids.byteLength, "ids");
    try {
      const offsets = this.#context.allocatePrivate(layout.offsets.byteLength, "offsets");
      ids.writeSync(layout.ids);
      offsets.writeSync(layout.offsets);
      return {
        ids,
        offsets,
        dispose: () => {
          ids.dispose();
          offsets.dispose();
        },
      };
    } catch (error) {
      ids.dispose();
      throw error;
    }
  }

  #take(layout: ListLayout, ids: GpuBuffer | undefined, offsets: GpuBuffer | undefined): void {
    this.#ids?.dispose();
    this.#offsets?.dispose();
    this.#ids = ids;
    this.#offsets = offsets;
    this.#layout = layout;
    this.#terms.forget();
  }

  /** Checks a search; returns the probes a query. */
  #check(queries: Float32Array, probes: BigInt64Array, how: StoreSearch): number {
    this.#rows.assertUsable();
    how.signal?.throwIfAborted();
    checkRows("search", queries, this.d, how.metric === Metric.NaNEuclidean);
    const nq = queries.length / this.d;
    const nprobe = nq === 0 ? 0 : countRows(probes, nq, "probes");
    for (const list of probes) {
      if (list >= BigInt(this.nlist)) {
        throw new RangeError(`Cannot search: list ${list} of ${this.nlist}`);
      }
    }
    return nprobe;
  }
}
