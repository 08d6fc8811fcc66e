/** Kernels of xLSTM: X1, X2, X3, X6. @module */

import type { Computed, Dense, RecurrentOptions } from "../backend/linalg.ts";
import type { Pipeline } from "../kernel/library.ts";
import { Tensor } from "../kernel/tensor.ts";
import { gaussian } from "../profile/datasets.ts";
import type { Experiment, JournalContext } from "./experiment.ts";
import { discard, normalizedRow, numbersOf, Operands, rowsError, sampledRows } from "./operands.ts";
import { runTrial } from "./trial.ts";
import {
  byResult,
  fastest,
  inverse,
  judge,
  judgeParts,
  meanRatio,
  type Pair,
  ratioOf,
} from "./verdict.ts";

/** What array libraries do: an operation a kernel, each through memory; sums by a simdgroup a row. */
const EAGER = `
#include <metal_stdlib>
using namespace metal;
kernel void row_mean(device const float* x [[buffer(0)]], device float* mean [[buffer(1)]],
    constant uint& d [[buffer(2)]], uint at [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  uint row = at / 32;
  float sum = 0.0f;
  for (uint i = lane; i < d; i += 32) sum += x[row * d + i];
  sum = simd_sum(sum);
  if (lane == 0) mean[row] = sum / float(d);
}
kernel void row_variance(device const float* x [[buffer(0)]], device const float* mean [[buffer(1)]],
    device float* variance [[buffer(2)]], constant uint& d [[buffer(3)]], uint at [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]) {
  uint row = at / 32;
  float sum = 0.0f;
  for (uint i = lane; i < d; i += 32) sum += (x[row * d + i] - mean[row]) * (x[row * d + i] - mean[row]);
  sum = simd_sum(sum);
  if (lane == 0) variance[row] = sum / float(d);
}
kernel void subtract_rows(device const float* x [[buffer(0)]], device const float* mean [[buffer(1)]],
    device float* out [[buffer(2)]], constant uint& d [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  out[i] = x[i] - mean[i / d];
}
kernel void divide_rows(device const float* variance [[buffer(0)]], device float* out [[buffer(1)]],
    constant uint& d [[buffer(2)]], constant float& eps [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  out[i] *= rsqrt(variance[i / d] + eps);
}
kernel void scale(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
    constant float& by [[buffer(2)]], uint i [[thread_position_in_grid]]) { out[i] = x[i] * by; }
kernel void tanh_each(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) { out[i] = tanh(out[i]); }
`;

/** One operation of an eager program. */
type Operation = [kernel: string, args: (Tensor | ArrayBufferView)[], threads: number];

/** Runs operations one kernel each, as an array library would. */
async function eager(
  context: JournalContext,
  operations: readonly Operation[],
  out: Dense,
): Promise<Computed<Dense>> {
  const device = context.device!;
  const library = device.library(EAGER);
  const commands = device.stream.commands("eager");
  const variants: string[] = [];
  for (const [kernel, args, threads] of operations) {
    const pipeline: Pipeline = library.pipeline(kernel);
    const bound = args.map((arg) => arg instanceof Tensor ? arg.buffer : arg);
    commands.dispatch(pipeline, bound, { threads, threadgroup: Math.min(threads, 256) });
    variants.push(kernel);
  }
  const { gpuSeconds, threads } = await commands.commit().completed;
  const { name: backend, engine, isa } = context.backend;
  return { value: out, run: { backend, engine, isa, variants, threads, gpuSeconds } };
}

const EPS = 1e-6;

