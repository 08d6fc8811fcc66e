import type { GpuBuffer } from "../../kernel/buffer.ts";
import { isSimilarity } from "../../metric.ts";
import type { Neighbors, RangeNeighbors, StoreSearch } from "../backend.ts";
import { allMissing, checkK, checkMost, widen } from "./checks.ts";
import { EXACT_WORK, type GpuContext } from "./context.ts";
import { exhaustParams, type Found } from "./exhaust.ts";
import { filteredRows } from "./filter.ts";
import { type ProbingQueries, searchListsFast } from "./ivf_fast.ts";
import type { ListLayout } from "./ivf_layout.ts";
import { fastMetric, kernelMetric } from "./metrics.ts";
import { findWithin, toRange } from "./range.ts";
import { type GpuRows, padRows } from "./rows.ts";
import type { Steps } from "./steps.ts";
import { Task } from "./task.ts";
import type { RowTerms } from "./terms.ts";
import { words } from "./words.ts";

/** Rows of a list that one threadgroup looks at. */
const PART_ROWS = 1024;
/** Words of `ExhaustPart`. */
const PART_WORDS = 4;

/** What a search of lists reads. */
export interface ListSource {
  context: GpuContext;
  /** Rows, list after list. */
  rows: GpuRows;
  /** What is known of them. */
  terms: RowTerms;
  /** Offsets and ids on the host. */
  layout: ListLayout;
  /** Ids on the device, i64 a row. */
  ids: GpuBuffer;
  /** `nlist + 1` offsets on the device, u32 each. */
  offsets: GpuBuffer;
}

/** The nearest rows of the probed lists; `probes` are `nq × nprobe` lists, −1 for none. */
export function* searchLists(
  source: ListSource,
  queries: Float32Array,
  probes: BigInt64Array,
  nprobe: number,
  k: number,
  how: StoreSearch,
): Steps<Neighbors> {
  checkK(k);
  const { context, rows, layout } = source;
  const nq = queries.length / rows.d;
  using task = new Task(context, "ivf search");
  const missing = allMissing(nq, k, how.metric);
  const { most, scanned } = countLists(layout, probes, nprobe, nq);
  task.scanned = scanned;
  const wanted = Math.min(k, most);
  if (wanted === 0) return { ...missing, run: task.runInfo() };
  checkMost(wanted);
  const found = yield* findNearest(task, source, { queries, probes, nprobe, most }, wanted, how);
  return { ...widen(found, wanted, missing, k, how.metric), run: task.runInfo() };
}

/** By keys where the metric has them; what they leave open, and other metrics, by every pair. */
function* findNearest(
  task: Task,
  source: ListSource,
  { queries, probes, nprobe, most }: ProbingQueries,
  k: number,
  how: StoreSearch,
): Steps<Found> {
  const { layout, rows: { d } } = source;
  const bitmap = filterBitmap(task, how, layout);
  const metric = fastMetric(how.metric);
  if (metric === undefined) {
    const cut = cutLists(layout, probes, nprobe, queries.length / d);
    return yield* exhaustLists(task, source, queries, cut, bitmap, k, how);
  }
  const all = { queries, probes, nprobe, most };
  const found = yield* searchListsFast(task, source, all, k, metric, bitmap);
  let { open } = found;
  const settle = (numbers: number[], better: Found, isOpen: (i: number) => boolean) => {
    numbers.forEach((query, i) => {
      if (isOpen(i)) return;
      found.distances.set(better.distances.subarray(i * k, (i + 1) * k), query * k);
      found.labels.set(better.labels.subarray(i * k, (i + 1) * k), query * k);
    });
  };
  if (open.length > 0) {
    // More room for candidates.
    const again = yield* searchListsFast(task, source, take(all, open, d), k, metric, bitmap, 16);
    const still = new Set(again.open);
    settle(open, again, (i) => still.has(i));
    open = open.filter((_, i) => still.has(i));
  }
  if (open.length > 0) {
    const left = take(all, open, d);
    const cut = cutLists(layout, left.probes, nprobe, open.length);
    settle(
      open,
      yield* exhaustLists(task, source, left.queries, cut, bitmap, k, how),
      () => false,
    );
  }
  return found;
}

/** Some of the queries. */
function take(all: ProbingQueries, numbers: number[], d: number): ProbingQueries {
  const queries = new Float32Array(numbers.length * d);
  const probes = new BigInt64Array(numbers.length * all.nprobe);
  numbers.forEach((query, i) => {
    queries.set(all.queries.subarray(query * d, (query + 1) * d), i * d);
    const own = all.probes.subarray(query * all.nprobe, (query + 1) * all.nprobe);
    probes.set(own, i * all.nprobe);
  });
  return { ...all, queries, probes };
}

/** The rows within a radius among the probed lists. */
export function* rangeSearchLists(
  source: ListSource,
  queries: Float32Array,
  probes: BigInt64Array,
  nprobe: number,
  radius: number,
  how: StoreSearch,
): Steps<RangeNeighbors> {
  const { context, rows: { d, width, buffer: x }, layout } = source;
  const nq = queries.length / d;
  using task = new Task(context, "ivf range search");
  const cut = cutLists(layout, probes, nprobe, nq);
  task.scanned = task.recomputed = cut.scanned;
  const label = (row: number) => layout.ids[row]!;
  if (cut.most === 0) {
    return toRange(new Array(nq).fill(new BigUint64Array(0)), label, task.runInfo());
  }
  const all = task.input(padRows(queries, d), "queries");
  const bitmap = filterBitmap(task, how, layout);
  const work = cut.scanned / nq * d * EXACT_WORK;
  const name = `within_parts_${kernelMetric(how.metric)}`;
  const pairs = yield* findWithin(task, nq, cut.most, work, (from, n, stride, counts, found) => {
    const parts = partsOf(cut, from, n);
    if (parts.length === 0) return;
    const here = { buffer: all, offset: from * width * 4 };
    const sizes = { nq: n, rows: 0, d, width, stride, radius, filtered: bitmap !== undefined };
    task.dispatch(["flat_exhaust.metal", name], [
      here,
      x,
      bitmap ?? x,
      task.input(parts, "parts of lists"),
      counts,
      found,
      exhaustParams(how, sizes),
    ], { threadgroups: parts.length / PART_WORDS, threadgroup: 256 });
  });
  return toRange(pairs, label, task.runInfo());
}

