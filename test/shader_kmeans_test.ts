import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { integers, normals } from "./grid.ts";
import {
  assertClose,
  type Dtype,
  dtypes,
  type Launch,
  launch,
  params,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";

const file = "kmeans.metal";
const reference = createReferenceBackend();
const NONE = 0xffffffff;

async function checkAssign(x: Float32Array, centroids: Float32Array, d: number, dtype: Dtype) {
  const [n, k] = [x.length / d, centroids.length / d];
  const { data, seen } = stored(x, dtype);
  const labels = poison(new Uint32Array(n));
  const distances = poison(new Float32Array(n));
  await launch({
    file,
    kernel: `kmeans_assign_${dtype}`,
    args: [data, centroids, labels, distances],
    params: params(n, k, d),
    threadgroups: Math.ceil(n / 64),
    threadgroup: 256,
  });
  using store = reference.createFlat(d);
  await store.add(centroids);
  const found = await store.search(seen, 1, { metric: Metric.L2, metricArg: 0 });
  const missing = found.labels.map((label) => label === -1n ? BigInt(NONE) : label);
  assert.deepEqual([...labels], [...missing].map(Number), `${n} rows, ${k} centroids of ${d}`);
  const truth = found.distances.map((value, i) => found.labels[i] === -1n ? Infinity : value);
  assertClose(distances, truth, 1e-7, 1e-44, `${n} rows, ${k} centroids of ${d}`);
}

for (const dtype of dtypes) {
  Deno.test(`kmeans_assign finds double precision's centroids [${dtype}]`, async () => {
    for (
      const [n, k, d] of [[1, 1, 1], [65, 3, 7], [70, 130, 16], [20, 64, 33], [10, 0, 4]] as const
    ) {
      await checkAssign(normals(n, d, 1), normals(k, d, 2), d, dtype);
      await checkAssign(integers(n, d, 1), integers(k, d, 2), d, dtype);
    }
  });

  Deno.test(`kmeans_assign finds the nearer of near-duplicates [${dtype}]`, async () => {
    const [n, k, d] = [40, 90, 24];
    const base = normals(4, d, 3);
    const near = (m: number, seed: number, by: number, at: number) =>
      normals(m, d, seed).map((value, i) => at + base[i % base.length]! + value * by);
    await checkAssign(near(n, 1, 1e-3, 0), near(k, 2, 1e-6, 0), d, dtype);
    await checkAssign(near(n, 1, 1, 1000), near(k, 2, 1e-3, 1000), d, dtype);
  });
}

Deno.test("kmeans_assign stands what overflows and underflows", async () => {
  for (const scale of [1e17, 2e19, 1e-21]) {
    const [x, centroids] = [normals(9, 5, 1), normals(4, 5, 2)].map((y) => y.map((v) => v * scale));
    await checkAssign(x!, centroids!, 5, "f32");
  }
});

function updateLaunches(
  dtype: Dtype,
  data: Launch["args"][number],
  labels: Uint32Array,
  weights: Float32Array | undefined,
  centroids: Float32Array,
  totals: Float32Array,
  d: number,
): Launch[] {
  const [n, k] = [labels.length, totals.length];
  const most = Math.floor(n / 1024) + k;
  const counts = new Uint32Array(k);
  const ends = poison(new Uint32Array(k));
  const chunks = poison(new Uint32Array(k + 1));
  const order = poison(new Uint32Array(n));
  const partial = poison(new Float32Array(most * 3 * (d + 1)));
  const of = (
    kernel: string,
    args: Launch["args"],
    threadgroup: number,
    groups: number,
  ): Launch => {
    const fields = params(n, k, d, weights !== undefined);
    return { file, kernel, args, params: fields, threadgroup, threadgroups: groups };
  };
  const held = weights ?? new Float32Array(1);
  return [
    of("kmeans_count", [labels, counts], 256, Math.ceil(n / 256)),
    of("kmeans_offsets", [counts, ends, chunks], 1024, 1),
    of("kmeans_order", [labels, ends, order], 256, Math.ceil(n / 256)),
    of(`kmeans_sum_${dtype}`, [data, held, counts, ends, chunks, order, partial], 256, most),
    of("kmeans_mean", [partial, chunks, centroids, totals], 256, k),
  ];
}

interface Update {
  n: number;
  k: number;
  d: number;
  weighted: boolean;
  label: (row: number, random: Random) => number;
}

async function checkUpdate(dtype: Dtype, { n, k, d, weighted, label }: Update): Promise<void> {
  const random = new Random(n);
  const { data, seen } = stored(normals(n, d, 1).map((value) => value + 10), dtype);
  const labels = Uint32Array.from({ length: n }, (_, row) => label(row, random));
  const weights = weighted ? Float32Array.from(labels, (_, i) => i % 9 / 3) : undefined;
  const centroids = normals(k, d, 2);
  const [again, truth] = [centroids.slice(), centroids.slice()];
  const totals = poison(new Float32Array(k));
  const totalsAgain = poison(new Float32Array(k));
  await launch(...updateLaunches(dtype, data, labels, weights, centroids, totals, d));
  await launch(...updateLaunches(dtype, data, labels, weights, again, totalsAgain, d));
  const signed = BigInt64Array.from(labels, (to) => to === NONE ? -1n : BigInt(to));
  const sizes = await reference.kmeansUpdate(seen, signed, weights, truth, d);
  const what = `${n} rows, ${k} centroids of ${d}`;
  assertClose(totals, sizes, 0, 0, what);
  assertClose(centroids, truth, 6.1e-8, 0, what);
  assert.deepEqual([again, totalsAgain], [centroids, totals], what);
}

for (const dtype of dtypes) {
  Deno.test(`kmeans updates are weighted means [${dtype}]`, async () => {
    for (const weighted of [false, true]) {
      const some = (k: number) => (row: number, random: Random) =>
        row % 13 === 5 ? NONE : random.integer(k);
      await checkUpdate(dtype, { n: 1, k: 1, d: 1, weighted, label: () => 0 });
      await checkUpdate(dtype, { n: 300, k: 20, d: 33, weighted, label: some(10) });
      await checkUpdate(dtype, { n: 2100, k: 3, d: 5, weighted, label: (row) => row < 9 ? 0 : 2 });
      await checkUpdate(dtype, { n: 500, k: 1500, d: 2, weighted, label: some(1500) });
      await checkUpdate(dtype, { n: 1024, k: 2, d: 31, weighted, label: () => 1 });
      await checkUpdate(dtype, { n: 50, k: 4, d: 3, weighted, label: () => NONE });
    }
  });

  Deno.test(`kmeans_least keeps the least distance [${dtype}]`, async () => {
    for (const [n, d] of [[1, 1], [9, 40], [100, 13]] as const) {
      const { data, seen } = stored(normals(n, d, 1), dtype);
      const center = normals(1, d, 2);
      const start = Float32Array.from({ length: n }, (_, i) => i % 3 === 0 ? Infinity : i % 3 * d);
      const [least, truth] = [start.slice(), start.slice()];
      await launch({
        file,
        kernel: `kmeans_least_${dtype}`,
        args: [data, center, least],
        params: params(n, 1, d, 0),
        threadgroups: Math.ceil(n / 8),
        threadgroup: 256,
      });
      await reference.kmeansLeast(seen, center, truth);
      assertClose(least, truth, 1e-7, 0, `${n} × ${d}`);
    }
  });
}

testAllRan(file);