/** X1. */
export const multiHeadLayerNorm: Experiment = {
  id: "X1",
  published: [],
  title: "Multi-head LayerNorm, one simdgroup a (batch, head) row",
  conclusion: "2–4× at DH 96–192, error about 1e-6 (single cold runs)",
  async *run(context) {
    const { linalg } = context.backend;
    const rows = context.quick ? 12 : 64 * 8;
    for (const d of context.quick ? [64, 96] : [64, 96, 128, 192]) {
      const x = gaussian(rows, d, 51);
      using operands = new Operands(context);
      const input = operands.dense(x, rows, d);
      const variants = [{
        name: "one simdgroup a row",
        run: () => linalg.layerNorm(input, EPS),
        expects: /layer_norm/,
        baseline: context.device === undefined,
      }];
      if (context.device) {
        const [out, mean, variance] = [
          operands.dense(new Float32Array(rows * d), rows, d),
          operands.dense(new Float32Array(rows), rows, 1),
          operands.dense(new Float32Array(rows), rows, 1),
        ];
        const [from, to] = [input.data as Tensor, out.data as Tensor];
        const [means, variances] = [mean.data as Tensor, variance.data as Tensor];
        const width = Uint32Array.of(d);
        variants.unshift({
          name: "an operation a kernel",
          expects: /row_variance/,
          baseline: true,
          run: () =>
            eager(context, [
              ["row_mean", [from, means, width], rows * 32],
              ["row_variance", [from, means, variances, width], rows * 32],
              ["subtract_rows", [from, means, to, width], rows * d],
              ["divide_rows", [variances, to, width, Float32Array.of(EPS)], rows * d],
            ], out),
        });
      }
      yield* runTrial<Dense>("X1", {
        shape: `rows=${rows} (64×8) DH=${d}`,
        variants,
        error: async (y) =>
          rowsError(
            await numbersOf(y),
            d,
            sampledRows(rows, 64),
            (row) => normalizedRow(x, row, d, EPS),
          ),
        tolerance: 1e-5,
        release: (y) => operands.release(y),
        bytes: 8 * rows * d,
      }, context);
    }
  },
  verdict: (rows) =>
    judge(meanRatio(rows, /simdgroup/, /DH=(96|128|192)/), 2, "One kernel against four"),
};

/** X2. */
export const softCapKernel: Experiment = {
  id: "X2",
  published: [],
  title: "Soft-cap, cap · tanh(x / cap), in one kernel",
  conclusion: "A custom kernel is not worth it",
  async *run(context) {
    const cap = 15;
    for (const n of context.quick ? [10_000] : [10_000, 100_000, 1_000_000]) {
      const x = gaussian(1, n, 52).map((value) => value * 20);
      using operands = new Operands(context);
      const input = operands.dense(x, 1, n);
      const variants = [{
        name: "one kernel",
        run: () => context.backend.linalg.softCap(input, cap),
        expects: /soft_cap/,
        baseline: context.device === undefined,
      }];
      if (context.device) {
        const out = operands.dense(new Float32Array(n), 1, n);
        const [from, to] = [input.data as Tensor, out.data as Tensor];
        variants.unshift({
          name: "an operation a kernel",
          expects: /tanh_each/,
          baseline: true,
          run: () =>
            eager(context, [
              ["scale", [from, to, Float32Array.of(1 / cap)], n],
              ["tanh_each", [to], n],
              ["scale", [to, to, Float32Array.of(cap)], n],
            ], out),
        });
      }
      yield* runTrial<Dense>("X2", {
        shape: `n=${n} cap=${cap}`,
        variants,
        error: async (y) =>
          rowsError(
            await numbersOf(y),
            n,
            [0],
            () => Float64Array.from(x, (value) => cap * Math.tanh(value / cap)),
          ),
        tolerance: 1e-6,
        release: (y) => operands.release(y),
        bytes: 8 * n,
      }, context);
    }
  },
  verdict: (rows) => {
    return judge(inverse(meanRatio(rows, /one kernel/)), 0.9, "Three kernels against one");
  },
};

/** X3. */
export const chunkedScan: Experiment = {
  id: "X3",
  published: [],
  title: "Recurrent scan: projections step by step or ahead, in chunks, on streams",
  conclusion:
    "Precompute gains about 20 %, chunks of 64–128 are best, streams help past 8 K tokens",
  async *run(context) {
    const [batch, d] = context.quick ? [2, 16] : [4, 256];
    for (const steps of context.quick ? [48] : [128, 1024, 8192, 16_384]) {
      const x = gaussian(batch * steps, d, 53);
      const input = {
        ...{ x, batch, steps, d },
        w: gaussian(d, d, 54).map((value) => value / Math.sqrt(d)),
        r: gaussian(d, d, 55).map((value) => value / Math.sqrt(2 * d)),
        bias: gaussian(1, d, 56),
      };
      const ways: [string, RecurrentOptions][] = [
        ["step by step", { precompute: false }],
        ["precomputed", { precompute: true }],
      ];
      for (const chunk of context.quick ? [16] : [16, 32, 64, 128, 256]) {
        if (chunk < steps) ways.push([`chunk ${chunk}`, { chunk }]);
      }
      const chunk = context.quick ? 16 : 128;
      if (context.device && chunk < steps) {
        ways.push([`chunk ${chunk}, 2 streams`, { chunk, streams: 2 }]);
      }
      yield* runTrial<Float32Array>("X3", {
        shape: `B=${batch} S=${steps} D=${d}`,
        variants: ways.map(([name, options], i) => ({
          name,
          run: () => context.backend.linalg.recurrentScan(input, options),
          baseline: i === 0,
        })),
        error: (states) => scanError(input, states),
        tolerance: 1e-4,
        flops: 4 * batch * steps * d * d,
        clock: "host",
      }, context);
    }
  },
  verdict: (rows) => {
    const shapes = [...Map.groupBy(rows, ({ shape }) => shape)];
    const pairs = (base: RegExp, own: RegExp, shape: RegExp): Pair[] =>
      shapes.filter(([name]) => shape.test(name)).flatMap(([, all]) => {
        const [first, second] = [base, own]
          .map((name) => fastest(all, ({ variant }) => name.test(variant)));
        return first && second ? [[first, second]] : [];
      });
    // Where there are chunks of every size.
    const chunks = pairs(/^chunk (16|32|256)$/, /^chunk (64|128)$/, /S=(1024|8192|16384) /);
    const streams = pairs(/^chunk 128$/, /^chunk 128, 2/, /S=(8192|16384) /);
    return judgeParts([
      judge(meanRatio(rows, /^precomputed/), 1.2, "Projections ahead of the scan"),
      judge(ratioOf(chunks), 1, "Chunks of 64 or 128 against other sizes"),
      judge(ratioOf(streams), 1.02, "Two streams against one from 8 K steps on"),
    ]);
  },
};

