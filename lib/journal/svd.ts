/** Top-k SVD and its Z-step: J1b, J2, J2t, J3, E2, E3, E4, E5, E7, C1, F1. @module */

import { createReferenceLinalg } from "../backend/reference/linalg/mod.ts";
import type { SvdParts, TopkSvdOptions } from "../backend/linalg.ts";
import { setGemmTiles } from "../linalg/settings.ts";
import { startVectors } from "../linalg/start.ts";
import { gaussian } from "../profile/datasets.ts";
import type { Clock, Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { reproduceBy, timeIn } from "./figures.ts";
import { Operands, orthogonalityError } from "./operands.ts";
import { runTrial } from "./trial.ts";
import { byResult, inverse, judge, meanRatio, type Pair, ratioOf } from "./verdict.ts";

/** Rows, columns and singular vectors. */
type Shape = readonly [m: number, n: number, k: number];

/** A way to iterate. */
interface Way {
  name: string;
  options?: TopkSvdOptions;
  expects?: RegExp;
}

const SMALL: Shape = [64, 48, 16];
const J2_SHAPES: readonly Shape[] = [[256, 128, 16], [512, 256, 32]];

function shapesOf(context: JournalContext, shapes: readonly Shape[]): readonly Shape[] {
  return context.quick ? [SMALL] : shapes;
}

/** Of the last shape: bands of one shape share it, and a large one takes seconds. */
let lastExact: { key: string; value: Promise<SvdParts> } | undefined;

/** The same steps in float64: after few of them no value has converged. */
function exactSteps(
  data: Float32Array,
  [rows, columns, k]: Shape,
  iterations: number,
  start: Float32Array,
): Promise<SvdParts> {
  const key = `${[rows, columns, k, iterations]}`;
  if (lastExact?.key !== key) {
    const a = { data, rows, columns, dtype: "float32" } as const;
    const value = createReferenceLinalg().topkSvd(a, k, { iterations, start })
      .then((result) => result.value);
    lastExact = { key, value };
  }
  return lastExact.value;
}

/** Compares ways to do the same iterations; the first is the baseline. */
async function* iterate(
  id: string,
  context: JournalContext,
  [m, n, k]: Shape,
  iterations: number,
  ways: readonly Way[],
  clock: Clock = "gpu",
): AsyncGenerator<JournalRow> {
  const numbers = gaussian(m, n, 21);
  const start = startVectors(n, k, 22);
  const exact = await exactSteps(numbers, [m, n, k], iterations, start);
  using operands = new Operands(context);
  const a = operands.dense(numbers, m, n);
  const memory = context.device;
  yield* runTrial<SvdParts & { peak: number }>(id, {
    shape: `m=${m} n=${n} k=${k} iters=${iterations}`,
    variants: ways.map(({ name, options = {}, expects }, i) => ({
      name,
      run: async () => {
        memory?.resetPeak();
        const { value, run } = await context.backend.linalg.topkSvd(a, k, {
          iterations,
          start,
          ...options,
        });
        return { value: { ...value, peak: memory?.memory().peak ?? 0 }, run };
      },
      ...(expects ? { expects } : {}),
      baseline: i === 0,
    })),
    error: ({ s, v }) => {
      let apart = 0;
      exact.s.forEach((value, i) => apart = Math.max(apart, Math.abs(s[i]! - value) / exact.s[0]!));
      return Math.max(Number.isNaN(apart) ? Infinity : apart, orthogonalityError(v, n, k));
    },
    findings: ({ u, v, peak }) => ({
      orthogonalityU: orthogonalityError(u, m, k),
      orthogonalityV: orthogonalityError(v, n, k),
      ...(peak > 0 ? { peakBytes: peak } : {}),
    }),
    tolerance: 1e-3,
    flops: 4 * m * n * k * iterations,
    bytes: 4 * m * n * iterations,
    clock,
  }, context);
}

const vendor: Way = { name: "library", options: { product: "vendor" }, expects: /vendor/ };

/** J1b. */
export const naiveZ: Experiment = {
  id: "J1b",
  published: [{ id: "J1", experiment: /^SVD/ }],
  reproduce: reproduceBy({ "MLX matmul": "library", "naive svd_at_a_v kernel": "naive kernel" }),
  title: "Top-k SVD with a naive kernel for Z = Aᵀ(AV)",
  conclusion: "The naive kernel is slower than the library: it needs tiling",
  needsGpu: true,
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES.slice(0, 1))) {
      yield* iterate("J1b", context, shape, 4, [
        vendor,
        { name: "naive kernel", options: { product: "naive" }, expects: /naive/ },
      ]);
    }
  },
  verdict: (rows) => {
    return judge(inverse(meanRatio(rows, /naive/)), 1.05, "The library against the naive kernel");
  },
};

