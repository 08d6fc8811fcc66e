/**
 * Operations on arrays of the host.
 *
 * @module
 */

import type { Metric } from "../../metric.ts";
import { countRows } from "../cpu/work.ts";
import { EXACT_WORK, type GpuContext } from "./context.ts";
import { checkMost } from "./checks.ts";
import { kernelMetric } from "./metrics.ts";
import { topkParts } from "./plan.ts";
import { run, type Steps } from "./steps.ts";
import { Task } from "./task.ts";
import { floatBits, words } from "./words.ts";

/** Distance of a missing code. */
const MISSING = 2 ** 31 - 1;

/** `Backend.pairwise`. */
export async function pairwise(
  context: GpuContext,
  x: Float32Array,
  y: Float32Array,
  d: number,
  metric: Metric,
  metricArg: number,
): Promise<Float32Array> {
  const nx = countRows(x, d, "x");
  const ny = countRows(y, d, "y");
  const distances = new Float32Array(nx * ny);
  if (distances.length === 0) return distances;
  using task = new Task(context, "pairwise");
  const [rows, others] = [task.input(x, "x"), task.input(y, "y")];
  const batch = context.batchSize(nx, ny * 4, ny * d * EXACT_WORK);
  for (let from = 0; from < nx; from += batch) {
    const n = Math.min(batch, nx - from);
    const out = task.output(n * ny * 4, "distances");
    const params = words(n, ny, d, ny, floatBits(metricArg));
    task.dispatch(
      ["distance.metal", `pairwise_${kernelMetric(metric)}_f32`],
      [{ buffer: rows, offset: from * d * 4 }, others, out, params],
      { threadgroups: Math.ceil(n / 32) * Math.ceil(ny / 32), threadgroup: 64 },
    );
    await run(task.finish());
    out.readSync(distances.subarray(from * ny, (from + n) * ny));
    task.release(out);
  }
  return distances;
}

/** `Backend.hamming`. */
export async function hamming(
  context: GpuContext,
  x: Uint8Array,
  y: Uint8Array,
  codeSize: number,
  k: number,
): Promise<{ distances: Int32Array; labels: BigInt64Array }> {
  const nx = countRows(x, codeSize, "x");
  const ny = countRows(y, codeSize, "y");
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`Cannot search: k ${k} is not above 0`);
  const distances = new Int32Array(nx * k).fill(MISSING);
  const labels = new BigInt64Array(nx * k).fill(-1n);
  const wanted = Math.min(k, ny);
  if (nx * wanted === 0) return { distances, labels };
  checkMost(wanted);
  using task = new Task(context, "hamming");
  await run(hammingSteps(task, { x, y, codeSize, nx, ny, k, wanted }, distances, labels));
  return { distances, labels };
}

interface Codes {
  x: Uint8Array;
  y: Uint8Array;
  codeSize: number;
  nx: number;
  ny: number;
  k: number;
  wanted: number;
}

function* hammingSteps(
  task: Task,
  { x, y, codeSize, nx, ny, k, wanted }: Codes,
  distances: Int32Array,
  labels: BigInt64Array,
): Steps<void> {
  const size = Math.ceil(codeSize / 4) * 4;
  const queries = task.input(padCodes(x, codeSize, size), "queries");
  const codes = task.input(padCodes(y, codeSize, size), "codes");
  const batch = task.context.batchSize(nx, ny * 4 + wanted * 32, ny * size);
  for (let from = 0; from < nx; from += batch) {
    const n = Math.min(batch, nx - from);
    const parts = topkParts(ny, n);
    const pairs = task.scratch(n * ny * 4, "distances");
    const values = task.scratch(n * parts * wanted * 4, "nearest of parts");
    const rows = task.scratch(n * parts * wanted * 4, "rows of parts");
    const near = task.output(n * wanted * 4, "distances found");
    const ids = task.output(n * wanted * 8, "codes found");
    task.dispatch(["hamming.metal", "hamming_distances"], [
      { buffer: queries, offset: from * size },
      codes,
      pairs,
      words(n, ny, size / 4),
    ], { threads: [ny, n], threadgroup: [256, 1] });
    const cut = words(n, ny, ny, wanted, parts, 0, 0);
    task.dispatch(["topk.metal", "topk_rows_f32_u32"], [pairs, rows, values, rows, cut], {
      threadgroups: n * parts,
      threadgroup: 256,
    });
    const merged = words(n, parts * wanted, parts * wanted, wanted, 1, 0, 0);
    task.dispatch(
      ["topk.metal", "topk_merge_f32_u32_i64"],
      [values, rows, ids, near, ids, merged],
      {
        threadgroups: n,
        threadgroup: 256,
      },
    );
    yield* task.finish();
    const [bits, own] = [
      near.readSync(new Float32Array(n * wanted)),
      ids.readSync(new BigInt64Array(n * wanted)),
    ];
    for (let q = 0; q < n; q++) {
      const found = [q * wanted, (q + 1) * wanted] as const;
      distances.set(bits.subarray(...found), (from + q) * k);
      labels.set(own.subarray(...found), (from + q) * k);
    }
    task.release(pairs, values, rows, near, ids);
  }
}

/** Codes in whole words; zeros differ from none. */
function padCodes(codes: Uint8Array, codeSize: number, size: number): Uint8Array {
  if (codeSize === size) return codes;
  const padded = new Uint8Array(codes.length / codeSize * size);
  for (let from = 0, to = 0; from < codes.length; from += codeSize, to += size) {
    padded.set(codes.subarray(from, from + codeSize), to);
  }
  return padded;
}
