import assert from "node:assert/strict";
import type { Dense } from "../lib/backend/linalg.ts";
import { Tensor } from "../lib/kernel/tensor.ts";
import { castMatrix, gemv } from "../lib/linalg/mod.ts";
import { decodeNumbers } from "../lib/linalg/numbers.ts";
import { Matrix } from "../lib/matrix.ts";
import { testDevice, testEach } from "./grid.ts";
import { assertRan, gaussian, matrixOf } from "./linalg.ts";

/** Rounding of results by type. */
const units = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 } as const;

interface Case {
  n: number;
  k: number;
  layout?: "nt" | "nn";
  batch?: number;
  dtype?: keyof typeof units;
}

/** W, x, y and bias of a case, and what comes out in float64, with what rounding allows. */
function makeCase({ n, k, layout = "nt", batch = 1, dtype = "float32" }: Case) {
  const [rows, columns] = layout === "nt" ? [n, k] : [k, n];
  const w = castMatrix(gaussian(batch * rows, columns, 1), dtype);
  const x = castMatrix(gaussian(batch, k, 2), dtype);
  const y = castMatrix(gaussian(batch, n, 3), dtype);
  const bias = castMatrix(gaussian(batch, n, 4), dtype);
  const seen = (m: typeof w) => decodeNumbers(m.data, dtype);
  const [inW, inX, inY, inBias] = [seen(w), seen(x), seen(y), seen(bias)];
  const check = (
    actual: ArrayLike<number>,
    { alpha = 1, beta = 0, biased = false, shared = false },
  ) => {
    assert.equal(actual.length, batch * n);
    for (let i = 0; i < batch * n; i++) {
      const [one, j] = [Math.floor(i / n), i % n];
      let [sum, size] = [0, 0];
      const add = (term: number) => {
        sum += term;
        size += Math.abs(term);
      };
      for (let p = 0; p < k; p++) {
        const at = layout === "nt" ? i * k + p : (one * k + p) * n + j;
        add(alpha * inW[at]! * inX[one * k + p]!);
      }
      if (beta !== 0) add(beta * inY[i]!);
      if (biased) add(inBias[shared ? j : i]!);
      const most = size * (k + 8) * 2 ** -23 + Math.abs(sum) * units[dtype] * 1.01;
      const error = Math.abs(actual[i]! - sum);
      assert.ok(error <= most, `${layout} ${batch} × ${n} × ${k} ${dtype} at ${i}: ${actual[i]}`);
    }
  };
  return { w, x, y, bias, check };
}

const cases: Case[] = [
  { n: 1, k: 1 },
  { n: 1, k: 4097 },
  { n: 5, k: 3 },
  { n: 130, k: 67 },
  { n: 64, k: 512 },
  { n: 4097, k: 5 },
  { n: 33, k: 129, layout: "nn" },
  { n: 300, k: 7, layout: "nn" },
  { n: 1, k: 130, layout: "nn" },
  { n: 67, k: 64, batch: 3 },
  { n: 51, k: 64, batch: 3, layout: "nn" },
  { n: 65, k: 130, dtype: "float16" },
  { n: 65, k: 130, dtype: "bfloat16" },
  { n: 40, k: 66, layout: "nn", dtype: "float16" },
  { n: 16, k: 70, batch: 2, dtype: "float16" },
];

testEach("gemv with alpha, beta, y and bias is that of float64", async (backend) => {
  for (const one of cases) {
    const { w, x, y, bias, check } = makeCase(one);
    const how = { backend, layout: one.layout, batch: one.batch };
    const result = await gemv(w, x, how);
    check(result.data, {});
    assert.deepEqual([result.rows, result.columns], [one.batch ?? 1, one.n]);
    assertRan(result.run, backend);
    const factors = { alpha: -0.5, beta: 1.25 };
    const all = await gemv(w, x, { ...how, ...factors, y, bias });
    check(all.data, { ...factors, biased: true });
    // A bias for all of a batch.
    const shared = new Matrix(decodeNumbers(bias.data, bias.dtype).slice(0, one.n), one.n);
    const own = await gemv(w, x, { ...how, bias: castMatrix(shared, bias.dtype) });
    check(own.data, { biased: true, shared: true });
  }
});

