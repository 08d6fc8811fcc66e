/**
 * How searches are done.
 *
 * @module
 */

import type { Filter } from "../selector.ts";

/** How a search is done. */
export interface SearchParameters {
  /** The ids that take part: a selector, a list, or a function. By default all. */
  filter?: Filter | undefined;
  /** Stops the search. */
  signal?: AbortSignal | undefined;
  /** Lists that an IVF index looks at; by default its own `nprobe`. */
  nprobe?: number | undefined;
  /** Vectors that an HNSW index keeps while it looks for nearer ones; by default its own. */
  efSearch?: number | undefined;
  /** Bits that queries are rounded to where codes are RaBitQ's; by default the index's own. */
  qb?: number | undefined;
  /** Whether such queries' levels lie about zero; by default as the index says. */
  centered?: boolean | undefined;
  /** Vectors of its lists that an IVF index compares with a query; by default its own `maxCodes`. */
  maxCodes?: number | undefined;
  /**
   * Whether `maxCodes` gives `k` results a chance: it is `k` at least, and lists are looked at as a
   * whole.
   */
  ensureTopkFull?: boolean | undefined;
  /** Lists in a row without a vector in the radius, after which an IVF index looks no further. */
  maxEmptyResultBuckets?: number | undefined;
  /**
   * Whether an HNSW index follows links until none of the vectors it keeps has others; else those
   * of `efSearch + 1`. By default its own `checkRelativeDistance`.
   */
  checkRelativeDistance?: boolean | undefined;
  /** FAISS's choice between two queues of an HNSW search: here both ways are one, and find the same. */
  boundedQueue?: boolean | undefined;
  /** Vectors that an NSG or NNDescent index keeps while it looks for nearer ones; by default its own. */
  searchL?: number | undefined;
  /** How an IVF index searches its quantizer. */
  quantizerParams?: SearchParameters | undefined;
  /** Candidates for each result that an IndexRefine compares again; by default its own `kFactor`. */
  kFactor?: number | undefined;
  /** How an IndexRefine searches its base index; what is not given there is as here. */
  baseIndexParams?: SearchParameters | undefined;
}
