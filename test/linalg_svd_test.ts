import assert from "node:assert/strict";
import type { Matrix } from "../lib/matrix.ts";
import { eigenSymmetric, randomizedSvd, type Svd, topkSvd } from "../lib/linalg/mod.ts";
import { Tensor } from "../lib/kernel/mod.ts";
import { testEach } from "./grid.ts";
import {
  assertAtMost,
  assertRan,
  assertRelative,
  gaussian,
  hilbert,
  lauchli,
  matrixOf,
  orthogonalityError,
  product64,
  residual,
  scaled,
  withSingularValues,
} from "./linalg.ts";

/** Asserts shapes, order, orthonormality, and that A V is U diag(s). */
function assertSvd(a: Matrix, { u, s, v }: Svd, k: number, what: string): void {
  assert.deepEqual([u.rows, u.columns, v.rows, v.columns], [a.rows, k, a.columns, k], what);
  assert.equal(s.length, k);
  for (let i = 1; i < k; i++) assert.ok(s[i - 1]! >= s[i]! && s[i]! >= 0, `${what}: ${s}`);
  assertAtMost(orthogonalityError(v), 1e-5, `${what}: VᵀV − I`);
  assertAtMost(orthogonalityError(u), 1e-5, `${what}: UᵀU − I`);
  const { sums } = product64(a, v);
  const us = scaled(u, s);
  const most = (s[0]! + 1e-30) * 1e-4;
  sums.forEach((sum, i) =>
    assertAtMost(Math.abs(sum - us.data[i]!), most, `${what}: AV − US at ${i}`)
  );
}

/** Singular values by the eigenvalues of AᵀA or AAᵀ, in float64. */
function singularValues(a: Matrix): Float64Array {
  const isTall = a.rows >= a.columns;
  const { sums } = product64(a, a, { transposeA: isTall, transposeB: !isTall });
  const { values } = eigenSymmetric(sums, Math.min(a.rows, a.columns));
  return values.map((value) => Math.sqrt(Math.max(0, value)));
}

const sizes: [m: number, n: number, k: number][] = [
  [1, 1, 1],
  [1, 7, 1],
  [7, 1, 1],
  [5, 5, 5],
  [40, 12, 3],
  [12, 40, 4],
  [65, 33, 17],
  [4097, 4, 2],
  [3, 4097, 2],
];

testEach("topkSvd finds the values of float64 at many sizes", async (backend) => {
  for (const [m, n, k] of sizes) {
    // A gap behind the k-th value, as of matrices that are worth the effort.
    const values = Array.from(
      { length: Math.min(m, n) },
      (_, i) => i < k ? 10 - 6 * i / k : 1 / (i + 1),
    );
    const a = withSingularValues(m, n, values, m + n);
    const found = await topkSvd(a, k, { backend, iterations: 40, tolerance: 1e-7 });
    assertSvd(a, found, k, `${m} × ${n}, ${k}`);
    assertRelative(found.s, values.slice(0, k), 1e-4, `${m} × ${n}, ${k}`);
    assert.equal(found.rank, k);
    assertRan(found.run, backend);
    assertRan(found.u.run, backend);
  }
});

testEach("topkSvd converges on a Gaussian matrix, to 1e-4 of float64", async (backend) => {
  const a = gaussian(96, 48, 3);
  const found = await topkSvd(a, 6, { backend, iterations: 400, tolerance: 1e-8 });
  assertSvd(a, found, 6, "Gaussian");
  assertRelative(found.s, singularValues(a).subarray(0, 6), 1e-4, "Gaussian");
});

