/**
 * Merging the best of parts into the best of all.
 *
 * @module
 */

import { type DeviceTopk, mergeOnDevice } from "../backend/gpu/list_topk.ts";
import type { Tensor } from "../kernel/tensor.ts";
import { Metric, missingDistance } from "../metric.ts";
import { checkDevice, checkK, checkTensor } from "./list_checks.ts";

/**
 * The best k of parts of results, on the device.
 *
 * @param valsParts Distances, float32: parts × length, or nq × parts × length.
 * @param idsParts Ids, int64, of the same shape; −1 is none.
 * @param k Results a query, at most 2,048.
 * @returns nq × k, least first; +∞ and −1 where there are fewer. Ties go to the lower id.
 * @throws {TypeError} If shapes or types do not fit.
 * @throws {RangeError} If k is no positive integer, or too large.
 *
 * @example
 * ```ts
 * import { deviceTopkMerge } from "@metalfaiss/metalfaiss";
 * import { gpu, Tensor } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const device = gpu("emulator");
 * using values = Tensor.from([[1, 4], [2, 3]], undefined, "float32", device);
 * using ids = Tensor.from([[10n, 40n], [20n, 30n]], undefined, "int64", device);
 * using best = await deviceTopkMerge(values, ids, 3);
 * assert.deepEqual([...await best.ids.data<BigInt64Array>()], [10n, 20n, 30n]);
 * ```
 */
export async function deviceTopkMerge(
  valsParts: Tensor,
  idsParts: Tensor,
  k: number,
): Promise<DeviceTopk> {
  checkTensor(valsParts, "valsParts", "float32", [2, 3]);
  checkTensor(idsParts, "idsParts", "int64", [2, 3]);
  if (valsParts.shape.join() !== idsParts.shape.join()) {
    throw new TypeError(
      `Cannot merge: valsParts is [${valsParts.shape.join(", ")}], ` +
        `idsParts is [${idsParts.shape.join(", ")}]`,
    );
  }
  checkDevice(valsParts, idsParts, "idsParts");
  return await mergeOnDevice(
    valsParts,
    idsParts,
    valsParts.ndim === 3 ? valsParts.shape[0]! : 1,
    k,
  );
}

/**
 * The best k of parts of results, on the host: what {@linkcode deviceTopkMerge} is measured against.
 *
 * @param valsParts Distances of each part, nq × its length.
 * @param idsParts Ids of each part; −1 is none.
 * @param k Results a query.
 * @param nq Queries; 1 by default.
 * @returns nq × k, least first; FLT_MAX and −1 where there are fewer. Ties go to the lower id.
 * @throws {TypeError} If a part has other ids than distances, or its length is no multiple of nq.
 * @throws {RangeError} If k is no positive integer.
 *
 * @example
 * ```ts
 * import { hostTopkMerge } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const parts = [Float32Array.of(1, 4), Float32Array.of(2, 3)];
 * const ids = [BigInt64Array.of(10n, 40n), BigInt64Array.of(20n, 30n)];
 * assert.deepEqual([...hostTopkMerge(parts, ids, 3).labels], [10n, 20n, 30n]);
 * ```
 */
export function hostTopkMerge(
  valsParts: readonly Float32Array[],
  idsParts: readonly BigInt64Array[],
  k: number,
  nq = 1,
): { distances: Float32Array; labels: BigInt64Array } {
  checkK(k);
  valsParts.forEach((part, i) => {
    const ids = idsParts[i]?.length ?? 0;
    if (part.length !== ids || part.length % nq !== 0 || idsParts.length !== valsParts.length) {
      throw new TypeError(
        `Cannot merge: part ${i} has ${part.length} distances and ${ids} ids of ${nq} queries`,
      );
    }
  });
  const distances = new Float32Array(nq * k).fill(missingDistance(Metric.L2));
  const labels = new BigInt64Array(nq * k).fill(-1n);
  for (let query = 0; query < nq; query++) {
    const hits: { id: bigint; distance: number }[] = [];
    valsParts.forEach((part, i) => {
      const length = part.length / nq;
      for (let at = query * length; at < (query + 1) * length; at++) {
        const id = idsParts[i]![at]!;
        if (id !== -1n && !Number.isNaN(part[at])) hits.push({ id, distance: part[at]! });
      }
    });
    hits.sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1));
    hits.slice(0, k).forEach(({ id, distance }, i) => {
      distances[query * k + i] = distance;
      labels[query * k + i] = id;
    });
  }
  return { distances, labels };
}
