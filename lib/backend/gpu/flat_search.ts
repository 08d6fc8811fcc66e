import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { StoreSearch } from "../backend.ts";
import { type DeviceQueries, exhaust, type Found, type LookedAt } from "./exhaust.ts";
import type { FastMetric } from "./metrics.ts";
import {
  cutStrips,
  type FlatPlan,
  type KeyErrors,
  keyErrors,
  keysTile,
  nextPowerOfTwo,
  planFlat,
  queryBytes,
  scanTile,
  selectThreads,
  stagedBytes,
  type Tile,
} from "./plan.ts";
import { gatherRows, type GpuRows, padRows, sampleRows } from "./rows.ts";
import { isFound, readStatuses, Status, statusOf } from "./status.ts";
import type { Steps } from "./steps.ts";
import type { Task } from "./task.ts";
import type { RowTerms } from "./terms.ts";
import { floatBits, words } from "./words.ts";

/** Most candidates a query in a second try. */
const MOST_CAPACITY = 65_536;

/** What a search reads. */
export interface FlatSource {
  /** The rows. */
  rows: GpuRows;
  /** What is known of them. */
  terms: RowTerms;
}

/** A search by a metric of dot products. */
interface Search {
  task: Task;
  source: FlatSource;
  metric: FastMetric;
  k: number;
  how: StoreSearch;
  looked: LookedAt;
  terms: GpuBuffer;
  center: GpuBuffer;
  found: Found;
}

/** Queries of a batch on the device. */
interface Batch {
  nq: number;
  /** As they are. */
  raw: GpuBuffer;
  /** Less the center; as they are where keys are distances. */
  centered: GpuBuffer;
  /** `QueryTerms`. */
  terms: GpuBuffer;
}