testEach("topkSvd of Läuchli's and Hilbert's matrices", async (backend) => {
  const ones = lauchli(12, 1e-3);
  const found = await topkSvd(ones, 1, { backend, iterations: 20 });
  assertSvd(ones, found, 1, "Läuchli");
  assertRelative(found.s, [Math.sqrt(12 + 1e-6)], 1e-5, "Läuchli");
  const all = await topkSvd(ones, 12, { backend, iterations: 20 });
  assertAtMost(orthogonalityError(all.v), 1e-5, "Läuchli, all: VᵀV − I");
  assertAtMost(orthogonalityError(all.u), 1e-5, "Läuchli, all: UᵀU − I");
  const steep = hilbert(10);
  const expected = eigenSymmetric(Float64Array.from(steep.data), 10).values;
  const top = await topkSvd(steep, 4, { backend, iterations: 20 });
  assertSvd(steep, top, 4, "Hilbert");
  // Rounding is relative to the largest value: the fourth is 4,000 times smaller.
  top.s.forEach((value, i) =>
    assertAtMost(Math.abs(value - expected[i]!), 3e-7 * 4, `Hilbert ${i}`)
  );
  assertRelative(top.s.subarray(0, 3), expected.subarray(0, 3), 1e-4, "Hilbert");
});

testEach("topkSvd of matrices without full rank, and of zeros", async (backend) => {
  const zeros = matrixOf(20, 9, () => 0);
  const none = await topkSvd(zeros, 4, { backend });
  assertSvd(zeros, none, 4, "zeros");
  assert.deepEqual([...none.s], [0, 0, 0, 0]);
  assert.equal(none.rank, 0);
  const low = withSingularValues(40, 30, [5, 2, 1], 7);
  const found = await topkSvd(low, 6, { backend, iterations: 10 });
  assertSvd(low, found, 6, "rank 3");
  assertRelative(found.s.subarray(0, 3), [5, 2, 1], 1e-4, "rank 3");
  assertAtMost(found.s[3]!, 1e-5, "the fourth value of rank 3");
  assert.equal(found.rank, 3);
  assertAtMost(residual(low, scaled(found.u, found.s), found.v, true), 1e-5, "A − USVᵀ");
  const ones = matrixOf(33, 20, () => 2);
  const one = await topkSvd(ones, 3, { backend, iterations: 6 });
  assertSvd(ones, one, 3, "ones");
  assert.equal(one.rank, 1);
  assertRelative(one.s.subarray(0, 1), [2 * Math.sqrt(33 * 20)], 1e-5, "ones");
});

testEach(
  "without a Rayleigh–Ritz step U is not orthonormal, with it it is (J2t)",
  async (backend) => {
    const a = gaussian(256, 128, 5);
    const how = { backend, iterations: 5, seed: 1 };
    const relaxed = await topkSvd(a, 16, { ...how, rayleighRitz: false });
    const strict = await topkSvd(a, 16, how);
    assertAtMost(orthogonalityError(relaxed.v), 1e-5, "V without");
    assertAtMost(orthogonalityError(strict.v), 1e-5, "V with");
    assertAtMost(orthogonalityError(strict.u), 1e-5, "U with");
    const error = orthogonalityError(relaxed.u);
    assert.ok(error > 1e-2, `U without: ${error}`);
    // Both span the same: the rotation is all that is between them.
    const sum = (s: Float32Array) => s.reduce((total, value) => total + value * value, 0);
    assertRelative([sum(relaxed.s)], [sum(strict.s)], 1e-4, "‖AV‖²");
  },
);

testEach("bands of V's columns give the same", async (backend) => {
  const a = gaussian(70, 40, 2);
  const whole = await topkSvd(a, 12, { backend, iterations: 3, band: 0 });
  for (const band of [1, 5, 8, 12, 100]) {
    const banded = await topkSvd(a, 12, { backend, iterations: 3, band });
    assertRelative(banded.s, whole.s, 1e-4, `bands of ${band}`);
  }
});

testEach(
  "a start is taken, the seed counts, and iterations stop when values stand",
  async (backend) => {
    const a = withSingularValues(30, 20, [8, 4, 2, 1], 9);
    const start = Float32Array.from({ length: 40 }, (_, i) => Math.cos(i));
    const own = await topkSvd(a, 2, { backend, start, iterations: 1 });
    const again = await topkSvd(a, 2, { backend, start, iterations: 1 });
    assert.deepEqual(own.s, again.s);
    const seeds = await Promise.all(
      [1, 2].map((seed) => topkSvd(gaussian(30, 20, 3), 2, { backend, seed, iterations: 1 })),
    );
    assert.notDeepEqual(seeds[0]!.s, seeds[1]!.s);
    const stopped = await topkSvd(a, 2, { backend, iterations: 200, tolerance: 1e-5 });
    assert.ok(stopped.converged && stopped.iterations < 30, `${stopped.iterations}`);
    const going = await topkSvd(a, 2, { backend, iterations: 3 });
    assert.deepEqual([going.converged, going.iterations], [false, 3]);
    await assert.rejects(() => topkSvd(a, 2, { backend, start: new Float32Array(3) }), TypeError);
  },
);

