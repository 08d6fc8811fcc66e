import { productShape } from "../../../linalg/checks.ts";
import type { Computed, Dense, GemmOptions } from "../../linalg.ts";
import type { Steps } from "../steps.ts";
import { checkVariant, computed, hostNumbers } from "./operands.ts";

/** alpha · op(A) op(B) + beta · C, a row at a time. */
export function* gemm(a: Dense, b: Dense, options: GemmOptions = {}): Steps<Computed<Dense>> {
  const { transposeA = false, transposeB = false, alpha = 1, beta = 0, c, variant } = options;
  const name = `gemm_${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}`;
  checkVariant(variant, name);
  const { m, n, k } = productShape(a, b, options);
  const [inA, inB] = [hostNumbers(a), hostNumbers(b)];
  const inC = c !== undefined && beta !== 0 ? hostNumbers(c) : undefined;
  const data = new Float32Array(m * n);
  const row = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    row.fill(0);
    for (let p = 0; p < k; p++) {
      const factor = inA[transposeA ? p * m + i : i * k + p]!;
      for (let j = 0; j < n; j++) row[j]! += factor * inB[transposeB ? j * k + p : p * n + j]!;
    }
    for (let j = 0; j < n; j++) {
      const at = i * n + j;
      data[at] = alpha * row[j]! + (inC === undefined ? 0 : beta * inC[at]!);
    }
    yield;
  }
  return computed({ data, rows: m, columns: n, dtype: "float32" }, name);
}