/** J2. */
export const tiledZ: Experiment = {
  id: "J2",
  published: [{ id: "J2" }],
  reproduce: reproduceBy({ "MLX matmul": "library", "kernel tiled 16x16": "tiled" }),
  title: "Two tiled kernels, B = AV and Z = AᵀB",
  conclusion: "Tiled kernels win at 256×128 and reach parity at 512×256 (the figures are invalid)",
  needsGpu: true,
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES)) {
      yield* iterate("J2", context, shape, 3, [
        vendor,
        { name: "tiled", options: { product: "tiled" }, expects: /gemm_/ },
      ]);
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /tiled/), 1, "Tiled kernels against the library"),
};

/** J2t. */
export const rayleighRitz: Experiment = {
  id: "J2t",
  published: [],
  title: "Orthogonality of U and V after few iterations",
  conclusion: "V is strongly orthogonal, U only roughly: a Rayleigh–Ritz step is missing",
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES)) {
      yield* iterate("J2t", context, shape, 5, [
        { name: "with Rayleigh–Ritz", options: { rayleighRitz: true } },
      ]);
      // Its values are lengths of AV's columns, not Ritz values.
      for await (
        const row of iterate("J2t", context, shape, 5, [
          { name: "without", options: { rayleighRitz: false } },
        ])
      ) {
        yield row.findings.orthogonalityV! < 1e-4
          ? { ...row, valid: true, note: "values are not those of the subspace" }
          : row;
      }
    }
  },
  verdict: (rows) => {
    const worst = (name: RegExp) =>
      Math.max(...rows.filter((r) => name.test(r.variant)).map((r) => r.findings.orthogonalityU!));
    const [without, ritz] = [worst(/^without/), worst(/^with /)];
    const isWhy = without > 100 * ritz && ritz < 1e-4;
    const text = `max |UᵀU − I| is ${without.toExponential(1)} without the step, ` +
      `${ritz.toExponential(1)} with it`;
    return byResult(isWhy, text, without / ritz);
  },
};

/** F1. */
export const fusedZ: Experiment = {
  id: "F1",
  published: [],
  title: "Z in one fused pass against two kernels",
  conclusion: "Nothing, it was only planned; judged here: one pass is as fast as two kernels",
  needsGpu: true,
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES)) {
      yield* iterate("F1", context, shape, 3, [
        { name: "two kernels", options: { product: "tiled" }, expects: /gemm_/ },
        { name: "fused", options: { product: "fused" }, expects: /fused/ },
      ]);
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /fused/), 1, "One pass against two kernels"),
};

/** J3 (E1). */
export const serialBands: Experiment = {
  id: "J3",
  published: [{ id: "J3" }],
  reproduce: reproduceBy({
    ...{ "MLX matmul": "library", "kernel mono": "mono" },
    ...{ "kernel band=8": "band=8", "kernel band=16": "band=16" },
  }),
  title: "E1: bands of V's columns, one after the other",
  conclusion: "Banding wins at small k (invalid: 16 of 4,096 threads ran)",
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES)) {
      const [, , k] = shape;
      const bands = new Set(
        [k <= 16 ? 8 : 16, k / 2, k / 4, k / 8].filter((band) => band >= 1 && band < k),
      );
      yield* iterate("J3", context, shape, 3, [
        { name: "mono", options: { band: 0 } },
        ...[...bands].map((band) => ({
          name: `band=${band}`,
          options: { band },
          expects: /band/,
        })),
        ...(context.device ? [vendor] : []),
      ]);
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /^band/), 1.02, "Bands against one band"),
};

const STREAM_SHAPES: readonly Shape[] = [[256, 128, 16], [512, 256, 32], [1024, 256, 32], [
  4096,
  512,
  64,
]];

