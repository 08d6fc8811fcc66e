/**
 * Codes of product quantizers: an index of `nbits` bits a sub-vector, the first in the lowest
 * bits, without gaps, as FAISS packs them.
 *
 * @module
 */

/** Least and most bits of an index: as many centroids are trained a sub-vector, `2 ** nbits`. */
export const PQ_NBITS = { least: 1, most: 16 } as const;

/** What a product quantizer is, as plain data. */
export interface PQShape {
  /** Dimension of vectors. */
  readonly d: number;
  /** Sub-vectors. */
  readonly M: number;
  /** Bits an index. */
  readonly nbits: number;
}

/** Bytes of a code of `M` indices. */
export function pqCodeSize({ M, nbits }: Pick<PQShape, "M" | "nbits">): number {
  return Math.ceil((M * nbits) / 8);
}

/**
 * Checks the numbers of a product quantizer.
 *
 * @throws {RangeError} If one is out of range, or `d` is no multiple of `M`.
 */
export function checkPQ({ d, M, nbits }: PQShape): void {
  const fail = (reason: string) => new RangeError(`Cannot make a product quantizer: ${reason}`);
  if (!Number.isInteger(d) || d < 1 || d > 2 ** 20) {
    throw fail(`d ${d} is no integer from 1 to 2^20`);
  }
  if (!Number.isInteger(M) || M < 1) throw fail(`M ${M} is no integer above 0`);
  if (d % M !== 0) throw fail(`d ${d} is not divisible by M ${M}`);
  const { least, most } = PQ_NBITS;
  if (!Number.isInteger(nbits) || nbits < least || nbits > most) {
    throw fail(`nbits ${nbits} is no integer from ${least} to ${most}`);
  }
}

/** Packs rows of `M` indices into codes. */
export function packIndices(
  indices: Uint16Array,
  { M, nbits }: Pick<PQShape, "M" | "nbits">,
): Uint8Array<ArrayBuffer> {
  const size = pqCodeSize({ M, nbits });
  const n = indices.length / M;
  const codes = new Uint8Array(n * size);
  for (let i = 0; i < n; i++) {
    for (let m = 0; m < M; m++) {
      let [value, bit] = [indices[i * M + m]!, m * nbits];
      for (let left = nbits; left > 0;) {
        const used = Math.min(left, 8 - bit % 8);
        codes[i * size + (bit >> 3)]! |= (value & ((1 << used) - 1)) << (bit % 8);
        value >>= used;
        bit += used;
        left -= used;
      }
    }
  }
  return codes;
}

/** The indices of codes: what {@linkcode packIndices} packed. */
export function unpackIndices(
  codes: Uint8Array,
  { M, nbits }: Pick<PQShape, "M" | "nbits">,
): Uint16Array<ArrayBuffer> {
  const size = pqCodeSize({ M, nbits });
  const n = codes.length / size;
  const indices = new Uint16Array(n * M);
  for (let i = 0; i < n; i++) {
    for (let m = 0; m < M; m++) {
      let [value, have, bit] = [0, 0, m * nbits];
      while (have < nbits) {
        const used = Math.min(nbits - have, 8 - bit % 8);
        const part = (codes[i * size + (bit >> 3)]! >> (bit % 8)) & ((1 << used) - 1);
        value |= part << have;
        have += used;
        bit += used;
      }
      indices[i * M + m] = value;
    }
  }
  return indices;
}

/** Each sub-vector's nearest centroid, by squared L2 in double precision; ties take the lower. */
export function nearestIndices(
  x: Float32Array,
  shape: PQShape,
  centroids: Float32Array,
): Uint16Array<ArrayBuffer> {
  const { d, M, nbits } = shape;
  const [n, dsub, ksub] = [x.length / d, d / M, 2 ** nbits];
  const indices = new Uint16Array(n * M);
  for (let at = 0; at < n * M; at++) {
    const first = (at % M) * ksub;
    let least = Infinity;
    for (let j = 0; j < ksub; j++) {
      const distance = subDistance(x, at * dsub, centroids, (first + j) * dsub, dsub);
      if (distance < least) {
        least = distance;
        indices[at] = j;
      }
    }
  }
  return indices;
}

/** The centroids that indices name, side by side. */
export function centroidsOf(
  indices: Uint16Array,
  { d, M, nbits }: PQShape,
  centroids: Float32Array,
): Float32Array<ArrayBuffer> {
  const [dsub, ksub] = [d / M, 2 ** nbits];
  const x = new Float32Array(indices.length * dsub);
  indices.forEach((index, at) => {
    const from = ((at % M) * ksub + index) * dsub;
    x.set(centroids.subarray(from, from + dsub), at * dsub);
  });
  return x;
}

/**
 * Squared L2 of every sub-vector and every centroid of its place, `n × M × ksub`; or, where
 * `inner`, their inner products.
 */
export function distanceTables(
  x: Float32Array,
  { d, M, nbits }: PQShape,
  centroids: Float32Array,
  inner: boolean,
): Float32Array<ArrayBuffer> {
  const [n, dsub, ksub] = [x.length / d, d / M, 2 ** nbits];
  const tables = new Float32Array(n * M * ksub);
  const compare = inner ? subProduct : subDistance;
  for (let at = 0; at < n * M; at++) {
    for (let j = 0; j < ksub; j++) {
      const centroid = ((at % M) * ksub + j) * dsub;
      tables[at * ksub + j] = compare(x, at * dsub, centroids, centroid, dsub);
    }
  }
  return tables;
}

function subDistance(x: Float32Array, i: number, y: Float32Array, j: number, n: number): number {
  let sum = 0;
  for (let c = 0; c < n; c++) sum += (x[i + c]! - y[j + c]!) ** 2;
  return sum;
}

function subProduct(x: Float32Array, i: number, y: Float32Array, j: number, n: number): number {
  let sum = 0;
  for (let c = 0; c < n; c++) sum += x[i + c]! * y[j + c]!;
  return sum;
}
