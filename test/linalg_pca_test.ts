import assert from "node:assert/strict";
import { eigenSymmetric, pca } from "../lib/linalg/mod.ts";
import type { Matrix } from "../lib/matrix.ts";
import { testEach } from "./grid.ts";
import {
  assertAtMost,
  assertRan,
  assertRelative,
  gaussian,
  matrixOf,
  orthogonalityError,
} from "./linalg.ts";

/** Columns of falling variance, turned, about a mean. */
function cloud(n: number, d: number, offset: number): Matrix {
  const x = gaussian(n, d, n + d);
  return matrixOf(n, d, (i, j) => {
    const [own, next] = [x.row(i)[j]! / (j + 1), x.row(i)[(j + 1) % d]! / ((j + 1) % d + 1)];
    return offset + 0.8 * own + 0.6 * next;
  });
}

/** The covariance in float64. */
function covariance({ data, rows: n, columns: d }: Matrix): Float64Array {
  const mean = new Float64Array(d);
  data.forEach((value, at) => mean[at % d]! += value / n);
  const sums = new Float64Array(d * d);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < d; i++) {
      const own = data[row * d + i]! - mean[i]!;
      for (let j = 0; j < d; j++) sums[i * d + j]! += own * (data[row * d + j]! - mean[j]!);
    }
  }
  return sums.map((sum) => sum / (n - 1));
}

for (const solver of ["covariance", "randomized"] as const) {
  testEach(`pca by ${solver} is that of the covariance in float64`, async (backend) => {
    for (const [n, d, k, offset] of [[50, 6, 3, 0], [200, 12, 4, 1000], [9, 20, 2, 5]] as const) {
      const x = cloud(n, d, offset);
      const found = await pca(x, k, { backend, solver });
      const { values, vectors } = eigenSymmetric(covariance(x), d);
      const what = `${n} × ${d}`;
      assertRelative(found.explainedVariance, values.subarray(0, k), 2e-3, what);
      const total = values.reduce((sum, value) => sum + value, 0);
      const ratios = values.subarray(0, k).map((value) => value / total);
      assertRelative(found.explainedVarianceRatio, ratios, 2e-3, what);
      const { components } = found;
      const rows = matrixOf(d, k, (i, j) => components.row(j)[i]!);
      assertAtMost(orthogonalityError(rows), 1e-5, what);
      for (let c = 0; c < k; c++) {
        let dot = 0;
        for (let i = 0; i < d; i++) dot += components.row(c)[i]! * vectors[i * d + c]!;
        assertAtMost(1 - Math.abs(dot), 2e-2, `${what}: component ${c}`);
      }
      assertRan(found.run, backend);
    }
  });
}

testEach("pca takes rows to components and back", async (backend) => {
  const x = cloud(40, 5, 100);
  const all = await pca(x, undefined, { backend });
  assert.equal(all.components.rows, 5);
  const y = await all.transform(x);
  assert.deepEqual([y.rows, y.columns], [40, 5]);
  const back = await all.inverse(y);
  back.data.forEach((value, i) => assertAtMost(Math.abs(value - x.data[i]!), 1e-3, "back"));
  // Components are uncorrelated, with the variances said.
  const own = covariance(y);
  all.explainedVariance.forEach((value, i) => {
    assertAtMost(Math.abs(own[i * 5 + i]! - value), 1e-3 * all.explainedVariance[0]!, "variance");
  });
  assertRan(y.run, backend);
  await assert.rejects(() => all.transform(gaussian(2, 4, 1)), TypeError);
  await assert.rejects(() => all.inverse(gaussian(2, 4, 1)), TypeError);
});

testEach("pca of rows that are all the same explains nothing", async (backend) => {
  const same = await pca(matrixOf(6, 3, (_, j) => j), 2, { backend });
  assert.deepEqual([...same.explainedVariance, ...same.explainedVarianceRatio], [0, 0, 0, 0]);
  assert.deepEqual([...same.mean], [0, 1, 2]);
});

testEach("pca refuses bad input", async (backend) => {
  const x = gaussian(6, 4, 1);
  await assert.rejects(() => pca(x, 5, { backend }), RangeError);
  await assert.rejects(() => pca(x, 0, { backend }), RangeError);
  await assert.rejects(() => pca([[1, 2]], 1, { backend }), /1 rows have no variance/);
  await assert.rejects(() => pca(x, 2, { backend, solver: "none" as never }), RangeError);
  const bad = matrixOf(6, 4, (i) => i === 4 ? Infinity : 1);
  await assert.rejects(() => pca(bad, 1, { backend }), /Cannot find components: row 4/);
});
