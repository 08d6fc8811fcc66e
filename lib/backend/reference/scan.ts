import { isSimilarity, Metric, missingDistance } from "../../metric.ts";
import type { Neighbors, RangeNeighbors, RunInfo, StoreSearch } from "../backend.ts";
import { distanceOf } from "./distance.ts";
import type { Steps } from "./steps.ts";

/** Rows to look at, and the id of each. */
export interface Block {
  /** Row-major numbers. */
  x: Float32Array;
  /** How many rows count. */
  count: number;
  /** The id of a row. */
  id: (row: number) => bigint;
  /** Where the metric of the search does not say it: how far rows are from a query. */
  compare?: (query: Float32Array) => (row: number) => number;
}

/** The blocks that a query looks at. */
export type Blocks = (query: number) => Block[];

/** Pairs between two steps: about a millisecond where rows are long. */
const PAIRS_A_STEP = 1024;

/** Checks that rows, or queries, are whole and finite. */
export function checkRows(
  what: "add" | "search",
  x: Float32Array,
  d: number,
  allowNaN: boolean,
): void {
  if (x.length % d !== 0) {
    throw new TypeError(`Cannot ${what}: ${x.length} numbers are no rows of ${d}`);
  }
  for (let i = 0; i < x.length; i++) {
    const value = x[i]!;
    if (Number.isFinite(value) || (allowNaN && Number.isNaN(value))) continue;
    const row = `${what === "add" ? "row" : "query"} ${Math.floor(i / d)}`;
    throw new RangeError(`Cannot ${what}: ${row} holds ${value} at column ${i % d}`);
  }
}

/** Checks that codes can be compared by a metric. */
export function checkCodeMetric(metric: Metric): void {
  if (metric === Metric.L2 || metric === Metric.InnerProduct) return;
  throw new RangeError("Cannot search: codes are compared by L2 or inner product only");
}

/** Checks where rows are to go. */
export function checkLists(
  n: number,
  lists: BigInt64Array,
  ids: BigInt64Array,
  nlist: number,
): void {
  if (lists.length !== n || ids.length !== n) {
    throw new TypeError(
      `Cannot add: ${n} rows with ${lists.length} lists and ${ids.length} ids`,
    );
  }
  lists.forEach((list, row) => {
    if (list < -1n || list >= BigInt(nlist)) {
      throw new RangeError(`Cannot add: row ${row} is of list ${list} of ${nlist}`);
    }
  });
}

/** The blocks of the lists that queries probe. */
export function probed(
  nq: number,
  probes: BigInt64Array,
  nlist: number,
  block: (list: number) => Block,
): Blocks {
  const nprobe = probes.length / nq;
  return (query) =>
    Array.from(probes.subarray(query * nprobe, (query + 1) * nprobe), (list) => {
      if (list >= BigInt(nlist)) {
        throw new RangeError(`Cannot search: list ${list} of ${nlist}`);
      }
      return list < 0n ? [] : [block(Number(list))];
    }).flat();
}

/** The first rows of a query's blocks, where their number is limited; as in FAISS those selected count. */
function limited(blocks: Block[], k: number, how: StoreSearch): Block[] {
  if (!how.maxCodes) return blocks;
  const most = how.ensureTopkFull ? Math.max(how.maxCodes, k) : how.maxCodes;
  let seen = 0;
  return blocks.flatMap((block) => {
    if (seen >= most) return [];
    const count = how.ensureTopkFull ? block.count : Math.min(block.count, most - seen);
    for (let row = 0; row < count; row++) {
      if (!how.selector || how.selector.isMember(block.id(row))) seen++;
    }
    return [{ ...block, count }];
  });
}

function checkSearch(queries: Float32Array, d: number, how: StoreSearch): void {
  checkRows("search", queries, d, how.metric === Metric.NaNEuclidean);
  how.signal?.throwIfAborted();
}

