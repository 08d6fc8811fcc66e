import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Matrix } from "../lib/matrix.ts";
import { Random } from "../lib/random.ts";
import {
  CenteringTransform,
  NormalizationTransform,
  RemapDimensionsTransform,
} from "../lib/transform/elementwise.ts";
import { MersenneTwister, randomNormals, randomRows } from "../lib/transform/faiss_random.ts";
import { HadamardRotation } from "../lib/transform/hadamard.ts";
import { ITQMatrix, ITQTransform } from "../lib/transform/itq.ts";
import { LinearTransform } from "../lib/transform/linear.ts";
import { OPQMatrix } from "../lib/transform/opq.ts";
import { PCAMatrix } from "../lib/transform/pca_matrix.ts";
import { polarFactor } from "../lib/transform/polar.ts";
import { RandomRotationMatrix } from "../lib/transform/random_rotation.ts";
import type { VectorTransform } from "../lib/transform/transform.ts";

const backends = [createReferenceBackend(), selectedBackend()];

function normals(n: number, seed = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => random.normal());
}

/** Rows of `d` numbers that lie unevenly, away from the origin. */
function rows(n: number, d: number, seed = 1): Float32Array {
  return normals(n * d, seed).map((value, i) => 3 + value * (1 + i % d) + (i % d));
}

function farthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

/** The largest number of M Mᵀ − 1, in double precision. */
function fromOrthonormal(m: ArrayLike<number>, n: number, d: number): number {
  let most = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? -1 : 0;
      for (let c = 0; c < d; c++) sum += m[i * d + c]! * m[j * d + c]!;
      most = Math.max(most, Math.abs(sum));
    }
  }
  return most;
}

Deno.test("MersenneTwister gives the numbers of std::mt19937", () => {
  // The standard's check: the 10,000th number of the default seed.
  const random = new MersenneTwister(5489);
  for (let i = 0; i < 9999; i++) random.next();
  assert.equal(random.next(), 4123659995);
});

Deno.test("randomNormals() is normal, in runs of one and of many generators", () => {
  for (const n of [1, 7, 1023, 1024, 50_001]) {
    const x = randomNormals(n, 3);
    assert.equal(x.length, n);
    assert(x.every(Number.isFinite));
    if (n < 1000) continue;
    const mean = x.reduce((sum, value) => sum + value, 0) / n;
    const square = x.reduce((sum, value) => sum + value * value, 0) / n;
    assert(Math.abs(mean) < 4 / Math.sqrt(n) && Math.abs(square - 1) < 6 / Math.sqrt(n), `${n}`);
  }
});

Deno.test("randomRows() are different rows", () => {
  for (const [n, count] of [[1, 1], [5, 5], [1000, 10]] as const) {
    const some = randomRows(n, count, 1);
    assert.equal(new Set(some).size, count);
    assert(some.every((row) => row < n));
  }
});

Deno.test("rotations keep lengths and are undone", async () => {
  for (const d of [1, 2, 3, 17, 64]) {
    const rotation = new RandomRotationMatrix(d);
    await rotation.init(4);
    const x = rows(5, d);
    for (const transform of [rotation, new HadamardRotation(d)] as VectorTransform[]) {
      const y = await transform.apply(x);
      for (let row = 0; row < 5; row++) {
        const before = Math.hypot(...x.subarray(row * d, (row + 1) * d));
        const after = Math.hypot(...y.subarray(row * transform.dOut, (row + 1) * transform.dOut));
        assert(Math.abs(before - after) < 1e-5 * before, `${transform.constructor.name} ${d}`);
      }
      const back = await transform.reverse(y);
      assert(farthest(back, x) < 1e-5 * 3 * d + 1e-5, `${transform.constructor.name} ${d}`);
    }
  }
});

