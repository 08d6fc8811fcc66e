/**
 * Nearest rows of one inverted list, without an index: what the kernels of the published experiments
 * do, under their names.
 *
 * @module
 */

import type { Backend, RunInfo } from "../backend/backend.ts";
import { type DeviceList, type DeviceTopk, listTopk } from "../backend/gpu/list_topk.ts";
import { checkRows } from "../backend/reference/scan.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import type { GpuDevice } from "../kernel/device.ts";
import { Tensor } from "../kernel/tensor.ts";
import { type IdInput, toIds, toRows, type VectorInput } from "../matrix.ts";
import { Metric, missingDistance } from "../metric.ts";
import { SearchResult } from "../result.ts";
import { checkDevice, checkK, checkTensor } from "./list_checks.ts";
import { hostTopkMerge } from "./topk_merge.ts";

export type { DeviceTopk } from "../backend/gpu/list_topk.ts";

/** What searches a list. */
export interface ListTopkOptions {
  /** What computes, for data of the host; by default what `backend()` returns. */
  backend?: Backend | undefined;
  /** Stops the search. */
  signal?: AbortSignal | undefined;
}

/**
 * The k nearest of a list's rows to one query, by squared L2.
 *
 * @param q d numbers.
 * @param x m × d: the rows; as Tensor, float32 on a device, as are `q` and (int64) `ids`.
 * @param ids m ids, none of them negative.
 * @param k Results; at most 2,048 on a GPU.
 * @param options What computes.
 * @returns Distances and ids, best first: of the host as `search` gives them, ties by the lower id;
 * of Tensors on their device, +∞ and −1 where there are fewer than k, ties by the row that comes first.
 * @throws {TypeError} If the shapes do not fit, or only some inputs are Tensors.
 * @throws {RangeError} If k is no positive integer, or a number of the host is NaN or infinite.
 *
 * @example
 * ```ts
 * import { ivfListTopkL2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const found = await ivfListTopkL2([0, 0], [[3, 4], [1, 0], [6, 8]], [10, 20, 30], 2);
 * assert.deepEqual(found.row(0), [{ id: 20, distance: 1 }, { id: 10, distance: 25 }]);
 * ```
 */
export function ivfListTopkL2(
  q: Tensor,
  x: Tensor,
  ids: Tensor,
  k: number,
  options?: ListTopkOptions,
): Promise<DeviceTopk>;
/** The k nearest of a list's rows to one query, on the host. */
export function ivfListTopkL2(
  q: Float32Array | readonly number[],
  x: VectorInput,
  ids: IdInput,
  k: number,
  options?: ListTopkOptions,
): Promise<SearchResult>;
export async function ivfListTopkL2(
  q: Float32Array | readonly number[] | Tensor,
  x: VectorInput | Tensor,
  ids: IdInput | Tensor,
  k: number,
  options: ListTopkOptions = {},
): Promise<SearchResult | DeviceTopk> {
  if (q instanceof Tensor) {
    using list = readDevice(q, x, ids, 1);
    return await listTopk(list, k, undefined, options.signal);
  }
  return await searchHost(toRows(q, q.length, "q"), q.length, x, ids, k, options);
}

/**
 * {@linkcode ivfListTopkL2} of many queries that share the rows.
 *
 * @param q nq × d.
 * @param x m × d: the rows.
 * @param ids m ids.
 * @param k Results a query.
 * @param options What computes.
 * @returns nq × k.
 * @throws {TypeError} If the shapes do not fit, or only some inputs are Tensors.
 * @throws {RangeError} If k is no positive integer, or a number of the host is NaN or infinite.
 *
 * @example
 * ```ts
 * import { ivfListTopkL2Batch } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const found = await ivfListTopkL2Batch([[0, 0], [6, 7]], [[3, 4], [6, 8]], [10, 20], 1);
 * assert.deepEqual([...found.labels], [10n, 20n]);
 * ```
 */
