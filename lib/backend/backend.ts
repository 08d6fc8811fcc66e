/**
 * The operations that indexes and clustering are written on.
 *
 * @module
 */

import type { CodecSpec } from "../codec/codec.ts";
import type { DirectMapType } from "../index/direct_map.ts";
import type { GpuDevice } from "../kernel/device.ts";
import type { Metric } from "../metric.ts";
import type { IDSelector } from "../selector.ts";
import type { BinaryGraph, BinaryLists, BinaryStore } from "./binary.ts";
import type { Execution, LinearAlgebra } from "./linalg.ts";

/** Name of a {@linkcode Backend}. */
export type BackendName = "reference" | "cpu" | "gpu";

/** What a search ran: shown by `index.lastRun` and asserted by tests. */
export interface RunInfo extends Execution {
  /** Query-row pairs looked at. */
  scanned: number;
  /** Pairs that were computed again in double precision, or what is as exact. */
  recomputed: number;
}

/** How a store is searched. */
export interface StoreSearch {
  /** Metric of the search. */
  metric: Metric;
  /** `p` of {@linkcode Metric.Lp}; of RaBitQ's codes how a query is rounded; 0 otherwise. */
  metricArg: number;
  /** Rows that may be returned. */
  selector?: IDSelector | undefined;
  /** Of lists, rows that a query looks at, in the order of its probes; 0 or left out is all. */
  maxCodes?: number | undefined;
  /** Whether `maxCodes` counts selected rows, is `k` at least, and ends a search after a list. */
  ensureTopkFull?: boolean | undefined;
  /** Of lists, whether labels are locations, for stores that have `idsAt`. */
  locations?: boolean | undefined;
  /** Stops the search. */
  signal?: AbortSignal | undefined;
}

/** Nearest rows of each query: `nq × k`, best first, label −1 where there are fewer. */
export interface Neighbors {
  /** Distances as FAISS reports them (squared L2; larger is better for similarities). */
  distances: Float32Array;
  /** Row ids. */
  labels: BigInt64Array;
  /** What ran. */
  run: RunInfo;
}

/** Rows within a radius: query `i` has `labels[lims[i] … lims[i + 1])`, in order of id. */
export interface RangeNeighbors extends Neighbors {
  /** `nq + 1` offsets. */
  lims: BigUint64Array;
}

/** A file in memory, read only: it may be larger than memory. Stores that took rows from it keep it. */
export interface FileMap extends Disposable {
  /** Bytes of the file. */
  readonly bytes: number;
}

/** What takes its rows from a file, where a backend can. */
export interface MappableRows {
  /** Whether all rows are in a file, and none in memory: those that change are copied. */
  readonly mapped?: boolean;
  /**
   * Takes `n` rows from byte `offset` on of a file, unseen; there are none yet. Calls that read
   * rows throw a `FormatError` once the file is shorter.
   */
  map?(file: FileMap, offset: number, n: number): void;
}

/** Where in a file inverted lists are. */
export interface ListPlaces {
  /** Rows of each list. */
  sizes: Float64Array;
  /** Where the rows of each start. */
  rows: Float64Array;
  /** Where the ids of each start. */
  ids: Float64Array;
}

/** Where in a file a graph and its rows are, laid out as FAISS does. */
export interface GraphPlaces {
  /** Rows. */
  n: number;
  /** Where levels start: 4 bytes a row. */
  levels: number;
  /** Where offsets start: 8 bytes a row. */
  offsets: number;
  /** Where links start: 4 bytes each. */
  links: number;
  /** Where rows start. */
  rows: number;
  /** How many links there are. */
  words: number;
  /** The row where searches start. */
  entry: number;
  /** Its level. */
  top: number;
}

