import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { GpuContext } from "../context.ts";
import { floatBits, words } from "../words.ts";
import { argument, part } from "./operands.ts";
import { groupThreads, kernelOp } from "./qr_kernels.ts";
import { partialBytes, recordGemmAtB, recordGemmAV } from "./tall.ts";
import type { Op } from "./work.ts";

/** Columns of a panel. */
const PANEL = 32;
/** Least share of a column's square that its Cholesky pivot may be: the second round has next to none to lose. */
const PIVOTS = [1e-4, 0.25] as const;

/** Memory that panels are factored with; used again for every matrix of the shape. */
export interface PanelMemory {
  /** Gram matrix, factors of both rounds, inverse: 32 × 32 each. */
  gram: GpuBuffer;
  factors: readonly [GpuBuffer, GpuBuffer];
  inverse: GpuBuffer;
  /** Whether Cholesky failed. */
  flag: GpuBuffer;
  /** Projections of both rounds: n × 32 each. */
  projections: readonly [GpuBuffer, GpuBuffer];
  /** Partial sums. */
  partial: GpuBuffer;
}

/** Allocates it, for matrices of m × n. */
export function panelMemory(
  context: GpuContext,
  { m, n }: { m: number; n: number },
  scratch: (bytes: number, label: string) => GpuBuffer,
): PanelMemory {
  const square = (label: string) => scratch(PANEL * PANEL * 4, label);
  const projections = (label: string) => scratch(n * PANEL * 4, label);
  let bytes = 16;
  for (let first = 0; first < n; first += PANEL) {
    const width = Math.min(PANEL, n - first);
    for (const columns of [first, width]) {
      const shape = { m, n: columns, k: width };
      bytes = Math.max(bytes, partialBytes(context, "atb", shape, { kernel: "fast" }));
    }
  }
  return {
    gram: square("gram"),
    factors: [square("factors of round 1"), square("factors of round 2")],
    inverse: square("inverse"),
    flag: scratch(4, "flag"),
    projections: [projections("projections of round 1"), projections("projections of round 2")],
    partial: scratch(bytes, "partial sums"),
  };
}

/** What is factored: m × n floats in lines of n, orthonormalised in place. */
export interface BlockedCase {
  m: number;
  n: number;
  q: GpuBuffer;
  /** n × n, zeros where it is lower: gets R. */
  r: GpuBuffer;
  /** Lengths of columns, for `tolerance`. */
  lengths: GpuBuffer;
  /** Scales of columns, as bits of their largest numbers. */
  largest: GpuBuffer;
  /** A column that is left shorter than this much of its length becomes 0. */
  tolerance: number;
}

/**
 * Gram–Schmidt by panels of 32 columns, in two rounds: projections are products, and a panel is
 * factored by the Cholesky factor of its Gram matrix, or where that fails by one threadgroup.
 */
export function blockedOps(context: GpuContext, memory: PanelMemory, how: BlockedCase): Op[] {
  const ops: Op[] = [];
  for (let first = 0; first < how.n; first += PANEL) {
    const width = Math.min(PANEL, how.n - first);
    for (const round of [0, 1] as const) ops.push(...roundOps(context, memory, how, first, round));
    const [c1, c2] = memory.projections;
    const [s1, s2] = memory.factors;
    const args = [c1, c2, s1, s2, how.largest, how.r, params(how, first, width, 0)];
    const size = { threads: (first + width) * width, threadgroup: 256 };
    ops.push(kernelOp(context, "qr_panel_r", args, size));
  }
  return ops;
}

function roundOps(
  context: GpuContext,
  memory: PanelMemory,
  how: BlockedCase,
  first: number,
  round: 0 | 1,
): Op[] {
  const { m, n, q, lengths } = how;
  const { gram, inverse, flag, partial } = memory;
  const s = memory.factors[round];
  const width = Math.min(PANEL, n - first);
  const basis = { buffer: q, line: n };
  const panel = part(basis, 0, first);
  const c = { buffer: memory.projections[round], line: width };
  const square = (buffer: GpuBuffer) => ({ buffer, line: width });
  const fast = { kernel: "fast" } as const;
  const before: Op[] = first === 0 ? [] : [
    (commands) => {
      const buffers = { a: basis, b: panel, c, partial };
      return recordGemmAtB(context, commands, buffers, { m, n: first, k: width }, fast);
    },
    (commands) => {
      const how = { ...fast, alpha: -1, beta: 1 };
      const buffers = { a: basis, b: c, c: panel };
      return recordGemmAV(context, commands, buffers, { m, n: first, k: width }, how);
    },
  ];
  // What is left after the first round is of length 1, or 0.
  const settings = params(how, first, width, round);
  return [
    ...before,
    (commands) => {
      const buffers = { a: panel, b: panel, c: square(gram), partial };
      return recordGemmAtB(context, commands, buffers, { m, n: width, k: width }, fast);
    },
    kernelOp(context, "qr_panel_cholesky", [gram, s, inverse, flag, lengths, settings], {
      threadgroups: 1,
      threadgroup: 256,
    }),
    // In place: a threadgroup reads all of its rows before it writes them.
    (commands) => {
      const buffers = { a: panel, b: square(inverse), c: panel };
      const inPlace = { ...fast, inPlace: true };
      return recordGemmAV(context, commands, buffers, { m, n: width, k: width }, inPlace);
    },
    kernelOp(context, "qr_panel_mgs", [argument(panel), s, lengths, flag, settings], {
      threadgroups: 1,
      threadgroup: groupThreads(m, 4),
    }),
  ];
}

/** `PanelParams`. */
function params(
  { m, n, tolerance }: BlockedCase,
  first: number,
  width: number,
  round: 0 | 1,
): Uint32Array<ArrayBuffer> {
  // Below half of the unit length that the first round left, a column is what rounding made.
  const least = floatBits(round === 0 ? tolerance : -0.5);
  return words(m, n, width, first, n, least, floatBits(PIVOTS[round]));
}