testEach("gemv takes vectors as plain arrays", async (backend) => {
  const w = [[1, 2, 3], [4, 5, 6]];
  const plain = await gemv(w, [1, 0, -1], { backend, bias: [10, 20] });
  assert.deepEqual([...plain.data], [8, 18]);
  const doubles = await gemv(w, Float64Array.of(1, 1, 1), { backend, y: [1, 1], beta: 2 });
  assert.deepEqual([...doubles.data], [8, 17]);
});

testEach("gemv does not read y where beta is 0, and passes NaN through", async (backend) => {
  const { data } = await gemv([[1, 2], [NaN, 1]], [1, 1], { backend, y: [NaN, NaN], beta: 0 });
  assert.deepEqual([...data], [3, NaN]);
  const infinite = await gemv(matrixOf(2, 2, () => 1), [Infinity, 1], { backend });
  assert.deepEqual([...infinite.data], [Infinity, Infinity]);
});

testEach("gemv refuses what does not fit", async (backend) => {
  const w = gaussian(6, 4, 1);
  const cases: [() => Promise<unknown>, RegExp][] = [
    [() => gemv(w, [1, 2, 3], { backend }), /W is 6 × 4 \(nt\), x is 1 × 3/],
    [() => gemv(w, [1, 2, 3, 4], { backend, layout: "nn" }), /W is 6 × 4 \(nn\), x is 1 × 4/],
    [() => gemv(w, gaussian(4, 4, 1), { backend, batch: 4 }), /\(nt, batch 4\)/],
    [() => gemv(w, [1, 2, 3, 4], { backend, bias: [1] }), /result is 1 × 6, the bias is 1 × 1/],
    [() => gemv(w, [1, 2, 3, 4], { backend, y: [1], beta: 1 }), /result is 1 × 6, y is 1 × 1/],
    [() => gemv(w, [1, 2, 3, 4], { backend, beta: 1 }), /beta is 1, and there is no y/],
  ];
  for (const [call, message] of cases) {
    await assert.rejects(call, (error: Error) => {
      assert.ok(error instanceof TypeError, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(() => gemv(w, [1, 2, 3, 4], { backend, batch: 0 }), RangeError);
  await assert.rejects(() => gemv(w, [1, 2, 3, 4], { backend, variant: "none" }), RangeError);
});

testEach("gemv of Tensors stays on their device", async () => {
  const { w, x, bias, check } = makeCase({ n: 24, k: 18, batch: 2 });
  const device = testDevice();
  using inW = Tensor.from(w.data, [2, 24, 18], "float32", device);
  using inX = Tensor.from(x.data, [2, 18], "float32", device);
  using inBias = Tensor.from(bias.data, [2, 24], "float32", device);
  using y = await gemv(inW, inX, { batch: 2, bias: inBias });
  assert.equal(y.device, device);
  check(await y.data<Float32Array>(), { biased: true });
}, (backend) => backend.name === "gpu");

testEach("gemv of no rows and of no terms", async (backend) => {
  const empty = (rows: number, columns: number): Dense => {
    return { data: new Float32Array(rows * columns), rows, columns, dtype: "float32" };
  };
  const { linalg } = backend;
  const none = await linalg.gemv(empty(0, 4), empty(1, 4));
  assert.deepEqual([none.value.rows, none.value.columns], [1, 0]);
  const bias: Dense = { ...empty(1, 3), data: Float32Array.of(1, 2, 3) };
  const only = await linalg.gemv(empty(3, 0), empty(1, 0), { bias });
  assert.deepEqual(only.value.data, Float32Array.of(1, 2, 3));
  const columns = await linalg.gemv(empty(0, 3), empty(1, 0), { layout: "nn", bias });
  assert.deepEqual(columns.value.data, Float32Array.of(1, 2, 3));
});
