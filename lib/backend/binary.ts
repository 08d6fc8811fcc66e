/**
 * Operations on codes of bits, which are compared by how many bits differ.
 *
 * @module
 */

import type { IDSelector } from "../selector.ts";
import type { CodeLists, CodeStore, HNSWGraph, RangeNeighbors, RunInfo } from "./backend.ts";

/** How a store of bits is searched. */
export interface BinarySearch {
  /** Rows that may be returned. */
  selector?: IDSelector | undefined;
  /** Stops the search. */
  signal?: AbortSignal | undefined;
}

/**
 * Nearest codes of each query: `nq × k`, by distance, then by id. Where there are fewer: label −1 and
 * distance 2^31 − 1.
 */
export interface BinaryNeighbors {
  /** Bits that differ. */
  distances: Int32Array;
  /** Ids. */
  labels: BigInt64Array;
  /** What ran. */
  run: RunInfo;
}

/** Codes in order of arrival, whose ids are their positions. Queries are codes. */
export interface BinaryStore extends Disposable {
  /** The codes. */
  readonly codes: CodeStore;
  /** Nearest `k` codes of each query. */
  search(queries: Uint8Array, k: number, how: BinarySearch): Promise<BinaryNeighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(queries: Uint8Array, k: number, how: BinarySearch): BinaryNeighbors;
  /** Codes of which fewer than `radius` bits differ, in order of id. */
  rangeSearch(queries: Uint8Array, radius: number, how: BinarySearch): Promise<RangeNeighbors>;
  /**
   * The nearest of those that each query names; the selector is not looked at.
   *
   * @param candidates `nq + 1` offsets, then as many positions.
   */
  among(
    queries: Uint8Array,
    candidates: Uint32Array,
    k: number,
    how: BinarySearch,
  ): Promise<BinaryNeighbors>;
  /** {@linkcode among}, on this thread. */
  amongSync(queries: Uint8Array, candidates: Uint32Array, k: number): BinaryNeighbors;
  /** {@linkcode rangeSearch} among those that each query names. */
  rangeAmong(
    queries: Uint8Array,
    candidates: Uint32Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors>;
}

/** Inverted lists of codes with ids. `probes` are `nq × nprobe` lists, −1 skipped. */
export interface BinaryLists extends Disposable {
  /** The lists. */
  readonly lists: CodeLists;
  /** Copies of the codes at locations. */
  gather(locations: BigInt64Array): Uint8Array;
  /** Nearest `k` codes of each query. */
  search(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    how: BinarySearch,
  ): Promise<BinaryNeighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(
    queries: Uint8Array,
    probes: BigInt64Array,
    k: number,
    how: BinarySearch,
  ): BinaryNeighbors;
  /** Codes of which fewer than `radius` bits differ, in order of id. */
  rangeSearch(
    queries: Uint8Array,
    probes: BigInt64Array,
    radius: number,
    how: BinarySearch,
  ): Promise<RangeNeighbors>;
}

/** How a {@linkcode BinaryGraph} is searched. */
export interface BinaryGraphSearch extends BinarySearch {
  /** Rows that a search keeps while it looks for nearer ones; at least k count. */
  efSearch: number;
}

/** Codes in order of arrival, and a graph over them: an `HNSWStore` of bits. */
export interface BinaryGraph extends Disposable {
  /** Codes held. */
  readonly count: number;
  /** Links that its codes have room for, on all levels. */
  readonly links: number;
  /** Appends codes, each linked on its level and below. */
  add(codes: Uint8Array, levels: Uint8Array, efConstruction: number): Promise<void>;
  /** Appends codes without links, to a store without a graph: {@linkcode restore} brings it. */
  addRows(codes: Uint8Array): Promise<void>;
  /** Takes over the graph of the codes that {@linkcode addRows} appended. */
  restore(graph: HNSWGraph): Promise<void>;
  /** A copy of the graph. */
  graph(): HNSWGraph;
  /** Replaces codes where they are. */
  update(rows: BigInt64Array, codes: Uint8Array, efConstruction: number): Promise<void>;
  /** Removes codes; later ones move down. Returns how many. */
  remove(selector: IDSelector): Promise<number>;
  /** Removes every code. */
  clear(): void;
  /** Copies of codes. */
  gather(rows: BigInt64Array): Uint8Array;
  /** About the nearest `k` codes of each query; exactly where looking at all of them costs less. */
  search(queries: Uint8Array, k: number, how: BinaryGraphSearch): Promise<BinaryNeighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(queries: Uint8Array, k: number, how: BinaryGraphSearch): BinaryNeighbors;
  /** Codes of which fewer than `radius` bits differ: all of them are looked at. */
  rangeSearch(queries: Uint8Array, radius: number, how: BinarySearch): Promise<RangeNeighbors>;
}
