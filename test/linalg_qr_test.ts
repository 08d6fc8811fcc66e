import assert from "node:assert/strict";
import type { Matrix } from "../lib/matrix.ts";
import { projectCoeffs, qr, type QrDecomposition, updateVector } from "../lib/linalg/mod.ts";
import { Tensor } from "../lib/kernel/mod.ts";
import { Random } from "../lib/random.ts";
import { testEach } from "./grid.ts";
import {
  assertAtMost,
  assertRan,
  gaussian,
  hilbert,
  lauchli,
  matrixOf,
  orthogonalityError,
  residual,
  withSingularValues,
} from "./linalg.ts";

const methods = ["auto", "mgs", "blocked", "householder"] as const;

/** Asserts what every decomposition has, whatever the matrix. */
function assertDecomposed(a: Matrix, { q, r }: QrDecomposition, what: string): void {
  const { rows: m, columns: n } = a;
  assert.deepEqual([q.rows, q.columns, r.rows, r.columns], [m, n, n, n], what);
  assertAtMost(orthogonalityError(q), 4e-6, `${what}: QᵀQ − I`);
  assertAtMost(residual(a, q, r), (n + 8) * 4e-7, `${what}: A − QR`);
  for (let i = 0; i < n; i++) {
    assert.ok(r.row(i)[i]! >= 0, `${what}: R's diagonal at ${i}: ${r.row(i)[i]}`);
    assert.ok(
      r.row(i).subarray(0, i).every((value) => value === 0),
      `${what}: R is not triangular`,
    );
  }
}

const sizes: [m: number, n: number][] = [
  [1, 1],
  [2, 1],
  [4097, 1],
  [3, 3],
  [33, 17],
  [64, 32],
  [65, 33],
  [200, 70],
  [600, 9],
  [4097, 3],
];

for (const method of methods) {
  testEach(`qr by ${method} at many sizes`, async (backend) => {
    for (const [m, n] of sizes) {
      const a = gaussian(m, n, m + n);
      const found = await qr(a, { backend, method });
      assertDecomposed(a, found, `${m} × ${n}`);
      assert.equal(found.rank, n);
      assertRan(found.run, backend);
      assert.equal(found.q.run, found.run);
    }
  });

  testEach(`qr by ${method} of ill-conditioned matrices stays orthonormal`, async (backend) => {
    const base = gaussian(80, 40, 6);
    // What is left of columns that cancel within a panel is to be orthogonal to panels before it.
    const near = (j: number) =>
      matrixOf(80, 40, (i, c) =>
        base.row(i)[c < j ? c : j]! +
        (c > j ? 3e-5 * base.row(i)[c]! : 0));
    const cases: [string, Matrix, rank: number][] = [
      ["nearly the same from column 5 on", near(5), 40],
      ["nearly the same from column 33 on", near(33), 40],
      ["Läuchli 1e-3", lauchli(20, 1e-3), 20],
      ["Läuchli 1e-5", lauchli(6, 1e-5), 6],
      // The diagonal is below the rounding of the ones above it.
      ["Läuchli 1e-8", lauchli(20, 1e-8), 1],
      ["Hilbert 4", hilbert(4), 4],
      ["huge offset", gaussian(80, 5, 1, 1e3), 5],
      ["tiny", matrixOf(40, 7, (i, j) => Math.fround(Math.sin(i * j + i)) * 1e-18), 7],
      ["huge", matrixOf(40, 7, (i, j) => Math.fround(Math.sin(i * j + i)) * 1e17), 7],
    ];
    for (const [name, a, rank] of cases) {
      const found = await qr(a, { backend, method });
      assertDecomposed(a, found, name);
      assert.equal(found.rank, rank, name);
    }
    // Columns of which little but rounding is left after a first pass.
    const random = new Random(48);
    const [m, n] = [40 + random.integer(60), 34 + random.integer(40)];
    const share = 0.03 + 0.05 * random.uniform();
    const sparse = matrixOf(m, n, () => random.uniform() < share ? random.normal() : 0);
    assertDecomposed(sparse, await qr(sparse, { backend, method }), `sparse ${m} × ${n}`);
    // Where columns fade into rounding, rank is a matter of opinion; orthonormality is not.
    const faded = hilbert(14);
    const found = await qr(faded, { backend, method });
    assertDecomposed(faded, found, "Hilbert 14");
    assert.ok(found.rank >= 5 && found.rank <= 9, `Hilbert 14 has rank ${found.rank}`);
  });

  testEach(`qr by ${method} of matrices without full rank`, async (backend) => {
    const independent = gaussian(50, 3, 5);
    const cases: [string, Matrix, rank: number][] = [
      ["zeros", matrixOf(40, 6, () => 0), 0],
      ["one zero column", matrixOf(40, 3, (i, j) => j === 1 ? 0 : Math.sin(i + j * 7)), 2],
      ["a column three times", matrixOf(50, 3, (i) => independent.row(i)[0]!), 1],
      ["columns again", matrixOf(50, 6, (i, j) => independent.row(i)[j % 3]!), 3],
      ["square zeros", matrixOf(5, 5, () => 0), 0],
      // What is left of them after other panels is rounding: it counts by their own lengths.
      [
        "sums of columns of other panels",
        matrixOf(90, 70, (i, j) => {
          const own = (c: number) => Math.fround(Math.sin(i * (c + 1) * 1.7 + c * c));
          return j < 35 ? own(j) : own(j - 35) + own((j + 4) % 35);
        }),
        35,
      ],
      // Columns that lie along any direction that may stand for the zeros before them.
      ["zeros before axes", matrixOf(6, 6, (i, j) => Number(j === 2 * i + 1)), 3],
      ["zeros before axes, long", matrixOf(90, 70, (i, j) => Number(j === 2 * i + 1)), 35],
      ["sparse", matrixOf(65, 65, (i, j) => (i * 7 + j * 13) % 41 === 3 ? i - j : 0), 54],
      ["rank 4 of 40", withSingularValues(70, 40, [4, 3, 2, 1], 3), 4],
    ];
    for (const [name, a, rank] of cases) {
      const found = await qr(a, { backend, method });
      assertDecomposed(a, found, name);
      assert.equal(found.rank, rank, name);
    }
  });
}

