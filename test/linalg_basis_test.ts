import assert from "node:assert/strict";
import {
  completeBasis,
  gemm,
  orthogonal,
  orthogonalizeBlocked,
  orthonormalColumns,
  orthonormalRows,
  procrustes,
} from "../lib/linalg/mod.ts";
import { Matrix } from "../lib/matrix.ts";
import { testEach } from "./grid.ts";
import {
  assertAtMost,
  assertRan,
  gaussian,
  lauchli,
  matrixOf,
  orthogonalityError,
  product64,
} from "./linalg.ts";

function transposed(a: Matrix): Matrix {
  return matrixOf(a.columns, a.rows, (i, j) => a.row(j)[i]!);
}

/** The largest absolute difference. */
function difference(a: Matrix, b: Matrix): number {
  assert.deepEqual([a.rows, a.columns], [b.rows, b.columns]);
  return a.data.reduce((most, value, i) => Math.max(most, Math.abs(value - b.data[i]!)), 0);
}

testEach("orthonormalColumns and orthonormalRows span what they are given", async (backend) => {
  for (const [m, n] of [[1, 1], [9, 4], [65, 33]] as const) {
    const a = gaussian(m, n, 1);
    const q = await orthonormalColumns(a, { backend });
    assertAtMost(orthogonalityError(q), 4e-6, `${m} × ${n}`);
    // A = Q(QᵀA), where Q spans A.
    const parts = product64(q, a, { transposeA: true });
    const back = product64(q, { data: parts.sums, rows: n, columns: n });
    assertAtMost(difference(new Matrix(Float32Array.from(back.sums), n), a), 1e-4, "span");
    assertRan(q.run, backend);
    const rows = await orthonormalRows(transposed(a), { backend });
    assert.deepEqual([rows.rows, rows.columns], [n, m]);
    assertAtMost(difference(transposed(rows), q), 1e-6, "rows");
  }
  await assert.rejects(() => orthonormalRows(gaussian(3, 2, 1), { backend }), TypeError);
  const bad = matrixOf(3, 8, (i, j) => i === 1 && j === 6 ? NaN : i + j);
  await assert.rejects(() => orthonormalRows(bad, { backend }), /row 1 holds NaN in column 6/);
  await assert.rejects(() => orthonormalColumns(gaussian(2, 3, 1), { backend }), TypeError);
});

testEach("completeBasis completes", async (backend) => {
  for (const [m, n] of [[1, 1], [2, 1], [5, 5], [40, 7], [65, 1]] as const) {
    const q = await orthonormalColumns(gaussian(m, n, 3), { backend });
    const basis = await completeBasis(q, { backend });
    assert.deepEqual([basis.rows, basis.columns], [m, m]);
    assertAtMost(orthogonalityError(basis), 4e-6, `${m} × ${n}`);
    assertAtMost(difference(matrixOf(m, n, (i, j) => basis.row(i)[j]!), q), 1e-6, "kept columns");
    assertRan(basis.run, backend);
  }
  const poor = await completeBasis(matrixOf(6, 2, () => 1), { backend });
  assertAtMost(orthogonalityError(poor), 4e-6, "equal columns");
  await assert.rejects(() => completeBasis(gaussian(2, 3, 1), { backend }), TypeError);
});

testEach("orthogonal has all singular values equal to the gain", async (backend) => {
  for (const shape of [[1, 1], [12, 5], [5, 12], [8, 8], [16, 3, 3, 2]]) {
    for (const gain of [1, 0.5, -Math.SQRT2]) {
      const w = await orthogonal(shape, gain, { backend, seed: 3 });
      const columns = shape.slice(1).reduce((product, length) => product * length);
      assert.deepEqual([w.rows, w.columns], [shape[0], columns]);
      const slim = w.rows >= w.columns ? w : transposed(w);
      const unit = new Matrix(slim.data.map((value) => value / gain), slim.columns);
      assertAtMost(orthogonalityError(unit), 4e-6, `[${shape}] by ${gain}`);
    }
  }
  const one = await orthogonal([6, 4], 1, { backend, seed: 1 });
  assert.deepEqual(one.data, (await orthogonal([6, 4], 1, { backend, seed: 1 })).data);
  assert.notDeepEqual(one.data, (await orthogonal([6, 4], 1, { backend, seed: 2 })).data);
  for (const shape of [[3], [], [0, 2], [2, 1.5]]) {
    await assert.rejects(() => orthogonal(shape, 1, { backend }), RangeError);
  }
  await assert.rejects(() => orthogonal([2, 2], NaN, { backend }), RangeError);
});