Deno.test("a Hadamard rotation is the matrix it stands for", async () => {
  const rotation = new HadamardRotation(5, 9);
  assert.equal(rotation.dOut, 8);
  const unit = Float32Array.from({ length: 25 }, (_, i) => i % 6 === 0 ? 1 : 0);
  const columns = await rotation.apply(unit);
  assert(fromOrthonormal(columns, 5, 8) < 1e-6);
  const x = rows(3, 5);
  const y = await rotation.apply(x);
  for (let row = 0; row < 3; row++) {
    for (let i = 0; i < 8; i++) {
      let sum = 0;
      for (let j = 0; j < 5; j++) sum += x[row * 5 + j]! * columns[j * 8 + i]!;
      assert(Math.abs(sum - y[row * 8 + i]!) < 1e-5);
    }
  }
});

Deno.test("random rotations to fewer or more dimensions are orthonormal", async () => {
  for (const [dIn, dOut] of [[16, 5], [5, 16], [300, 40], [40, 300]] as const) {
    const rotation = new RandomRotationMatrix(dIn, dOut);
    await rotation.train(rows(1, dIn));
    if (dOut <= dIn) assert(fromOrthonormal(rotation.a, dOut, dIn) < 1e-6);
    const known = LinearTransform.of(rotation.a, dIn);
    assert(known.isOrthonormal);
    if (dOut <= dIn) continue;
    const x = rows(3, dIn);
    assert(farthest(await known.reverse(await known.apply(x)), x) < 1e-5 * 3 * dIn);
  }
});

Deno.test("linear transforms are products, at once and in parts, there and back", async () => {
  for (const backend of backends) {
    for (const [dIn, dOut, n] of [[1, 1, 1], [3, 7, 4], [33, 8, 129], [64, 64, 700]] as const) {
      const [a, b, x] = [normals(dIn * dOut), normals(dOut, 2), normals(n * dIn, 3)];
      const transform = LinearTransform.of(a, dIn, b);
      const y = await transform.apply(x, { backend });
      assert.equal(y.length, n * dOut);
      assert(farthest(y, transform.applySync(x)) < 1e-5 * Math.sqrt(dIn) * 4);
      let exact = b[dOut - 1]!;
      for (let j = 0; j < dIn; j++) exact += a[(dOut - 1) * dIn + j]! * x[(n - 1) * dIn + j]!;
      assert(Math.abs(y[n * dOut - 1]! - exact) < 1e-4);
      assert(!transform.isOrthonormal || dIn === 1);
    }
    const turn = LinearTransform.of(Float32Array.of(0, 1, -1, 0), 2, Float32Array.of(5, 6));
    const back = await turn.reverse(await turn.apply([[3, 4]], { backend }), { backend });
    assert.deepEqual([...back], [3, 4]);
    assert.deepEqual([...turn.reverseSync(turn.applySync([[3, 4]]))], [3, 4]);
  }
  await assert.rejects(LinearTransform.of(Float32Array.of(2), 1).reverse([[1]]), {
    name: "UnsupportedError",
    message: "Cannot reverse a LinearTransform: its matrix is not orthonormal",
  });
});

Deno.test("PCA makes directions of most variance, without correlation", async () => {
  const [n, d] = [3000, 6];
  const x = rows(n, d);
  for (const backend of backends) {
    const pca = new PCAMatrix(d, d);
    await pca.train(x, { backend });
    assert(fromOrthonormal(pca.pcaMat, d, d) < 1e-5);
    const y = await pca.apply(x, { backend });
    for (let i = 0; i < d; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let row = 0; row < n; row++) sum += y[row * d + i]! * y[row * d + j]!;
        const wanted = i === j ? pca.eigenvalues[i]! : 0;
        assert(Math.abs(sum - wanted) < 1e-4 * pca.eigenvalues[0]!, `${i} ${j}: ${sum}`);
      }
      if (i > 0) assert(pca.eigenvalues[i]! <= pca.eigenvalues[i - 1]!);
    }
    assert(farthest(await pca.reverse(y, { backend }), x) < 1e-4);

    const white = new PCAMatrix(d, 3, { eigenPower: -0.5, randomRotation: true });
    await white.train(x, { backend });
    const z = await white.apply(x, { backend });
    for (let i = 0; i < 3; i++) {
      let square = 0;
      for (let row = 0; row < n; row++) square += z[row * 3 + i]! ** 2;
      assert(Math.abs(square - 1) < 1e-3);
    }
    await assert.rejects(white.reverse(z), /not orthonormal/);
  }
});

