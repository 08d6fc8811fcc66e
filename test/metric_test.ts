import assert from "node:assert/strict";
import { IndexFlat } from "../lib/index/flat.ts";
import { isSimilarity, Metric, metricName } from "../lib/metric.ts";
import { seen } from "./faiss_distances.ts";
import { testEach } from "./grid.ts";

/** A faiss name of the table as our metric and its argument. */
function metricOf(name: string): [metric: Metric, metricArg: number] {
  if (name.startsWith("Lp")) return [Metric.Lp, Number(name.slice(2))];
  return [Metric[name as keyof typeof Metric], 0];
}

Deno.test("Metric has faiss's numbers", () => {
  assert.deepEqual(Metric, {
    InnerProduct: 0,
    L2: 1,
    L1: 2,
    Linf: 3,
    Lp: 4,
    Canberra: 20,
    BrayCurtis: 21,
    JensenShannon: 22,
    Jaccard: 23,
    NaNEuclidean: 24,
    Cosine: 100,
  });
});

Deno.test("isSimilarity() is true of inner product, Jaccard and cosine only", () => {
  const similar = Object.values(Metric).filter(isSimilarity);
  assert.deepEqual(similar, [Metric.InnerProduct, Metric.Jaccard, Metric.Cosine]);
});

Deno.test("metricName() names a metric and refuses any other number", () => {
  assert.equal(metricName(Metric.JensenShannon), "JensenShannon");
  assert.throws(() => metricName(7 as Metric), { name: "RangeError", message: /metric 7/ });
});

for (const { name, x, y, seen: values } of seen) {
  testEach(`every metric gives faiss's number for the pair "${name}"`, async (backend) => {
    for (const [metricText, expected] of Object.entries(values)) {
      const [metric, metricArg] = metricOf(metricText);
      using index = new IndexFlat(4, metric, { metricArg, backend });
      await index.add(y);
      const found = await index.search(x, 1);
      const sync = index.searchSync(x, 1);
      assert.deepEqual([...sync.distances], [...found.distances]);
      if (!Number.isFinite(expected)) {
        assert.deepEqual([...found.labels], [-1n], metricText);
        continue;
      }
      assert.deepEqual([...found.labels], [0n], metricText);
      const tolerance = 1e-44 + 2e-6 * Math.abs(expected);
      const got = found.distances[0]!;
      assert.ok(Math.abs(got - expected) <= tolerance, `${metricText}: ${got}, not ${expected}`);
    }
  });

  testEach(`pairwise() gives faiss's numbers for the pair "${name}"`, async (backend) => {
    for (const [metricText, expected] of Object.entries(values)) {
      const [metric, metricArg] = metricOf(metricText);
      const all = [Float32Array.from(x), Float32Array.from(y)] as const;
      const [got] = await backend.pairwise(...all, 4, metric, metricArg);
      const close = Object.is(got, expected) ||
        Math.abs(got! - expected) <= 1e-44 + 2e-6 * Math.abs(expected);
      assert.ok(close, `${metricText}: ${got}, not ${expected}`);
    }
  });
}

testEach("Cosine compares directions, and a zero vector is like nothing", async (backend) => {
  using index = new IndexFlat(2, Metric.Cosine, { backend });
  await index.add([[-2, 0], [0, 0], [3e15, 3e15], [1e-15, 0], [0, 5]]);
  const { labels, distances } = await index.search([10, 0], 5);
  assert.deepEqual([...labels], [3n, 2n, 1n, 4n, 0n]);
  assert.deepEqual([...distances], [1, Math.fround(Math.SQRT1_2), 0, 0, -1]);
  const zero = await index.search([0, 0], 2);
  assert.deepEqual([...zero.labels], [0n, 1n]);
  assert.deepEqual([...zero.distances], [0, 0]);
});

testEach("a pair without a distance is never returned, whatever k", async (backend) => {
  using index = new IndexFlat(2, Metric.Canberra, { backend });
  await index.add([[0, 1], [2, 1], [0, 0], [1, 1]]);
  const found = await index.search([0, 3], 4);
  assert.deepEqual([...found.labels], [1n, 3n, -1n, -1n]);
  const within = await index.rangeSearch([0, 3], Infinity);
  assert.deepEqual([...within.labels], [1n, 3n]);
});

testEach("Lp refuses a p that is not above 0, and an unknown metric", (backend) => {
  for (const metricArg of [0, -1, NaN, Infinity]) {
    assert.throws(() => new IndexFlat(2, Metric.Lp, { metricArg, backend }), {
      name: "RangeError",
      message: /metricArg/,
    });
  }
  assert.throws(() => new IndexFlat(2, 5 as Metric, { backend }), RangeError);
});

testEach("NaNEuclidean takes NaN but no infinity", async (backend) => {
  using index = new IndexFlat(2, Metric.NaNEuclidean, { backend });
  await index.add([[NaN, 1], [NaN, NaN], [3, 4]]);
  const found = await index.search([3, 3], 3);
  assert.deepEqual([...found.labels], [2n, 0n, -1n]);
  assert.deepEqual([...found.distances.subarray(0, 2)], [1, 8]);
  await assert.rejects(index.add([[Infinity, 1]]), RangeError);
  await assert.rejects(index.search([[-Infinity, 1]], 1), RangeError);
  assert.equal(index.ntotal, 3);
});
