/**
 * How much of its lists a query looks at.
 *
 * @module
 */

import type { StoreSearch } from "../backend/backend.ts";
import type { CheckedSearch } from "./index.ts";

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
