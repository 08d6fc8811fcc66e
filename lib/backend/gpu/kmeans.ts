import type { GpuBuffer } from "../../kernel/buffer.ts";
import type { Metric } from "../../metric.ts";
import type { ResidentRows } from "../backend.ts";
import { checkLength, countRows } from "../cpu/work.ts";
import type { GpuContext } from "./context.ts";
import { run, type Steps } from "./steps.ts";
import { Task } from "./task.ts";
import { words } from "./words.ts";

/** Rows that a threadgroup of kmeans_sum adds up. */
const CHUNK_ROWS = 1024;
/** Label of a row of no centroid. */
const NO_CENTROID = 2 ** 32 - 1;
/** Bytes written at once. */
const CHUNK_BYTES = 2 ** 25;

/** Rows of k-means on the device, without padding. */
interface Rows {
  buffer: GpuBuffer;
  n: number;
  d: number;
}

/** New centroids of assigned rows: `kmeansUpdate` of rows and labels on the device. */
function* update(
  task: Task,
  { buffer: x, n, d }: Rows,
  labels: GpuBuffer,
  weights: Float32Array | undefined,
  centroids: Float32Array,
): Steps<Float32Array> {
  const k = centroids.length / d;
  const means = task.input(centroids, "centroids");
  const totals = task.output(k * 4, "weights of centroids");
  const counts = task.scratch(k * 4, "rows a centroid");
  const ends = task.scratch(k * 4, "ends of centroids");
  const chunks = task.scratch((k + 1) * 4, "chunks of centroids");
  const order = task.scratch(n * 4, "rows by centroid");
  const groups = Math.floor(n / CHUNK_ROWS) + k;
  const partial = task.scratch(groups * 3 * (d + 1) * 4, "partial sums");
  const weighted = weights ? task.input(weights, "weights") : totals;
  const params = words(n, k, d, Number(weights !== undefined));
  const eachRow = { threads: n, threadgroup: 256 };
  task.commands.fill(counts, 0, k * 4, 0);
  task.dispatch(["kmeans.metal", "kmeans_count"], [labels, counts, params], eachRow);
  task.dispatch(["kmeans.metal", "kmeans_offsets"], [counts, ends, chunks, params], {
    threadgroups: 1,
    threadgroup: 1024,
  });
  task.dispatch(["kmeans.metal", "kmeans_order"], [labels, ends, order, params], eachRow);
  task.dispatch(
    ["kmeans.metal", "kmeans_sum_f32"],
    [x, weighted, counts, ends, chunks, order, partial, params],
    { threadgroups: groups, threadgroup: 256 },
  );
  task.dispatch(["kmeans.metal", "kmeans_mean"], [partial, chunks, means, totals, params], {
    threadgroups: k,
    threadgroup: 256,
  });
  yield* task.finish();
  means.readSync(centroids);
  return totals.readSync(new Float32Array(k));
}

/** `Backend.kmeansUpdate`. */
export async function kmeansUpdate(
  context: GpuContext,
  x: Float32Array,
  assign: BigInt64Array,
  weights: Float32Array | undefined,
  centroids: Float32Array,
  d: number,
): Promise<Float32Array> {
  const n = countRows(x, d, "x");
  const k = countRows(centroids, d, "centroids");
  checkLength(assign, n, "assign");
  if (weights) checkLength(weights, n, "weights");
  const labels = new Uint32Array(n);
  assign.forEach((label, row) => {
    if (label >= BigInt(k)) {
      throw new RangeError(`Cannot update: row ${row} is of centroid ${label} of ${k}`);
    }
    labels[row] = label < 0n ? NO_CENTROID : Number(label);
  });
  if (n === 0) return new Float32Array(k);
  using task = new Task(context, "k-means update");
  const buffer = task.input(x, "rows");
  const steps = update(task, { buffer, n, d }, task.input(labels, "labels"), weights, centroids);
  return await run(steps);
}

/** `Backend.kmeansLeast`. */
export async function kmeansLeast(
  context: GpuContext,
  x: Float32Array,
  center: Float32Array,
  least: Float32Array,
): Promise<void> {
  const d = center.length;
  const n = countRows(x, d, "x");
  checkLength(least, n, "least");
  if (n === 0) return;
  using task = new Task(context, "k-means least");
  const distances = task.output(n * 4, "least distances");
  distances.writeSync(least);
  const args = [task.input(x, "rows"), task.input(center, "center"), distances, words(n, 1, d, 0)];
  task.dispatch(["kmeans.metal", "kmeans_least_f32"], args, {
    threadgroups: Math.ceil(n / 8),
    threadgroup: 256,
  });
  await run(task.finish());
  distances.readSync(least);
}

/** Rows that cross to the device once for all iterations; compared by squared L2. */
export class GpuResidentRows implements ResidentRows {
  readonly #context: GpuContext;
  readonly #rows: Rows;
  readonly #labels: GpuBuffer;

  private constructor(context: GpuContext, rows: Rows, labels: GpuBuffer) {
    this.#context = context;
    this.#rows = rows;
    this.#labels = labels;
  }

  /** Uploads rows. */
  static async create(context: GpuContext, x: Float32Array, d: number): Promise<GpuResidentRows> {
    const n = countRows(x, d, "x");
    const buffer = context.allocatePrivate(x.byteLength, "rows");
    try {
      for (let at = 0; at < x.byteLength; at += CHUNK_BYTES) {
        await buffer.write(x.subarray(at / 4, (at + CHUNK_BYTES) / 4), at);
      }
      const labels = context.allocatePrivate(n * 4, "labels");
      return new GpuResidentRows(context, { buffer, n, d }, labels);
    } catch (error) {
      buffer.dispose();
      throw error;
    }
  }

  async assign(
    centroids: Float32Array,
    _metric: Metric,
    signal?: AbortSignal,
  ): Promise<{ distances: Float32Array; labels: BigInt64Array }> {
    const { buffer, n, d } = this.#rows;
    using task = new Task(this.#context, "k-means assign");
    const distances = task.output(n * 4, "distances");
    const params = words(n, centroids.length / d, d);
    task.dispatch(
      ["kmeans.metal", "kmeans_assign_f32"],
      [buffer, task.input(centroids, "centroids"), this.#labels, distances, params],
      { threadgroups: Math.ceil(n / 64), threadgroup: 256 },
    );
    await run(task.finish(), signal);
    const numbers = this.#labels.readSync(new Int32Array(n));
    // Low and high words: 64-bit integers one by one take ten times as long.
    const labels = new BigInt64Array(n);
    const halves = new Int32Array(labels.buffer);
    for (let i = 0; i < n; i++) {
      halves[2 * i] = numbers[i]!;
      halves[2 * i + 1] = numbers[i]! >> 31;
    }
    return { distances: distances.readSync(new Float32Array(n)), labels };
  }

  async update(weights: Float32Array | undefined, centroids: Float32Array): Promise<Float32Array> {
    using task = new Task(this.#context, "k-means update");
    return await run(update(task, this.#rows, this.#labels, weights, centroids));
  }

  [Symbol.dispose](): void {
    this.#rows.buffer.dispose();
    this.#labels.dispose();
  }
}
