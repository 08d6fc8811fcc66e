/**
 * Other libraries beside this one.
 *
 * @module
 */

/** What a rival found: `nq × k`, best first. */
export interface RivalResult {
  /** Distances, squared L2. */
  distances: ArrayLike<number>;
  /** Labels; −1 where there are fewer. */
  labels: ArrayLike<number | bigint>;
}

/** An index of another library, on rows that it was given. */
export interface RivalIndex {
  /** Nearest neighbours of each query. */
  search(queries: Float32Array, k: number): Promise<RivalResult>;
  /**
   * Times searches of all queries in the rival's own process, so that neither side pays for the conversation.
   *
   * @param queries Row-major.
   * @param k Results a query.
   * @param each Queries a call.
   * @param count How often.
   * @returns Milliseconds of all queries, `count` times.
   */
  time(queries: Float32Array, k: number, each: number, count: number): Promise<number[]>;
}

/** Whether another library has a feature. */
export interface RivalFeature {
  /** Whether it does what the feature is. */
  holds: boolean;
  /** The error where it does not. */
  note: string;
}

/** Another library that searches the same rows. */
export interface Rival {
  /** The library and its version: `FAISS 1.9.0`. */
  readonly library: string;
  /** Its name and how it is run: `FAISS 1.9.0, 2 threads`. */
  readonly name: string;
  /** Threads that it searches with. */
  readonly threads: number;
  /** Takes rows of dimension `d` for exact search. */
  flat(rows: Float32Array, d: number): Promise<RivalIndex>;
  /** Takes an index from a file of FAISS's format: the same lists on both sides. */
  read(path: string, d: number, nprobe: number): Promise<RivalIndex>;
  /** Tries features, by their ids. */
  features?(): Promise<Record<string, RivalFeature>>;
}
