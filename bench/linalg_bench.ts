/** Linear algebra on the backend in use; beside NumPy with --peers. @module */

import { backend } from "../mod.ts";
import type { Computed, Dense, QrParts, SvdParts } from "../lib/backend/linalg.ts";
import { startVectors } from "../lib/linalg/start.ts";
import { compare, type Contender, gaussian, repeat } from "../lib/profile/mod.ts";
import {
  normalizedRow,
  orthogonalityError,
  productRow,
  rowsError,
  sampledRows,
} from "../lib/journal/operands.ts";
import { Numpy } from "./numpy.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Context, Suite } from "./suite.ts";

/** One piece of work on one shape. */
interface Work<T> {
  suite: string;
  name: string;
  sizes: { n: number; d: number; k: number };
  flops: number;
  bytes: number;
  run: () => Promise<Computed<T>>;
  /** Relative error against float64. */
  error: (value: T) => number;
  /** The same for NumPy: its name and arrays. */
  peer: { work: string; args: string[] };
}

const dense = (data: Float32Array, rows: number, columns: number): Dense => ({
  ...{ data, rows, columns, dtype: "float32" },
});

/** A suite with NumPy beside it. */
function withNumpy(
  body: (context: Context, numpy: Numpy | undefined) => AsyncGenerator<Row>,
): Suite {
  return async function* (context) {
    const python = new URL("../.venv/bin/python", import.meta.url).pathname;
    await using numpy = context.peers ? await Numpy.start(python, context.threads) : undefined;
    if (numpy) console.log(`Peer: numpy ${JSON.stringify(numpy.description)}`);
    // OpenBLAS's threads spin for some 20 ms after their work.
    const measure = { ...context.measure, pause: numpy ? 60 : 0 };
    yield* body({ ...context, measure }, numpy);
  };
}

async function measure<T>(
  context: Context,
  numpy: Numpy | undefined,
  { suite, name, sizes, flops, bytes, run, error, peer }: Work<T>,
): Promise<Row | undefined> {
  if (!context.filter.test(name)) return undefined;
  const first = await run();
  const contenders: Contender[] = [{ name: OURS, run: repeat(run) }];
  if (numpy) contenders.push(...numpy.contenders(peer.work, peer.args));
  const timings = await compare(contenders, context.measure);
  return toRow({
    ...{ suite, case: name, ...sizes, nq: 1, params: {}, timings, flops, bytes },
    run: { ...first.run, scanned: 0, recomputed: 0 },
    error: error(first.value),
  }, context.limits);
}

const hostNumbers = ({ data }: Dense) => Float32Array.from(data as Float32Array);

/** Square and tall, slim products. */
export const gemmSuite: Suite = withNumpy(async function* (context, numpy) {
  const { linalg } = backend();
  const suite = "gemm";
  for (const n of context.quick ? [256] : [256, 1024, 2048]) {
    const [a, b] = [gaussian(n, n, 1), gaussian(n, n, 2)];
    await numpy?.share("a", a, n);
    await numpy?.share("b", b, n);
    const row = await measure(context, numpy, {
      ...{ suite, name: `gemm ${n}x${n}x${n}`, sizes: { n, d: n, k: n } },
      flops: 2 * n ** 3,
      bytes: 12 * n * n,
      run: () => linalg.gemm(dense(a, n, n), dense(b, n, n)),
      error: (c) =>
        rowsError(hostNumbers(c), n, sampledRows(n, 8), (i) => productRow(a, b, i, [n, n, n])),
      peer: { work: "gemm", args: ["a", "b"] },
    });
    if (row) yield row;
  }
  const shapes = context.quick
    ? [[256, 128, 16]]
    : [[256, 128, 16], [512, 256, 32], [4096, 512, 64]];
  for (const [m, n, k] of shapes as [number, number, number][]) {
    const [a, v, b] = [gaussian(m, n, 3), gaussian(n, k, 4), gaussian(m, k, 5)];
    await numpy?.share("a", a, n);
    await numpy?.share("v", v, k);
    await numpy?.share("b", b, k);
    const sizes = { n: m, d: n, k };
    const common = { suite, sizes, flops: 2 * m * n * k, bytes: 4 * (m * n + n * k + m * k) };
    const rows = [
      await measure(context, numpy, {
        ...common,
        name: `gemmAV ${m}x${n} k${k}`,
        run: () => linalg.gemmAV(dense(a, m, n), dense(v, n, k)),
        error: (c) =>
          rowsError(hostNumbers(c), k, sampledRows(m, 8), (i) => productRow(a, v, i, [m, n, k])),
        peer: { work: "gemm", args: ["a", "v"] },
      }),
      await measure(context, numpy, {
        ...common,
        name: `gemmAtB ${m}x${n} k${k}`,
        run: () => linalg.gemmAtB(dense(a, m, n), dense(b, m, k)),
        error: (c) => {
          const exact = (i: number) => productRow(a, b, i, [n, m, k], true);
          return rowsError(hostNumbers(c), k, sampledRows(n, 8), exact);
        },
        peer: { work: "at_b", args: ["a", "b"] },
      }),
    ];
    for (const row of rows) if (row) yield row;
  }
  await numpy?.free();
});

