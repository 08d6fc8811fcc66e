import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import { Tensor } from "../../../kernel/tensor.ts";
import { productShape } from "../../../linalg/checks.ts";
import { decodeNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, Element, GemmOptions } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import { floatBits, words } from "../words.ts";
import {
  argument,
  byFours,
  isResident,
  operand,
  type Place,
  produce,
  shortName,
} from "./operands.ts";
import { partialBytes, recordGemmAtB, recordGemmAV, type TallShape } from "./tall.ts";
import { recordVendor } from "./vendor.ts";
import { Work } from "./work.ts";

/** Kernels of a general product, by name. */
const variants = ["vendor", "naive", "bm64_bn64", "bm128_bn128", "simd", "av", "at_b"] as const;

/** One of the kernels of a general product. */
export type GemmVariant = typeof variants[number];

/** op(A) is m × k, op(B) k × n. */
export interface ProductCase {
  m: number;
  n: number;
  k: number;
  transposeA?: boolean | undefined;
  transposeB?: boolean | undefined;
  alpha?: number | undefined;
  beta?: number | undefined;
  dtype?: Element | undefined;
}

/** From so many threadgroups on, those of the large tile fill a GPU. */
const LARGE_GROUPS = 96;
/** Products with up to so many columns go to the kernels of Z-steps. */
const SLIM = 64;

/** What runs: the variant asked for, or what is fastest for the shape. */
function chooseVariant(context: GpuContext, how: ProductCase, asked?: string): GemmVariant {
  const { m, n, k, transposeA = false, transposeB = false } = how;
  if (asked !== undefined) {
    const found = variants.find((name) => name === asked);
    if (found === undefined) {
      throw new RangeError(
        `Cannot multiply: there is no variant ${asked}; there are ${variants.join(", ")}`,
      );
    }
    const isSlim = found === "naive" || found === "av" || found === "at_b";
    const fits = found === "naive" || (found === "av") === !transposeA;
    if (isSlim && (transposeB || !fits)) {
      throw new RangeError(`Cannot multiply: variant ${found} does not transpose so`);
    }
    if (transposeA && transposeB && (found === "bm128_bn128" || found === "simd")) {
      throw new RangeError(`Cannot multiply: variant ${found} does not transpose both`);
    }
    return found;
  }
  if (k === 0) return "bm64_bn64";
  if (!transposeB && n <= SLIM) return transposeA ? "at_b" : "av";
  if (transposeA && transposeB) return "bm64_bn64";
  if (context.device.engine === "metal") return "simd";
  const large = Math.ceil(m / 128) * Math.ceil(n / 128);
  return large >= LARGE_GROUPS ? "bm128_bn128" : "bm64_bn64";
}

/**
 * Records C = alpha · op(A) op(B) + beta · C.
 *
 * @param buffers Where matrices lie; `partial` as for `recordGemmAtB`.
 * @returns The kernels.
 */
export function recordGemm(
  context: GpuContext,
  commands: CommandBuffer,
  buffers: {
    a: Place;
    b: Place;
    c: Place;
    partial?: Parameters<typeof recordGemmAtB>[2]["partial"];
  },
  how: ProductCase,
  asked?: string,
): string[] {
  const { m, n, k, transposeA = false, transposeB = false, dtype = "float32" } = how;
  const { alpha = 1, beta = 0 } = how;
  if (m * n === 0) return [];
  const chosen = chooseVariant(context, how, asked);
  // Libraries refuse sums of nothing.
  const variant = chosen === "vendor" && k === 0 ? "bm64_bn64" : chosen;
  if (variant === "vendor") return recordVendor(commands, buffers, how, how);
  const tall = tallShape(how);
  if (variant === "naive") {
    const record = transposeA ? recordGemmAtB : recordGemmAV;
    return record(context, commands, buffers, tall, { kernel: "naive", alpha, beta, dtype });
  }
  if (variant === "av") return recordGemmAV(context, commands, buffers, tall, how);
  if (variant === "at_b") return recordGemmAtB(context, commands, buffers, tall, how);
  const op = `${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}`;
  const tile = variant === "simd" ? "simd_bm64_bn64" : variant;
  const name = `gemm_${op}_${shortName(dtype)}_${tile}`;
  const pipeline = context.kernel(op === "tt" ? "gemm_tt.metal" : "gemm.metal", name);
  const { a, b, c } = buffers;
  const fours = Number(byFours(a, dtype) && byFours(b, dtype));
  const factors = [floatBits(alpha), floatBits(beta)] as const;
  const params = words(m, n, k, a.line, b.line, c.line, ...factors, fours);
  const side = variant === "bm128_bn128" ? 128 : 64;
  commands.dispatch(pipeline, [argument(a), argument(b), argument(c), params], {
    threadgroups: Math.ceil(m / side) * Math.ceil(n / side),
    threadgroup: variant === "simd" ? 128 : 256,
  });
  return [name];
}

