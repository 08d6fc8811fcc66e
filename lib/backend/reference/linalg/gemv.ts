import { gemvShape } from "../../../linalg/checks.ts";
import { encodeNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, GemvOptions } from "../../linalg.ts";
import type { Steps } from "../steps.ts";
import { checkVariant, computed, hostNumbers } from "./operands.ts";

/** y = alpha · W x + beta · y + bias, a number at a time. */
export function* gemv(w: Dense, x: Dense, options: GemvOptions = {}): Steps<Computed<Dense>> {
  const { layout = "nt", alpha = 1, beta = 0, y, bias, variant } = options;
  const name = `gemv_${layout}`;
  checkVariant(variant, name);
  const { n, k, batch } = gemvShape(w, x, options);
  const [inW, inX] = [hostNumbers(w), hostNumbers(x)];
  const inY = y !== undefined && beta !== 0 ? hostNumbers(y) : undefined;
  const inBias = bias && hostNumbers(bias);
  const out = new Float64Array(batch * n);
  for (let i = 0; i < out.length; i++) {
    const [one, j] = [Math.floor(i / n), i % n];
    let sum = 0;
    for (let p = 0; p < k; p++) {
      const at = layout === "nt" ? i * k + p : (one * k + p) * n + j;
      sum += inW[at]! * inX[one * k + p]!;
    }
    out[i] = alpha * sum;
    if (inY !== undefined) out[i]! += beta * inY[i]!;
    if (inBias !== undefined) out[i]! += inBias[i % inBias.length]!;
    if (i % 256 === 0) yield;
  }
  const data = encodeNumbers(out, x.dtype);
  return computed({ data, rows: batch, columns: n, dtype: x.dtype }, name);
}
