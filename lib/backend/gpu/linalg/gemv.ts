import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import { Tensor } from "../../../kernel/tensor.ts";
import { gemvShape } from "../../../linalg/checks.ts";
import { decodeNumbers, encodeNumbers, zeroNumbers } from "../../../linalg/numbers.ts";
import type { Computed, Dense, Element, GemvOptions } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import { run } from "../steps.ts";
import { floatBits, words } from "../words.ts";
import { chooseGemv, type GemvCase, gemvVariant, hasGemvKernels } from "./gemv_variants.ts";
import type { GemvVariant } from "./gemv_variants.ts";
import { argument, elementBytes, isResident, operand, type Place } from "./operands.ts";
import { Work } from "./work.ts";

/** Bits of `GemvParams.flags`. */
const [HAS_BIAS, IS_ALIGNED] = [1, 2];

/** Where the operands of a matrix-vector product lie. */
export interface GemvPlaces {
  /** n × k a matrix, or k × n; matrices follow one another. */
  w: Place;
  /** A row of k numbers a matrix; rows follow one another, as those of y and c. */
  x: Place;
  /** Gets a row of n numbers a matrix. */
  y: Place;
  /** What beta times is added; may be y, unless the epilogue is separate: the product goes there first. */
  c?: Place | undefined;
  /** A row of n numbers for all matrices, or one each. */
  bias?: (Place & { rows: number }) | undefined;
}

/** A product to record. */
export interface GemvProduct extends Omit<GemvCase, "bias" | "accumulate"> {
  alpha?: number | undefined;
  beta?: number | undefined;
}

/**
 * Records y = alpha · W x + beta · c + bias.
 *
 * @param variant Which kernel, by name or as {@linkcode chooseGemv} gives it; by default what that chooses.
 * @returns The kernels.
 */
export function recordGemv(
  context: GpuContext,
  commands: CommandBuffer,
  places: GemvPlaces,
  how: GemvProduct,
  variant?: string | GemvVariant,
): string[] {
  const { layout, n, k, batch, dtype, io, alpha = 1, beta = 0 } = how;
  if (n * batch === 0) return [];
  const { w, x, y, bias, c = y } = places;
  const needs: GemvCase = { ...how, bias: bias !== undefined, accumulate: beta !== 0 };
  const chosen = variant === undefined
    ? chooseGemv(needs)
    : typeof variant === "string"
    ? gemvVariant(variant, needs)
    : variant;
  const { bn, tg } = chosen.geometry;
  const parameters = (fused: boolean, flags: number) =>
    words(
      n,
      k,
      w.line,
      bias !== undefined && bias.rows > 1 ? n : 0,
      flags | (fused && bias !== undefined ? HAS_BIAS : 0),
      floatBits(fused ? alpha : 1),
      floatBits(fused ? beta : 0),
    );
  const aligned = isAligned(w, w.line, dtype, layout === "nt" ? n * batch : k * batch) &&
    isAligned(x, k, io, batch);
  const fused = chosen.epilogue !== "separate";
  const [added, other] = [argument(bias ?? y), argument(c)];
  commands.dispatch(context.kernel(chosen.file, chosen.kernel), [
    argument(w),
    argument(x),
    added,
    other,
    argument(y),
    parameters(fused, aligned ? IS_ALIGNED : 0),
  ], { threadgroups: [Math.ceil(n / bn), batch], threadgroup: tg });
  if (fused) return [chosen.kernel];
  return [
    chosen.kernel,
    recordGemvEpilogue(context, commands, [added, other, argument(y)], {
      params: parameters(true, 0),
      threads: [n, batch],
    }),
  ];
}

/** Records y ← alpha · y + beta · c + bias of float16. */
export function recordGemvEpilogue(
  context: GpuContext,
  commands: CommandBuffer,
  args: ReturnType<typeof argument>[],
  { params, threads }: { params: Uint32Array<ArrayBuffer>; threads: [n: number, batch: number] },
): string {
  const name = "gemv_epilogue_f16";
  commands.dispatch(context.kernel("gemv.metal", name), [...args, params], {
    threads,
    threadgroup: [Math.min(threads[0], 256), 1],
  });
  return name;
}

