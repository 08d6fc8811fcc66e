import assert from "node:assert/strict";
import { invoke } from "../ffi/call.ts";
import { library } from "../ffi/library.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import type { Dense, SvdParts, TopkSvdOptions } from "../lib/backend/linalg.ts";
import { toColumns } from "../lib/backend/reference/linalg/columns.ts";
import { smallSvd } from "../lib/backend/reference/linalg/jacobi.ts";
import { run as runSteps } from "../lib/backend/reference/steps.ts";
import type { Matrix } from "../lib/matrix.ts";
import { withVariables } from "./env.ts";
import {
  assertAtMost,
  assertRelative,
  gaussian,
  hilbert,
  matrixOf,
  orthogonalityError,
  product64,
  withSingularValues,
} from "./linalg.ts";
import { isNative } from "./native.ts";

function test(name: string, run: () => Promise<void> | void): void {
  if (isNative) Deno.test(`cpu ${name}`, run);
}

const linalg = isNative ? createCpuBackend().linalg : undefined!;

function dense({ data, rows, columns }: Matrix): Dense {
  return { data, rows, columns, dtype: "float32" };
}

/** Singular values by Jacobi's method in float64. */
async function exactValues(a: Matrix): Promise<Float64Array> {
  const { data, rows, columns } = a;
  const flipped = matrixOf(columns, rows, (i, j) => data[j * columns + i]!);
  const tall = rows >= columns ? a : flipped;
  return (await runSteps(smallSvd(toColumns(tall.data, tall.rows, tall.columns)))).s;
}

/** Asserts order, orthonormal V, AV = U diag(s), and, where it should be, orthonormal U. */
function assertParts(a: Matrix, k: number, { u, s, v }: SvdParts, what: string, exactU = 1e-6) {
  const [U, V] = [{ data: u, rows: a.rows, columns: k }, { data: v, rows: a.columns, columns: k }];
  assert.deepEqual([u.length, s.length, v.length], [a.rows * k, k, a.columns * k], what);
  assertAtMost(orthogonalityError(V), 1e-6, `${what}: VᵀV − I`);
  assertAtMost(orthogonalityError(U), exactU, `${what}: UᵀU − I`);
  for (let i = 1; i < k; i++) assert.ok(s[i - 1]! >= s[i]!, `${what}: ${s}`);
  const { sums } = product64(a, V);
  sums.forEach((sum, at) => {
    assertAtMost(Math.abs(sum - u[at]! * s[at % k]!) / (s[0]! || 1), 2e-6, `${what}: AV − US`);
  });
}

/** Values that fall by a factor. */
function falling(count: number, factor: number): number[] {
  return Array.from({ length: count }, (_, i) => factor ** i);
}

const ways: [TopkSvdOptions, variants: string[]][] = [
  [{ band: 0 }, ["gram_fused_f32"]],
  [{ product: "fused", band: 0 }, ["gram_fused_f32"]],
  [{ product: "tiled", band: 0 }, ["gemm_av_at_b_f32"]],
  [{ product: "naive" }, ["svd_naive_f32"]],
  [{ band: 3 }, ["gram_fused_f32", "svd_banded_f32"]],
  [{ band: 8, product: "tiled" }, ["svd_banded_f32", "gemm_av_at_b_f32"]],
];

test("topkSvd finds the values of float64, by each product, in bands", async () => {
  const shapes: [m: number, n: number, k: number][] = [
    [1, 1, 1],
    [9, 2, 2],
    [2, 9, 2],
    [40, 40, 20],
    [130, 33, 17],
    [33, 130, 16],
    [300, 100, 70],
    [4097, 6, 5],
  ];
  for (const [m, n, k] of shapes) {
    const a = withSingularValues(m, n, falling(Math.min(m, n), k > 60 ? 0.9 : 0.7), m + n);
    const exact = (await exactValues(a)).subarray(0, k);
    for (const [options, variants] of ways) {
      const { value, run } = await linalg.topkSvd(dense(a), k, { iterations: 60, ...options });
      const what = `${m} × ${n}, ${k} by ${JSON.stringify(options)}`;
      const significant = exact.filter((value) => value > 3e-3 * exact[0]!);
      assertRelative(value.s.subarray(0, significant.length), significant, 1e-4, what);
      assertParts(a, k, value, what);
      const expected = (options.band ?? 0) < k ? variants : variants.filter((v) => !/band/.test(v));
      assert.deepEqual(run.variants.filter((v) => !v.startsWith("qr_")), expected, what);
    }
  }
});

test("topkSvd of Gaussian and Hilbert matrices converges", async () => {
  for (const a of [gaussian(60, 30, 1), gaussian(50, 12, 2, 100), hilbert(20)]) {
    const exact = (await exactValues(a)).subarray(0, 4);
    const { value } = await linalg.topkSvd(dense(a), 4, { iterations: 400 });
    assertRelative(value.s, exact, 1e-4, "values");
    assertParts(a, 4, value, "parts");
  }
});