export function ivfListTopkL2Batch(
  q: Tensor,
  x: Tensor,
  ids: Tensor,
  k: number,
  options?: ListTopkOptions,
): Promise<DeviceTopk>;
/** The k nearest of a list's rows to each query, on the host. */
export function ivfListTopkL2Batch(
  q: VectorInput,
  x: VectorInput,
  ids: IdInput,
  k: number,
  options?: ListTopkOptions,
): Promise<SearchResult>;
export async function ivfListTopkL2Batch(
  q: VectorInput | Tensor,
  x: VectorInput | Tensor,
  ids: IdInput | Tensor,
  k: number,
  options: ListTopkOptions = {},
): Promise<SearchResult | DeviceTopk> {
  if (q instanceof Tensor) {
    using list = readDevice(q, x, ids);
    return await listTopk(list, k, undefined, options.signal);
  }
  const d = widthOf(q, x, ids);
  return await searchHost(toRows(q, d, "q"), d, x, ids, k, options);
}

/**
 * {@linkcode ivfListTopkL2} for very long lists: the best k of each chunk of rows, and then the best of
 * those, merged where they were found.
 *
 * @param q d numbers.
 * @param x m × d: the rows.
 * @param ids m ids.
 * @param k Results.
 * @param rowsPerChunk Most rows a chunk.
 * @param options What computes.
 * @returns 1 × k.
 * @throws {TypeError} If the shapes do not fit, or only some inputs are Tensors.
 * @throws {RangeError} If k or `rowsPerChunk` is no positive integer, or a number of the host is NaN
 * or infinite.
 *
 * @example
 * ```ts
 * import { ivfListTopkL2ChunkedDeviceMerge } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const x = Array.from({ length: 10 }, (_, i) => [i]);
 * const ids = x.map(([i]) => 100 + i!);
 * const found = await ivfListTopkL2ChunkedDeviceMerge([7], x, ids, 2, 4);
 * assert.deepEqual([...found.labels], [107n, 106n]);
 * ```
 */
export function ivfListTopkL2ChunkedDeviceMerge(
  q: Tensor,
  x: Tensor,
  ids: Tensor,
  k: number,
  rowsPerChunk: number,
  options?: ListTopkOptions,
): Promise<DeviceTopk>;
/** The same on the host. */
export function ivfListTopkL2ChunkedDeviceMerge(
  q: Float32Array | readonly number[],
  x: VectorInput,
  ids: IdInput,
  k: number,
  rowsPerChunk: number,
  options?: ListTopkOptions,
): Promise<SearchResult>;
export async function ivfListTopkL2ChunkedDeviceMerge(
  q: Float32Array | readonly number[] | Tensor,
  x: VectorInput | Tensor,
  ids: IdInput | Tensor,
  k: number,
  rowsPerChunk: number,
  options: ListTopkOptions = {},
): Promise<SearchResult | DeviceTopk> {
  if (!Number.isInteger(rowsPerChunk) || rowsPerChunk < 1) {
    throw new RangeError(`Cannot search: rowsPerChunk ${rowsPerChunk} is not a positive integer`);
  }
  if (q instanceof Tensor) {
    using list = readDevice(q, x, ids, 1);
    return await listTopk(list, k, rowsPerChunk, options.signal);
  }
  const d = q.length;
  const query = toRows(q, d, "q");
  const { rows, labels } = readHost(x, ids, d);
  const { backend = defaultBackend(), signal } = options;
  if (backend.device) {
    const list = upload(backend.device, query, rows, labels);
    try {
      return await download(await listTopk(list, k, rowsPerChunk, signal));
    } finally {
      for (const tensor of Object.values(list)) tensor.dispose();
    }
  }
  const found: SearchResult[] = [];
  for (let from = 0; from < labels.length; from += rowsPerChunk) {
    const chunk = rows.subarray(from * d, (from + rowsPerChunk) * d);
    const own = labels.subarray(from, from + rowsPerChunk);
    found.push(await searchHost(query, d, chunk, own, k, options));
  }
  const { distances, labels: best } = hostTopkMerge(
    found.map((part) => part.distances),
    found.map((part) => part.labels),
    k,
  );
  return new SearchResult(distances, best, k, joinRuns(found.map(({ run }) => run)));
}

