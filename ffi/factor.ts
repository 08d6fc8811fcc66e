/** Symbols of factorizations, and their records. @module */

import { nonblocking } from "./symbol.ts";

const qr = {
  parameters: [
    "buffer", // const mf_linalg_qr_options *options
    "buffer", // const float *a
    "buffer", // float *q
    "buffer", // float *r
    "buffer", // uint32_t *rank
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const project = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *q
    "buffer", // const float *v
    "buffer", // float *c
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const update = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *q
    "buffer", // const float *c
    "buffer", // const float *v
    "buffer", // float *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const topkSvd = {
  parameters: [
    "buffer", // const mf_linalg_svd_options *options
    "buffer", // const float *a
    "buffer", // const float *start
    "buffer", // float *usv
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const eigenSymmetric = {
  parameters: [
    "u32", // uint32_t n
    "buffer", // const double *a
    "buffer", // double *values
    "buffer", // double *vectors
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_linalg_qr`, `mf_linalg_topk_svd` and what belongs to them. */
export const factorSymbols = {
  mf_linalg_qr: qr,
  mf_linalg_qr_async: nonblocking("mf_linalg_qr", qr),
  mf_linalg_project: project,
  mf_linalg_project_async: nonblocking("mf_linalg_project", project),
  mf_linalg_update: update,
  mf_linalg_update_async: nonblocking("mf_linalg_update", update),
  mf_linalg_topk_svd: topkSvd,
  mf_linalg_topk_svd_async: nonblocking("mf_linalg_topk_svd", topkSvd),
  mf_linalg_eigen_symmetric: eigenSymmetric,
  mf_linalg_eigen_symmetric_async: nonblocking("mf_linalg_eigen_symmetric", eigenSymmetric),
} as const satisfies Deno.ForeignLibraryInterface;

/** Names of `mf_linalg_factor_variant`, from bit 0. */
export const factorVariants = [
  "qr_mgs_f32",
  "qr_blocked_f32",
  "qr_householder_f32",
  "qr_panel_mgs_f32",
  "qr_complete_f32",
  "gram_fused_f32",
  "svd_banded_f32",
  "svd_naive_f32",
  "project_coeffs_f32",
  "update_vector_f32",
  "eigen_symmetric_f64",
  "gemm_av_at_b_f32",
] as const;

/** `sizeof(mf_linalg_qr_options)`. */
export const QR_OPTIONS_BYTES = 32;
/** `sizeof(mf_linalg_svd_options)`. */
export const SVD_OPTIONS_BYTES = 48;

/** Fields of `mf_linalg_qr_options`. */
export interface QrRecord {
  /** Rows. */
  m: number;
  /** Columns. */
  n: number;
  /** Negative: n · 2⁻²³. */
  tolerance: number;
  /** 0 the fastest, 1 a column at a time, 2 blocked, 3 Householder's. */
  method: number;
}

/** Fields of `mf_linalg_svd_options`. */
export interface SvdRecord {
  /** Rows. */
  m: number;
  /** Columns. */
  n: number;
  /** Singular values. */
  k: number;
  /** 0: never stops early. */
  tolerance: number;
  /** Most steps. */
  iterations: number;
  /** Columns a band; 0: all. */
  band: number;
  /** Of Aᵀ(AV): 0 one pass over A, 1 plain loops, 2 two products. */
  product: number;
  /** Whether U and V are rotated at the end. */
  rayleighRitz: boolean;
}

/** An `mf_linalg_qr_options`. */
export function qrRecord(options: QrRecord): Uint8Array {
  const bytes = new Uint8Array(QR_OPTIONS_BYTES);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, options.m, true);
  view.setFloat64(8, options.n, true);
  view.setFloat64(16, options.tolerance, true);
  view.setUint32(24, options.method, true);
  return bytes;
}

/** An `mf_linalg_svd_options`. */
export function svdRecord(options: SvdRecord): Uint8Array {
  const bytes = new Uint8Array(SVD_OPTIONS_BYTES);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, options.m, true);
  view.setFloat64(8, options.n, true);
  view.setFloat64(16, options.k, true);
  view.setFloat64(24, options.tolerance, true);
  view.setUint32(32, Math.min(options.iterations, 0xffff_ffff), true);
  view.setUint32(36, options.band, true);
  view.setUint32(40, options.product, true);
  view.setUint32(44, Number(options.rayleighRitz), true);
  return bytes;
}