testEach("qr refuses NaN and infinities, naming the row", async (backend) => {
  for (const value of [NaN, Infinity, -Infinity]) {
    const a = matrixOf(30, 4, (i, j) => i === 17 && j === 2 ? value : i + j);
    for (const method of methods) {
      await assert.rejects(() => qr(a, { backend, method }), (error: Error) => {
        assert.ok(error instanceof RangeError, `${error}`);
        assert.match(error.message, /Cannot decompose: row 17/);
        return true;
      });
    }
  }
});

testEach("qr refuses wide matrices and unknown methods", async (backend) => {
  await assert.rejects(() => qr(gaussian(3, 4, 1), { backend }), (error: Error) => {
    assert.ok(error instanceof TypeError, `${error}`);
    assert.match(error.message, /A is 3 × 4, with fewer rows than columns/);
    return true;
  });
  const a = gaussian(4, 3, 1);
  await assert.rejects(() => qr(a, { backend, method: "none" as never }), RangeError);
  await assert.rejects(() => qr(a, { backend, tolerance: -1 }), RangeError);
  await assert.rejects(() => qr(a, { backend, tolerance: NaN }), RangeError);
});

testEach("a larger tolerance takes more columns for dependent", async (backend) => {
  const a = matrixOf(20, 2, (i, j) => j === 0 ? 1 : 1 + (i === 3 ? 1e-3 : 0));
  assert.equal((await qr(a, { backend })).rank, 2);
  assert.equal((await qr(a, { backend, tolerance: 1e-2 })).rank, 1);
});

const dots = ["auto", "simple", "simd", "library"] as const;

testEach("projectCoeffs and updateVector are those of float64", async (backend) => {
  for (const [m, n] of [[1, 1], [5, 3], [511, 7], [513, 33], [4097, 2]] as const) {
    const [q, v] = [gaussian(m, n, 1), gaussian(m, 1, 2).data];
    for (const dot of backend.name === "gpu" ? dots : dots.slice(0, 1)) {
      const c = await projectCoeffs(q, v, { backend, dot });
      assert.equal(c.data.length, n);
      c.data.forEach((value, j) => {
        let [sum, size] = [0, 0];
        for (let i = 0; i < m; i++) {
          sum += q.row(i)[j]! * v[i]!;
          size += Math.abs(q.row(i)[j]! * v[i]!);
        }
        assertAtMost(
          Math.abs(value - sum),
          (m + 8) * 2 ** -24 * size,
          `${m} × ${n} ${dot} at ${j}`,
        );
      });
      assertRan(c.run, backend);
      const rest = await updateVector(q, c, v, { backend });
      rest.data.forEach((value, i) => {
        let [sum, size] = [v[i]!, Math.abs(v[i]!)];
        for (let j = 0; j < n; j++) {
          sum -= q.row(i)[j]! * c.data[j]!;
          size += Math.abs(q.row(i)[j]! * c.data[j]!);
        }
        assertAtMost(Math.abs(value - sum), (n + 8) * 2 ** -24 * size, `${m} × ${n} at ${i}`);
      });
    }
  }
  const q = gaussian(5, 3, 1);
  for (const dot of backend.name === "gpu" ? ["none" as never] : dots.slice(1)) {
    await assert.rejects(() => projectCoeffs(q, [1, 2, 3, 4, 5], { backend, dot }), RangeError);
    await assert.rejects(() => qr(q, { backend, dot }), RangeError);
  }
  await assert.rejects(() => projectCoeffs(q, [1, 2], { backend }), TypeError);
  await assert.rejects(() => updateVector(q, [1, 2], [1, 2, 3, 4, 5], { backend }), TypeError);
  await assert.rejects(() => updateVector(q, [1, 2, 3], [1], { backend }), TypeError);
});

testEach("an abort stops qr", async (backend) => {
  const signal = AbortSignal.abort(new Error("stop"));
  await assert.rejects(() => qr(gaussian(64, 32, 1), { backend, signal }), /stop/);
});

testEach("qr of a Tensor is that of its numbers", async (backend) => {
  const a = gaussian(40, 9, 1);
  using tensor = Tensor.from(a.data, [40, 9], "float32", backend.device);
  const found = await qr(tensor);
  assertDecomposed(a, found, "Tensor");
  assertRan(found.run, backend);
  using rows = tensor.slice(4, 30);
  const part = matrixOf(26, 9, (i, j) => a.row(i + 4)[j]!);
  assertDecomposed(part, await qr(rows, { backend }), "rows of a Tensor");
}, (backend) => backend.name === "gpu");
