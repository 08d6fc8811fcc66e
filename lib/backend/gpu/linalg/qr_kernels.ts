import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type {
  CommandBuffer,
  DispatchOptions,
  KernelArgument,
} from "../../../kernel/command_buffer.ts";
import type { GpuContext } from "../context.ts";
import { floatBits, words } from "../words.ts";
import { argument, type Operand, type Place, shortName } from "./operands.ts";
import { recordVendor } from "./vendor.ts";
import type { Op, Work } from "./work.ts";

/** Stands for no column. */
const NONE = 2 ** 32 - 1;
/** Kernels of projections. */
export type DotKernel = "simple" | "simd" | "library";

/** Rows and columns that a kernel of `qr.metal` works on. */
export interface QrShape {
  m: number;
  n: number;
  /** Elements from row to row; n by default. */
  line?: number | undefined;
  /** The column at work. */
  column?: number | undefined;
  next?: number | undefined;
  tolerance?: number | undefined;
}

/** `QrParams`. */
function params(
  { m, n, line = n, column = NONE, next = NONE, tolerance = 0 }: QrShape,
): Uint32Array<ArrayBuffer> {
  return words(m, n, line, column, next, floatBits(tolerance));
}

/** An operation that is one kernel of `qr.metal`. */
export function kernelOp(
  context: GpuContext,
  name: string,
  args: readonly KernelArgument[],
  options: DispatchOptions,
): Op {
  return (commands) => {
    commands.dispatch(context.kernel("qr.metal", name), args, options);
    return [name];
  };
}

/** As many threads as one group may use for m rows, a simdgroup for every `rows` of them. */
export function groupThreads(m: number, rows: number): number {
  return 32 * Math.min(32, Math.max(1, Math.ceil(m / rows)));
}

/**
 * Records c = Qᵀv.
 *
 * @param q Its `rows` × `columns`; any element type, but `library` takes float32 only.
 * @param v As many floats as Q has rows.
 * @param c As many floats as Q has columns.
 * @returns The kernel.
 */
export function recordProjection(
  context: GpuContext,
  commands: CommandBuffer,
  q: Operand,
  v: Place,
  c: Place,
  dot: DotKernel,
): string[] {
  const { rows: m, columns: n, line, dtype } = q;
  if (n === 0) return [];
  if (dot === "library" && m > 0) {
    if (dtype !== "float32") {
      throw new TypeError(`Cannot project: the vendor's products do not mix ${dtype} and float32`);
    }
    const vector = { ...c, line: 1 };
    const buffers = { a: q, b: { ...v, line: 1 }, c: vector };
    return recordVendor(commands, buffers, { m: n, n: 1, k: m, transposeA: true });
  }
  const kind = dot === "library" ? "simple" : dot;
  const name = `qr_dot_${kind}_${shortName(dtype)}`;
  const args = [argument(q), argument(v), argument(c), params({ m, n, line })];
  const size = kind === "simd"
    ? { threadgroups: Math.ceil(n / 8), threadgroup: 256 }
    : { threads: n, threadgroup: 256 };
  return kernelOp(context, name, args, size)(commands) as string[];
}

/**
 * Records v ← v − Qc.
 *
 * @returns The kernel.
 */
export function recordUpdate(
  context: GpuContext,
  commands: CommandBuffer,
  q: Operand,
  c: Place,
  v: Place,
): string[] {
  const { rows: m, columns: n, line, dtype } = q;
  if (m * n === 0) return [];
  const name = `qr_update_${shortName(dtype)}`;
  const args = [argument(q), argument(c), argument(v), params({ m, n, line })];
  const size = { threadgroups: Math.ceil(m / 8), threadgroup: 256 };
  return kernelOp(context, name, args, size)(commands) as string[];
}

/** Largest numbers of columns, as bits, and the first row with NaN or infinity. */
export function inspectOps(
  context: GpuContext,
  a: Operand,
  largest: GpuBuffer,
  first: GpuBuffer,
): Op[] {
  const { rows: m, columns: n, line } = a;
  const inspect = kernelOp(
    context,
    `qr_inspect_${shortName(a.dtype)}`,
    [argument(a), largest, first, params({ m, n, line })],
    { threadgroups: Math.ceil(m / 256) * Math.ceil(n / 32), threadgroup: 256 },
  );
  return [(commands) => {
    commands.fill(largest, 0, n * 4, 0).fill(first, 0, 4, 255);
    return inspect(commands);
  }];
}