test("topkSvd finds many values of Hilbert's matrix, most of them rounding", async () => {
  const a = hilbert(82);
  for (let seed = 0; seed < 8; seed++) {
    const { value } = await linalg.topkSvd(dense(a), 65, { iterations: 5, seed });
    assertParts(a, 65, value, `seed ${seed}`);
  }
});

test("topkSvd of matrices without rank stays finite and orthonormal", async () => {
  const cases: [string, Matrix, rank: number][] = [
    ["zeros", matrixOf(40, 30, () => 0), 0],
    ["ones", matrixOf(20, 90, () => 1), 1],
    ["rank 3", withSingularValues(70, 50, [5, 4, 3], 4), 3],
  ];
  for (const [name, a, rank] of cases) {
    for (const rayleighRitz of [true, false]) {
      const { value } = await linalg.topkSvd(dense(a), 7, { iterations: 30, rayleighRitz });
      assert.equal(value.rank, rank, name);
      assertParts(a, 7, value, `${name} ${rayleighRitz}`, rayleighRitz ? 1e-6 : 1e-3);
    }
  }
  // A start without rank is made good.
  const a = withSingularValues(30, 20, falling(20, 0.5), 1);
  const start = new Float32Array(20 * 3);
  const { value } = await linalg.topkSvd(dense(a), 3, { iterations: 30, start });
  assertRelative(value.s, (await exactValues(a)).subarray(0, 3), 1e-4, "zero start");
});

test("topkSvd is scaled, so that squares neither overflow nor vanish", async () => {
  const a = withSingularValues(60, 40, falling(40, 0.6), 3);
  const exact = (await exactValues(a)).subarray(0, 5);
  for (const size of [1e30, 1e-30, 2 ** 120, 2 ** -120]) {
    const sized = matrixOf(60, 40, (i, j) => a.row(i)[j]! * size);
    for (const rayleighRitz of [true, false]) {
      const { value } = await linalg.topkSvd(dense(sized), 5, { iterations: 60, rayleighRitz });
      assertRelative(value.s, exact.map((s) => s * size), 1e-4, `${size}`);
      assertAtMost(orthogonalityError({ data: value.v, rows: 40, columns: 5 }), 1e-6, `${size}`);
    }
  }
  const huge = matrixOf(4, 4, () => 3e38);
  await assert.rejects(linalg.topkSvd(dense(huge), 1), {
    name: "RangeError",
    message: "Cannot decompose: a singular value is larger than a float32 holds",
  });
});

test("without a Rayleigh–Ritz step V is orthonormal and U only roughly", async () => {
  const a = withSingularValues(100, 60, falling(60, 0.95), 3);
  const { value } = await linalg.topkSvd(dense(a), 16, { iterations: 5, rayleighRitz: false });
  assertParts(a, 16, value, "without", 1);
  const u = { data: value.u, rows: 100, columns: 16 };
  assert.ok(orthogonalityError(u) > 1e-3);
});

test("topkSvd stops when values stand", async () => {
  const a = withSingularValues(80, 40, falling(40, 0.5), 3);
  const options = { iterations: 100, tolerance: 1e-5 };
  const { value } = await linalg.topkSvd(dense(a), 4, options);
  assert.ok(value.converged && value.iterations < 20, `${value.iterations}`);
  const early = (await linalg.topkSvd(dense(a), 4, { iterations: 2, tolerance: 1e-9 })).value;
  assert.deepEqual([early.converged, early.iterations], [false, 2]);
});

test("topkSvd starts by seed", async () => {
  const a = dense(gaussian(30, 20, 1));
  const s = async (seed?: number) => [...(await linalg.topkSvd(a, 3, { seed })).value.s];
  assert.deepEqual(await s(), await s(0));
  assert.notDeepEqual(await s(1), await s(0));
});

test("METALFAISS_SVD_BAND and METALFAISS_FORCE_SVD count where nothing is given", async () => {
  const a = dense(gaussian(64, 40, 1));
  // Where no tuning table is.
  const ran = (name: string, text: string, options: TopkSvdOptions = {}) =>
    withVariables(
      { METALFAISS_TUNING: "/nowhere", [name]: text },
      async () => (await linalg.topkSvd(a, 16, options)).run.variants,
    );
  const banded = ["gram_fused_f32", "svd_banded_f32"];
  assert.deepEqual(await ran("METALFAISS_SVD_BAND", "4"), banded);
  assert.deepEqual(await ran("METALFAISS_SVD_BAND", "4", { band: 0 }), ["gram_fused_f32"]);
  assert.deepEqual(await ran("METALFAISS_FORCE_SVD", "banded"), banded);
  assert.deepEqual(await ran("METALFAISS_FORCE_SVD", "naive"), ["svd_naive_f32"]);
  assert.deepEqual(await ran("METALFAISS_FORCE_SVD", "naive", { product: "tiled" }), [
    "gemm_av_at_b_f32",
  ]);
  await withVariables({ METALFAISS_SVD_BAND: "4" }, async () => {
    assert.deepEqual(await ran("METALFAISS_FORCE_SVD", "mono"), ["gram_fused_f32"]);
  });
});

