import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { GpuContext } from "../context.ts";
import type { Place } from "./operands.ts";
import {
  partialBytes,
  recordFusedZ,
  recordGemmAtB,
  recordGemmAV,
  recordNaiveZ,
  settingsTile,
  type TallOptions,
  type TallShape,
} from "./tall.ts";
import type { Op } from "./work.ts";

/** How a Z-step Z = Aᵀ(AV) is computed. */
export interface ZProduct {
  /** Two of this library's kernels, one naive kernel, one fused pass, or two products of the vendor. */
  product: "tiled" | "naive" | "fused" | "vendor";
  /** Given: tiles of `getGemmTiles()` with bounds checks, or without. */
  guards?: boolean | undefined;
}

/** Memory of a Z-step beside A, V and Z. */
export interface ZWorkspace {
  /** A·V: m × k floats; unused by `naive` and `fused`. */
  b: GpuBuffer;
  /** Partial sums. */
  partial: GpuBuffer;
}

/** Kernels of A·V and Aᵀ·B. */
function tallOptions(
  context: GpuContext,
  side: "av" | "atb",
  { product, guards }: ZProduct,
): TallOptions {
  if (product === "vendor") return { kernel: "vendor" };
  return guards === undefined ? {} : { kernel: { ...settingsTile(context, side), guards } };
}

/** Bytes of a {@linkcode ZWorkspace}. */
export function zBytes(
  context: GpuContext,
  shape: TallShape,
  how: ZProduct,
): { b: number; partial: number } {
  if (how.product === "naive") return { b: 0, partial: 0 };
  if (how.product === "fused") return { b: 0, partial: partialBytes(context, "fused", shape) };
  const options = tallOptions(context, "atb", how);
  return { b: shape.m * shape.k * 4, partial: partialBytes(context, "atb", shape, options) };
}

/**
 * Operations of a Z-step. But for `naive`, Z may be V itself.
 *
 * @param a m × n floats.
 * @param v n × k floats.
 * @param z Gets n × k floats.
 */
export function zOps(
  context: GpuContext,
  { a, v, z }: { a: Place; v: Place; z: Place },
  { b, partial }: ZWorkspace,
  shape: TallShape,
  how: ZProduct,
): Op[] {
  const whole = { a, b: v, c: z, partial };
  if (how.product === "naive") {
    return [(commands) => recordNaiveZ(context, commands, whole, shape)];
  }
  if (how.product === "fused") {
    return [(commands) => recordFusedZ(context, commands, whole, shape)];
  }
  const [av, atb] = [tallOptions(context, "av", how), tallOptions(context, "atb", how)];
  const product = { buffer: b, line: shape.k };
  return [
    (commands) => recordGemmAV(context, commands, { a, b: v, c: product }, shape, av),
    (commands) => recordGemmAtB(context, commands, { a, b: product, c: z, partial }, shape, atb),
  ];
}
