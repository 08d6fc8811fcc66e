import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { Found } from "./exhaust.ts";
import type { ListSource } from "./ivf_search.ts";
import { type IvfSettings, ivfSettings, SCAN_THREADS } from "./ivf_settings.ts";
import type { FastMetric } from "./metrics.ts";
import { keyErrors, keysTile, nextPowerOfTwo, selectThreads, STAGED_BYTES } from "./plan.ts";
import { padRows } from "./rows.ts";
import { isFound, readStatuses } from "./status.ts";
import type { Steps } from "./steps.ts";
import type { Task } from "./task.ts";
import { floatBits, words } from "./words.ts";

/** Fewest and most rows that a query's bound is taken from; the kernel has room for the most. */
const SAMPLES = { least: 256, most: 4096 };
/** Fewest and most candidates that a query has room for. */
const CAPACITY = { least: 2048, most: 65_536 };
/** Rows a query up to which all are candidates: as many as flat_select keeps in threadgroup memory. */
const SMALL_LISTS = 3072;
/** Probes up to which each has threadgroups of its own. */
const FEW_PROBES = 1024;
/** Rows of a list that a threadgroup looks at: of many queries, and for their keys. */
const STRIP = { grouped: 1024, keys: 256 };

/** Queries with the lists that they look at. */
export interface ProbingQueries {
  /** `nq × d` numbers. */
  queries: Float32Array;
  /** `nq × nprobe` lists, −1 for none. */
  probes: BigInt64Array;
  /** Lists a query. */
  nprobe: number;
  /** Rows that a query looks at, at most. */
  most: number;
}

/** Sizes of one search. `IVFSearch` of `ivf.h` has most of them. */
interface Sizes {
  nq: number;
  nprobe: number;
  nlist: number;
  capacity: number;
  samples: number;
  rank: number;
  filtered: boolean;
  /** Whether bounds would cost more than they save. */
  isSmall: boolean;
  how: IvfSettings;
}

/** Buffers of one search on the device. */
interface Batch {
  /** Probed lists, on the host. */
  lists: BigInt64Array;
  raw: GpuBuffer;
  centered: GpuBuffer;
  queryTerms: GpuBuffer;
  probes: GpuBuffer;
  bitmap: GpuBuffer;
  counts: GpuBuffer;
  found: GpuBuffer;
}

/**
 * The nearest rows of the probed lists by keys from dot products. Returns them, and the
 * queries for which they are not proven.
 *
 * @param growth How many times the usual number of candidates there is room for.
 */