testEach("orthogonalizeBlocked leaves nothing of A's span", async (backend) => {
  const cases: [string, Matrix, Matrix][] = [
    ["one column", gaussian(5, 1, 1), gaussian(5, 3, 2)],
    ["blocks", gaussian(90, 40, 1), gaussian(90, 12, 2)],
    ["ill-conditioned", lauchli(20, 1e-3), gaussian(21, 4, 2)],
    ["far from the origin", gaussian(60, 9, 1, 100), gaussian(60, 5, 2, 100)],
  ];
  for (const [name, a, b] of cases) {
    for (const block of [1, 7, 32]) {
      const rest = await orthogonalizeBlocked(a, b, { backend, block });
      assertRan(rest.run, backend);
      const { sums } = product64(a, rest, { transposeA: true });
      const largest = b.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const scale = a.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) * a.rows;
      sums.forEach((sum) => {
        assertAtMost(Math.abs(sum), 4e-6 * largest * scale, `${name} by ${block}: AᵀB`);
      });
      assert.equal(sums.length, a.columns * b.columns);
    }
  }
  // What is orthogonal already stays.
  const kept = await orthogonalizeBlocked([[1], [0], [0]], [[0], [2], [3]], { backend });
  assert.deepEqual([...kept.data], [0, 2, 3]);
  const q = await orthonormalColumns(gaussian(30, 10, 1), { backend });
  const inside = await orthogonalizeBlocked(q, q, { backend, orthonormal: true });
  assertAtMost(difference(inside, matrixOf(30, 10, () => 0)), 1e-6, "B within A's span");
  // What ran is the products, and A's QR only where it had to be made.
  const decomposed = await orthogonalizeBlocked(q, q, { backend });
  const added = decomposed.run!.variants.filter((name) => !inside.run!.variants.includes(name));
  assert.ok(q.run!.variants.every((name) => decomposed.run!.variants.includes(name)));
  assert.ok(added.length > 0, decomposed.run!.variants.join());
  await assert.rejects(() => orthogonalizeBlocked(q, gaussian(3, 2, 1), { backend }), TypeError);
  await assert.rejects(() => orthogonalizeBlocked(q, q, { backend, block: 0 }), RangeError);
});

testEach("procrustes recovers a rotation and a scale", async (backend) => {
  for (const d of [1, 2, 3, 17]) {
    const turn = await orthogonal([d, d], 1, { seed: d, backend });
    const a = gaussian(d * 5 + 3, d, 1);
    const turned = await gemm(a, turn, { alpha: 2.5, backend });
    const { rotation, scale, run } = await procrustes(a, turned, { backend });
    assertAtMost(difference(rotation, turn), 2e-5, `rotation of ${d}`);
    assertAtMost(Math.abs(scale - 2.5), 1e-4, `scale of ${d}`);
    assertAtMost(orthogonalityError(rotation), 2e-6, `${d}`);
    assertRan(run, backend);
  }
  // A mirror image: without reflections, the best rotation.
  const a = gaussian(20, 2, 4);
  const mirrored = new Matrix(a.data.map((value, i) => i % 2 === 0 ? -value : value), 2);
  const determinant = ({ data }: Matrix) => data[0]! * data[3]! - data[1]! * data[2]!;
  const free = await procrustes(a, mirrored, { backend });
  assertAtMost(Math.abs(determinant(free.rotation) + 1), 1e-5, "mirrored");
  const turned = await procrustes(a, mirrored, { backend, reflection: false });
  assertAtMost(Math.abs(determinant(turned.rotation) - 1), 1e-5, "not mirrored");
  const zeros = await procrustes(matrixOf(4, 3, () => 0), matrixOf(4, 3, () => 1), { backend });
  assertAtMost(orthogonalityError(zeros.rotation), 1e-6, "zeros");
  assert.equal(zeros.scale, 0);
  await assert.rejects(() => procrustes(a, gaussian(20, 3, 1), { backend }), TypeError);
  await assert.rejects(() => procrustes(a, gaussian(19, 2, 1), { backend }), TypeError);
  const bad = matrixOf(20, 2, (i) => i === 11 ? NaN : 1);
  await assert.rejects(() => procrustes(bad, a, { backend }), /rotation of A: row 11/);
});
