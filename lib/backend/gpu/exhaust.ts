import type { GpuBuffer } from "../../kernel/buffer.ts";
import { isSimilarity } from "../../metric.ts";
import type { StoreSearch } from "../backend.ts";
import { EXACT_WORK } from "./context.ts";
import { kernelMetric } from "./metrics.ts";
import { topkParts } from "./plan.ts";
import type { GpuRows } from "./rows.ts";
import type { Steps } from "./steps.ts";
import type { Task } from "./task.ts";
import { floatBits, words } from "./words.ts";

/** Rows that a search looks at: all, or those of a list. */
export interface LookedAt {
  /** How many. */
  count: number;
  /** Their numbers, where they are not all. */
  list?: GpuBuffer | undefined;
}

/** Queries on the device, as rows with padding. */
export interface DeviceQueries {
  /** The numbers. */
  buffer: GpuBuffer;
  /** How many queries. */
  count: number;
}

/** Nearest rows, `nq × k`. */
export interface Found {
  /** Distances; infinite where there is none. */
  distances: Float32Array;
  /** Row numbers, −1 where there is none. */
  labels: BigInt64Array;
}

/** `ExhaustParams` of `flat_exhaust.h`. */
export function exhaustParams(
  how: StoreSearch,
  sizes: {
    nq: number;
    rows: number;
    d: number;
    width: number;
    stride: number;
    radius?: number;
    listed?: boolean;
    filtered?: boolean;
  },
): Uint32Array<ArrayBuffer> {
  const { nq, rows, d, width, stride, radius = 0, listed = false, filtered = false } = sizes;
  return words(
    nq,
    rows,
    d,
    width,
    stride,
    floatBits(how.metricArg),
    floatBits(radius),
    Number(isSimilarity(how.metric)),
    Number(listed),
    Number(filtered),
  );
}

/** The nearest rows by computing every pair exactly: right for any metric and any data. */
export function* exhaust(
  task: Task,
  rows: GpuRows,
  queries: DeviceQueries,
  k: number,
  how: StoreSearch,
  { count, list }: LookedAt,
): Steps<Found> {
  const { d, width, buffer: x } = rows;
  const nq = queries.count;
  const found = { distances: new Float32Array(nq * k), labels: new BigInt64Array(nq * k) };
  const metric = kernelMetric(how.metric);
  const largest = Number(isSimilarity(how.metric));
  const batch = task.context.batchSize(nq, count * 4 + k * 32, count * d * EXACT_WORK);
  for (let from = 0; from < nq; from += batch) {
    const n = Math.min(batch, nq - from);
    const parts = topkParts(count, n);
    const pairs = task.scratch(n * count * 4, "distances");
    const params = exhaustParams(how, {
      nq: n,
      rows: count,
      d,
      width,
      stride: count,
      listed: list !== undefined,
    });
    const here = { buffer: queries.buffer, offset: from * width * 4 };
    task.dispatch(
      ["flat_exhaust.metal", `exhaust_${metric}`],
      [here, x, list ?? x, pairs, params],
      {
        threadgroups: [Math.ceil(count / 256), Math.ceil(n / 4)],
        threadgroup: 256,
      },
    );
    const values = task.scratch(n * parts * k * 4, "nearest of parts");
    const positions = task.scratch(n * parts * k * 4, "rows of parts");
    const ofRows = words(n, count, count, k, parts, largest, Number(list !== undefined));
    task.dispatch(["topk.metal", "topk_rows_f32_u32"], [
      pairs,
      list ?? positions,
      values,
      positions,
      ofRows,
    ], {
      threadgroups: n * parts,
      threadgroup: 256,
    });
    const distances = task.output(n * k * 4, "distances found");
    const labels = task.output(n * k * 8, "rows found");
    const merged = words(n, parts * k, parts * k, k, 1, largest, 0);
    task.dispatch(
      ["topk.metal", "topk_merge_f32_u32_i64"],
      [values, positions, labels, distances, labels, merged],
      { threadgroups: n, threadgroup: 256 },
    );
    yield* task.finish();
    distances.readSync(found.distances.subarray(from * k, (from + n) * k));
    labels.readSync(found.labels.subarray(from * k, (from + n) * k));
    task.release(pairs, values, positions, distances, labels);
  }
  task.recomputed += nq * count;
  return found;
}
