import type { CodebookFit } from "../backend.ts";

/** `Backend.fitCodebooks`: least squares by Cholesky's triangles. */
// deno-lint-ignore require-await
export async function fitCodebooks(
  x: Float32Array,
  indices: Uint32Array,
  { d, m, ksub, lambda }: CodebookFit,
  signal?: AbortSignal,
): Promise<Float32Array> {
  signal?.throwIfAborted();
  const [n, size] = [x.length / d, m * ksub];
  const counts = Array.from({ length: size }, () => new Float64Array(size));
  const sums = Array.from({ length: size }, () => new Float64Array(d));
  for (let row = 0; row < n; row++) {
    const met = Array.from({ length: m }, (_, j) => j * ksub + indices[row * m + j]!);
    for (const i of met) {
      if (i >= size) throw new RangeError(`Cannot train: row ${row} has an index past ${ksub}`);
      for (const j of met) counts[i]![j]!++;
      for (let j = 0; j < d; j++) sums[i]![j]! += x[row * d + j]!;
    }
  }
  for (let i = 0; i < size; i++) {
    counts[i]![i]! += lambda;
    for (let j = 0; j <= i; j++) {
      let sum = counts[i]![j]!;
      for (let k = 0; k < j; k++) sum -= counts[i]![k]! * counts[j]![k]!;
      if (i === j && !(sum > 0)) {
        throw new RangeError("Cannot train: no codebooks fit the rows: lambda is too small");
      }
      counts[i]![j] = i === j ? Math.sqrt(sum) : sum / counts[j]![j]!;
    }
    for (let c = 0; c < d; c++) {
      for (let k = 0; k < i; k++) sums[i]![c]! -= counts[i]![k]! * sums[k]![c]!;
      sums[i]![c]! /= counts[i]![i]!;
    }
  }
  for (let i = size; i-- > 0;) {
    for (let c = 0; c < d; c++) {
      for (let k = i + 1; k < size; k++) sums[i]![c]! -= counts[k]![i]! * sums[k]![c]!;
      sums[i]![c]! /= counts[i]![i]!;
    }
  }
  return Float32Array.from(sums.flatMap((row) => [...row]));
}
