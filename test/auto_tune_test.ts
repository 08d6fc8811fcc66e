import assert from "node:assert/strict";
import { backend } from "../lib/backend/select.ts";
import { UnsupportedError } from "../lib/errors.ts";
import { ParameterSpace } from "../lib/index/auto_tune.ts";
import { IntersectionCriterion, OneRecallAtRCriterion } from "../lib/index/criteria.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import type { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import type { Index } from "../lib/index/index.ts";
import type { IndexIVF } from "../lib/index/ivf.ts";
import { OperatingPoints } from "../lib/index/operating_points.ts";
import type { IndexPreTransform } from "../lib/index/pre_transform.ts";
import type { IndexRefine } from "../lib/index/refine.ts";
import { IndexShards } from "../lib/index/shards.ts";
import type { MimeBundle } from "../lib/display.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { normals } from "./grid.ts";

const ranges = (text: string) => {
  using index = indexFactory(16, text);
  return Object.fromEntries(
    new ParameterSpace(index).parameterRanges.map(({ name, values }) => [name, values]),
  );
};
const powers = (n: number) => Array.from({ length: n }, (_, i) => 2 ** i);

Deno.test("ParameterSpace has the parameters and values that faiss has", () => {
  assert.deepEqual(ranges("Flat"), {});
  assert.deepEqual(ranges("IVF1,Flat"), { nprobe: [1] });
  assert.deepEqual(ranges("IVF64,Flat"), { nprobe: powers(6) });
  assert.deepEqual(ranges("IVF65,SQ8"), { nprobe: powers(7) });
  assert.deepEqual(ranges("IVF65536,Flat"), { nprobe: powers(13) });
  const efSearch = powers(10).slice(2);
  assert.deepEqual(ranges("HNSW8"), { efSearch });
  assert.deepEqual(ranges("IVF64_HNSW8,Flat"), { nprobe: powers(6), quantizer_efSearch: efSearch });
  assert.deepEqual(ranges("IVF64(IVF8,Flat),Flat"), {
    nprobe: powers(6),
    quantizer_nprobe: powers(3),
  });
  assert.deepEqual(ranges("IDMap,PCA8,IVF64,Flat,RFlat"), {
    k_factor_rf: powers(7),
    nprobe: powers(6),
  });
});

Deno.test("ParameterSpace.setIndexParameters() finds the index that has a parameter", () => {
  const space = new ParameterSpace();
  using index = indexFactory(16, "IDMap,PCA8,IVF64_HNSW8,PQ8,RFlat");
  const refine = (index as unknown as { index: IndexRefine }).index;
  const ivf = (refine.baseIndex as IndexPreTransform).index as IndexIVF;
  const { hnsw } = ivf.quantizer as IndexHNSWFlat;
  space.setIndexParameters(
    index,
    "nprobe=16,ht=64, k_factor_rf=4 max_codes=1e3,quantizer_efSearch=7,efConstruction=50",
  );
  const { nprobe, maxCodes } = ivf;
  assert.deepEqual({ nprobe, maxCodes, kFactor: refine.kFactor }, {
    nprobe: 16,
    maxCodes: 1000,
    kFactor: 4,
  });
  assert.deepEqual([hnsw.efSearch, hnsw.efConstruction], [7, 50]);
  space.setIndexParameters(index, "max_codes=inf,nprobe=9999,efSearch=8");
  assert.deepEqual([ivf.maxCodes, ivf.nprobe, hnsw.efSearch], [0, 64, 8]);

  for (const text of ["nprobe", "nprobe=", "=4", "nprobe=x", "nprobe=1=2"]) {
    assert.throws(() => space.setIndexParameters(index, text), { name: "RangeError" }, text);
  }
  for (const [text, message] of Object.entries({ "nprobe=0": /0 is no/, "beam=4": /IndexIVFPQ/ })) {
    assert.throws(() => space.setIndexParameters(index, text), { name: "RangeError", message });
  }
  assert.throws(() => space.setIndexParameters(index, "ht=10"), UnsupportedError);
  assert.throws(() => space.setIndexParameters(index, 1), /combination 1: there are 1/);

  using shards = new IndexShards(16);
  const parts = [indexFactory(16, "IVF4,Flat"), indexFactory(16, "IVF4,Flat")] as IndexIVF[];
  for (const part of parts) shards.addShard(part);
  space.setIndexParameters(shards, "nprobe=3");
  assert.deepEqual(parts.map(({ nprobe }) => nprobe), [3, 3]);
  for (const part of parts) part.dispose();
});

Deno.test("combinations are numbered from the first parameter, and ordered by all of them", () => {
  const space = new ParameterSpace();
  space.addRange("nprobe").values = [1, 2, 4];
  space.addRange("k_factor_rf").values = [1, 8];
  assert.equal(space.addRange("nprobe"), space.parameterRanges[0]);
  assert.equal(space.nCombinations, 6);
  assert.equal(space.combinationName(5), "nprobe=4,k_factor_rf=8");
  assert.equal(space.combinationName(3), "nprobe=1,k_factor_rf=8");
  assert.equal(space.combinationGe(5, 1), true);
  assert.equal(space.combinationGe(3, 1), false);
  assert.equal(space.combinationGe(1, 3), false);
  assert.throws(() => space.combinationName(6), { name: "RangeError" });
  assert.match(String(Deno.inspect(space)), /6 combinations/);
});

