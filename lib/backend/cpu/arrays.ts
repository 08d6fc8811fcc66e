/**
 * Operations on plain arrays.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { library } from "../../../ffi/library.ts";
import { sizesRecord } from "../../../ffi/record.ts";
import type { Metric } from "../../metric.ts";
import { kmeansParts as referenceParts } from "../reference/kmeans.ts";
import { run } from "../reference/steps.ts";
import { checkLength, countRows, isShort } from "./work.ts";

/** `Backend.pairwise`. */
export async function pairwise(
  x: Float32Array,
  y: Float32Array,
  d: number,
  metric: Metric,
  metricArg: number,
): Promise<Float32Array> {
  const nx = countRows(x, d, "x");
  const ny = countRows(y, d, "y");
  const sizes = sizesRecord({ nx, ny, d, metric, metricArg });
  const distances = new Float32Array(nx * ny);
  const { symbols } = library();
  if (isShort(x.length * ny)) {
    invoke((call) => symbols.mf_distance_pairwise(sizes, x, y, distances, call));
  } else {
    await invokeAsync((call) => {
      return symbols.mf_distance_pairwise_async(sizes, x, y, distances, call);
    });
  }
  return distances;
}

/** `Backend.hamming`. */
export async function hamming(
  x: Uint8Array,
  y: Uint8Array,
  codeSize: number,
  k: number,
): Promise<{ distances: Int32Array; labels: BigInt64Array }> {
  const nx = countRows(x, codeSize, "x");
  const ny = countRows(y, codeSize, "y");
  const sizes = sizesRecord({ nx, ny, d: codeSize, k });
  const distances = new Int32Array(nx * k);
  const labels = new BigInt64Array(nx * k);
  const { symbols } = library();
  if (isShort(x.length * ny)) {
    invoke((call) => symbols.mf_distance_hamming(sizes, x, y, distances, labels, call));
  } else {
    await invokeAsync((call) => {
      return symbols.mf_distance_hamming_async(sizes, x, y, distances, labels, call);
    });
  }
  return { distances, labels };
}

/** `Backend.kmeansUpdate`. */
export async function kmeansUpdate(
  x: Float32Array,
  assign: BigInt64Array,
  weights: Float32Array | undefined,
  centroids: Float32Array,
  d: number,
): Promise<Float32Array> {
  const nx = countRows(x, d, "x");
  const ny = countRows(centroids, d, "centroids");
  checkLength(assign, nx, "assign");
  if (weights) checkLength(weights, nx, "weights");
  const sizes = sizesRecord({ nx, ny, d });
  const means = new Float32Array(ny * d + ny);
  means.set(centroids);
  const given = weights ?? null;
  const { symbols } = library();
  if (isShort(x.length)) {
    invoke((call) => symbols.mf_kmeans_update(sizes, x, assign, given, means, call));
  } else {
    await invokeAsync((call) => {
      return symbols.mf_kmeans_update_async(sizes, x, assign, given, means, call);
    });
  }
  centroids.set(means.subarray(0, ny * d));
  return means.slice(ny * d);
}

/** Most numbers of a part, as in cpu_train.h. */
const PART = 4096;

/** `Backend.kmeansParts`. */
export async function kmeansParts(
  x: Float32Array,
  m: number,
  centroids: Float32Array,
  d: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const [nx, k] = [countRows(x, d, "x"), countRows(centroids, d, "centroids")];
  if (d > PART * m) return await run(referenceParts(x, m, centroids, d), signal);
  const sizes = sizesRecord({ nx, ny: k, d, k: m });
  const means = new Float32Array(k * d + m * k);
  means.set(centroids);
  const { symbols } = library();
  await invokeAsync((call) => symbols.mf_kmeans_parts_async(sizes, x, means, call), signal);
  centroids.set(means.subarray(0, k * d));
  return means.slice(k * d);
}

/** `Backend.rotateHadamard`. */
export async function rotateHadamard(
  x: Float32Array,
  d: number,
  signs: Float32Array,
  isBack: boolean,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const ny = signs.length / 3;
  const nx = countRows(x, isBack ? ny : d, "x");
  const sizes = sizesRecord({ nx, ny, d, k: isBack ? 1 : 0 });
  const out = new Float32Array(nx * (isBack ? d : ny));
  const { symbols } = library();
  if (isShort(nx * ny * Math.log2(ny))) {
    invoke((call) => symbols.mf_rotate_hadamard(sizes, x, signs, out, call));
  } else {
    await invokeAsync(
      (call) => symbols.mf_rotate_hadamard_async(sizes, x, signs, out, call),
      signal,
    );
  }
  return out;
}

/** `Backend.kmeansLeast`. */
export async function kmeansLeast(
  x: Float32Array,
  center: Float32Array,
  least: Float32Array,
): Promise<void> {
  const d = center.length;
  checkLength(least, countRows(x, d, "x"), "least");
  const sizes = sizesRecord({ nx: least.length, ny: 1, d });
  const { symbols } = library();
  if (isShort(x.length)) {
    invoke((call) => symbols.mf_kmeans_least(sizes, x, center, least, call));
  } else {
    await invokeAsync((call) => symbols.mf_kmeans_least_async(sizes, x, center, least, call));
  }
}