Deno.test("PCA of fewer vectors than dimensions keeps their distances", async () => {
  const [n, d] = [5, 40];
  const x = rows(n, d);
  const pca = new PCAMatrix(d, 5);
  await pca.train(x);
  const y = await pca.apply(x);
  const square = (of: Float32Array, width: number, i: number, j: number) => {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += (of[i * width + c]! - of[j * width + c]!) ** 2;
    return sum;
  };
  for (let i = 1; i < n; i++) {
    const [before, after] = [square(x, d, 0, i), square(y, 5, 0, i)];
    assert(Math.abs(before - after) < 1e-3 * before, `${before} ${after}`);
  }
  await assert.rejects(new PCAMatrix(d, 6).train(x), {
    name: "RangeError",
    message: "Cannot train: 5 vectors have no 6 components",
  });
});

Deno.test("balanced bins share the variance", async () => {
  const x = rows(2000, 8);
  const pca = new PCAMatrix(8, 8, { balancedBins: 2 });
  await pca.train(x);
  const y = await pca.apply(x);
  const variance = [0, 0];
  y.forEach((value, i) => variance[i % 8 < 4 ? 0 : 1]! += value * value);
  const [all, most] = [variance[0]! + variance[1]!, Math.max(...variance)];
  assert(most < 0.6 * all, `${variance}`);
});

Deno.test("polarFactor() is orthonormal, and nearest: its product with the matrix is symmetric", async () => {
  for (const backend of backends) {
    for (const [n, d] of [[1, 1], [1, 9], [7, 7], [20, 50], [96, 96]] as const) {
      // Singular values over four decades.
      const m = normals(n * d, 5).map((value, i) => value * 10 ** (-4 * Math.floor(i / d) / n));
      const { data } = await polarFactor(new Matrix(m, d), { backend });
      assert(fromOrthonormal(data, n, d) < 2e-5, `${n} ${d}`);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < i; j++) {
          let off = 0;
          for (let c = 0; c < d; c++) {
            off += data[i * d + c]! * m[j * d + c]! - data[j * d + c]! * m[i * d + c]!;
          }
          assert(Math.abs(off) < 2e-4 * Math.sqrt(d), `${n} ${d}: ${off}`);
        }
      }
    }
  }
});

Deno.test("polarFactor() of a matrix that lacks rank is orthonormal", async () => {
  const d = 6;
  for (const rank of [0, 1, 3, 5]) {
    const m = new Float32Array(d * d);
    m.set(normals(rank * d));
    const { data } = await polarFactor(new Matrix(m, d), {});
    assert(fromOrthonormal(data, d, d) < 1e-5, `rank ${rank}`);
  }
});

Deno.test("ITQ brings vectors near their signs, more with every step", async () => {
  const [n, d] = [800, 8];
  const x = normals(n * d).map((value, i) => value * (1 + i % d));
  const off = async (itq: ITQMatrix) => {
    await itq.train(x);
    assert(fromOrthonormal(itq.a, d, d) < 1e-4);
    const y = await itq.apply(x);
    return y.reduce((sum, value) => sum + (Math.sign(value) - value) ** 2, 0);
  };
  let last = Infinity;
  for (const maxIter of [0, 1, 3, 10, 30]) {
    const now = await off(new ITQMatrix(d, { maxIter }));
    assert(now <= last * (1 + 1e-6), `${maxIter}: ${now} after ${last}`);
    last = now;
  }
});

