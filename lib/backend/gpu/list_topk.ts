/**
 * Nearest rows of one list, and merges of such results, where the data lies on the device.
 *
 * @module
 */

import type { GpuDevice } from "../../kernel/device.ts";
import { Tensor } from "../../kernel/tensor.ts";
import type { RunInfo } from "../backend.ts";
import { checkK, checkMost } from "./checks.ts";
import { EXACT_WORK, GpuContext } from "./context.ts";
import { topkParts } from "./plan.ts";
import { run, type Steps } from "./steps.ts";
import { Task } from "./task.ts";
import { floatBits, words } from "./words.ts";

/** Best k of each query on the device: nq × k; +∞ and −1 where there are fewer. */
export interface DeviceTopk extends Disposable {
  /** Distances, float32. */
  readonly values: Tensor;
  /** Ids, int64. */
  readonly ids: Tensor;
  /** What ran. */
  readonly run: RunInfo;
}

/** Rows that are looked at, and queries: float32, row by row, and int64 ids. */
export interface DeviceList {
  /** nq × d. */
  queries: Tensor;
  /** m × d. */
  rows: Tensor;
  /** m. */
  ids: Tensor;
}

const contexts = new WeakMap<GpuDevice, GpuContext>();

function contextOf(device: GpuDevice): GpuContext {
  let context = contexts.get(device);
  if (context === undefined) contexts.set(device, context = new GpuContext(device));
  return context;
}

/**
 * The k nearest rows of each query by squared L2, computed as exactly as float32 has them; ties go to
 * the row that comes first.
 *
 * @param list Queries, rows and their ids.
 * @param k Results a query.
 * @param rowsPerChunk Rows whose best k one threadgroup finds, before chunks are merged; by default
 * as many as keep the device busy.
 * @param signal Stops it between batches of queries.
 */
export async function listTopk(
  list: DeviceList,
  k: number,
  rowsPerChunk?: number,
  signal?: AbortSignal,
): Promise<DeviceTopk> {
  checkK(k);
  checkMost(k);
  const { device } = list.queries;
  using task = new Task(contextOf(device), "list top-k");
  const result = emptyResult(list.queries.shape[0]!, k, device);
  try {
    await run(listSteps(task, list, k, rowsPerChunk, result), signal);
    return finished(result, task);
  } catch (error) {
    result[Symbol.dispose]();
    throw error;
  }
}

function* listSteps(
  task: Task,
  { queries, rows, ids }: DeviceList,
  k: number,
  rowsPerChunk: number | undefined,
  { values, ids: found }: Pick<DeviceTopk, "values" | "ids">,
): Steps<void> {
  const [nq, d] = [queries.shape[0]!, queries.shape[1]!];
  const m = rows.shape[0]!;
  const chunks = rowsPerChunk && Math.ceil(m / rowsPerChunk);
  const batch = task.context.batchSize(nq, m * 4 + (chunks ?? 1) * k * 8, m * d * EXACT_WORK);
  for (let from = 0; from < nq; from += batch) {
    const n = Math.min(batch, nq - from);
    const parts = chunks ?? topkParts(m, n);
    const pairs = task.scratch(n * m * 4, "distances");
    const bests = task.scratch(n * parts * k * 4, "nearest of chunks");
    const places = task.scratch(n * parts * k * 4, "rows of chunks");
    task.dispatch(["distance.metal", "pairwise_l2_f32"], [
      placeOf(queries, from * d * 4),
      placeOf(rows),
      pairs,
      words(n, m, d, m, floatBits(0)),
    ], { threadgroups: Math.ceil(n / 32) * Math.ceil(m / 32), threadgroup: 64 });
    task.dispatch(["topk.metal", "topk_rows_f32_u32"], [
      pairs,
      places,
      bests,
      places,
      words(n, m, m, k, parts, 0, 0),
    ], { threadgroups: n * parts, threadgroup: 256 });
    task.dispatch(["topk.metal", "topk_merge_f32_u32_i64"], [
      bests,
      places,
      placeOf(ids),
      placeOf(values, from * k * 4),
      placeOf(found, from * k * 8),
      words(n, parts * k, parts * k, k, 1, 0, 1),
    ], { threadgroups: n, threadgroup: 256 });
    yield* task.finish();
    task.release(pairs, bests, places);
  }
  task.scanned = task.recomputed = nq * m;
}

/**
 * The best k of parts: `values` and `ids` are nq × parts × length, in any order; an id of −1 is none.
 * Ties go to the lower id.
 */
export async function mergeOnDevice(
  values: Tensor,
  ids: Tensor,
  nq: number,
  k: number,
): Promise<DeviceTopk> {
  checkK(k);
  checkMost(k);
  using task = new Task(contextOf(values.device), "merge top-k");
  const result = emptyResult(nq, k, values.device);
  if (nq === 0) return finished(result, task);
  const columns = values.size / nq;
  try {
    task.dispatch(["topk.metal", "topk_merge_f32_i64_i64"], [
      placeOf(values),
      placeOf(ids),
      placeOf(ids),
      placeOf(result.values),
      placeOf(result.ids),
      words(nq, columns, columns, k, 1, 0, 0),
    ], { threadgroups: nq, threadgroup: 256 });
    await run(task.finish());
    return finished(result, task);
  } catch (error) {
    result[Symbol.dispose]();
    throw error;
  }
}

function placeOf({ buffer, offset }: Tensor, bytes = 0) {
  return { buffer, offset: offset + bytes };
}

function emptyResult(nq: number, k: number, device: GpuDevice) {
  const values = Tensor.empty([nq, k], "float32", device);
  const ids = Tensor.empty([nq, k], "int64", device);
  const dispose = () => {
    values.dispose();
    ids.dispose();
  };
  return { values, ids, [Symbol.dispose]: dispose };
}

function finished(result: Omit<DeviceTopk, "run">, task: Task): DeviceTopk {
  return { ...result, run: task.runInfo() };
}
