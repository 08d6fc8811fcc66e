/**
 * Matrix products by the native library.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../../ffi/call.ts";
import { GemmVariant, productRecord } from "../../../../ffi/gemm.ts";
import { library } from "../../../../ffi/library.ts";
import type { Report } from "../../../../ffi/record.ts";
import { productShape } from "../../../linalg/checks.ts";
import { decodeNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, Execution, GemmOptions } from "../../linalg.ts";
import { isShort } from "../work.ts";
import { execution, hostNumbers, typeName, typeOf } from "./operands.ts";

/** Multiply-adds of a product that take as long as one of a search's: tiles are that much faster. */
const SPEEDUP = 4;

/** `LinearAlgebra.gemm`. */
export function gemm(a: Dense, b: Dense, options: GemmOptions = {}): Promise<Computed<Dense>> {
  return multiply(a, b, options, "gemm");
}

/** `LinearAlgebra.gemmAV`. */
export function gemmAV(a: Dense, v: Dense): Promise<Computed<Dense>> {
  return multiply(a, v, {}, "gemm_av");
}

/** `LinearAlgebra.gemmAtB`. */
export function gemmAtB(a: Dense, b: Dense): Promise<Computed<Dense>> {
  return multiply(a, b, { transposeA: true }, "gemm_at_b");
}

async function multiply(
  a: Dense,
  b: Dense,
  options: GemmOptions,
  operation: string,
): Promise<Computed<Dense>> {
  const { transposeA = false, transposeB = false, alpha = 1, beta = 0, c, signal } = options;
  signal?.throwIfAborted();
  const { m, n, k } = productShape(a, b, options);
  const [inA, inB] = [hostNumbers(a, "A"), hostNumbers(b, "B")];
  const name = operation === "gemm"
    ? `gemm_${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}`
    : operation;
  const variant = `${name}_${typeNames(a, b)}`;
  if (options.variant !== undefined && options.variant !== variant) {
    throw new RangeError(
      `Cannot multiply: the cpu backend has no variant "${options.variant}" for this, only "${variant}"`,
    );
  }
  const out = c === undefined || beta === 0
    ? new Float32Array(m * n)
    : decodeNumbers(hostNumbers(c, "C"), c.dtype).slice();
  const record = productRecord({
    m,
    n,
    k,
    lineA: a.columns,
    lineB: b.columns,
    lineC: n,
    alpha,
    beta,
    typeA: typeOf(a),
    typeB: typeOf(b),
    transposeA,
    transposeB,
  });
  const { symbols } = library();
  const report = isShort(m * n * k / SPEEDUP)
    ? invoke((call) => symbols.mf_linalg_gemm(record, inA, inB, out, call))
    : await invokeAsync(
      (call) => symbols.mf_linalg_gemm_async(record, inA, inB, out, call),
      signal,
    );
  return {
    value: { data: out, rows: m, columns: n, dtype: "float32" },
    run: ran(variant, report),
  };
}

/** Types of the operands, as kernels name them. */
function typeNames(a: Dense, b: Dense): string {
  const [typeA, typeB] = [typeName(a), typeName(b)];
  return typeA === typeB ? typeA : `${typeA}_${typeB}`;
}

/** What ran: the variant by its instruction set; then whether an operand was not packed, or threads shared k. */
function ran(variant: string, { variants, threads }: Report): Execution {
  const run = execution(variant, threads);
  const how = variants === GemmVariant.GEMM_PLACED
    ? "_placed"
    : variants === GemmVariant.GEMM_SPLIT
    ? "_split"
    : "";
  return { ...run, variants: [`${variant}_${run.isa}${how}`] };
}
