import { invoke } from "../../../../ffi/call.ts";
import { library } from "../../../../ffi/library.ts";

/** R = X diag(s) Yᵀ, by columns of X and Y. */
export interface SmallSvd {
  /** Largest first. */
  s: Float64Array;
  /** k × k, orthonormal. */
  x: Float32Array;
  /** k × k, orthonormal. */
  y: Float32Array;
}

/**
 * The singular values and vectors of a small triangular matrix in float64.
 *
 * @param r k × k, upper triangular.
 */
export function smallSvd(r: Float32Array, k: number): SmallSvd {
  // Squares in float64 keep all digits that a float32 matrix has, down to 1e-7 of the largest value.
  const gram = new Float64Array(k * k);
  for (let row = 0; row < k; row++) {
    for (let i = row; i < k; i++) {
      for (let j = row; j <= i; j++) gram[i * k + j]! += r[row * k + i]! * r[row * k + j]!;
    }
  }
  const vectors = new Float64Array(k * k);
  const { symbols } = library();
  invoke((call) => symbols.mf_linalg_eigen_symmetric(k, gram, new Float64Array(k), vectors, call));
  const columns = Array.from({ length: k }, (_, j) => {
    const y = Float64Array.from({ length: k }, (_, i) => vectors[i * k + j]!);
    const x = new Float64Array(k);
    for (let row = 0; row < k; row++) {
      for (let i = row; i < k; i++) x[row]! += r[row * k + i]! * y[i]!;
    }
    return { x, y, s: Math.hypot(...x) };
  }).sort((a, b) => b.s - a.s);
  orthonormalize(columns.map(({ x }) => x), columns.map(({ s }) => s));
  const out = { s: Float64Array.from(columns, ({ s }) => s), x: new Float32Array(k * k) };
  const y = new Float32Array(k * k);
  columns.forEach((column, j) => {
    for (let i = 0; i < k; i++) {
      out.x[i * k + j] = column.x[i]!;
      y[i * k + j] = column.y[i]!;
    }
  });
  return { ...out, y };
}

/**
 * Makes vectors of falling length orthonormal. Eigenvectors' images are so but for rounding, which
 * counts in the short ones; those without a part of their own become unit vectors.
 */
function orthonormalize(vectors: readonly Float64Array[], lengths: readonly number[]): void {
  const most = lengths[0] ?? 0;
  vectors.forEach((x, j) => {
    if (lengths[j]! > 1e-4 * most) return scale(x, lengths[j]!);
    const others = vectors.slice(0, j);
    if (lengths[j]! > 1e-12 * most && project(x, others) > 1e-3) return;
    for (let axis = 0;; axis++) {
      x.fill(0);
      x[axis] = 1;
      // Some axis has at least this much outside of fewer vectors than there are axes.
      if (project(x, others) >= 0.5 / Math.sqrt(x.length)) return;
    }
  });
}

function scale(x: Float64Array, length: number): void {
  for (let i = 0; i < x.length; i++) x[i]! /= length;
}

/** Takes from x what it has of others, twice, and scales it; returns how much of it was left. */
function project(x: Float64Array, others: readonly Float64Array[]): number {
  const before = Math.hypot(...x);
  for (let pass = 0; pass < 2; pass++) {
    for (const other of others) {
      let sum = 0;
      for (let i = 0; i < x.length; i++) sum += x[i]! * other[i]!;
      for (let i = 0; i < x.length; i++) x[i]! -= sum * other[i]!;
    }
  }
  const after = Math.hypot(...x);
  scale(x, after);
  return after / before;
}
