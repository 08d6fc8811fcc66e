import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import type { Dense } from "../lib/backend/linalg.ts";
import { Tensor } from "../lib/kernel/tensor.ts";
import {
  castMatrix,
  gemm,
  gemmAtB,
  gemmAV,
  getGemmTiles,
  runOf,
  setGemmTiles,
} from "../lib/linalg/mod.ts";
import { decodeNumbers } from "../lib/linalg/numbers.ts";
import { Matrix } from "../lib/matrix.ts";
import { testDevice, testEach } from "./grid.ts";
import { assertRan, gaussian, matrixOf, type Numbers, product64 } from "./linalg.ts";

/** Asserts alpha · op(A) op(B) + beta · C against float64, to the rounding of float32 sums. */
function assertProduct(
  actual: Numbers,
  a: Numbers,
  b: Numbers,
  { alpha = 1, beta = 0, c, ...how }: {
    alpha?: number;
    beta?: number;
    c?: Matrix;
    transposeA?: boolean;
    transposeB?: boolean;
  } = {},
): void {
  const { sums, sizes, m, n, k } = product64(a, b, how);
  assert.deepEqual([actual.rows, actual.columns], [m, n]);
  for (let i = 0; i < m * n; i++) {
    const added = beta === 0 ? 0 : beta * c!.data[i]!;
    const expected = alpha * sums[i]! + added;
    const most = (k + 8) * 2 ** -23 * (Math.abs(alpha) * sizes[i]! + Math.abs(added));
    const error = Math.abs(actual.data[i]! - expected);
    assert.ok(error <= most, `${m} × ${n} × ${k} at ${i}: ${actual.data[i]}, expected ${expected}`);
  }
}

const sizes: [m: number, n: number, k: number][] = [
  [1, 1, 1],
  [1, 7, 3],
  [5, 1, 130],
  [17, 16, 15],
  [16, 33, 64],
  [65, 31, 47],
  [130, 67, 3],
];

testEach("gemm of all transposes, with alpha, beta and C, is that of float64", async (backend) => {
  for (const [m, n, k] of sizes) {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const a = transposeA ? gaussian(k, m, 1) : gaussian(m, k, 1);
        const b = transposeB ? gaussian(n, k, 2) : gaussian(k, n, 2);
        const how = { transposeA, transposeB };
        assertProduct(await gemm(a, b, { backend, ...how }), a, b, how);
        const c = gaussian(m, n, 3);
        const kept = c.data.slice();
        const all = { ...how, alpha: -1.5, beta: 0.75, c };
        const product = await gemm(a, b, { backend, ...all });
        assertProduct(product, a, b, all);
        assert.deepEqual(c.data, kept);
        assertRan(product.run, backend);
      }
    }
  }
});

testEach("gemm does not read C where beta is 0", async (backend) => {
  const c = new Matrix(new Float32Array(4).fill(NaN), 2);
  const product = await gemm([[1, 2], [3, 4]], [[1, 0], [0, 1]], { backend, c, beta: 0 });
  assert.deepEqual([...product.data], [1, 2, 3, 4]);
});

testEach("products of float16 and bfloat16 are sums in float32", async (backend) => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    const [a, b] = [castMatrix(gaussian(33, 21, 1), dtype), castMatrix(gaussian(21, 18, 2), dtype)];
    const seen = (m: typeof a) => ({ ...m, data: decodeNumbers(m.data, dtype) });
    assertProduct(await gemm(a, b, { backend }), seen(a), seen(b));
    const float = gaussian(21, 18, 3);
    assertProduct(await gemm(a, float, { backend }), seen(a), float);
    assertProduct(await gemmAV(a, float, { backend }), seen(a), float);
  }
});

testEach("NaN and infinities pass through products as IEEE has them", async (backend) => {
  const a = matrixOf(3, 3, (i, j) => i === 1 && j === 1 ? NaN : i === 2 && j === 0 ? Infinity : 1);
  const { data } = await gemm(a, matrixOf(3, 2, () => 1), { backend });
  assert.deepEqual([...data], [3, 3, NaN, NaN, Infinity, Infinity]);
});

const slim: [m: number, n: number, k: number][] = [
  [1, 1, 1],
  [3, 257, 1],
  [255, 3, 2],
  [64, 33, 16],
  [129, 65, 19],
  [1, 4097, 5],
  [4097, 2, 3],
];

testEach("gemmAV and gemmAtB are those of float64", async (backend) => {
  for (const [m, n, k] of slim) {
    const [a, v] = [gaussian(m, n, 1), gaussian(n, k, 2)];
    const b = await gemmAV(a, v, { backend });
    assertProduct(b, a, v);
    assertRan(b.run, backend);
    const tall = gaussian(m, k, 3);
    const z = await gemmAtB(a, tall, { backend });
    assertProduct(z, a, tall, { transposeA: true });
    assertRan(z.run, backend);
  }
});

testEach("tiles that are set change what runs on a GPU, not the product", async (backend) => {
  const before = getGemmTiles();
  const [a, v] = [gaussian(50, 40, 1), gaussian(40, 12, 2)];
  try {
    const variants = new Set<string>();
    for (const [av, atb] of [[[16, 16], [16, 16]], [[32, 8], [8, 32]]] as const) {
      setGemmTiles({ av, atb });
      assert.deepEqual([getGemmTiles().av, getGemmTiles().atb], [av, atb]);
      const b = await gemmAV(a, v, { backend });
      assertProduct(b, a, v);
      const z = await gemmAtB(a, b, { backend });
      assertProduct(z, a, b, { transposeA: true });
      variants.add(b.run!.variants.join() + z.run!.variants.join());
    }
    if (backend.name === "gpu") assert.equal(variants.size, 2, [...variants].join("; "));
  } finally {
    setGemmTiles({});
    assert.deepEqual(getGemmTiles(), before);
  }
});

