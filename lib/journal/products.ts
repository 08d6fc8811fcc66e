/** Matrix products: T1, X4. @module */

import type { Dense } from "../backend/linalg.ts";
import { type GemmTiles, setGemmTiles, type Tile } from "../linalg/settings.ts";
import { gaussian } from "../profile/datasets.ts";
import type { Experiment, JournalContext } from "./experiment.ts";
import { discard, numbersOf, Operands, productRow, rowsError, sampledRows } from "./operands.ts";
import { runTrial } from "./trial.ts";
import { inverse, judge, judgeParts, meanRatio, ratioOf } from "./verdict.ts";

const TILES: readonly Tile[] = [[16, 16], [32, 8], [8, 32], [32, 16], [32, 32]];

/** T1 and R5. */
export const tileSweep: Experiment = {
  id: "T1",
  published: [],
  title: "Tiles of gemmAV and gemmAtB",
  conclusion:
    "Nothing, it was only planned; the playbook fixes 32×8 and 8×32 on M3, 16×16 elsewhere",
  needsGpu: true,
  async *run(context) {
    const { linalg } = context.backend;
    const shapes = context.quick
      ? [[64, 48, 8]]
      : [[256, 128, 16], [512, 256, 32], [1024, 1024, 1024]];
    for (const [m, n, k] of shapes as [number, number, number][]) {
      const a = gaussian(m, n, 31);
      const v = gaussian(n, k, 32);
      const b = gaussian(m, k, 33);
      using operands = new Operands(context);
      const [left, right, tall] = [
        operands.dense(a, m, n),
        operands.dense(v, n, k),
        operands.dense(b, m, k),
      ];
      const sweep = (side: "av" | "atb") =>
        TILES.map((tile, i) => ({
          name: tile.join("×"),
          expects: new RegExp(
            side === "av" ? `_tm${tile[0]}_tn${tile[1]}$` : `_tn${tile[0]}_tk${tile[1]}$`,
          ),
          baseline: i === 0,
          run: () =>
            withTiles(
              { [side]: tile },
              () => side === "av" ? linalg.gemmAV(left, right) : linalg.gemmAtB(left, tall),
            ),
        }));
      const common = {
        tolerance: 1e-5,
        release: discard,
        flops: 2 * m * n * k,
        bytes: 4 * (m * n + n * k + m * k),
      };
      yield* runTrial<Dense>("T1", {
        shape: `AV m=${m} n=${n} k=${k}`,
        variants: sweep("av"),
        error: async (c) =>
          rowsError(await numbersOf(c), k, sampledRows(m), (i) => productRow(a, v, i, [m, n, k])),
        ...common,
      }, context);
      yield* runTrial<Dense>("T1", {
        shape: `AᵀB m=${m} n=${n} k=${k}`,
        variants: sweep("atb"),
        error: async (c) => {
          const exact = (i: number) => productRow(a, b, i, [n, m, k], true);
          return rowsError(await numbersOf(c), k, sampledRows(n), exact);
        },
        ...common,
      }, context);
    }
  },
  verdict: (rows) => {
    const ratio = meanRatio(rows, ({ shape, variant }) => {
      return variant === (shape.startsWith("AV") ? "32×8" : "8×32");
    });
    if (rows.some(({ isa }) => isa.startsWith("Apple M3"))) {
      return judge(ratio, 1.02, "32×8 (AV) and 8×32 (AᵀB) against 16×16");
    }
    return judge(inverse(ratio), 1, "16×16 against 32×8 (AV) and 8×32 (AᵀB)");
  },
};

/** Does something with tiles of these sizes. */
async function withTiles<T>(tiles: Partial<GemmTiles>, work: () => Promise<T>): Promise<T> {
  setGemmTiles(tiles);
  try {
    return await work();
  } finally {
    setGemmTiles({});
  }
}

