/**
 * How much of its lists a query looks at.
 *
 * @module
 */

import type { StoreSearch } from "../backend/backend.ts";
import { SearchResult } from "../result.ts";
import type { CheckedSearch } from "./index.ts";
import { joinSearches } from "./parts.ts";

/**
 * A search that looks at so many vectors, and gives locations where it was asked for them.
 *
 * @param maxCodes The index's own limit.
 */
export function limitSearch(
  search: StoreSearch,
  { params, locations }: CheckedSearch,
  maxCodes: number,
): StoreSearch {
  const most = params.maxCodes ?? maxCodes;
  if (!Number.isInteger(most) || most < 0) {
    throw new RangeError(`Cannot search: maxCodes ${most} is no integer of at least 0`);
  }
  // As many as no index holds are all.
  const limit = most < 2 ** 32 ? most : 0;
  return { ...search, maxCodes: limit, ensureTopkFull: params.ensureTopkFull, locations };
}

/**
 * A search of many queries, some at a time.
 *
 * @param step Numbers of the queries that are searched at once.
 */
export async function searchInParts(
  queries: Float32Array,
  step: number,
  k: number,
  search: (queries: Float32Array) => Promise<SearchResult>,
): Promise<SearchResult> {
  if (queries.length <= step) return await search(queries);
  const parts: SearchResult[] = [];
  for (let from = 0; from < queries.length; from += step) {
    parts.push(await search(queries.subarray(from, from + step)));
  }
  const total = parts.reduce((sum, { labels }) => sum + labels.length, 0);
  const [distances, labels] = [new Float32Array(total), new BigInt64Array(total)];
  let at = 0;
  for (const part of parts) {
    distances.set(part.distances, at);
    labels.set(part.labels, at);
    at += part.labels.length;
  }
  return new SearchResult(distances, labels, k, joinSearches(parts.map(({ run }) => run)));
}

/**
 * The lists that a query looks at, each as a whole, until it has seen so many vectors: those that may be
 * found. Others are −1.
 *
 * @param probes `nq × nprobe` lists.
 * @param sizes Vectors in each list.
 * @param ids Gives every id, list by list.
 */
export function cutProbes(
  probes: BigInt64Array,
  nprobe: number,
  k: number,
  { maxCodes = 0, ensureTopkFull, selector }: StoreSearch,
  sizes: Float64Array,
  ids: () => BigInt64Array,
): BigInt64Array {
  if (maxCodes === 0) return probes;
  const counts = selector === undefined ? sizes : new Float64Array(sizes.length);
  if (selector !== undefined) {
    const all = ids();
    for (let list = 0, at = 0; list < sizes.length; list++) {
      const part = all.subarray(at, at += sizes[list]!);
      counts[list] = part.reduce((sum, id) => sum + Number(selector.isMember(id)), 0);
    }
  }
  const most = ensureTopkFull ? Math.max(maxCodes, k) : maxCodes;
  let seen = 0;
  return probes.map((list, i) => {
    if (i % nprobe === 0) seen = 0;
    if (list < 0n || seen >= most) return -1n;
    seen += counts[Number(list)]!;
    return list;
  });
}
