/** Symbols of sums and of what sequence models are made of, and their records. @module */

import { nonblocking } from "./symbol.ts";

const sum = {
  parameters: [
    "buffer", // const mf_linalg_summing *how
    "buffer", // const float *x
    "buffer", // const float *y
    "buffer", // double *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const layerNorm = {
  parameters: [
    "buffer", // const mf_linalg_rows *sizes
    "buffer", // const uint8_t *x
    "buffer", // const float *weight
    "buffer", // const float *bias
    "buffer", // uint8_t *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const softCap = {
  parameters: [
    "buffer", // const mf_linalg_rows *sizes
    "buffer", // const uint8_t *x
    "buffer", // uint8_t *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const headLinear = {
  parameters: [
    "buffer", // const mf_linalg_rows *sizes
    "buffer", // const uint8_t *x
    "buffer", // const uint8_t *w
    "buffer", // uint8_t *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const recurrent = {
  parameters: [
    "buffer", // const mf_linalg_recurrence *sizes
    "buffer", // const float *x
    "buffer", // const float *weights
    "buffer", // float *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_linalg_*` of sums and sequences. */
export const sequenceSymbols = {
  mf_linalg_sum: sum,
  mf_linalg_sum_async: nonblocking("mf_linalg_sum", sum),
  mf_linalg_layer_norm: layerNorm,
  mf_linalg_layer_norm_async: nonblocking("mf_linalg_layer_norm", layerNorm),
  mf_linalg_soft_cap: softCap,
  mf_linalg_soft_cap_async: nonblocking("mf_linalg_soft_cap", softCap),
  mf_linalg_head_linear: headLinear,
  mf_linalg_head_linear_async: nonblocking("mf_linalg_head_linear", headLinear),
  mf_linalg_recurrent: recurrent,
  mf_linalg_recurrent_async: nonblocking("mf_linalg_recurrent", recurrent),
} as const satisfies Deno.ForeignLibraryInterface;

/** Doubles that `mf_linalg_sum` writes. */
export const SUM_DOUBLES = 24;
/** Of these, those before the limbs of an exact sum. */
export const SUM_HEAD = 4;

/** What is summed: `mf_linalg_summing.terms`. */
export const Terms = { X: 0, PRODUCTS: 1, SQUARES: 2 } as const;

/** An `mf_linalg_summing`. */
export function summingRecord(n: number, terms: number, summation: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, n, true);
  view.setUint32(8, terms, true);
  view.setUint32(12, summation, true);
  return bytes;
}

/** Fields of an `mf_linalg_rows`. */
export interface RowsRecord {
  rows: number;
  columns: number;
  heads?: number;
  outputs?: number;
  number?: number;
  /** 0 float32, 1 float16, 2 bfloat16. */
  type: number;
}

/** An `mf_linalg_rows`. */
export function rowsRecord(sizes: RowsRecord): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, sizes.rows, true);
  view.setFloat64(8, sizes.columns, true);
  view.setFloat64(16, sizes.heads ?? 1, true);
  view.setFloat64(24, sizes.outputs ?? 0, true);
  view.setFloat32(32, sizes.number ?? 0, true);
  view.setUint32(36, sizes.type, true);
  return bytes;
}

/** Fields of an `mf_linalg_recurrence`. */
export interface RecurrenceRecord {
  batch: number;
  steps: number;
  d: number;
  chunk: number;
  precompute: boolean;
  hasInitial: boolean;
}

/** An `mf_linalg_recurrence`. */
export function recurrenceRecord(sizes: RecurrenceRecord): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, sizes.batch, true);
  view.setFloat64(8, sizes.steps, true);
  view.setFloat64(16, sizes.d, true);
  view.setFloat64(24, sizes.chunk, true);
  view.setUint32(32, Number(sizes.precompute), true);
  view.setUint32(36, Number(sizes.hasInitial), true);
  return bytes;
}