/** The nearest rows by keys from dot products, each answer proven or computed again. */
export function* searchFast(
  task: Task,
  source: FlatSource,
  queries: Float32Array,
  k: number,
  metric: FastMetric,
  how: StoreSearch,
  looked: LookedAt,
): Steps<Found> {
  const { d, width4 } = source.rows;
  const nq = queries.length / d;
  const plan = planFlat(looked.count, k);
  const found = { distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
  const bytes = queryBytes(plan, looked.count, k, width4);
  const size = task.context.batchSize(nq, bytes, looked.count * width4 * 4);
  for (let from = 0; from < nq; from += size) {
    const part = queries.subarray(from * d, (from + size) * d);
    const to = [from * k, from * k + part.length / d * k] as const;
    const { terms, center } = source.terms.use(task, metric);
    yield* searchBatch(
      {
        task,
        source,
        metric,
        k,
        how,
        looked,
        terms,
        center,
        found: {
          distances: found.distances.subarray(...to),
          labels: found.labels.subarray(...to),
        },
      },
      plan,
      part,
    );
  }
  return found;
}

function* searchBatch(search: Search, plan: FlatPlan, queries: Float32Array): Steps<void> {
  const { task, source: { rows }, metric, center } = search;
  const { d, width, width4 } = rows;
  const nq = queries.length / d;
  const batch: Batch = {
    nq,
    raw: task.input(padRows(queries, d), "queries"),
    centered: task.scratch(nq * width * 4, "centered queries"),
    terms: task.scratch(nq * 16, "query terms"),
  };
  const tile = plan.kind === "dense" ? keysTile(nq) : scanTile(nq, width4);
  const errors = keyErrors(d, metric, isDifferences(metric, tile));
  // Distances need no terms: what there is of them comes with the bound.
  if (plan.kind === "dense" || !isDifferences(metric, tile)) {
    const queryTerms = words(nq, d, width4, floatBits(errors.rounding));
    task.dispatch(
      ["flat.metal", `flat_query_terms_${metric}`],
      [batch.raw, center, batch.centered, batch.terms, queryTerms],
      { threadgroups: Math.ceil(nq / 8), threadgroup: 256 },
    );
  }
  const statuses = plan.kind === "dense"
    ? yield* searchDense(search, batch, tile, errors)
    : yield* searchSampled(search, batch, tile, errors, plan);
  let open = openOf(statuses);
  const again = open.filter((query) => statusOf(statuses[query]!) !== Status.CROWDED);
  if (plan.kind === "sampled" && again.length > 0) {
    const settled = yield* tryAgain(search, batch, tile, errors, plan.capacity, again);
    open = open.filter((query) => !settled.has(query));
  }
  if (open.length > 0) yield* settle(search, batch, open);
  task.release(batch.raw, batch.centered, batch.terms);
}

/** Every key, and the best of them. */
function* searchDense(
  search: Search,
  batch: Batch,
  tile: Tile,
  errors: KeyErrors,
): Steps<Uint32Array> {
  const { task, looked: { count } } = search;
  const keys = task.scratch(batch.nq * count * 4, "keys");
  recordKeys(search, batch, tile, search.looked, keys);
  const statuses = yield* select(search, batch, errors, { keys, capacity: count });
  task.release(keys);
  return statuses;
}

/** Keys of a sample give bounds; rows within them are candidates. */
function* searchSampled(
  search: Search,
  batch: Batch,
  tile: Tile,
  errors: KeyErrors,
  { samples, rank, capacity }: FlatPlan & { kind: "sampled" },
): Steps<Uint32Array> {
  const { task, source: { rows }, metric, looked } = search;
  const { nq } = batch;
  const own = looked.list && task.scratch(samples * 4, "sampled rows");
  if (own) sampleRows(task, looked.count, looked.list, samples, own);
  const sample = { count: samples, list: own ?? rows.sample(task, samples) };
  const keys = task.scratch(nq * samples * 4, "sampled keys");
  const counts = task.scratch(nq * 4, "candidates a query");
  const found = task.scratch(nq * capacity * 8, "candidates");
  recordKeys(search, batch, tile, sample, keys);
  const threads = Math.min(1024, Math.max(256, nextPowerOfTwo(samples / 8)));
  task.dispatch(
    ["flat.metal", "flat_threshold"],
    [
      keys,
      batch.terms,
      counts,
      batch.raw,
      batch.centered,
      words(samples, rank, Number(isDifferences(metric, tile)), rows.width4),
    ],
    { threadgroups: nq, threadgroup: threads },
  );
  recordScan(search, batch, tile, capacity, counts, found);
  const statuses = yield* select(search, batch, errors, { counts, found, capacity });
  task.release(keys, counts, found, ...(own ? [own] : []));
  return statuses;
}

/** Queries whose bound was wrong, with that which the kernel found right. Returns those settled. */
function* tryAgain(
  search: Search,
  batch: Batch,
  tile: Tile,
  errors: KeyErrors,
  capacity: number,
  open: number[],
): Steps<Set<number>> {
  const { task, source: { rows }, k, looked } = search;
  const settled = new Set<number>();
  const larger = Math.min(capacity * 4, MOST_CAPACITY, nextPowerOfTwo(looked.count));
  const each = larger * 8 + rows.width * 8 + 32 + k * 12;
  const size = task.context.batchSize(open.length, each, looked.count * rows.width);
  for (let from = 0; from < open.length; from += size) {
    const numbers = Uint32Array.from(open.slice(from, from + size));
    const nq = numbers.length;
    const list = task.input(numbers, "queries to search again");
    const some: Batch = {
      nq,
      raw: task.scratch(nq * rows.width * 4, "queries"),
      centered: task.scratch(nq * rows.width * 4, "centered queries"),
      terms: task.scratch(nq * 16, "query terms"),
    };
    gatherRows(task, batch.raw, batch.nq, list, nq, some.raw, rows.width);
    gatherRows(task, batch.centered, batch.nq, list, nq, some.centered, rows.width);
    gatherRows(task, batch.terms, batch.nq, list, nq, some.terms, 4);
    const counts = task.scratch(nq * 4, "candidates a query");
    const candidates = task.scratch(nq * larger * 8, "candidates");
    task.commands.fill(counts, 0, nq * 4, 0);
    recordScan(search, some, tile, larger, counts, candidates);
    const found = { distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
    const statuses = yield* select({ ...search, found }, some, errors, {
      counts,
      found: candidates,
      capacity: larger,
    });
    numbers.forEach((query, i) => {
      if (!isFound(statuses[i]!)) return;
      copyResults(found, i, search.found, query, k);
      settled.add(query);
    });
    task.release(list, some.raw, some.centered, some.terms, counts, candidates);
  }
  return settled;
}

/** Queries that no bound helps: every pair exactly. */
function* settle(search: Search, batch: Batch, open: number[]): Steps<void> {
  const { task, source: { rows }, k, how, looked } = search;
  const list = task.input(Uint32Array.from(open), "queries to exhaust");
  const raw = task.scratch(open.length * rows.width * 4, "queries");
  gatherRows(task, batch.raw, batch.nq, list, open.length, raw, rows.width);
  const queries: DeviceQueries = { buffer: raw, count: open.length };
  const found = yield* exhaust(task, rows, queries, k, how, looked);
  open.forEach((query, i) => copyResults(found, i, search.found, query, k));
  task.release(list, raw);
}

/** Records every key of some rows: `nq × rows.count`. */
function recordKeys(
  { task, source, metric, terms, center }: Search,
  batch: Batch,
  tile: Tile,
  { count, list }: LookedAt,
  keys: GpuBuffer,
): void {
  const { rows } = source;
  const { nq } = batch;
  const name = kernelName("keys", metric, tile, list);
  const queries = isDifferences(metric, tile) ? batch.raw : batch.centered;
  const given = [rows.buffer, terms, center, list ?? terms, keys];
  if (tile.direct) {
    const { groups, strip } = cutStrips(nq, count, tile);
    const params = words(nq, count, rows.width4, strip, 0);
    task.dispatch(["flat.metal", name], [queries, ...given, params], {
      threadgroups: groups,
      threadgroup: 256,
      threadgroupMemory: stagedBytes(tile, rows.width4),
    });
  } else {
    const params = words(nq, count, rows.width4, tile.rows, 0);
    task.dispatch(["flat.metal", name], [queries, batch.terms, ...given, params], {
      threadgroups: [Math.ceil(nq / tile.queries), Math.ceil(count / tile.rows)],
      threadgroup: 256,
    });
  }
}

/** Records the search for candidates. */
function recordScan(
  { task, source, metric, looked, terms, center }: Search,
  batch: Batch,
  tile: Tile,
  capacity: number,
  counts: GpuBuffer,
  found: GpuBuffer,
): void {
  const { rows } = source;
  const { count, list } = looked;
  const { groups, strip } = cutStrips(batch.nq, count, tile);
  const memory = stagedBytes(tile, rows.width4);
  task.dispatch(["flat.metal", kernelName("scan", metric, tile, list)], [
    batch.centered,
    batch.terms,
    rows.buffer,
    terms,
    center,
    list ?? terms,
    counts,
    found,
    words(batch.nq, count, rows.width4, strip, capacity),
  ], {
    threadgroups: groups,
    threadgroup: 256,
    ...(memory > 0 && { threadgroupMemory: memory }),
  });
}

/** Finds the nearest among keys, or candidates, and reads them back. */
function* select(
  { task, source, metric, k, looked, terms, found }: Search,
  batch: Batch,
  errors: KeyErrors,
  from: { keys?: GpuBuffer; counts?: GpuBuffer; found?: GpuBuffer; capacity: number },
): Steps<Uint32Array> {
  const { rows } = source;
  const { nq } = batch;
  const distances = task.output(nq * k * 4, "distances found");
  const labels = task.output(nq * k * 8, "rows found");
  const statuses = task.output(nq * 4, "statuses");
  const params = words(
    k,
    rows.width4,
    from.capacity,
    Number(from.keys !== undefined),
    Number(looked.list !== undefined),
    floatBits(errors.relative),
    floatBits(errors.absolute),
  );
  task.dispatch(["flat.metal", `flat_select_${metric}_f32`], [
    batch.raw,
    batch.terms,
    rows.buffer,
    terms,
    looked.list ?? terms,
    from.counts ?? statuses,
    from.found ?? terms,
    from.keys ?? terms,
    labels,
    distances,
    labels,
    statuses,
    params,
    words(0),
  ], { threadgroups: nq, threadgroup: selectThreads(nq, k) });
  yield* task.finish();
  distances.readSync(found.distances);
  labels.readSync(found.labels);
  const result = readStatuses(task, statuses, nq);
  task.release(distances, labels, statuses);
  return result;
}

/** Whether a kernel's keys are distances. */
function isDifferences(metric: FastMetric, tile: Tile): boolean {
  return metric === "l2" && tile.direct && tile.queries === 1;
}

function kernelName(
  step: "scan" | "keys",
  metric: FastMetric,
  { name, direct }: Tile,
  list: GpuBuffer | undefined,
): string {
  return `flat_${direct ? "direct_" : ""}${step}_${metric}_f32${list ? "_list" : ""}_${name}`;
}

function openOf(statuses: Uint32Array): number[] {
  const open: number[] = [];
  statuses.forEach((status, query) => {
    if (!isFound(status)) open.push(query);
  });
  return open;
}

function copyResults(from: Found, i: number, to: Found, query: number, k: number): void {
  to.distances.set(from.distances.subarray(i * k, (i + 1) * k), query * k);
  to.labels.set(from.labels.subarray(i * k, (i + 1) * k), query * k);
}