testEach("topkSvd refuses bad input", async (backend) => {
  const a = gaussian(6, 4, 1);
  for (const k of [0, 5, -1, 1.5, NaN]) {
    await assert.rejects(() => topkSvd(a, k, { backend }), (error: Error) => {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, /singular values: a matrix of 6 × 4 has 4/);
      return true;
    });
    await assert.rejects(() => randomizedSvd(a, k, { backend }), RangeError);
  }
  for (const value of [NaN, Infinity]) {
    const bad = matrixOf(20, 8, (i, j) => i === 13 && j === 1 ? value : i - j);
    await assert.rejects(() => topkSvd(bad, 2, { backend }), (error: Error) => {
      assert.ok(error instanceof RangeError, `${error}`);
      assert.match(error.message, /row 13/);
      return true;
    });
    await assert.rejects(() => randomizedSvd(bad, 2, { backend }), /row 13/);
  }
  await assert.rejects(() => topkSvd(a, 2, { backend, iterations: 0 }), RangeError);
  await assert.rejects(() => topkSvd(a, 2, { backend, tolerance: -1 }), RangeError);
  await assert.rejects(() => topkSvd(a, 2, { backend, band: -1 }), RangeError);
});

testEach("what only GPUs have is refused elsewhere", async (backend) => {
  const a = gaussian(8, 4, 1);
  const options = [
    { streams: 2 },
    { workspaces: "fresh" },
    { encodeOnce: true },
    { product: "vendor" },
    { guards: false },
  ] as const;
  for (const option of options) {
    await assert.rejects(() => topkSvd(a, 2, { backend, ...option }), RangeError);
  }
}, (backend) => backend.name !== "gpu");

testEach("an abort stops topkSvd", async (backend) => {
  const signal = AbortSignal.abort(new Error("stop"));
  await assert.rejects(() => topkSvd(gaussian(64, 32, 1), 4, { backend, signal }), /stop/);
});

testEach("randomizedSvd finds the values of float64", async (backend) => {
  for (const [m, n] of [[80, 50], [50, 80], [300, 12], [1, 5]] as const) {
    const values = Array.from({ length: Math.min(m, n) }, (_, i) => 10 * 0.7 ** i);
    const a = withSingularValues(m, n, values, m);
    const k = Math.min(5, m, n);
    const found = await randomizedSvd(a, k, { backend, powerIterations: 4 });
    assertSvd(a, found, k, `${m} × ${n}`);
    assertRelative(found.s, values.slice(0, k), 1e-4, `${m} × ${n}`);
    assertRan(found.run, backend);
  }
  const low = withSingularValues(60, 40, [3, 1], 2);
  const found = await randomizedSvd(low, 4, { backend });
  assertSvd(low, found, 4, "rank 2");
  assert.equal(found.rank, 2);
  const zeros = await randomizedSvd(matrixOf(9, 6, () => 0), 3, { backend });
  assert.deepEqual([zeros.rank, ...zeros.s], [0, 0, 0, 0]);
});

testEach("topkSvd of a Tensor is that of its numbers", async (backend) => {
  const a = withSingularValues(40, 20, [7, 3, 1], 5);
  using tensor = Tensor.from(a.data, [40, 20], "float32", backend.device);
  const found = await topkSvd(tensor, 3, { iterations: 10 });
  assertSvd(a, found, 3, "Tensor");
  assertRelative(found.s, [7, 3, 1], 1e-4, "Tensor");
}, (backend) => backend.name === "gpu");
