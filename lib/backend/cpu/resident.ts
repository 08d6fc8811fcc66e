/**
 * Short rows that k-means compares with all centroids in one call.
 *
 * @module
 */

import { invokeAsync } from "../../../ffi/call.ts";
import { library } from "../../../ffi/library.ts";
import { sizesRecord } from "../../../ffi/record.ts";
import { Metric } from "../../metric.ts";
import type { ResidentRows } from "../backend.ts";
import { kmeansUpdate } from "./arrays.ts";
import { countRows } from "./work.ts";

/** Numbers a row up to which comparing beats the tiles of a search. */
const SHORT_ROW = 16;

/** Rows that are compared where they are. */
class CpuResidentRows implements ResidentRows {
  readonly #x: Float32Array;
  readonly #d: number;
  #labels = new BigInt64Array();

  constructor(x: Float32Array, d: number) {
    this.#x = x;
    this.#d = d;
  }

  async assign(
    centroids: Float32Array,
    _metric: Metric,
    signal?: AbortSignal,
  ): Promise<{ distances: Float32Array; labels: BigInt64Array }> {
    signal?.throwIfAborted();
    const [x, d] = [this.#x, this.#d];
    const nx = countRows(x, d, "x");
    const sizes = sizesRecord({ nx, ny: countRows(centroids, d, "centroids"), d });
    const distances = new Float32Array(nx);
    const labels = this.#labels = new BigInt64Array(nx);
    const { symbols } = library();
    await invokeAsync((call) => {
      return symbols.mf_kmeans_assign_async(sizes, x, centroids, distances, labels, call);
    }, signal);
    return { distances, labels };
  }

  async update(weights: Float32Array | undefined, centroids: Float32Array): Promise<Float32Array> {
    return await kmeansUpdate(this.#x, this.#labels, weights, centroids, this.#d);
  }

  [Symbol.dispose](): void {}
}

/** `Backend.residentRows`. */
export function residentRows(
  x: Float32Array,
  d: number,
  metric: Metric,
): Promise<ResidentRows | undefined> {
  const isShort = metric === Metric.L2 && d <= SHORT_ROW;
  return Promise.resolve(isShort ? new CpuResidentRows(x, d) : undefined);
}
