import assert from "node:assert/strict";
import {
  ivfListTopkL2,
  ivfListTopkL2Batch,
  ivfListTopkL2ChunkedDeviceMerge,
} from "../lib/index/list_topk.ts";
import { deviceTopkMerge, hostTopkMerge } from "../lib/index/topk_merge.ts";
import { gpu, Tensor } from "../lib/kernel/mod.ts";
import { Matrix } from "../lib/matrix.ts";
import { Metric } from "../lib/metric.ts";
import { bruteForce, integers, normals, plain, testDevice, testEach } from "./grid.ts";
import type { Backend } from "../lib/backend/backend.ts";

const missing = 3.4028234663852886e38;
const onlyGpu = (backend: Backend) => backend.name === "gpu";

/** Ids that ascend, with gaps. */
function idsOf(m: number): bigint[] {
  return Array.from({ length: m }, (_, i) => BigInt(3 * i + 7));
}

testEach("ivfListTopkL2 finds what sorting all finds", async (backend) => {
  for (const [m, d, k] of [[1, 1, 1], [5, 3, 2], [300, 17, 10], [40, 4, 64]] as const) {
    const [x, q, ids] = [integers(m, d, 1), integers(3, d, 2), idsOf(m)];
    const expected = bruteForce(x, q, d, k, Metric.L2, ids);
    const batch = await ivfListTopkL2Batch(q, x, BigInt64Array.from(ids), k, { backend });
    assert.deepEqual(plain(batch), expected);
    assert.equal(batch.run.backend, backend.name);
    assert.equal(batch.run.scanned, 3 * m);
    for (let i = 0; i < 3; i++) {
      const one = await ivfListTopkL2(q.subarray(i * d, (i + 1) * d), x, ids, k, { backend });
      assert.deepEqual([...one.labels], expected.labels.slice(i * k, (i + 1) * k));
      assert.deepEqual([...one.distances], expected.distances.slice(i * k, (i + 1) * k));
    }
  }
});

testEach("chunks give what one search gives", async (backend) => {
  const [m, d, k] = [100, 5, 12];
  const [x, ids] = [integers(m, d, 1), idsOf(m)];
  const q = integers(1, d, 2);
  const expected = bruteForce(x, q, d, k, Metric.L2, ids);
  for (const rows of [1, 7, 50, 99, 100, 4096]) {
    const found = await ivfListTopkL2ChunkedDeviceMerge(q, x, ids, k, rows, { backend });
    assert.deepEqual(plain(found), expected, `${rows} rows a chunk`);
    assert.equal(found.run.backend, backend.name);
    assert.equal(found.run.scanned, m);
  }
  const few = await ivfListTopkL2ChunkedDeviceMerge([0], [[1], [2]], [5, 6], 4, 1, { backend });
  assert.deepEqual([...few.labels], [5n, 6n, -1n, -1n]);
  assert.deepEqual([...few.distances], [1, 4, missing, missing]);
});

testEach("rows and queries come in every form", async (backend) => {
  const rows = [[0, 0], [3, 4], [6, 8]];
  const flat = Float32Array.from(rows.flat());
  for (const x of [rows, flat, new Matrix(flat, 2), Float64Array.from(flat)]) {
    const found = await ivfListTopkL2Batch(flat, x, [1, 2, 3], 1, { backend });
    assert.deepEqual([...found.labels], [1n, 2n, 3n]);
  }
});

testEach("searches of lists refuse bad input", async (backend) => {
  const [x, ids] = [integers(6, 2, 1), [1, 2, 3, 4, 5, 6]];
  const search = (q: number[], k: number, some = x, own = ids) =>
    ivfListTopkL2(q, some, own, k, { backend });
  for (const k of [0, -1, 1.5, NaN]) await assert.rejects(() => search([1, 2], k), RangeError);
  await assert.rejects(() => search([1, 2, 3, 4, 5], 1), TypeError);
  await assert.rejects(() => search([1, 2], 1, x, [1, 2]), /Cannot read ids: 2 ids for 6 rows/);
  await assert.rejects(() => search([1, 2], 1, x, [1, 2, 3, 4, 5, -6]), /is negative/);
  await assert.rejects(() => search([NaN, 2], 1), RangeError);
  const bad = x.slice();
  bad[7] = Infinity;
  await assert.rejects(() => search([1, 2], 1, bad), /row 3/);
  const chunked = (rows: number, some = x) =>
    ivfListTopkL2ChunkedDeviceMerge([1, 2], some, ids, 1, rows, { backend });
  for (const rows of [0, -3, 2.5]) await assert.rejects(() => chunked(rows), RangeError);
  await assert.rejects(() => chunked(2, bad), RangeError);
});