/** Whether rows start at multiples of 16 bytes in memory. */
function isAligned({ offset = 0 }: Place, line: number, dtype: Element, rows: number): boolean {
  return offset % 16 === 0 && (rows === 1 || line * elementBytes(dtype) % 16 === 0);
}

/** `LinearAlgebra.gemv`. */
export async function gemv(
  context: GpuContext,
  w: Dense,
  x: Dense,
  options: GemvOptions = {},
): Promise<Computed<Dense>> {
  const { layout = "nt", alpha, beta = 0, bias, variant } = options;
  const { n, k, batch } = gemvShape(w, x, options);
  const y = beta === 0 ? undefined : options.y;
  const io = sharedType(w, x, [bias, y]);
  const how: GemvProduct = { layout, n, k, batch, alpha, beta, dtype: w.dtype, io };
  if (variant !== undefined) {
    gemvVariant(variant, { ...how, bias: bias !== undefined, accumulate: beta !== 0 });
  }
  using work = new Work(context, "gemv");
  const vector = async (dense: Dense, what: string) => {
    const found = await operand(work, inType(dense, io), what);
    if (found.rows < 2 || found.line === found.columns) return found;
    throw new TypeError(`Cannot multiply: rows of ${what} do not follow one another`);
  };
  const inputs = {
    w: await operand(work, w, "W"),
    x: await vector(x, "x"),
    c: y && await vector(y, "y"),
    bias: bias && await vector(bias, "the bias"),
  };
  const bytes = batch * n * elementBytes(io);
  const resident = isResident(w, x, bias, y);
  const tensor = resident ? Tensor.empty([batch, n], io, context.device) : undefined;
  try {
    const buffer = tensor?.buffer ?? work.memory.output(bytes, "y");
    work.run((commands) =>
      recordGemv(context, commands, { ...inputs, y: { buffer, line: n } }, how, variant)
    );
    await run(work.finish());
    const dense = { rows: batch, columns: n, dtype: x.dtype };
    const execution = work.execution();
    if (tensor) return { value: { ...dense, data: tensor }, run: execution };
    const own = zeroNumbers(batch * n, io);
    if (own.length > 0) await buffer.read(own);
    const data = io === x.dtype ? own : encodeNumbers(decodeNumbers(own, io), x.dtype);
    return { value: { ...dense, data }, run: execution };
  } catch (error) {
    tensor?.dispose();
    throw error;
  }
}

/**
 * The type that kernels have x, y and bias in: x's own where the others are of it too, else float32,
 * which numbers of the host are widened to.
 *
 * @throws {TypeError} If a tensor would have to be widened.
 */
function sharedType(w: Dense, x: Dense, others: readonly (Dense | undefined)[]): Element {
  const fits = others.every((other) => other === undefined || other.dtype === x.dtype);
  if (fits && hasGemvKernels(w.dtype, x.dtype)) return x.dtype;
  const tensor = [x, ...others].find((one) =>
    one?.data instanceof Tensor && one.dtype !== "float32"
  );
  // The result, too, is a tensor of x's type where any operand is one.
  if (tensor === undefined && (x.dtype === "float32" || !isResident(w, ...others))) {
    return "float32";
  }
  const types = [w, x, ...others].flatMap((one) => one === undefined ? [] : [one.dtype]);
  throw new TypeError(
    `Cannot multiply: tensors of ${types.join(", ")}; x, y and bias must be of one type, ` +
      `W's or float32`,
  );
}

/** A vector in the kernels' type. */
function inType(dense: Dense, io: Element): Dense {
  if (dense.dtype === io || dense.data instanceof Tensor) return dense;
  return {
    ...dense,
    data: encodeNumbers(decodeNumbers(dense.data, dense.dtype), io),
    dtype: io,
  };
}
