/**
 * Range searches of lists that end early.
 *
 * @module
 */

import type { InvertedLists, RangeNeighbors, StoreSearch } from "../backend/backend.ts";
import { joinSearches } from "./parts.ts";

/**
 * A range search of lists, the nearest of each query first, that looks no further for a query after
 * so many of its lists in a row had nothing within the radius.
 */
export async function searchByRank(
  store: InvertedLists,
  queries: Float32Array,
  probes: BigInt64Array,
  radius: number,
  how: StoreSearch,
  most: number,
): Promise<RangeNeighbors> {
  const { d } = store;
  const nq = queries.length / d;
  const nprobe = probes.length / nq;
  const hits: { id: bigint; distance: number }[][] = Array.from({ length: nq }, () => []);
  const empty = new Uint32Array(nq);
  const runs = [];
  let asked = Array.from({ length: nq }, (_, query) => query);
  for (let rank = 0; rank < nprobe && asked.length > 0; rank++) {
    const rows = new Float32Array(asked.length * d);
    asked.forEach((query, i) => rows.set(queries.subarray(query * d, (query + 1) * d), i * d));
    const lists = BigInt64Array.from(asked, (query) => probes[query * nprobe + rank]!);
    const found = await store.rangeSearch(rows, lists, radius, how);
    runs.push(found.run);
    asked = asked.filter((query, i) => {
      const [from, to] = [Number(found.lims[i]), Number(found.lims[i + 1])];
      for (let at = from; at < to; at++) {
        hits[query]!.push({ id: found.labels[at]!, distance: found.distances[at]! });
      }
      empty[query] = from === to ? empty[query]! + 1 : 0;
      return empty[query]! < most;
    });
  }
  const lims = new BigUint64Array(nq + 1);
  hits.forEach((row, query) => {
    row.sort((a, b) => a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
    lims[query + 1] = lims[query]! + BigInt(row.length);
  });
  const all = hits.flat();
  return {
    lims,
    distances: Float32Array.from(all, ({ distance }) => distance),
    labels: BigInt64Array.from(all, ({ id }) => id),
    run: joinSearches(runs),
  };
}