testEach("Tensors are searched where they lie", async () => {
  const device = testDevice();
  const [nq, m, d] = [5, 230, 9];
  const [x, q, ids] = [normals(m, d, 1), normals(nq, d, 2), idsOf(m)];
  using inX = Tensor.from(x, [m, d], "float32", device);
  using inQ = Tensor.from(q, [nq, d], "float32", device);
  using inIds = Tensor.from(BigInt64Array.from(ids), [m], "int64", device);
  for (const k of [1, 10, 300]) {
    using found = await ivfListTopkL2Batch(inQ, inX, inIds, k);
    const expected = bruteForce(x, q, d, k, Metric.L2, ids);
    assert.deepEqual([...await found.ids.data<BigInt64Array>()], expected.labels);
    const distances = await found.values.data<Float32Array>();
    expected.distances.forEach((distance, i) => {
      assert.equal(distances[i], distance === missing ? Infinity : distance);
    });
    assert.deepEqual(found.run.variants, [
      "pairwise_l2_f32",
      "topk_rows_f32_u32",
      "topk_merge_f32_u32_i64",
    ]);
    using first = inQ.slice(2, 3);
    for (const rows of [undefined, 16, 230]) {
      using one = rows === undefined
        ? await ivfListTopkL2(first, inX, inIds, k)
        : await ivfListTopkL2ChunkedDeviceMerge(first, inX, inIds, k, rows);
      assert.deepEqual(
        [...await one.ids.data<BigInt64Array>()],
        expected.labels.slice(2 * k, 3 * k),
      );
    }
  }
  await assert.rejects(() => ivfListTopkL2(inQ, inX, inIds, 1), TypeError);
  await assert.rejects(() => ivfListTopkL2Batch(inX, inIds, inIds, 1), TypeError);
  await assert.rejects(() => ivfListTopkL2Batch(inQ, x as never, inIds, 1), TypeError);
  await assert.rejects(() => ivfListTopkL2Batch(inQ, inX, inIds, 2049), RangeError);
  await assert.rejects(() => ivfListTopkL2Batch(q as never, inX, inIds, 1), TypeError);
}, onlyGpu);

Deno.test("hostTopkMerge keeps the best of parts, ties by id", () => {
  const parts = [Float32Array.of(1, 5, 2, 6), Float32Array.of(1, NaN, 7, 0)];
  const ids = [BigInt64Array.of(9n, 8n, 7n, 6n), BigInt64Array.of(3n, 2n, -1n, 4n)];
  const found = hostTopkMerge(parts, ids, 3, 2);
  assert.deepEqual([...found.labels], [3n, 9n, 8n, 4n, 7n, 6n]);
  assert.deepEqual([...found.distances], [1, 1, 5, 0, 2, 6]);
  assert.deepEqual([...hostTopkMerge([], [], 2).labels], [-1n, -1n]);
  assert.throws(() => hostTopkMerge(parts, ids, 0), RangeError);
  assert.throws(() => hostTopkMerge(parts, ids.slice(1), 1), TypeError);
  assert.throws(() => hostTopkMerge(parts, ids, 1, 3), TypeError);
});

testEach("deviceTopkMerge gives what hostTopkMerge gives", async () => {
  const device = testDevice();
  for (const [nq, parts, length, k] of [[1, 1, 1, 1], [1, 6, 5, 8], [3, 4, 700, 20]] as const) {
    const values = integers(nq, parts * length, 5);
    const ids = BigInt64Array.from(
      values,
      (value, i) => value === 3 ? -1n : BigInt((i * 37) % 1009),
    );
    const shape = nq === 1 ? [parts, length] : [nq, parts, length];
    using inValues = Tensor.from(values, shape, "float32", device);
    using inIds = Tensor.from(ids, shape, "int64", device);
    using found = await deviceTopkMerge(inValues, inIds, k);
    assert.deepEqual(found.values.shape, [nq, k]);
    const expected = hostTopkMerge([values], [ids], k, nq);
    assert.deepEqual([...await found.ids.data<BigInt64Array>()], [...expected.labels]);
    const distances = await found.values.data<Float32Array>();
    distances.forEach((value, i) => {
      assert.equal(value, expected.labels[i] === -1n ? Infinity : expected.distances[i]);
    });
    assert.deepEqual(found.run.variants, ["topk_merge_f32_i64_i64"]);
  }
  using values = Tensor.zeros([2, 3], "float32", gpu("emulator"));
  using ids = Tensor.zeros([3, 2], "int64", gpu("emulator"));
  await assert.rejects(() => deviceTopkMerge(values, ids, 1), TypeError);
  await assert.rejects(() => deviceTopkMerge(values, values, 1), TypeError);
  using own = ids.reshape([2, 3]);
  for (const k of [0, 2049]) {
    await assert.rejects(() => deviceTopkMerge(values, own, k), RangeError);
  }
}, onlyGpu);
