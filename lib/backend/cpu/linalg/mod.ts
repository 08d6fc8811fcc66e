/**
 * Linear algebra of the cpu backend.
 *
 * @module
 */

import type { LinearAlgebra } from "../../linalg.ts";
import { eigenSymmetric } from "./eigen.ts";
import { gemm, gemmAtB, gemmAV } from "./gemm.ts";
import { gemv } from "./gemv.ts";
import { projectCoeffs, qr, updateVector } from "./qr.ts";
import { headLinear, layerNorm, recurrentScan, softCap } from "./sequence.ts";
import { dot, norm2, sum } from "./sums.ts";
import { topkSvd } from "./svd.ts";

/** The operations. */
export function createCpuLinalg(): LinearAlgebra {
  return {
    gemm,
    gemmAV,
    gemmAtB,
    gemv,
    qr,
    projectCoeffs,
    updateVector,
    topkSvd,
    eigenSymmetric,
    sum,
    dot,
    norm2,
    layerNorm,
    softCap,
    headLinear,
    recurrentScan,
  };
}
