/**
 * Results of range searches.
 *
 * @module
 */

import { invoke } from "../../../ffi/call.ts";
import { library } from "../../../ffi/library.ts";
import type { RangeNeighbors, RunInfo } from "../backend.ts";

/** Copies what a range search found; its native memory is freed. */
export function takeRange(object: number, lims: BigUint64Array, run: RunInfo): RangeNeighbors {
  const { symbols } = library();
  const total = Number(lims.at(-1) ?? 0n);
  let distances: Float32Array;
  let labels: BigInt64Array;
  try {
    distances = new Float32Array(total);
    labels = new BigInt64Array(total);
  } catch (error) {
    invoke((call) => symbols.mf_library_free(object, call));
    throw error;
  }
  invoke((call) => symbols.mf_range_take(object, distances, labels, call));
  return { lims, distances, labels, run };
}