export function* searchListsFast(
  task: Task,
  source: ListSource,
  { queries, probes, nprobe, most }: ProbingQueries,
  k: number,
  metric: FastMetric,
  bitmap: GpuBuffer | undefined,
  growth = 1,
): Steps<Found & { open: number[] }> {
  const { d, width } = source.rows;
  const nq = queries.length / d;
  const found = { distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
  const open: number[] = [];
  // Rows up to rank are candidates: some more than k, so that rounding does not leave one out.
  const rank = k + Math.ceil(k / 8) + 2;
  const samples = Math.min(SAMPLES.most, Math.max(SAMPLES.least, nextPowerOfTwo(2 * rank)));
  const room = Math.min(CAPACITY.most, Math.max(CAPACITY.least, nextPowerOfTwo(16 * k)) * growth);
  const how = ivfSettings(task.context.device, most);
  const capacity = how.fused ? Math.min(room, nextPowerOfTwo(most)) : most;
  const bytes = capacity * 8 + width * 8 + k * 12 + nprobe * 12;
  const size = task.context.batchSize(nq, bytes, most * width);
  for (let from = 0; from < nq; from += size) {
    const n = Math.min(size, nq - from);
    const sizes: Sizes = {
      nq: n,
      nprobe,
      nlist: source.layout.nlist,
      capacity,
      samples,
      rank,
      filtered: bitmap !== undefined,
      isSmall: !how.fused || most <= Math.min(capacity, SMALL_LISTS),
      how,
    };
    const lists = probes.slice(from * nprobe, (from + n) * nprobe);
    const batch = {
      lists,
      raw: task.input(padRows(queries.subarray(from * d, (from + n) * d), d), "queries"),
      centered: task.scratch(n * width * 4, "centered queries"),
      queryTerms: task.scratch(n * 16, "query terms"),
      probes: task.input(lists, "probed lists"),
      bitmap: bitmap ?? source.rows.buffer,
      counts: task.scratch(n * 4, "candidates a query"),
      found: task.scratch(n * capacity * 8, "candidates"),
    };
    const statuses = yield* searchBatch(task, source, batch, sizes, k, metric, {
      distances: found.distances.subarray(from * k, (from + n) * k),
      labels: found.labels.subarray(from * k, (from + n) * k),
    });
    statuses.forEach((status, query) => {
      if (!isFound(status)) open.push(from + query);
    });
    const { bitmap: _, lists: __, ...own } = batch;
    task.release(...Object.values(own));
  }
  return { ...found, open };
}

function* searchBatch(
  task: Task,
  source: ListSource,
  batch: Batch,
  sizes: Sizes,
  k: number,
  metric: FastMetric,
  found: Found,
): Steps<Uint32Array> {
  const { rows, offsets, ids } = source;
  const { d, width4 } = rows;
  const { nq } = sizes;
  const { terms, center } = source.terms.use(task, metric);
  const errors = keyErrors(d, metric, false);
  task.dispatch(
    ["flat.metal", `flat_query_terms_${metric}`],
    [
      batch.raw,
      center,
      batch.centered,
      batch.queryTerms,
      words(nq, d, width4, floatBits(errors.rounding)),
    ],
    { threadgroups: Math.ceil(nq / 8), threadgroup: 256 },
  );
  if (sizes.isSmall) {
    // Every row is a candidate.
    task.commands.fill(batch.counts, 0, nq * 4, 0);
  } else {
    task.dispatch(["ivf.metal", `ivf_bound_${metric}_f32`], [
      batch.centered,
      batch.queryTerms,
      rows.buffer,
      terms,
      center,
      offsets,
      batch.probes,
      batch.bitmap,
      batch.counts,
      ivfParams(sizes, width4, 0),
    ], { threadgroups: nq, threadgroup: 256 });
  }
  const isStaged = width4 * 16 <= STAGED_BYTES;
  const isFew = nq * sizes.nprobe <= FEW_PROBES;
  const scan = isStaged && !sizes.how.fused
    ? recordKeys
    : isStaged && isFew
    ? recordScan
    : recordGroupedScan;
  const scratch = scan(task, source, batch, sizes, metric, terms, center);

  const distances = task.output(nq * k * 4, "distances found");
  const labels = task.output(nq * k * 8, "ids found");
  const statuses = task.output(nq * 4, "statuses");
  const params = words(
    k,
    width4,
    sizes.capacity,
    0,
    0,
    floatBits(errors.relative),
    floatBits(errors.absolute),
  );
  task.dispatch(["flat.metal", `flat_select_${metric}_f32`], [
    batch.raw,
    batch.queryTerms,
    rows.buffer,
    terms,
    offsets,
    batch.counts,
    batch.found,
    terms,
    ids,
    distances,
    labels,
    statuses,
    params,
    words(1),
  ], { threadgroups: nq, threadgroup: selectThreads(nq, k) });
  yield* task.finish();
  distances.readSync(found.distances);
  labels.readSync(found.labels);
  const result = readStatuses(task, statuses, nq);
  task.release(distances, labels, statuses, ...scratch);
  return result;
}

/** What kernels of one probed list of one query a threadgroup read and write. */
function listArguments(
  { rows, offsets }: ListSource,
  batch: Batch,
  terms: GpuBuffer,
  center: GpuBuffer,
): GpuBuffer[] {
  return [
    ...[batch.centered, batch.queryTerms, rows.buffer, terms, center, offsets],
    ...[batch.probes, batch.bitmap, batch.counts, batch.found],
  ];
}

/** A threadgroup a strip of a probed list, for each query. Returns its scratch. */
function recordScan(
  task: Task,
  source: ListSource,
  batch: Batch,
  sizes: Sizes,
  metric: FastMetric,
  terms: GpuBuffer,
  center: GpuBuffer,
): GpuBuffer[] {
  const { rows, layout } = source;
  const { threads } = sizes.how;
  const kernel = threads === SCAN_THREADS ? "ivf_scan" : "ivf_scan_sized";
  task.dispatch(["ivf.metal", `${kernel}_${metric}_f32`], [
    ...listArguments(source, batch, terms, center),
    ivfParams(sizes, rows.width4, threads),
  ], {
    threadgroups: [Math.ceil(layout.longest / threads), sizes.nq * sizes.nprobe],
    threadgroup: threads,
    threadgroupMemory: rows.width4 * 16,
  });
  return [];
}

/** The keys of all rows of each query's lists, one after the other. Returns its scratch. */
function recordKeys(
  task: Task,
  source: ListSource,
  batch: Batch,
  sizes: Sizes,
  metric: FastMetric,
  terms: GpuBuffer,
  center: GpuBuffer,
): GpuBuffer[] {
  const { rows, layout } = source;
  const { nq, nprobe, filtered } = sizes;
  const places = new Uint32Array(nq * nprobe);
  const counts = new Uint32Array(nq);
  batch.lists.forEach((list, probe) => {
    const query = Math.floor(probe / nprobe);
    places[probe] = counts[query]!;
    if (list < 0n) return;
    const [start, end] = layout.range(Number(list));
    counts[query]! += end - start;
  });
  const first = task.input(places, "places of lists");
  const all = task.input(counts, "pairs a query");
  // Of filtered rows, the kernel counts those that pass.
  if (!filtered) task.commands.copy(all, 0, batch.counts, 0, nq * 4);
  task.dispatch(["ivf.metal", `ivf_keys_${metric}_f32`], [
    ...listArguments(source, batch, terms, center),
    first,
    ivfParams(sizes, rows.width4, STRIP.keys),
  ], {
    threadgroups: [Math.ceil(layout.longest / STRIP.keys), nq * nprobe],
    threadgroup: 256,
    threadgroupMemory: rows.width4 * 16,
  });
  return [first, all];
}

/** Probes grouped by list, so that a list is read once for a tile of queries. Returns its scratch. */
function recordGroupedScan(
  task: Task,
  { rows, offsets, layout }: ListSource,
  batch: Batch,
  sizes: Sizes,
  metric: FastMetric,
  terms: GpuBuffer,
  center: GpuBuffer,
): GpuBuffer[] {
  const { nq, nprobe, nlist } = sizes;
  const pairs = nq * nprobe;
  const tile = keysTile(Math.ceil(pairs / nlist));
  const listSizes = task.scratch(nlist * 4, "queries a list");
  const starts = task.scratch((nlist + 1) * 4, "starts of lists");
  const tiles = task.scratch((nlist + 1) * 4, "tiles of lists");
  const cursors = task.scratch(nlist * 4, "cursors of lists");
  const grouped = task.scratch(pairs * 4, "queries by list");
  task.commands.fill(listSizes, 0, nlist * 4, 0);
  const each = { threads: pairs, threadgroup: 256 };
  task.dispatch(["ivf.metal", "ivf_count"], [batch.probes, listSizes, words(pairs)], each);
  task.dispatch(
    ["ivf.metal", "ivf_group"],
    [listSizes, starts, tiles, cursors, words(nlist), words(tile.queries)],
    { threadgroups: 1, threadgroup: 1024 },
  );
  task.dispatch(
    ["ivf.metal", "ivf_scatter"],
    [batch.probes, cursors, grouped, words(pairs, nprobe)],
    each,
  );
  // As many as there can be: every list that is probed may have one that is not full.
  const most = Math.floor(pairs / tile.queries) + Math.min(nlist, pairs);
  task.dispatch(["ivf.metal", `ivf_scan_grouped_${metric}_f32_${tile.name}`], [
    batch.centered,
    batch.queryTerms,
    rows.buffer,
    terms,
    center,
    offsets,
    starts,
    tiles,
    grouped,
    batch.bitmap,
    batch.counts,
    batch.found,
    ivfParams(sizes, rows.width4, STRIP.grouped),
  ], {
    threadgroups: [most, Math.ceil(layout.longest / STRIP.grouped)],
    threadgroup: 256,
  });
  return [listSizes, starts, tiles, cursors, grouped];
}

/** `IVFSearch` of `ivf.h`. */
function ivfParams(sizes: Sizes, width4: number, strip: number): Uint32Array<ArrayBuffer> {
  const { nq, nprobe, nlist, capacity, samples, rank, filtered } = sizes;
  return words(nq, nprobe, nlist, width4, capacity, samples, rank, strip, Number(filtered));
}
