import { bitsOf } from "../../codec/binary_codes.ts";
import type { Steps } from "./steps.ts";

/** The nearest `k` codes by the number of bits that differ; ties keep the lower id. */
export function* hamming(
  x: Uint8Array,
  y: Uint8Array,
  codeSize: number,
  k: number,
): Steps<{ distances: Int32Array; labels: BigInt64Array }> {
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`Cannot search: k ${k} is not above 0`);
  if (x.length % codeSize !== 0 || y.length % codeSize !== 0) {
    throw new TypeError(`Cannot search: the codes are not of ${codeSize} bytes`);
  }
  const [nx, ny] = [x.length / codeSize, y.length / codeSize];
  const distances = new Int32Array(nx * k).fill(2 ** 31 - 1);
  const labels = new BigInt64Array(nx * k).fill(-1n);
  for (let i = 0; i < nx; i++) {
    const hits = Array.from({ length: ny }, (_, id) => {
      let distance = 0;
      for (let c = 0; c < codeSize; c++) {
        distance += bitsOf(x[i * codeSize + c]! ^ y[id * codeSize + c]!);
      }
      return { distance, id };
    });
    // The sort is stable, so that ties stay in order of id.
    hits.sort((a, b) => a.distance - b.distance);
    hits.slice(0, k).forEach(({ distance, id }, at) => {
      distances[i * k + at] = distance;
      labels[i * k + at] = BigInt(id);
    });
    yield;
  }
  return { distances, labels };
}