testEach("shapes that do not fit are refused by name", async (backend) => {
  const [a, b] = [gaussian(3, 4, 1), gaussian(5, 2, 2)];
  const cases: [() => Promise<unknown>, RegExp][] = [
    [() => gemm(a, b, { backend }), /Cannot multiply: A is 3 × 4, B is 5 × 2/],
    [() => gemm(a, b, { backend, transposeA: true }), /A is 3 × 4, transposed, B is 5 × 2/],
    [() => gemmAV(a, b, { backend }), /A is 3 × 4, B is 5 × 2/],
    [() => gemmAtB(a, b, { backend }), /A is 3 × 4, transposed, B is 5 × 2/],
    [
      () => gemm(a, gaussian(4, 2, 1), { backend, beta: 1, c: a }),
      /the product is 3 × 2, C is 3 × 4/,
    ],
    [() => gemm(a, gaussian(4, 2, 1), { backend, beta: 1 }), /beta is 1, and there is no C/],
    [() => gemm([1, 2] as never, b, { backend }), /Cannot read A: it is no Matrix/],
    [() => gemm([[1, 2], [3]], b, { backend }), /row 1 has 1 numbers, not 2/],
    [
      () => gemm({ data: new Float32Array(4), rows: 2, columns: 2, dtype: "float16" }, b),
      /Cannot read float16 numbers: they are in a Float32Array/,
    ],
    [
      () => gemm({ data: new Float32Array(5), rows: 2, columns: 2, dtype: "float32" }, b),
      /5 numbers are no matrix of 2 × 2/,
    ],
  ];
  for (const [call, message] of cases) {
    await assert.rejects(call, (error: Error) => {
      assert.ok(error instanceof TypeError, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(
    () => gemm(a, a, { backend, transposeB: true, variant: "none" }),
    RangeError,
  );
});

testEach("Tensors are multiplied where they lie", async () => {
  const [a, b] = [gaussian(18, 7, 1), gaussian(7, 21, 2)];
  const on = (m: Matrix) => Tensor.from(m.data, [m.rows, m.columns], "float32", testDevice());
  using inA = on(a);
  using inB = on(b);
  const check = async (product: Tensor, x: Matrix, y: Matrix, transposeA = false) => {
    assert.equal(product.device, inA.device);
    const { sums, sizes, m, n, k } = product64(x, y, { transposeA });
    assert.deepEqual(product.shape, [m, n]);
    const data = await product.data<Float32Array>();
    sums.forEach((sum, i) => assert.ok(Math.abs(data[i]! - sum) <= k * 2 ** -22 * sizes[i]!));
    assert.ok(runOf(product)!.variants.length > 0);
    product.dispose();
  };
  await check(await gemm(inA, inB), a, b);
  await check(await gemmAV(inA, inB), a, b);
  using product = await gemm(inA, inB);
  const c = new Matrix(await product.data(), 21);
  await check(await gemmAtB(inA, product), a, c, true);
  // A transposed view is read as it lies.
  using turned = inA.transpose();
  await check(await gemm(turned, product), a, c, true);
  using rows = inA.slice(3, 11);
  await check(await gemm(rows, inB), new Matrix(a.data.slice(21, 77), 7), b);
  await assert.rejects(() => gemm(inA, b as never), /Cannot mix: B is no Tensor/);
  await assert.rejects(() => gemm(inA, inA), /A is 18 × 7, B is 18 × 7/);
  using flat = inA.reshape([126]);
  await assert.rejects(() => gemm(flat, inB), /its shape is \[126\], no matrix's/);
  using whole = Tensor.zeros([2, 2], "int32", inA.device);
  await assert.rejects(() => gemm(whole, whole), /its dtype is int32/);
}, (backend: Backend) => backend.name === "gpu");

testEach("products of no rows, no columns and no terms", async (backend) => {
  const { linalg } = backend;
  const empty = (rows: number, columns: number): Dense => {
    return { data: new Float32Array(rows * columns), rows, columns, dtype: "float32" };
  };
  const [none, wide] = [new Matrix(new Float32Array(0), 3), gaussian(3, 5, 1)];
  const product = await gemm(none, wide, { backend });
  assert.deepEqual([product.rows, product.columns], [0, 5]);
  for (const name of ["gemm", "gemmAV"] as const) {
    const nothing = await linalg[name](empty(4, 3), empty(3, 0));
    assert.deepEqual([nothing.value.rows, nothing.value.columns], [4, 0], name);
    const zeros = await linalg[name](empty(2, 0), empty(0, 3));
    assert.deepEqual(zeros.value.data, new Float32Array(6), name);
  }
  const zeros = await linalg.gemmAtB(empty(0, 2), empty(0, 3));
  assert.deepEqual(zeros.value.data, new Float32Array(6));
  const c: Dense = { ...empty(2, 3), data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const added = await linalg.gemm(empty(2, 0), empty(0, 3), { beta: 2, c });
  assert.deepEqual(added.value.data, Float32Array.of(2, 4, 6, 8, 10, 12));
});
