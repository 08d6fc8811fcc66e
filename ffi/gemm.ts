/** Symbols of matrix products, and their records. @module */

import { nonblocking } from "./symbol.ts";

const gemm = {
  parameters: [
    "buffer", // const mf_linalg_product *product
    "buffer", // const void *a
    "buffer", // const void *b
    "buffer", // float *c
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const gemv = {
  parameters: [
    "buffer", // const mf_linalg_vectors *product
    "buffer", // const void *w
    "buffer", // const void *x
    "buffer", // const void *bias
    "buffer", // void *y
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_linalg_gemm` and `mf_linalg_gemv`. */
export const gemmSymbols = {
  mf_linalg_gemm: gemm,
  mf_linalg_gemm_async: nonblocking("mf_linalg_gemm", gemm),
  mf_linalg_gemv: gemv,
  mf_linalg_gemv_async: nonblocking("mf_linalg_gemv", gemv),
} as const satisfies Deno.ForeignLibraryInterface;

/** `mf_linalg_variant`: what a product ran. */
export const GemmVariant = {
  GEMM_PACKED: 1,
  GEMM_PLACED: 2,
  GEMM_SPLIT: 4,
  GEMV_ROWS: 8,
  GEMV_COLUMNS: 16,
  GEMV_SPLIT: 32,
} as const;

/** Fields of an `mf_linalg_product`. Types are 0 float32, 1 float16, 2 bfloat16. */
export interface ProductRecord {
  m: number;
  n: number;
  k: number;
  lineA: number;
  lineB: number;
  lineC: number;
  alpha: number;
  beta: number;
  typeA: number;
  typeB: number;
  transposeA: boolean;
  transposeB: boolean;
}

/** An `mf_linalg_product`. */
export function productRecord(product: ProductRecord): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, product.m, true);
  view.setFloat64(8, product.n, true);
  view.setFloat64(16, product.k, true);
  view.setFloat64(24, product.lineA, true);
  view.setFloat64(32, product.lineB, true);
  view.setFloat64(40, product.lineC, true);
  view.setFloat32(48, product.alpha, true);
  view.setFloat32(52, product.beta, true);
  view.setUint32(56, product.typeA, true);
  view.setUint32(60, product.typeB, true);
  view.setUint32(64, Number(product.transposeA), true);
  view.setUint32(68, Number(product.transposeB), true);
  return bytes;
}

/** Fields of an `mf_linalg_vectors`. */
export interface VectorsRecord {
  n: number;
  k: number;
  batch: number;
  line: number;
  lineBias: number;
  alpha: number;
  beta: number;
  typeW: number;
  typeX: number;
  typeBias: number;
  columns: boolean;
}

/** An `mf_linalg_vectors`. */
export function vectorsRecord(product: VectorsRecord): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, product.n, true);
  view.setFloat64(8, product.k, true);
  view.setFloat64(16, product.batch, true);
  view.setFloat64(24, product.line, true);
  view.setFloat64(32, product.lineBias, true);
  view.setFloat32(40, product.alpha, true);
  view.setFloat32(44, product.beta, true);
  view.setUint32(48, product.typeW, true);
  view.setUint32(52, product.typeX, true);
  view.setUint32(56, product.typeBias, true);
  view.setUint32(60, Number(product.columns), true);
  return bytes;
}