test("topkSvd refuses bad input", async () => {
  const a = dense(gaussian(6, 4, 1));
  for (const k of [0, 5, 1.5, NaN]) await assert.rejects(linalg.topkSvd(a, k), RangeError);
  const refused: TopkSvdOptions[] = [
    { streams: 2 },
    { workspaces: "fresh" },
    { encodeOnce: true },
    { guards: false },
    { product: "vendor" },
    { product: "naive", band: 2 },
    { band: -1 },
    { iterations: 0 },
    { tolerance: -1 },
    { start: new Float32Array(8).fill(NaN) },
  ];
  for (const options of refused) {
    await assert.rejects(linalg.topkSvd(a, 2, options), RangeError, JSON.stringify(options));
  }
  await assert.rejects(linalg.topkSvd(a, 2, { start: new Float32Array(7) }), TypeError);
  const bad = gaussian(6, 4, 1);
  bad.data[9] = Infinity;
  await assert.rejects(linalg.topkSvd(dense(bad), 2), {
    name: "RangeError",
    message: "Cannot decompose: row 2 holds Infinity in column 1",
  });
});

test("topkSvd is stopped by a signal", async () => {
  const a = dense(gaussian(1500, 300, 1));
  const signal = AbortSignal.timeout(10);
  await assert.rejects(linalg.topkSvd(a, 32, { iterations: 1e6, signal }), {
    name: "TimeoutError",
  });
});

/** Values and vectors by the native library, into outputs that held NaN. */
function eigen(n: number, a: Float64Array): { values: Float64Array; vectors: Float64Array } {
  const [values, vectors] = [new Float64Array(n).fill(NaN), new Float64Array(n * n).fill(NaN)];
  invoke((call) => library().symbols.mf_linalg_eigen_symmetric(n, a, values, vectors, call));
  return { values, vectors };
}

test("mf_linalg_eigen_symmetric is a decomposition to double precision", () => {
  for (const n of [1, 2, 3, 8, 33, 100]) {
    const g = gaussian(n, n, n).data;
    for (const size of [1, 1e-150, 1e150]) {
      const a = Float64Array.from(
        g,
        (value, at) => size * (value + g[(at % n) * n + Math.floor(at / n)]!),
      );
      const { values, vectors } = eigen(n, a);
      const largest = Math.max(...values.map(Math.abs));
      const v = { data: vectors, rows: n, columns: n };
      assertAtMost(orthogonalityError(v), 1e-13, `${n}: VᵀV − I`);
      const { sums } = product64({ data: a, rows: n, columns: n }, v);
      sums.forEach((sum, at) => {
        const error = Math.abs(sum - vectors[at]! * values[at % n]!);
        assertAtMost(error / largest, 1e-13, `${n}: AV − V diag(w)`);
      });
      assert.deepEqual(values, values.toSorted((x, y) => y - x));
    }
  }
});

test("mf_linalg_eigen_symmetric of values that fall by 20 digits", () => {
  for (let seed = 0; seed < 20; seed++) {
    const g = gaussian(65, 65, seed).data;
    const a = Float64Array.from(g, (_, at) => {
      const [i, j] = [Math.floor(at / 65), at % 65];
      return (g[i * 65 + j]! + g[j * 65 + i]!) * 10 ** (-(i + j) / 6);
    });
    const { values, vectors } = eigen(65, a);
    assertAtMost(orthogonalityError({ data: vectors, rows: 65, columns: 65 }), 1e-13, `${seed}`);
    assert.ok(values.every(Number.isFinite));
  }
});

test("mf_linalg_eigen_symmetric of equal values, zeros, and what is refused", () => {
  const diagonal = [3, -1, 3, 0, 3];
  const a = Float64Array.from({ length: 25 }, (_, at) => at % 6 === 0 ? diagonal[at / 6]! : 0);
  assert.deepEqual([...eigen(5, a).values], [3, 3, 3, 0, -1]);
  const zeros = eigen(4, new Float64Array(16));
  assert.deepEqual([...zeros.values], [0, 0, 0, 0]);
  assertAtMost(orthogonalityError({ data: zeros.vectors, rows: 4, columns: 4 }), 0, "zeros");
  a[7] = NaN;
  assert.throws(() => eigen(5, a), RangeError);
});
