/**
 * What searches return.
 *
 * @module
 */

import type { RunInfo } from "./backend/backend.ts";
import { type MimeBundle, plainText, ranText, tableBundle } from "./display.ts";
import { formatCount, formatDigits, formatNumber } from "./display_cells.ts";

/** One neighbour of a query. */
export interface Hit {
  /** Its id. */
  id: number;
  /** Its distance, or similarity. */
  distance: number;
}

/** Distances that a search finds: of vectors, or of bits. */
export type Distances = Float32Array | Int32Array;

function toHits(distances: Distances, labels: BigInt64Array, from: number, to: number): Hit[] {
  const hits: Hit[] = [];
  for (let i = from; i < to; i++) {
    const label = labels[i]!;
    if (label === -1n) continue;
    if (label > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(`Cannot show id ${label} as a number: read it from labels`);
    }
    hits.push({ id: Number(label), distance: distances[i]! });
  }
  return hits;
}

function checkRow(i: number, nq: number): void {
  if (!Number.isInteger(i) || i < 0 || i >= nq) {
    throw new RangeError(`Cannot read row ${i}: there are ${nq} queries`);
  }
}

/** Queries, hits a query and rows that a table shows. */
const [SHOWN_QUERIES, SHOWN_HITS, SHOWN_ROWS] = [10, 10, 50];

/** The first hits of the first queries; a query without any has one row that says so. */
function hitsTable(
  slice: (query: number) => { distances: Distances; labels: BigInt64Array },
  nq: number,
  title: string,
  run: RunInfo,
): MimeBundle {
  const rows: unknown[][] = [];
  let query = 0;
  for (; query < Math.min(nq, SHOWN_QUERIES); query++) {
    const { distances, labels } = slice(query);
    const hits = Math.min(labels.length, SHOWN_HITS);
    if (rows.length > 0 && rows.length + hits > SHOWN_ROWS) break;
    for (let i = 0; i < hits; i++) {
      const isThere = labels[i] !== -1n;
      rows.push([query, i + 1, isThere ? labels[i] : null, isThere ? distances[i] : null]);
    }
    if (hits === 0) rows.push([query, null, null, null]);
  }
  const left = query < nq ? `; the first ${formatCount(query, "query", "queries")}` : "";
  const columns = [
    { name: "query", format: String },
    "rank",
    { name: "id", format: (id: unknown) => id === null ? "–" : String(id) },
    { name: "distance", format: (x: unknown) => x === null ? "" : formatDigits(x as number, 6) },
  ];
  return tableBundle(columns, rows, `${title}, ${ranText(run)}${left}`);
}

/**
 * The nearest rows of each query, best first.
 *
 * @example
 * ```ts
 * import { IndexFlatL2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2);
 * await index.add([[0, 0], [3, 4]]);
 * const found = await index.search([[0, 0]], 3);
 * assert.deepEqual(found.row(0), [{ id: 0, distance: 0 }, { id: 1, distance: 25 }]);
 * assert.deepEqual([...found.labels], [0n, 1n, -1n]);
 * ```
 */
export class SearchResult<D extends Distances = Float32Array> {
  /** `nq × k` distances; ±FLT_MAX, or of bits 2^31 − 1, where there is no result. */
  readonly distances: D;
  /** `nq × k` ids; −1 where there is no result. */
  readonly labels: BigInt64Array;
  /** Number of queries. */
  readonly nq: number;
  /** Results a query. */
  readonly k: number;
  /** What ran. */
  readonly run: RunInfo;

  /**
   * Wraps the arrays of a search.
   *
   * @param distances `nq × k` distances.
   * @param labels `nq × k` ids.
   * @param k Results a query.
   * @param run What ran.
   */
  constructor(distances: D, labels: BigInt64Array, k: number, run: RunInfo) {
    this.distances = distances;
    this.labels = labels;
    this.nq = labels.length / k;
    this.k = k;
    this.run = run;
  }

  /**
   * The results of one query; missing ones are left out.
   *
   * @param i Which query, from 0.
   * @throws {RangeError} If there is no such query, or an id past 2^53, which only `labels` holds.
   */
  row(i: number): Hit[] {
    checkRow(i, this.nq);
    return toHits(this.distances, this.labels, i * this.k, (i + 1) * this.k);
  }

  /** The results of each query. */
  *[Symbol.iterator](): Generator<Hit[]> {
    for (let i = 0; i < this.nq; i++) yield this.row(i);
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return this.#table();
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return `${this.constructor.name} ${plainText(this.#table())}`;
  }

  #table(): MimeBundle {
    const slice = (query: number) => {
      const [from, to] = [query * this.k, (query + 1) * this.k];
      return {
        distances: this.distances.subarray(from, to),
        labels: this.labels.subarray(from, to),
      };
    };
    return hitsTable(
      slice,
      this.nq,
      `${formatCount(this.nq, "query", "queries")}, k = ${this.k}`,
      this.run,
    );
  }
}

/** A {@linkcode SearchResult} with the vectors that were found. */
export class SearchAndReconstructResult<
  D extends Distances = Float32Array,
  V extends Float32Array | Uint8Array = Float32Array,
> extends SearchResult<D> {
  /** `nq × k × d` numbers, NaN where there is no result; or codes, of ones alone where there is none. */
  readonly vectors: V;

  /**
   * Adds vectors to a search's result.
   *
   * @param found The search's result.
   * @param vectors `nq × k × d` numbers.
   */
  constructor(found: SearchResult<D>, vectors: V) {
    super(found.distances, found.labels, found.k, found.run);
    this.vectors = vectors;
  }
}

/** The rows within a radius of each query, in order of position. */
export class RangeSearchResult {
  /** `nq + 1` offsets: query `i` has the results `lims[i] … lims[i + 1]`. */
  readonly lims: BigUint64Array;
  /** Distances. */
  readonly distances: Float32Array;
  /** Ids. */
  readonly labels: BigInt64Array;
  /** Number of queries. */
  readonly nq: number;
  /** What ran. */
  readonly run: RunInfo;

  /**
   * Wraps the arrays of a search.
   *
   * @param lims `nq + 1` offsets.
   * @param distances Distances.
   * @param labels Ids.
   * @param run What ran.
   */
  constructor(
    lims: BigUint64Array,
    distances: Float32Array,
    labels: BigInt64Array,
    run: RunInfo,
  ) {
    this.lims = lims;
    this.distances = distances;
    this.labels = labels;
    this.nq = lims.length - 1;
    this.run = run;
  }

  /**
   * The results of one query.
   *
   * @param i Which query, from 0.
   * @throws {RangeError} If there is no such query, or an id past 2^53, which only `labels` holds.
   */
  row(i: number): Hit[] {
    checkRow(i, this.nq);
    return toHits(this.distances, this.labels, Number(this.lims[i]), Number(this.lims[i + 1]));
  }

  /** The results of each query. */
  *[Symbol.iterator](): Generator<Hit[]> {
    for (let i = 0; i < this.nq; i++) yield this.row(i);
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return this.#table();
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return `${this.constructor.name} ${plainText(this.#table())}`;
  }

  #table(): MimeBundle {
    const slice = (query: number) => {
      const [from, to] = [Number(this.lims[query]), Number(this.lims[query + 1])];
      return {
        distances: this.distances.subarray(from, to),
        labels: this.labels.subarray(from, to),
      };
    };
    return hitsTable(
      slice,
      this.nq,
      `${formatCount(this.nq, "query", "queries")}, ${formatNumber(this.labels.length)} within`,
      this.run,
    );
  }
}
