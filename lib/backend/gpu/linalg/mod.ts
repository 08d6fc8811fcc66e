/**
 * Linear algebra of the gpu backend.
 *
 * @module
 */

import type { LinearAlgebra } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import { gemm, gemmAtB, gemmAV } from "./gemm.ts";
import { gemv } from "./gemv.ts";
import { projectCoeffs, qr, updateVector } from "./qr.ts";
import { topkSvd } from "./svd.ts";
import { headLinear, layerNorm, softCap } from "./sequence.ts";
import { recurrentScan } from "./sequence_scan.ts";
import { dot, norm2, sum } from "./sums.ts";

/** The operations. */
export function createGpuLinalg(context: GpuContext): LinearAlgebra {
  return {
    gemm: (a, b, options) => gemm(context, a, b, options),
    gemmAV: (a, v) => gemmAV(context, a, v),
    gemmAtB: (a, b) => gemmAtB(context, a, b),
    gemv: (w, x, options) => gemv(context, w, x, options),
    qr: (a, options) => qr(context, a, options),
    projectCoeffs: (q, v, dot) => projectCoeffs(context, q, v, dot),
    updateVector: (q, c, v) => updateVector(context, q, c, v),
    topkSvd: (a, k, options) => topkSvd(context, a, k, options),
    sum: (x, summation) => sum(context, x, summation),
    dot: (x, y, summation) => dot(context, x, y, summation),
    norm2: (x, summation) => norm2(context, x, summation),
    layerNorm: (x, eps, weight, bias) => layerNorm(context, x, eps, weight, bias),
    softCap: (x, cap) => softCap(context, x, cap),
    headLinear: (x, w, heads) => headLinear(context, x, w, heads),
    recurrentScan: (input, options) => recurrentScan(context, input, options),
  };
}