Deno.test("criteria count what is found, and refuse what is short", () => {
  const truth = BigInt64Array.of(1n, 2n, 3n, 4n, 5n, -1n);
  const found = BigInt64Array.of(3n, 1n, 9n, 9n, 5n, -1n);
  assert.equal(new OneRecallAtRCriterion(2, 1).setGroundtruth(truth).evaluate(found), 0);
  assert.equal(new OneRecallAtRCriterion(2, 2).setGroundtruth(truth).evaluate(found), 0.5);
  assert.equal(new IntersectionCriterion(2, 2).setGroundtruth(truth).evaluate(found), 2 / 4);
  assert.equal(new IntersectionCriterion(2, 3).setGroundtruth(truth).evaluate(found), 3 / 6);
  const criterion = new IntersectionCriterion(2, 3);
  assert.throws(() => criterion.evaluate(found), /setGroundtruth/);
  assert.throws(() => criterion.setGroundtruth(truth.subarray(0, 4)), { name: "RangeError" });
  assert.throws(() => criterion.setGroundtruth(truth.subarray(0, 5)), { name: "RangeError" });
  assert.throws(() => criterion.setGroundtruth(truth).evaluate(found.subarray(0, 4)), RangeError);
  assert.throws(() => new IntersectionCriterion(0, 1), RangeError);
});

Deno.test("OperatingPoints keep what no other beats, whatever the order", () => {
  const random = new Random(5);
  for (let round = 0; round < 50; round++) {
    const points = new OperatingPoints(10);
    for (let i = 0; i < 12; i++) {
      points.add(random.integer(6) / 5, 1 + random.integer(6), `${i}`, i);
    }
    const best = points.all.filter(({ perf, t }, i) => {
      return perf > 0 && !points.all.some((other, j) => {
        const better = other.perf > perf || other.t < t;
        return other.perf >= perf && other.t <= t && (better || j < i);
      });
    });
    assert.deepEqual(new Set(points.optimal), new Set(best));
    for (const perf of [0.1, 0.5, 1]) {
      const times = points.all.flatMap((point) => point.perf >= perf ? [point.t] : []);
      assert.equal(points.tForPerf(perf), Math.min(...times));
    }
  }
});

Deno.test("OperatingPoints show a chart, and merge those of other indexes", async () => {
  const points = new OperatingPoints(100);
  assert.match(Deno.inspect(points), /0 operating points/);
  const show = (points: OperatingPoints): Promise<MimeBundle> => {
    return Reflect.get(points, Symbol.for("Jupyter.display")).call(points);
  };
  assert.match(String((await show(points))["text/plain"]), /0 operating points/);
  points.add(0.5, 0.1, "nprobe=1", 0, "IVF");
  const other = new OperatingPoints(100);
  other.add(0.9, 0.05, "efSearch=16", 0);
  other.add(0.8, 0.06, "efSearch=8", 1);
  assert.equal(points.mergeWith(other, "HNSW "), 1);
  assert.deepEqual(points.optimal.map(({ key, series }) => [key, series]), [
    ["HNSW efSearch=16", "HNSW"],
  ]);
  assert.throws(() => points.mergeWith(new OperatingPoints(7)), { name: "RangeError" });
  const { text } = await points.chart({ title: "Two" });
  assert.match(text, /HNSW +efSearch=16 +0.9 +2000 +yes/);
  assert.ok("application/vnd.vegalite.v5+json" in await show(points));
  points.clear();
  assert.deepEqual([points.all.length, points.optimal.length], [0, 0]);
});

Deno.test("ParameterSpace.explore() measures settings, and leaves out those that cannot be better", async () => {
  const d = 8;
  const x = normals(3000, d, 1);
  const queries = x.subarray(0, 40 * d);
  using flat = new IndexFlatL2(d);
  using index: Index = indexFactory(d, "IVF32,Flat", Metric.L2, { backend: backend() });
  await flat.add(x);
  await index.train(x);
  await index.add(x);
  const truth = await flat.search(queries, 10);
  const criterion = new IntersectionCriterion(40, 10).setGroundtruth(truth.labels);
  const space = new ParameterSpace(index);
  space.nExperiments = 0;
  space.batchSize = 16;
  const seen: string[] = [];
  const points = await space.explore(index, queries, criterion, {
    onProgress: ({ key, point, done, of }) => seen.push(`${done}/${of} ${key} ${point?.perf}`),
  });
  assert.equal(seen.length, 5);
  assert.match(seen[4]!, /^5\/5 nprobe=16 0\.\d+|^5\/5 nprobe=16 1$/);
  assert.deepEqual(points.all.map(({ key }) => key), [1, 2, 4, 8, 16].map((n) => `nprobe=${n}`));
  const perfs = points.all.map(({ perf }) => perf);
  assert.deepEqual(perfs, perfs.toSorted((a, b) => a - b));
  // At once or in parts, the same is found.
  space.setIndexParameters(index, 2);
  assert.equal(criterion.evaluate((await index.search(queries, 10)).labels), perfs[2]);

  // What looks at more for the same results is slower.
  space.addRange("max_codes").values = [2 ** 20, 2 ** 21, 2 ** 22];
  space.nExperiments = 4;
  space.minTestDuration = 0.001;
  const order: (string | undefined)[] = [];
  await space.explore(index, queries, criterion, { onProgress: ({ key }) => order.push(key) });
  assert.equal(order.length, 4);
  assert.deepEqual(order.slice(0, 2), [space.combinationName(0), space.combinationName(14)]);
  assert.equal(new Set(order).size, 4);

  const aborted = AbortSignal.abort();
  await assert.rejects(space.explore(index, queries, criterion, { signal: aborted }), {
    name: "AbortError",
  });
  await assert.rejects(space.explore(index, queries.subarray(d), criterion), /of 40 queries/);
  space.addRange("efSearch");
  await assert.rejects(space.explore(index, queries, criterion), /has no values/);
});
