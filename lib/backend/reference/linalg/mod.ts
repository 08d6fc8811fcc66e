/**
 * Linear algebra of the reference backend.
 *
 * @module
 */

import type { LinearAlgebra } from "../../linalg.ts";
import { run } from "../steps.ts";
import { gemm } from "./gemm.ts";
import { gemv } from "./gemv.ts";
import { projectCoeffs, qr, updateVector } from "./qr.ts";
import { topkSvd } from "./svd.ts";
import { headLinear, layerNorm, recurrentScan, softCap } from "./sequence.ts";
import { dot, norm2, sum } from "./sums.ts";

/** The operations. */
export function createReferenceLinalg(): LinearAlgebra {
  return {
    gemm: (a, b, options) => run(gemm(a, b, options), options?.signal),
    gemmAV: (a, v) => run(gemm(a, v)),
    gemmAtB: (a, b) => run(gemm(a, b, { transposeA: true })),
    gemv: (w, x, options) => run(gemv(w, x, options)),
    qr: (a, options) => run(qr(a, options), options?.signal),
    projectCoeffs: async (q, v, dot) => await projectCoeffs(q, v, dot),
    updateVector: async (q, c, v) => await updateVector(q, c, v),
    topkSvd: (a, k, options) => run(topkSvd(a, k, options), options?.signal),
    sum,
    dot,
    norm2,
    layerNorm,
    softCap,
    headLinear,
    recurrentScan,
  };
}