function runInfo(scanned: number): RunInfo {
  return {
    backend: "reference",
    engine: "typescript",
    isa: "none",
    variants: ["pairwise_f64"],
    threads: 1,
    scanned,
    recomputed: 0,
  };
}

/** The selected rows that a query looks at, with their float32 distances. */
function* scan(
  queries: Float32Array,
  query: number,
  blocks: Blocks,
  d: number,
  how: StoreSearch,
  visit: (distance: number, id: (row: number) => bigint, row: number) => void,
): Steps<number> {
  const distance = distanceOf(how.metric, how.metricArg, d);
  let scanned = 0;
  let steps = 0;
  for (const { x, count, id, compare } of blocks(query)) {
    const pair = compare?.(queries.subarray(query * d, (query + 1) * d)) ??
      ((row: number) => distance(queries, query, x, row));
    for (let row = 0; row < count; row++) {
      if (++steps % PAIRS_A_STEP === 0) yield;
      if (how.selector && !how.selector.isMember(id(row))) continue;
      visit(Math.fround(pair(row)), id, row);
      scanned++;
    }
  }
  yield;
  return scanned;
}

/** The nearest `k` rows of each query: by distance, then by id. */
export function* nearest(
  queries: Float32Array,
  blocks: Blocks,
  k: number,
  d: number,
  how: StoreSearch,
): Steps<Neighbors> {
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`Cannot search: k ${k} is not above 0`);
  checkSearch(queries, d, how);
  const nq = queries.length / d;
  const distances = new Float32Array(nq * k).fill(missingDistance(how.metric));
  const labels = new BigInt64Array(nq * k).fill(-1n);
  const sign = isSimilarity(how.metric) ? -1 : 1;
  let scanned = 0;
  for (let query = 0; query < nq; query++) {
    const [best, ids] = [
      distances.subarray(query * k, (query + 1) * k),
      labels.subarray(query * k, (query + 1) * k),
    ];
    const looked = (query: number) => limited(blocks(query), k, how);
    scanned += yield* scan(queries, query, looked, d, how, (distance, id, row) => {
      // A NaN, or a distance past FLT_MAX, is before nothing.
      if (!(sign * distance <= sign * best[k - 1]!)) return;
      const rowId = id(row);
      const before = (at: number) =>
        sign * distance < sign * best[at]! ||
        (distance === best[at] && ids[at] !== -1n && rowId < ids[at]!);
      if (!before(k - 1)) return;
      let at = k - 1;
      for (; at > 0 && before(at - 1); at--) {
        best[at] = best[at - 1]!;
        ids[at] = ids[at - 1]!;
      }
      best[at] = distance;
      ids[at] = rowId;
    });
  }
  return { distances, labels, run: runInfo(scanned) };
}

/** The rows strictly within the radius of each query, in order of id. */
export function* within(
  queries: Float32Array,
  blocks: Blocks,
  radius: number,
  d: number,
  how: StoreSearch,
): Steps<RangeNeighbors> {
  if (Number.isNaN(radius)) throw new RangeError("Cannot search: radius is NaN");
  checkSearch(queries, d, how);
  const nq = queries.length / d;
  const sign = isSimilarity(how.metric) ? -1 : 1;
  const limit = sign * Math.fround(radius);
  const lims = new BigUint64Array(nq + 1);
  const found: { distance: number; id: bigint }[] = [];
  let scanned = 0;
  for (let query = 0; query < nq; query++) {
    const hits: { distance: number; id: bigint }[] = [];
    scanned += yield* scan(queries, query, blocks, d, how, (distance, id, row) => {
      if (sign * distance < limit) hits.push({ distance, id: id(row) });
    });
    hits.sort((a, b) => a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
    for (const hit of hits) found.push(hit);
    lims[query + 1] = BigInt(found.length);
  }
  return {
    lims,
    distances: Float32Array.from(found, (hit) => hit.distance),
    labels: BigInt64Array.from(found, (hit) => hit.id),
    run: runInfo(scanned),
  };
}
