import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import type { Element } from "../../linalg.ts";
import { type Place, shortName } from "./operands.ts";

/**
 * Records C = alpha · op(A) op(B) + beta · C by the vendor's library: MPS, cuBLAS, or the native
 * products of the emulator.
 *
 * @returns What runs.
 * @throws {TypeError} If the vendor has no products of such elements.
 */
export function recordVendor(
  commands: CommandBuffer,
  { a, b, c }: { a: Place; b: Place; c: Place },
  { transposeA = false, transposeB = false, ...sizes }: {
    m: number;
    n: number;
    k: number;
    transposeA?: boolean | undefined;
    transposeB?: boolean | undefined;
  },
  { alpha = 1, beta = 0, dtype = "float32" }: {
    alpha?: number | undefined;
    beta?: number | undefined;
    dtype?: Element | undefined;
  } = {},
): string[] {
  if (dtype === "bfloat16") {
    throw new TypeError("Cannot multiply: the vendor's products take float32 and float16");
  }
  commands.multiply({
    a: a.buffer,
    b: b.buffer,
    c: c.buffer,
    ...sizes,
    transposeA,
    transposeB,
    alpha,
    beta,
    dtype,
    dtypeC: "float32",
    lineA: a.line,
    lineB: b.line,
    lineC: c.line,
    offsetA: a.offset ?? 0,
    offsetB: b.offset ?? 0,
    offsetC: c.offset ?? 0,
  });
  const op = `${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}`;
  return [`vendor_gemm_${op}_${shortName(dtype)}`];
}