/** X4. */
export const gemmTiling: Experiment = {
  id: "X4",
  published: [],
  title: "Matrix products: naive, tiled, by simdgroup matrices, and AᵀAV split or fused",
  conclusion: "16×16 tiles are good; split beats fused when large",
  needsGpu: true,
  async *run(context) {
    yield* square(context);
    yield* covariance(context);
  },
  verdict: (rows) => {
    const large = meanRatio(rows, /^split/, /m=(4096|16384) /);
    const [naive, tiles] = ["naive", "16×16 tiles"]
      .map((name) => rows.find(({ variant, valid }) => valid && variant === name));
    const good = naive && tiles ? ratioOf([[naive, tiles]]) : null;
    return judgeParts([
      judge(large, 1.02, "Split against fused AᵀAV from 4096×512 on"),
      judge(good, 1.02, "16×16 tiles against one thread a number"),
    ]);
  },
};

async function* square(context: JournalContext) {
  const { linalg } = context.backend;
  const n = context.quick ? 48 : 1024;
  const [a, b] = [gaussian(n, n, 34), gaussian(n, n, 35)];
  using operands = new Operands(context);
  const [left, right] = [operands.dense(a, n, n), operands.dense(b, n, n)];
  yield* runTrial<Dense>("X4", {
    shape: `${n}×${n}×${n}`,
    variants: [
      ...["vendor", "naive", "bm64_bn64", "bm128_bn128", "simd"].map((variant) => ({
        name: variant,
        run: () => linalg.gemm(left, right, { variant }),
        expects: new RegExp(variant),
        baseline: variant === "vendor",
      })),
      {
        name: "16×16 tiles",
        run: () => withTiles({ av: [16, 16] }, () => linalg.gemmAV(left, right)),
        expects: /_tm16_tn16$/,
      },
    ],
    error: async (c) =>
      rowsError(await numbersOf(c), n, sampledRows(n), (i) => productRow(a, b, i, [n, n, n])),
    tolerance: 1e-5,
    release: discard,
    flops: 2 * n ** 3,
    bytes: 12 * n * n,
  }, context);
}

async function* covariance(context: JournalContext) {
  const { linalg } = context.backend;
  const shapes = context.quick
    ? [[64, 48, 8]]
    : [[512, 256, 32], [4096, 512, 64], [16_384, 512, 64]];
  for (const [m, n, k] of shapes as [number, number, number][]) {
    const a = gaussian(m, n, 36);
    const start = gaussian(n, k, 37);
    using operands = new Operands(context);
    const left = operands.dense(a, m, n);
    const way = (product: "fused" | "tiled") => async () => {
      const how = { iterations: 1, start, product, rayleighRitz: false };
      return await linalg.topkSvd(left, k, how);
    };
    yield* runTrial("X4", {
      shape: `AᵀAV m=${m} n=${n} k=${k}`,
      variants: [
        { name: "fused", run: way("fused"), expects: /fused/, baseline: true },
        { name: "split", run: way("tiled"), expects: /gemm_/ },
      ],
      // Columns of V span those of AᵀA·start: what of it lies outside of them.
      error: ({ v }) => outside(a, start, v, [m, n, k]),
      tolerance: 1e-4,
      flops: 4 * m * n * k,
      bytes: 4 * m * n,
    }, context);
  }
}

/** How much of AᵀA·start's columns, of some of them, lies outside the span of V's columns. */
function outside(
  a: Float32Array,
  start: Float32Array,
  v: Float32Array,
  [m, n, k]: readonly [number, number, number],
): number {
  let most = 0;
  for (const column of sampledRows(k, 4)) {
    const first = Float32Array.from({ length: n }, (_, i) => start[i * k + column]!);
    const z = new Float64Array(n);
    for (let row = 0; row < m; row++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += a[row * n + j]! * first[j]!;
      for (let j = 0; j < n; j++) z[j]! += a[row * n + j]! * sum;
    }
    const length = Math.hypot(...z);
    for (let other = 0; other < k; other++) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += z[i]! * v[i * k + other]!;
      for (let i = 0; i < n; i++) z[i]! -= sum * v[i * k + other]!;
    }
    const rest = Math.hypot(...z) / length;
    most = Number.isNaN(rest) ? Infinity : Math.max(most, rest);
  }
  return most;
}