/** Rows in order of arrival: a row's id is its position. Arrays are row-major, `n × d`. */
export interface FlatStore extends Disposable, MappableRows {
  /** Dimension. */
  readonly d: number;
  /** Rows held. */
  readonly count: number;
  /** Appends rows. Refuses NaN and infinities unless `allowNaN`. */
  add(x: Float32Array, allowNaN?: boolean): Promise<void>;
  /** Appends a copy of another store's rows. */
  append(other: FlatStore): Promise<void>;
  /** Copies rows `start … start + out.length / d` into `out`. */
  get(start: number, out: Float32Array): void;
  /** Copies the given rows into `out`. */
  gather(rows: BigInt64Array, out: Float32Array): void;
  /** Removes the selected rows; later rows move down. Returns how many. */
  remove(selector: IDSelector): Promise<number>;
  /** Removes every row. */
  clear(): void;
  /** Nearest `k` rows of each query. */
  search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors;
  /** Rows strictly nearer than `radius` (strictly more similar, for similarities). */
  rangeSearch(queries: Float32Array, radius: number, how: StoreSearch): Promise<RangeNeighbors>;
  /**
   * The nearest `k` of each query's candidates, which are rows by position, −1 for none: by
   * distance, then by position. Backends whose rows are on a device lack it.
   */
  rerank?(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors>;
  /** {@linkcode rerank}, on this thread. */
  rerankSync?(
    queries: Float32Array,
    candidates: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Neighbors;
}

/** What inverted lists of rows of any kind can do. A location is `(list << 32) | offset`. */
export interface InvertedLists extends Disposable {
  /** Dimension. */
  readonly d: number;
  /** Number of lists. */
  readonly nlist: number;
  /** Rows held in all lists. */
  readonly count: number;
  /** Whether all rows are in a file, and none in memory: lists that change are copied. */
  readonly mapped?: boolean;
  /** Takes the rows of all lists from a file, unseen, as {@linkcode MappableRows.map} does. */
  map?(file: FileMap, places: ListPlaces): void;
  /** Rows in each list. */
  sizes(): Float64Array;
  /** Locations of ids, −1 where there is none. */
  locate(ids: BigInt64Array): BigInt64Array;
  /** Ids at locations. Backends whose rows are on a device lack it, and what follows. */
  idsAt?(locations: BigInt64Array): BigInt64Array;
  /** Keeps locations of ids through changes, so that finding them takes no longer the more there are. */
  keepMap?(type: DirectMapType): Promise<void>;
  /** Copies the rows at locations into `out`; of codes, what they stand for. */
  gather(locations: BigInt64Array, out: Float32Array): void;
  /** Removes the selected ids. Returns how many rows went. */
  remove(selector: IDSelector): Promise<number>;
  /** Empties every list. */
  clear(): void;
  /** Nearest `k` rows of each query among the lists in `probes` (`nq × nprobe`, −1 skipped). */
  search(
    queries: Float32Array,
    probes: BigInt64Array,
    k: number,
    how: StoreSearch,
  ): Promise<Neighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(queries: Float32Array, probes: BigInt64Array, k: number, how: StoreSearch): Neighbors;
  /** Rows strictly within `radius` among the lists in `probes`. */
  rangeSearch(
    queries: Float32Array,
    probes: BigInt64Array,
    radius: number,
    how: StoreSearch,
  ): Promise<RangeNeighbors>;
}

/** Inverted lists of vectors with ids. */
export interface IVFStore extends InvertedLists {
  /** Appends each row to its list; a list of −1 skips the row. */
  add(x: Float32Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void>;
  /** Moves another store's rows here, adding `addId` to their ids; empties the other. */
  append(other: IVFStore, addId: number): Promise<void>;
  /**
   * Replaces rows by their ids. Nothing changes if an id is not there, is given twice, or ids
   * repeat in the lists.
   */
  update?(ids: BigInt64Array, x: Float32Array, lists: BigInt64Array): Promise<void>;
  /** Copies of one list's rows and ids. */
  list(list: number): { x: Float32Array; ids: BigInt64Array };
}

/** A codec that a backend runs. */
export interface BackendCodec extends Disposable {
  /**
   * Codes of `n × d` vectors. Refuses NaN and infinities.
   *
   * @param about Of RaBitQ, what each code is about, `n × d`.
   */
  encode(x: Float32Array, about?: Float32Array): Promise<Uint8Array>;
  /** The vectors that codes stand for. */
  decode(codes: Uint8Array): Promise<Float32Array>;
  /** Indices of `n × d` vectors, bettered by local search; of additive codecs that do that. */
  better?(x: Float32Array, indices: Uint32Array, signal?: AbortSignal): Promise<Uint32Array>;
}

/** Codebooks to find for rows of given indices. */
export interface CodebookFit {
  /** Dimension. */
  d: number;
  /** Codebooks. */
  m: number;
  /** Rows of each. */
  ksub: number;
  /** Added to how often each row is met, so that those never met are zeros. */
  lambda: number;
}

/** Codes in order of arrival: a code's id is its position. Searches are by L2 or inner product. */
export interface CodeStore extends Disposable, MappableRows {
  /** Dimension. */
  readonly d: number;
  /** Bytes of a code. */
  readonly codeSize: number;
  /** Codes held. */
  readonly count: number;
  /** Appends codes. */
  add(codes: Uint8Array): Promise<void>;
  /** Appends a copy of another store's codes. */
  append(other: CodeStore): Promise<void>;
  /** A copy of codes `start … start + n`. */
  codes(start: number, n: number): Uint8Array;
  /** Decodes the given rows into `out`. */
  gather(rows: BigInt64Array, out: Float32Array): void;
  /** Removes the selected codes; later ones move down. Returns how many. */
  remove(selector: IDSelector): Promise<number>;
  /** Removes every code. */
  clear(): void;
  /** Nearest `k` codes of each query. */
  search(queries: Float32Array, k: number, how: StoreSearch): Promise<Neighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(queries: Float32Array, k: number, how: StoreSearch): Neighbors;
  /** Codes strictly nearer than `radius` (strictly more similar, for similarities). */
  rangeSearch(queries: Float32Array, radius: number, how: StoreSearch): Promise<RangeNeighbors>;
}

/** Inverted lists of codes with ids. Searches are by L2 or inner product. */
export interface CodeLists extends InvertedLists {
  /** Bytes of a code. */
  readonly codeSize: number;
  /** Appends each code to its list; a list of −1 skips the code. */
  add(codes: Uint8Array, lists: BigInt64Array, ids: BigInt64Array): Promise<void>;
  /** Moves another store's codes here, adding `addId` to their ids; empties the other. */
  append(other: CodeLists, addId: number): Promise<void>;
  /** {@linkcode IVFStore.update} with codes. */
  update?(ids: BigInt64Array, codes: Uint8Array, lists: BigInt64Array): Promise<void>;
  /** Copies of one list's codes and ids. */
  list(list: number): { codes: Uint8Array; ids: BigInt64Array };
}

/** What the codes of lists stand for: vectors less the centroid of their list. */
export interface ResidualLists {
  /** `nlist × d`. */
  centroids: Float32Array;
}

/** What an {@linkcode HNSWStore} is made for. */
export interface HNSWOptions {
  /** Dimension. */
  d: number;
  /** Links of a row on each level above the ground. */
  m: number;
  /** Links of a row on the ground; by default twice as many. */
  width?: number | undefined;
  /** Where searches start: by default from the entry down, or as FAISS's NSG or NNDescent do. */
  start?: "entry" | "links" | "random" | undefined;
  /** Of random starts. */
  seed?: number | undefined;
  /** How rows are compared; codes by L2 or inner product. */
  metric: Metric;
  /** `p` of {@linkcode Metric.Lp}; 0 otherwise. */
  metricArg: number;
  /** What rows are codes of; without it they are kept as they are. */
  codec?: CodecSpec | undefined;
}

/** Rows, or the codes of an {@linkcode HNSWStore} that has a codec. */
export type GraphRows = Float32Array | Uint8Array;

/** A graph on the ground that is made at once, of the nearest neighbors of each row. */
export interface GraphPlan {
  /** The neighbors themselves; or of these, and those met on the way to the row, a few that spread. */
  kind: "neighbors" | "spread";
  /** Neighbors of a row that are looked for. */
  neighbors: number;
  /** And kept meanwhile. */
  keep: number;
  /** And told of in a round. */
  sample: number;
  /** And rows that are told they are known, in a round. */
  back: number;
  /** Rounds at most. */
  rounds: number;
  /** Whether every row is compared with all others instead. */
  exact: boolean;
  /** Rows that a walk to a row keeps. */
  list: number;
  /** Rows of which its links are chosen. */
  candidates: number;
}

/** Links between the rows of an {@linkcode HNSWStore}, as FAISS lays them out. */
export interface HNSWGraph {
  /** Highest level of each row, from 0. */
  levels: Uint8Array;
  /** Row by row `width` links on the ground, then `m` on each level up to its highest; −1 pads. */
  links: Int32Array;
  /** The row where searches start: one of the highest level; −1 where there are no rows. */
  entry: number;
}

/** How an {@linkcode HNSWStore} is searched. */
export interface HNSWSearch extends StoreSearch {
  /** Rows that a search keeps while it looks for nearer ones; at least k count. */
  efSearch: number;
  /** Whether a walk ends after following the links of `efSearch + 1` rows. */
  stops?: boolean | undefined;
}

/**
 * Rows in order of arrival, or codes that stand for them, and a graph over them that finds near ones (hierarchical navigable
 * small world). A row's id is its position.
 */
export interface HNSWStore extends Disposable {
  /** Dimension. */
  readonly d: number;
  /** Rows held. */
  readonly count: number;
  /** Links that its rows have room for, on all levels. */
  readonly links: number;
  /** Appends rows, each linked on its level and below, by searches that keep `efConstruction`. */
  add(x: GraphRows, levels: Uint8Array, efConstruction: number): Promise<void>;
  /** Appends rows without links, for {@linkcode restore} or {@linkcode build}. */
  addRows(x: GraphRows): Promise<void>;
  /** Makes a graph of all rows on the ground, whatever graph there was. */
  build(plan: GraphPlan): Promise<void>;
  /** A copy of codes `start … start + n`, where there is a codec. */
  codes(start: number, n: number): Uint8Array;
  /** Whether rows and graph are in a file, and none in memory: a change copies them. */
  readonly mapped?: boolean;
  /** Takes rows and graph from a file, unseen, as {@linkcode MappableRows.map} does. */
  map?(file: FileMap, places: GraphPlaces): void;
  /** Takes over the graph of the rows that {@linkcode addRows} appended. */
  restore(graph: HNSWGraph): Promise<void>;
  /** A copy of the graph. */
  graph(): HNSWGraph;
  /** Replaces rows where they are; their links and those to them change, no others. */
  update(rows: BigInt64Array, x: GraphRows, efConstruction: number): Promise<void>;
  /** Removes rows: those linked to them get other links, later ones move down. Returns how many. */
  remove(selector: IDSelector): Promise<number>;
  /** Removes every row. */
  clear(): void;
  /** Copies the given rows into `out`. */
  gather(rows: BigInt64Array, out: Float32Array): void;
  /** About the nearest `k` rows of each query; exactly where looking at all of them costs less. */
  search(queries: Float32Array, k: number, how: HNSWSearch): Promise<Neighbors>;
  /** {@linkcode search}, on this thread. */
  searchSync(queries: Float32Array, k: number, how: HNSWSearch): Neighbors;
  /** Rows strictly within `radius`: all of them are looked at. */
  rangeSearch(queries: Float32Array, radius: number, how: StoreSearch): Promise<RangeNeighbors>;
}

/** Rows that stay where they are compared, for k-means. */
export interface ResidentRows extends Disposable {
  /** The nearest centroid of each row, by squared L2 or, for the other two, larger is nearer. */
  assign(
    centroids: Float32Array,
    metric: Metric,
    signal?: AbortSignal,
  ): Promise<{ distances: Float32Array; labels: BigInt64Array }>;
  /** {@linkcode Backend.kmeansUpdate} with the labels of the last {@linkcode assign}. */
  update(weights: Float32Array | undefined, centroids: Float32Array): Promise<Float32Array>;
}

/** The operations that touch vectors; one implementation a device. */
export interface Backend {
  /** Which one this is. */
  readonly name: BackendName;
  /** What executes it: `"typescript"`, `"native"`, or a GPU's engine: `"metal"`, `"cuda"`, `"emulator"`. */
  readonly engine: string;
  /** Instruction set of the kernels; a GPU's name. */
  readonly isa: string;
  /** Threads in use; of a GPU, those that one threadgroup can have. */
  readonly threads: number;
  /** The GPU; other backends have none. */
  readonly device?: GpuDevice | undefined;
  /** Products, factorizations and the rest of linear algebra. */
  readonly linalg: LinearAlgebra;
  /**
   * Maps a file, whose path is absolute, for stores to take rows from. Backends whose rows are
   * elsewhere lack it.
   */
  mapFile?(path: string): FileMap & { readonly device: number; readonly inode: number };
  /** A new, empty flat store. */
  createFlat(d: number): FlatStore;
  /** New, empty inverted lists. */
  createIVF(d: number, nlist: number): IVFStore;
  /**
   * A new, empty store of codes of `d` bits.
   *
   * @throws {UnsupportedError} On a GPU.
   */
  createBinary(d: number): BinaryStore;
  /**
   * A new, empty graph of codes of `d` bits, with `m` links on a level.
   *
   * @throws {UnsupportedError} On a GPU.
   */
  createBinaryGraph(d: number, m: number): BinaryGraph;
  /**
   * New, empty inverted lists of codes of `d` bits.
   *
   * @throws {UnsupportedError} On a GPU.
   */
  createBinaryLists(d: number, nlist: number): BinaryLists;
  /** A codec of a trained specification. */
  createCodec(spec: CodecSpec): BackendCodec;
  /**
   * The codebooks, `m × ksub × d`, whose sums leave the least squared error to `n × d` vectors of
   * `n × m` indices.
   *
   * @throws {UnsupportedError} On a GPU.
   */
  fitCodebooks(
    x: Float32Array,
    indices: Uint32Array,
    how: CodebookFit,
    signal?: AbortSignal,
  ): Promise<Float32Array>;
  /** A new, empty store of codes. */
  createCodes(spec: CodecSpec): CodeStore;
  /** New, empty inverted lists of codes. */
  createCodeLists(spec: CodecSpec, nlist: number, residual?: ResidualLists): CodeLists;
  /**
   * A new, empty graph of rows.
   *
   * @throws {UnsupportedError} On a GPU.
   */
  createHNSW(options: HNSWOptions): HNSWStore;
  /** All distances between rows of `x` and rows of `y`, `nx × ny`. */
  pairwise(
    x: Float32Array,
    y: Float32Array,
    d: number,
    metric: Metric,
    metricArg: number,
  ): Promise<Float32Array>;
  /** Nearest `k` codes of `codeSize` bytes by Hamming distance; ties keep the lower id. */
  hamming(
    x: Uint8Array,
    y: Uint8Array,
    codeSize: number,
    k: number,
  ): Promise<{ distances: Int32Array; labels: BigInt64Array }>;
  /**
   * Weighted means of the rows assigned to each centroid, written over `centroids`
   * (those with no weight stay as they are). Returns the weight of each centroid.
   */
  kmeansUpdate(
    x: Float32Array,
    assign: BigInt64Array,
    weights: Float32Array | undefined,
    centroids: Float32Array,
    d: number,
  ): Promise<Float32Array>;
  /**
   * Rows kept through the iterations of k-means where comparing them is quickest, or undefined
   * where a search does it as well, or the backend cannot compare them so by the metric.
   */
  residentRows?(x: Float32Array, d: number, metric: Metric): Promise<ResidentRows | undefined>;
  /**
   * A step of k-means on each of `m` parts of rows by itself: centroids (`m × k × d / m`) move to the mean of
   * the parts nearest to them by squared L2; those of none stay. Returns how many each has, `m × k`. Absent
   * where k-means is on a device.
   */
  kmeansParts?(
    x: Float32Array,
    m: number,
    centroids: Float32Array,
    d: number,
    signal?: AbortSignal,
  ): Promise<Float32Array>;
  /**
   * Rows of `d` numbers by three rounds of `signs` and a Walsh–Hadamard transform, a third of `signs` wide; or
   * back. Absent where TypeScript does it.
   */
  rotateHadamard?(
    x: Float32Array,
    d: number,
    signs: Float32Array,
    isBack: boolean,
    signal?: AbortSignal,
  ): Promise<Float32Array>;
  /** `least[i] = min(least[i], squared L2 of x[i] and center)`. */
  kmeansLeast(x: Float32Array, center: Float32Array, least: Float32Array): Promise<void>;
}
