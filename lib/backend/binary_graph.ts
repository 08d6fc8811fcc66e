/**
 * Graphs of codes of bits, over stores of graphs of numbers.
 *
 * @module
 */

import type { IDSelector } from "../selector.ts";
import type { HNSWGraph, HNSWStore, Neighbors, RangeNeighbors, StoreSearch } from "./backend.ts";
import type { BinaryGraph, BinaryGraphSearch, BinaryNeighbors, BinarySearch } from "./binary.ts";

/** How codes become the rows of a store of numbers. */
export interface RowLayout {
  /** The rows of codes. */
  toRows(codes: Uint8Array): Float32Array;
  /** The codes of rows. */
  toCodes(rows: Float32Array): Uint8Array;
  /** How the store is searched. */
  readonly metric: StoreSearch["metric"];
  /** What the store's distance of codes is of which one bit differs. */
  readonly scale: number;
}

/** {@linkcode BinaryGraph} over a graph of rows. */
export class RowsBinaryGraph implements BinaryGraph {
  readonly #store: HNSWStore;
  readonly #layout: RowLayout;

  /** Takes over a new, empty store. */
  constructor(store: HNSWStore, layout: RowLayout) {
    this.#store = store;
    this.#layout = layout;
  }

  get count(): number {
    return this.#store.count;
  }

  get links(): number {
    return this.#store.links;
  }

  async add(codes: Uint8Array, levels: Uint8Array, efConstruction: number): Promise<void> {
    await this.#store.add(this.#layout.toRows(codes), levels, efConstruction);
  }

  async addRows(codes: Uint8Array): Promise<void> {
    await this.#store.addRows(this.#layout.toRows(codes));
  }

  async restore(graph: HNSWGraph): Promise<void> {
    await this.#store.restore(graph);
  }

  graph(): HNSWGraph {
    return this.#store.graph();
  }

  async update(rows: BigInt64Array, codes: Uint8Array, efConstruction: number): Promise<void> {
    await this.#store.update(rows, this.#layout.toRows(codes), efConstruction);
  }

  async remove(selector: IDSelector): Promise<number> {
    return await this.#store.remove(selector);
  }

  clear(): void {
    this.#store.clear();
  }

  gather(rows: BigInt64Array): Uint8Array {
    const out = new Float32Array(rows.length * this.#store.d);
    this.#store.gather(rows, out);
    return this.#layout.toCodes(out);
  }

  async search(queries: Uint8Array, k: number, how: BinaryGraphSearch): Promise<BinaryNeighbors> {
    const search = { ...this.#how(how), efSearch: how.efSearch };
    return this.#results(await this.#store.search(this.#layout.toRows(queries), k, search));
  }

  searchSync(queries: Uint8Array, k: number, how: BinaryGraphSearch): BinaryNeighbors {
    const search = { ...this.#how(how), efSearch: how.efSearch };
    return this.#results(this.#store.searchSync(this.#layout.toRows(queries), k, search));
  }

  async rangeSearch(
    queries: Uint8Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors> {
    const { scale, toRows } = this.#layout;
    const found = await this.#store.rangeSearch(toRows(queries), radius * scale, this.#how(how));
    return { ...found, distances: found.distances.map((distance) => distance / scale) };
  }

  #how({ selector, signal }: BinarySearch): StoreSearch {
    return { metric: this.#layout.metric, metricArg: 0, selector, signal };
  }

  #results({ distances, labels, run }: Neighbors): BinaryNeighbors {
    const { scale } = this.#layout;
    // As of all missing results: what floats have in their place no integer holds.
    const bits = Int32Array.from(distances, (distance, i) => {
      return labels[i] === -1n ? 2 ** 31 - 1 : distance / scale;
    });
    return { distances: bits, labels, run };
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]();
  }
}