Deno.test("ITQ transforms center, normalise, take components and rotate", async () => {
  const x = rows(500, 10);
  const itq = new ITQTransform(10, 4);
  await itq.train(x);
  const y = await itq.apply(x);
  assert.equal(y.length, 500 * 4);
  assert(farthest(y, itq.applySync(x)) < 1e-5);
  for (let i = 0; i < y.length; i += 4) assert(Math.hypot(...y.subarray(i, i + 4)) <= 1 + 1e-5);
  await assert.rejects(itq.reverse(y), /Cannot reverse a ITQTransform: it loses what it takes/);
});

Deno.test("OPQ lowers what a quantizer loses, in fewer, as many and more dimensions", async () => {
  const [n, d] = [3000, 8];
  // Pairs of parts are the same numbers, so that a rotation helps.
  const x = new Float32Array(n * d);
  const random = new Random(3);
  for (let i = 0; i < x.length; i += d) {
    const [a, b] = [random.normal(), random.normal()];
    for (let j = 0; j < d; j++) x[i + j] = (j % 2 ? a : b) * (j < 4 ? 3 : 1) + random.normal() / 9;
  }
  for (const dOut of [4, 8, 10]) {
    const opq = new OPQMatrix(d, 2, dOut);
    opq.niter = 4;
    opq.niterPq0 = 6;
    await opq.train(x);
    assert(dOut > d || fromOrthonormal(opq.a, dOut, d) < 1e-4);
    if (dOut < d) continue;
    const y = await opq.apply(x);
    assert(farthest(await opq.reverse(y), x) < 1e-2, `${dOut}`);
  }
});

Deno.test("transforms refuse what they cannot do, and say why", async () => {
  const cases: [() => unknown, RegExp][] = [
    [() => new CenteringTransform(0), /dIn 0 is no integer from 1/],
    [() => new RandomRotationMatrix(3, 2.5), /dOut 2.5 is no integer/],
    [() => new PCAMatrix(3, 4), /3 dimensions have no 4/],
    [() => new OPQMatrix(8, 3), /dOut 8 is no multiple of M 3/],
    [() => new OPQMatrix(8, 0), /no multiple of M 0/],
    [() => new ITQTransform(3, 4), /Cannot transform 3 dimensions to 4/],
    [() => new HadamardRotation(3, -1), /seed -1/],
    [() => new RemapDimensionsTransform(2, [0, 2]), /entry 1 is 2/],
    [() => new NormalizationTransform(3, 1), /norm 1 is not 2/],
    [() => LinearTransform.of(new Float32Array(5), 2), /5 numbers are no rows of 2/],
  ];
  for (const [make, message] of cases) assert.throws(make, message);
  await assert.rejects(new PCAMatrix(2, 1).apply([[1, 2]]), {
    name: "NotTrainedError",
    message: "Cannot apply a PCAMatrix: call train() first",
  });
  await assert.rejects(new LinearTransform(2, 1).train([[1, 2]]), { name: "UnsupportedError" });
  await assert.rejects(new OPQMatrix(4, 2).train(rows(255, 4)), /255 vectors are fewer than 256/);
  await assert.rejects(
    new PCAMatrix(2, 1).train([[1, NaN], [0, 0]]),
    /row 0 holds NaN at column 1/,
  );
  await assert.rejects(new CenteringTransform(2).train([[1, 2, 3]]), TypeError);
  const flat = [[1, 1], [1, 1], [1, 1]];
  const white = new PCAMatrix(2, 2, { eigenPower: -0.5 });
  await assert.rejects(white.train(flat), /component 0 has no variance/);
});

Deno.test("a training that fails leaves a transform as it was", async () => {
  const pca = new PCAMatrix(4, 2);
  const x = rows(100, 4);
  await pca.train(x);
  const [a, mean] = [pca.a, pca.mean];
  const abort = AbortSignal.abort(new Error("enough"));
  await assert.rejects(pca.train(rows(100, 4, 2), { signal: abort }), /enough/);
  await assert.rejects(pca.train([[1, 2, 3, 4]]), RangeError);
  assert(pca.isTrained && pca.a === a && pca.mean === mean);
});