/** E2, E5, E7, H-S1 … H-S3. */
export const bandStreams: Experiment = {
  id: "E5",
  published: [{ id: "J4" }],
  reproduce: (figure, rows) => {
    const [, shape, k, band] = /^(.* k=(\d+)) B=(\d+)$/.exec(figure.shape)!;
    // Streams beyond one a band have nothing to do.
    const streams = Math.min(4, Number(k) / Number(band));
    const variant = figure.variant === "serial banded"
      ? `serial, band=${band}`
      : `${streams} streams, band=${band}, round-robin`;
    return timeIn(
      figure,
      rows.find((row) => {
        return row.shape === `${shape} iters=3` && row.variant === variant;
      }),
    );
  },
  title: "E2, E5, E7: bands on streams, fan-out and fan-in",
  conclusion:
    "Hypotheses: overlap helps at large m·n, is flat beyond 4 streams, and peak memory grows",
  needsGpu: true,
  async *run(context) {
    for (const shape of shapesOf(context, STREAM_SHAPES)) {
      const bands = [8, 16, 32].filter((band) => band * 2 <= shape[2]);
      for (const band of bands.length > 0 ? bands : [shape[2] / 2]) {
        const ways: Way[] = [{ name: `serial, band=${band}`, options: { band }, expects: /band/ }];
        for (const streams of context.quick ? [2] : [2, 4, 8]) {
          if (streams > shape[2] / band) continue;
          for (const assignment of ["round-robin", "block"] as const) {
            ways.push({
              name: `${streams} streams, band=${band}, ${assignment}`,
              options: { band, streams, assignment },
              expects: /stream/,
            });
          }
        }
        yield* iterate("E5", context, shape, 3, ways, "host");
      }
    }
  },
  verdict: (rows) => {
    const large = rows.filter((row) => row.valid && /m=4096/.test(row.shape));
    const judged = judge(
      ratioOf(pairsOf(large, /^serial/, /streams/)),
      1.02,
      "Streams against serial bands at 4096×512",
    );
    const flat = ratioOf(pairsOf(large, /^4 streams/, /^8 streams/));
    const [serial, eight] = [/^serial/, /^8 streams/].map((variant) => peakOf(large, variant));
    if (flat === null || !serial || !eight) return judged;
    const more = `8 streams against 4: ${flat.value.toFixed(2)}×; ` +
      `peak memory of 8 streams by that of serial bands: ${(eight / serial).toFixed(2)}`;
    return { ...judged, text: `${judged.text}; ${more}` };
  },
};

/** Rows of the same bands: a shape has some for each width of them. */
function pairsOf(rows: readonly JournalRow[], base: RegExp, own: RegExp): Pair[] {
  const bandOf = ({ variant }: JournalRow) => /band=\d+/.exec(variant)?.[0];
  const assignmentOf = ({ variant }: JournalRow) => /round-robin|block/.exec(variant)?.[0];
  return rows.filter(({ variant }) => own.test(variant)).flatMap((row) => {
    const other = rows.find((first) =>
      base.test(first.variant) && bandOf(first) === bandOf(row) &&
      [undefined, assignmentOf(row)].includes(assignmentOf(first))
    );
    return other ? [[other, row] as const] : [];
  });
}

/** Most bytes in use. */
function peakOf(rows: readonly JournalRow[], variant: RegExp): number {
  const own = rows.filter((row) => variant.test(row.variant));
  return Math.max(0, ...own.map((row) => row.findings.peakBytes ?? 0));
}

/** E3, E6. */
export const workspaces: Experiment = {
  id: "E3",
  published: [],
  title: "E3, E6: workspaces kept from step to step",
  conclusion: "Nothing, it was only planned; judged here: buffers that are kept are faster",
  needsGpu: true,
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES)) {
      const band = shape[2] / 2;
      yield* iterate("E3", context, shape, 3, [
        { name: "fresh allocations", options: { workspaces: "fresh", encodeOnce: false } },
        { name: "reused", options: { workspaces: "reused", encodeOnce: false } },
        {
          name: "fresh, 2 streams",
          options: { workspaces: "fresh", encodeOnce: false, band, streams: 2 },
        },
        {
          name: "reused, 2 streams",
          options: { workspaces: "reused", encodeOnce: false, band, streams: 2 },
        },
      ], "host");
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /^reused$/), 1.02, "Reused against fresh buffers"),
};

/** E4. */
export const guards: Experiment = {
  id: "E4",
  published: [],
  title: "Guards (clamps, masks) inside the step",
  conclusion: "Nothing, it was only planned; judged here: kernels without guards are faster",
  needsGpu: true,
  async *run(context) {
    // Kernels without guards take whole tiles only: these divide every side.
    setGemmTiles({ av: [16, 16], atb: [16, 16] });
    try {
      for (const shape of shapesOf(context, J2_SHAPES)) {
        yield* iterate("E4", context, shape, 3, [
          { name: "with guards", options: { product: "tiled", guards: true } },
          { name: "without", options: { product: "tiled", guards: false }, expects: /unguarded/ },
        ]);
      }
    } finally {
      setGemmTiles({});
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /^without/), 1.02, "Kernels without guards"),
};

/** C1. */
export const encodedOnce: Experiment = {
  id: "C1",
  published: [],
  title: "The whole iteration encoded once and replayed",
  conclusion: "1.1–1.6× against one submission an operation",
  needsGpu: true,
  async *run(context) {
    for (const shape of shapesOf(context, J2_SHAPES.slice(1))) {
      // What encoding saves is the host's time.
      yield* iterate("C1", context, shape, 3, [
        { name: "a submission an operation", options: { encodeOnce: false } },
        { name: "encoded once", options: { encodeOnce: true }, expects: /replay|once/ },
      ], "host");
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /^encoded/), 1.1, "Encoded once, from call to result"),
};