/** A product as those with few columns have it: A is m × n as it lies. */
function tallShape({ m, n, k, transposeA = false }: ProductCase): TallShape {
  return transposeA ? { m: k, n: m, k: n } : { m, n: k, k: n };
}

/** `LinearAlgebra.gemm`. */
export async function gemm(
  context: GpuContext,
  a: Dense,
  b: Dense,
  options: GemmOptions = {},
): Promise<Computed<Dense>> {
  const { transposeA, transposeB, alpha, beta = 0, c, variant, signal } = options;
  checkTypes(a, b);
  const how = {
    ...productShape(a, b, options),
    transposeA,
    transposeB,
    alpha,
    beta,
    dtype: a.dtype,
  };
  using work = new Work(context, "gemm");
  const [left, right] = [await operand(work, a, "A"), await operand(work, b, "B")];
  const addend = beta === 0 || c === undefined ? undefined : await addendOf(work, c);
  const atb = transposeA && !transposeB;
  const bytes = atb ? partialBytes(context, "atb", tallShape(how), { dtype: a.dtype }) : 0;
  const partial = bytes > 0 ? work.memory.scratch(bytes, "partial sums") : undefined;
  return await produce(work, [how.m, how.n], isResident(a, b), (result) => {
    const place = { buffer: result, line: how.n };
    if (addend) work.run((commands) => addend(commands, place));
    const buffers = { a: left, b: right, c: place, partial };
    work.run((commands) => recordGemm(context, commands, buffers, how, variant));
  }, signal);
}

/** Copies C to where the product is added to it; C itself is left as it is. */
async function addendOf(work: Work, c: Dense) {
  const { rows, columns, data, dtype } = c;
  const plain: Dense = data instanceof Tensor
    ? c
    : { ...c, data: decodeNumbers(data, dtype), dtype: "float32" };
  const from = await operand(work, plain, "C");
  return (commands: CommandBuffer, to: Place): string[] => {
    const name = `qr_scale_${shortName(plain.dtype)}`;
    const params = words(rows, columns, from.line, 0, 0, 0);
    const args = [argument(from), argument(to), Float32Array.of(1), params];
    const size = { threads: rows * columns, threadgroup: 256 };
    commands.dispatch(work.context.kernel("qr.metal", name), args, size);
    return [name];
  };
}

/** Fails where operands are of two types. */
export function checkTypes(a: Dense, b: Dense): void {
  if (a.dtype === b.dtype) return;
  throw new TypeError(`Cannot multiply: A is of ${a.dtype}, the other of ${b.dtype}`);
}

/** `LinearAlgebra.gemmAV`. */
export async function gemmAV(context: GpuContext, a: Dense, v: Dense): Promise<Computed<Dense>> {
  checkTypes(a, v);
  const { m, n: k, k: n } = productShape(a, v);
  using work = new Work(context, "gemm_av");
  const [left, right] = [await operand(work, a, "A"), await operand(work, v, "V")];
  return await produce(work, [m, k], isResident(a, v), (buffer) => {
    const buffers = { a: left, b: right, c: { buffer, line: k } };
    const { dtype } = a;
    work.run((commands) => recordGemmAV(context, commands, buffers, { m, n, k }, { dtype }));
  });
}

/** `LinearAlgebra.gemmAtB`. */
export async function gemmAtB(context: GpuContext, a: Dense, b: Dense): Promise<Computed<Dense>> {
  checkTypes(a, b);
  const { m: n, n: k, k: m } = productShape(a, b, { transposeA: true });
  using work = new Work(context, "gemm_at_b");
  const [left, right] = [await operand(work, a, "A"), await operand(work, b, "B")];
  const { dtype } = a;
  const bytes = partialBytes(context, "atb", { m, n, k }, { dtype });
  const partial = bytes > 0 ? work.memory.scratch(bytes, "partial sums") : undefined;
  return await produce(work, [n, k], isResident(a, b), (buffer) => {
    const buffers = { a: left, b: right, c: { buffer, line: k }, partial };
    work.run((commands) => recordGemmAtB(context, commands, buffers, { m, n, k }, { dtype }));
  });
}