/** work = a as floats in lines of n, each column scaled near 1, or all by one factor. */
export function loadOp(
  context: GpuContext,
  a: Operand,
  work: GpuBuffer,
  scale: GpuBuffer | number,
): Op {
  const { rows: m, columns: n, line, dtype } = a;
  const how = params({ m, n, line });
  const size = { threads: m * n, threadgroup: 256 };
  if (typeof scale !== "number") {
    const args = [argument(a), scale, work, how];
    return kernelOp(context, `qr_load_${shortName(dtype)}`, args, size);
  }
  const args = [argument(a), work, Float32Array.of(scale), how];
  return kernelOp(context, `qr_scale_${shortName(dtype)}`, args, size);
}

/** lengths[j] of columns of floats. */
export function lengthsOp(
  context: GpuContext,
  work: GpuBuffer,
  lengths: GpuBuffer,
  { m, n }: QrShape,
): Op {
  return kernelOp(context, "qr_lengths", [work, lengths, params({ m, n })], {
    threadgroups: Math.ceil(n / 32),
    threadgroup: groupThreads(m, 4),
  });
}

/** What `qr_mgs_step` works with. */
export interface StepBuffers {
  q: GpuBuffer;
  v: GpuBuffer;
  diagonal: GpuBuffer;
  lengths: GpuBuffer;
}

/** Ends a column and begins the next. */
export function stepOp(
  context: GpuContext,
  { q, v, diagonal, lengths }: StepBuffers,
  shape: QrShape,
): Op {
  return kernelOp(context, "qr_mgs_step", [q, v, diagonal, lengths, params(shape)], {
    threadgroups: 1,
    threadgroup: groupThreads(shape.m, 32),
  });
}

/** R of columns that `qr_mgs_step` ended. */
export function mgsROp(
  context: GpuContext,
  buffers: readonly GpuBuffer[],
  shape: QrShape,
): Op {
  const size = { threads: shape.n * shape.n, threadgroup: 256 };
  return kernelOp(context, "qr_mgs_r", [...buffers, params(shape)], size);
}

/**
 * Fills columns that are 0 with unit vectors orthogonal to all others, from random numbers.
 *
 * @param q m × n floats.
 * @param columns Which.
 */
export function completeOps(
  work: Work,
  q: GpuBuffer,
  { m, n }: QrShape,
  columns: readonly number[],
): Op[] {
  const { context, memory } = work;
  if (columns.length === 0) return [];
  const v = memory.scratch(m * 4, "column");
  const c = memory.scratch(n * 4, "projections");
  const diagonal = memory.scratch(n * 4, "lengths of completed columns");
  const basis: Operand = { buffer: q, line: n, rows: m, columns: n, dtype: "float32" };
  const [vector, factors] = [{ buffer: v, line: 1 }, { buffer: c, line: 1 }];
  const clear: Op = (commands) => {
    commands.fill(diagonal, 0, n * 4, 0);
    return [];
  };
  const fill = columns.flatMap((column) => {
    const random = kernelOp(context, "qr_random", [v, params({ m, n, column })], {
      threads: m,
      threadgroup: 256,
    });
    const passes = Array.from({ length: 3 }, (): Op[] => [
      (commands) => recordProjection(context, commands, basis, vector, factors, "simd"),
      (commands) => recordUpdate(context, commands, basis, factors, vector),
    ]);
    const step = stepOp(context, { q, v, diagonal, lengths: diagonal }, { m, n, column });
    return [random, ...passes.flat(), step];
  });
  return [clear, ...fill];
}

/** Ops of Householder's method, a column at a time: 2 a column to get R, 1 to form Q. */
export function householderOps(
  work: Work,
  a: GpuBuffer,
  largest: GpuBuffer,
  q: GpuBuffer,
  r: GpuBuffer,
  { m, n }: QrShape,
): Op[] {
  const { context, memory } = work;
  const vectors = memory.scratch(m * n * 4, "reflectors");
  const taus = memory.scratch(n * 4, "taus");
  const groups = (column: number) => Math.ceil((n - column) / 32);
  const apply = (to: GpuBuffer, column: number) =>
    kernelOp(context, "qr_house_apply", [to, vectors, taus, params({ m, n, column })], {
      threadgroups: groups(column),
      threadgroup: groupThreads(m, 4),
    });
  const all = Array.from({ length: n }, (_, column) => column);
  const eachNumber = { threads: m * n, threadgroup: 256 };
  return [
    ...all.flatMap((column) => [
      kernelOp(context, "qr_house_vector", [a, vectors, taus, params({ m, n, column })], {
        threadgroups: 1,
        threadgroup: groupThreads(m, 32),
      }),
      apply(a, column),
    ]),
    kernelOp(context, "qr_identity", [q, params({ m, n })], eachNumber),
    ...all.toReversed().map((column) => apply(q, column)),
    kernelOp(context, "qr_house_store", [a, largest, q, r, params({ m, n })], eachNumber),
  ];
}