/** Elements of a state that are checked: from step to step others. */
const ELEMENTS = 16;

/** Largest error of a step in float64 from the state before it: of all steps of all sequences. */
function scanError(
  { x, w, r, bias, d, steps, batch }: {
    x: Float32Array;
    w: Float32Array;
    r: Float32Array;
    bias: Float32Array;
    d: number;
    steps: number;
    batch: number;
  },
  states: Float32Array,
): number {
  let error = 0;
  const count = Math.min(ELEMENTS, d);
  for (let row = 0; row < batch * steps; row++) {
    const at = row * d;
    const isFirst = row % steps === 0;
    for (let element = 0; element < count; element++) {
      const i = (row + element * Math.floor(d / count)) % d;
      let sum = bias[i]!;
      for (let j = 0; j < d; j++) sum += w[i * d + j]! * x[at + j]!;
      if (!isFirst) { for (let j = 0; j < d; j++) sum += r[i * d + j]! * states[at - d + j]!; }
      const apart = Math.abs(Math.tanh(sum) - states[at + i]!);
      error = Number.isNaN(apart) ? Infinity : Math.max(error, apart);
    }
  }
  return error;
}

/** X6. */
export const headLinearKernel: Experiment = {
  id: "X6",
  published: [],
  title: "A product a head against one block-diagonal product",
  conclusion: "They match exactly",
  async *run(context) {
    const { linalg } = context.backend;
    const shapes = context.quick
      ? [[2, 3, 8, 8]]
      : [[32, 8, 64, 64], [32, 8, 96, 96], [16, 16, 64, 64]];
    for (const [b, heads, d, out] of shapes as [number, number, number, number][]) {
      const x = gaussian(b * heads, d, 57);
      const w = gaussian(heads * out, d, 58);
      const blocks = new Float32Array(heads * out * heads * d);
      for (let row = 0; row < heads * out; row++) {
        const head = Math.floor(row / out);
        blocks.set(w.subarray(row * d, (row + 1) * d), row * heads * d + head * d);
      }
      using operands = new Operands(context);
      const input = operands.dense(x, b * heads, d);
      const wide = operands.dense(x, b, heads * d);
      const weights = operands.dense(w, heads * out, d);
      const diagonal = operands.dense(blocks, heads * out, heads * d);
      yield* runTrial<Dense>("X6", {
        shape: `(${b}, ${heads}, ${d}, ${out})`,
        variants: [
          {
            name: "block-diagonal product",
            run: () => linalg.gemm(wide, diagonal, { transposeB: true }),
            baseline: true,
          },
          { name: "a product a head", run: () => linalg.headLinear(input, weights, heads) },
        ],
        error: async (y) => {
          const found = await numbersOf(y);
          return rowsError(found, out, sampledRows(b * heads, 64), (row) => {
            const head = row % heads;
            return Float64Array.from({ length: out }, (_, o) => {
              let sum = 0;
              for (let j = 0; j < d; j++) sum += x[row * d + j]! * w[(head * out + o) * d + j]!;
              return sum;
            });
          });
        },
        release: discard,
        tolerance: 1e-5,
        flops: 2 * b * heads * d * out,
      }, context);
    }
  },
  verdict: (rows) => {
    const worst = Math.max(...rows.map((row) => row.error ?? Infinity));
    return byResult(worst < 1e-5, `Both agree with float64 within ${worst.toExponential(1)}`);
  },
};