/** Householder's rival: QR of tall matrices. */
export const qrSuite: Suite = withNumpy(async function* (context, numpy) {
  const { linalg } = backend();
  const shapes = context.quick ? [[256, 128]] : [[256, 128], [1024, 64], [4096, 512], [4096, 128]];
  for (const [m, n] of shapes as [number, number][]) {
    const a = gaussian(m, n, 6);
    await numpy?.share("a", a, n);
    const row = await measure<QrParts>(context, numpy, {
      ...{ suite: "qr", name: `qr ${m}x${n}`, sizes: { n: m, d: n, k: n } },
      flops: 4 * m * n * n,
      bytes: 12 * m * n,
      run: () => linalg.qr(dense(a, m, n)),
      error: ({ q, r }) =>
        Math.max(
          orthogonalityError(q, m, n),
          rowsError(a, n, sampledRows(m, 8), (i) => productRow(q, r, i, [m, n, n])),
        ),
      peer: { work: "qr", args: ["a"] },
    });
    if (row) yield row;
  }
  await numpy?.free();
});

/** Four steps of subspace iteration, and one Z-step. */
export const svdSuite: Suite = withNumpy(async function* (context, numpy) {
  const { linalg } = backend();
  const shapes = context.quick
    ? [[256, 128, 16]]
    : [[256, 128, 16], [512, 256, 32], [4096, 512, 64]];
  for (const [m, n, k] of shapes as [number, number, number][]) {
    const [a, start] = [gaussian(m, n, 7), startVectors(n, k, 8)];
    await numpy?.share("a", a, n);
    await numpy?.share("v", start, k);
    const row = await measure<SvdParts>(context, numpy, {
      ...{ suite: "svd", name: `topkSvd ${m}x${n} k${k} iters4`, sizes: { n: m, d: n, k } },
      flops: 4 * m * n * k * 4,
      bytes: 4 * m * n * 4,
      run: () => linalg.topkSvd(dense(a, m, n), k, { iterations: 4, start }),
      error: ({ u, s, v }) => {
        // Columns of AV are those of U, by their values.
        const scaled = u.map((value, at) => value * s[at % k]!);
        const exact = (i: number) => productRow(a, v, i, [m, n, k]);
        return Math.max(
          orthogonalityError(u, m, k),
          orthogonalityError(v, n, k),
          rowsError(scaled, k, sampledRows(m, 8), exact),
        );
      },
      peer: { work: "svd", args: ["a", "v"] },
    });
    if (row) yield row;
  }
  await numpy?.free();
});

/** LayerNorm a head, and the soft cap. */
export const layerNormSuite: Suite = withNumpy(async function* (context, numpy) {
  const { linalg } = backend();
  for (const d of context.quick ? [64] : [64, 96, 128, 192]) {
    const rows = 64 * 8;
    const x = gaussian(rows, d, 9);
    await numpy?.share("x", x, d);
    const row = await measure<Dense>(context, numpy, {
      ...{ suite: "layernorm", name: `layerNorm 64x8 rows of ${d}`, sizes: { n: rows, d, k: 1 } },
      flops: 8 * rows * d,
      bytes: 8 * rows * d,
      run: () => linalg.layerNorm(dense(x, rows, d), 1e-6),
      error: (y) =>
        rowsError(hostNumbers(y), d, sampledRows(rows), (i) => normalizedRow(x, i, d, 1e-6)),
      peer: { work: "layer_norm", args: ["x"] },
    });
    if (row) yield row;
  }
  for (const n of context.quick ? [10_000] : [10_000, 1_000_000]) {
    const x = gaussian(1, n, 10).map((value) => 20 * value);
    await numpy?.share("x", x, n);
    const row = await measure<Dense>(context, numpy, {
      ...{ suite: "layernorm", name: `softCap ${n}`, sizes: { n, d: 1, k: 1 } },
      flops: 10 * n,
      bytes: 8 * n,
      run: () => linalg.softCap(dense(x, 1, n), 15),
      error: (y) =>
        rowsError(
          hostNumbers(y),
          n,
          [0],
          () => Float64Array.from(x, (v) => 15 * Math.tanh(v / 15)),
        ),
      peer: { work: "soft_cap", args: ["x"] },
    });
    if (row) yield row;
  }
  await numpy?.free();
});

/** Products by a vector on the CPU: f32 and f16 weights against OpenBLAS's f32. */
export const gemvBlasSuite: Suite = withNumpy(async function* (context, numpy) {
  const { linalg } = backend();
  const shapes = context.quick
    ? [[512, 896]]
    : [[9728, 896], [896, 4864], [896, 896], [151_936, 896]];
  for (const [n, k] of shapes as [number, number][]) {
    const [w, x] = [gaussian(n, k, 11), gaussian(1, k, 12)];
    await numpy?.share("w", w, k);
    await numpy?.share("x", x);
    for (const dtype of ["float32", "float16"] as const) {
      const weights: Dense = dtype === "float32"
        ? dense(w, n, k)
        : { data: Float16Array.from(w), rows: n, columns: k, dtype };
      const seen = dtype === "float32" ? w : Float32Array.from(weights.data as Float16Array);
      const row = await measure<Dense>(context, numpy, {
        ...{ suite: "gemv-blas", name: `gemv ${dtype} n${n} k${k}`, sizes: { n, d: k, k: 1 } },
        flops: 2 * n * k,
        bytes: n * k * (dtype === "float32" ? 4 : 2),
        run: () => linalg.gemv(weights, dense(x, 1, k)),
        error: (y) => {
          const found = hostNumbers(y);
          const some = sampledRows(n, 64);
          const picked = Float32Array.from(some, (i) => found[i]!);
          return rowsError(picked, some.length, [0], () =>
            some.map((i) => {
              let sum = 0;
              for (let j = 0; j < k; j++) sum += seen[i * k + j]! * x[j]!;
              return sum;
            }));
        },
        peer: { work: "gemv", args: ["w", "x"] },
      });
      if (row) yield row;
    }
    await numpy?.free();
  }
});