/** Rows of the probed lists: of all queries, and of the one with most. */
function countLists(
  { offsets }: ListLayout,
  probes: BigInt64Array,
  nprobe: number,
  nq: number,
): { most: number; scanned: number } {
  // The low words: reading 64-bit integers one by one takes ten times as long.
  const lists = new Int32Array(probes.buffer, probes.byteOffset, probes.length * 2);
  let [most, scanned] = [0, 0];
  for (let query = 0; query < nq; query++) {
    let rows = 0;
    for (let i = query * nprobe; i < (query + 1) * nprobe; i++) {
      const list = lists[i * 2]!;
      if (list >= 0) rows += offsets[list + 1]! - offsets[list]!;
    }
    most = Math.max(most, rows);
    scanned += rows;
  }
  return { most, scanned };
}

/** Probed lists in parts that a threadgroup looks at. */
interface CutLists {
  /** `ExhaustPart` of all queries, in their order. */
  parts: Uint32Array<ArrayBuffer>;
  /** `nq + 1` first parts of queries. */
  starts: Uint32Array;
  /** Rows that a query looks at, at most. */
  most: number;
  /** Rows that all queries look at. */
  scanned: number;
}

function cutLists(
  layout: ListLayout,
  probes: BigInt64Array,
  nprobe: number,
  nq: number,
): CutLists {
  const parts: number[] = [];
  const starts = new Uint32Array(nq + 1);
  let [most, scanned] = [0, 0];
  for (let query = 0; query < nq; query++) {
    let at = 0;
    for (let i = query * nprobe; i < (query + 1) * nprobe; i++) {
      if (probes[i]! < 0n) continue;
      const [start, end] = layout.range(Number(probes[i]!));
      for (let row = start; row < end; row += PART_ROWS) {
        const stop = Math.min(end, row + PART_ROWS);
        parts.push(query, row, stop, at);
        at += stop - row;
      }
    }
    starts[query + 1] = parts.length / PART_WORDS;
    most = Math.max(most, at);
    scanned += at;
  }
  return { parts: Uint32Array.from(parts), starts, most, scanned };
}

/** Parts of some queries, which are counted from the first of them. */
function partsOf({ parts, starts }: CutLists, from: number, n: number): Uint32Array<ArrayBuffer> {
  const own = parts.slice(starts[from]! * PART_WORDS, starts[from + n]! * PART_WORDS);
  for (let i = 0; i < own.length; i += PART_WORDS) own[i]! -= from;
  return own;
}

function filterBitmap(task: Task, how: StoreSearch, layout: ListLayout): GpuBuffer | undefined {
  const selected = filteredRows(how.selector, layout.ids);
  return selected && task.input(selected.bitmap, "selected rows");
}

/** Every pair of a query and a row of its lists, computed exactly. */
function* exhaustLists(
  task: Task,
  { rows, ids }: ListSource,
  queries: Float32Array,
  cut: CutLists,
  bitmap: GpuBuffer | undefined,
  k: number,
  how: StoreSearch,
): Steps<Found> {
  const { d, width, buffer: x } = rows;
  const nq = queries.length / d;
  const found = { distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
  const all = task.input(padRows(queries, d), "queries");
  const work = cut.scanned / nq * d * EXACT_WORK;
  const batch = task.context.batchSize(nq, cut.most * 12 + k * 12, work);
  const name = `exhaust_parts_${kernelMetric(how.metric)}`;
  for (let from = 0; from < nq; from += batch) {
    const n = Math.min(batch, nq - from);
    const stride = cut.most;
    const parts = partsOf(cut, from, n);
    const pairs = task.scratch(n * stride * 4, "distances");
    const labels = task.scratch(n * stride * 8, "ids");
    const nearest = task.output(n * k * 4, "distances found");
    const numbers = task.output(n * k * 8, "ids found");
    const sizes = { nq: n, rows: 0, d, width, stride, filtered: bitmap !== undefined };
    const own = task.input(parts, "parts of lists");
    task.commands.fill(labels, 0, n * stride * 8, 0xff);
    if (parts.length > 0) {
      task.dispatch(["flat_exhaust.metal", name], [
        { buffer: all, offset: from * width * 4 },
        x,
        ids,
        bitmap ?? x,
        own,
        pairs,
        labels,
        exhaustParams(how, sizes),
      ], { threadgroups: parts.length / PART_WORDS, threadgroup: 256 });
    }
    const params = words(n, stride, stride, k, 1, Number(isSimilarity(how.metric)), 0);
    task.dispatch(
      ["topk.metal", "topk_merge_f32_i64_i64"],
      [pairs, labels, ids, nearest, numbers, params],
      { threadgroups: n, threadgroup: 256 },
    );
    yield* task.finish();
    nearest.readSync(found.distances.subarray(from * k, (from + n) * k));
    numbers.readSync(found.labels.subarray(from * k, (from + n) * k));
    task.release(pairs, labels, nearest, numbers, own);
  }
  task.recomputed += cut.scanned;
  return found;
}