/** Searches rows of the host as a store's only list: scan and selection in one. */
async function searchHost(
  queries: Float32Array,
  d: number,
  x: VectorInput | Tensor,
  ids: IdInput | Tensor,
  k: number,
  { backend = defaultBackend(), signal }: ListTopkOptions,
): Promise<SearchResult> {
  checkK(k);
  const { rows, labels } = readHost(x, ids, d);
  using store = backend.createIVF(d, 1);
  await store.add(rows, new BigInt64Array(labels.length), labels);
  const probes = new BigInt64Array(queries.length / d);
  const how = { metric: Metric.L2, metricArg: 0, signal };
  const found = await store.search(queries, probes, k, how);
  return new SearchResult(found.distances, found.labels, k, found.run);
}

function readHost(x: VectorInput | Tensor, ids: IdInput | Tensor, d: number) {
  if (x instanceof Tensor || ids instanceof Tensor) {
    throw new TypeError("Cannot search: q is no Tensor, others are");
  }
  const rows = toRows(x, d, "x");
  return { rows, labels: toIds(ids, rows.length / d, "ids") };
}

function upload(
  device: GpuDevice,
  query: Float32Array,
  rows: Float32Array,
  ids: BigInt64Array,
): DeviceList {
  const d = query.length;
  checkRows("search", query, d, false);
  checkRows("add", rows, d, false);
  return {
    queries: Tensor.from(query, [1, d], "float32", device),
    rows: Tensor.from(rows, [ids.length, d], "float32", device),
    ids: Tensor.from(ids, [ids.length], "int64", device),
  };
}

/** Results of a device as searches give them. */
async function download(found: DeviceTopk): Promise<SearchResult> {
  using own = found;
  const labels = await own.ids.data<BigInt64Array>();
  const missing = missingDistance(Metric.L2);
  const distances = (await own.values.data<Float32Array>())
    .map((value, i) => labels[i] === -1n ? missing : value);
  return new SearchResult(distances, labels, own.ids.shape[1]!, own.run);
}

/** Numbers a row of a batch, which rows or ids may have to tell. */
function widthOf(q: VectorInput, x: VectorInput | Tensor, ids: IdInput | Tensor): number {
  const nested = [q, x].find((input) => !(input instanceof Tensor) && "columns" in input) ??
    [q, x].find((input) => Array.isArray(input) && typeof input[0] === "object");
  if (nested !== undefined) {
    return "columns" in nested ? nested.columns as number : (nested as number[][])[0]!.length;
  }
  const [numbers, rows] = [(x as Float32Array).length, (ids as BigInt64Array).length];
  if (rows === 0 || numbers % rows !== 0) {
    throw new TypeError(`Cannot read x: ${numbers} numbers are not as many rows as ${rows} ids`);
  }
  return numbers / rows;
}

/** Checks data of a device; views end with the list. */
function readDevice(
  q: Tensor,
  x: VectorInput | Tensor,
  ids: IdInput | Tensor,
  queries?: number,
): DeviceList & Disposable {
  checkTensor(q, "q", "float32", queries === 1 ? [1, 2] : [2]);
  checkTensor(x, "x", "float32", [2]);
  checkTensor(ids, "ids", "int64", [1]);
  checkDevice(q, x, "x");
  checkDevice(q, ids, "ids");
  const d = q.shape.at(-1)!;
  const nq = q.size / d;
  const [m, width] = x.shape;
  if (width !== d || ids.shape[0] !== m || m === 0 || (queries ?? nq) !== nq) {
    throw new TypeError(
      `Cannot search: q is [${q.shape.join(", ")}], x is [${x.shape.join(", ")}], ` +
        `ids are [${ids.shape.join(", ")}]`,
    );
  }
  const own = q.reshape([nq, d]);
  return { queries: own, rows: x, ids, [Symbol.dispose]: () => own.dispose() };
}

function joinRuns(runs: RunInfo[]): RunInfo {
  const add = (one: (run: RunInfo) => number) => runs.reduce((sum, run) => sum + one(run), 0);
  const joined: RunInfo = {
    ...runs[0]!,
    variants: [...new Set(runs.flatMap(({ variants }) => variants))],
    threads: Math.max(...runs.map(({ threads }) => threads)),
    scanned: add(({ scanned }) => scanned),
    recomputed: add(({ recomputed }) => recomputed),
  };
  if (joined.gpuSeconds !== undefined) joined.gpuSeconds = add(({ gpuSeconds = 0 }) => gpuSeconds);
  return joined;
}
