/**
 * Linear algebra: products, decompositions, bases, sums and layers, on every backend.
 *
 * Matrices are row-major; results say what ran.
 *
 * @example The largest singular values of a matrix
 * ```ts
 * import { topkSvd } from "@metalfaiss/metalfaiss/linalg";
 * import { Matrix, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const a = new Matrix(Float32Array.from({ length: 64 * 16 }, () => random.normal()), 16);
 * const { u, s, v, run } = await topkSvd(a, 4, { iterations: 30 });
 * assert.deepEqual([u.rows, u.columns, v.rows, v.columns], [64, 4, 16, 4]);
 * assert.ok(s[0]! >= s[1]! && run.variants.length > 0);
 * ```
 *
 * @module
 */

export type { Backend } from "../backend/backend.ts";
export type * from "../backend/linalg.ts";
export { Matrix } from "../matrix.ts";
export { type Eigen, eigenSymmetric } from "./eigen.ts";
export {
  castMatrix,
  type HostMatrix,
  type LinalgOptions,
  type MatrixInput,
  type NumberVector,
  runOf,
} from "./operands.ts";
export {
  completeBasis,
  orthogonal,
  orthogonalizeBlocked,
  type OrthogonalizeOptions,
  orthonormalColumns,
  orthonormalRows,
  type RandomOrthogonalOptions,
} from "./orthogonal.ts";
export { Pca, pca, type PcaOptions } from "./pca.ts";
export { type Procrustes, procrustes, type ProcrustesOptions } from "./procrustes.ts";
export {
  gemm,
  gemmAtB,
  gemmAV,
  gemv,
  type ProductOptions,
  type VectorProductOptions,
} from "./products.ts";
export {
  projectCoeffs,
  type ProjectOptions,
  qr,
  type QrDecomposition,
  type QrDecompositionOptions,
  updateVector,
} from "./qr.ts";
export * from "./sequence.ts";
export { type GemmTiles, getGemmTiles, setGemmTiles, type Tile } from "./settings.ts";
export * from "./sums.ts";
export {
  randomizedSvd,
  type RandomizedSvdOptions,
  type SubspaceOptions,
  type SubspaceSvd,
  type Svd,
  topkSvd,
} from "./svd.ts";
