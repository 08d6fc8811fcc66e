import assert from "node:assert/strict";
import type { Backend, Neighbors, StoreSearch } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { RaBitQuantizer } from "../lib/codec/rabitq.ts";
import type { RaBitQSpec } from "../lib/codec/codec.ts";
import { packRounding } from "../lib/codec/rabitq_query.ts";
import { NotTrainedError, UnsupportedError } from "../lib/errors.ts";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexFlat, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "../lib/index/rabitq.ts";
import { IndexRefineFlat } from "../lib/index/refine.ts";
import { Metric } from "../lib/metric.ts";
import { type IDSelector, IDSelectorArray, IDSelectorRange } from "../lib/selector.ts";
import { normals, testEach as testAll } from "./grid.ts";
import { isNative } from "./native.ts";

function testEach(name: string, run: (backend: Backend) => Promise<void>): void {
  testAll(name, run, (backend) => backend.name !== "gpu");
}

const reference = createReferenceBackend();

/** The same labels and, but for the last digit, distances. */
function assertSame(found: Neighbors, wanted: Neighbors, what: string): void {
  found.distances.forEach((distance, i) => {
    const right = wanted.distances[i]!;
    const near = Math.abs(distance - right) <= 2e-7 * Math.abs(right) || distance === right;
    assert(near, `${what}: place ${i}: ${distance}, not ${right}`);
  });
  assert.deepEqual(found.labels, wanted.labels, what);
}

/** Bits, dimension, codes, queries, k: short of and past words, blocks and registers. */
const shapes = [
  [1, 1, 9, 2, 12],
  [1, 8, 0, 2, 3],
  [1, 65, 130, 3, 10],
  [1, 128, 700, 40, 10],
  [1, 2100, 70, 2, 5],
  [2, 1, 9, 2, 3],
  [2, 33, 130, 5, 10],
  [4, 64, 200, 40, 7],
  [5, 70, 65, 2, 80],
  [9, 40, 150, 3, 10],
] as const;

const roundings = [
  { qb: 4, centered: false },
  { qb: 8, centered: true },
  { qb: 1, centered: false },
  { qb: 0, centered: false },
];

function selectors(n: number): (IDSelector | undefined)[] {
  return [undefined, new IDSelectorRange(n >> 2, n - (n >> 3)), new IDSelectorArray([1, n >> 1])];
}

Deno.test("native RaBitQ encodes and searches as the reference does, with every instruction set", {
  ignore: !isNative,
}, async () => {
  const cpu = createCpuBackend();
  const { isa, isas } = describeLibrary();
  for (const [nbits, d, n, nq, k] of shapes) {
    for (const inner of [false, true]) {
      const x = normals(n, d, 1).map((value) => value + 0.5);
      // Some are the same, and one is the center itself.
      x.copyWithin((n >> 1) * d, 0, (n >> 2) * d);
      const center = normals(1, d, 2);
      if (n > 3) x.set(center, 3 * d);
      const spec: RaBitQSpec = { kind: "rabitq", d, nbits, inner, center };
      const plain: RaBitQSpec = { ...spec, center: new Float32Array() };
      const nlist = 3;
      const centroids = normals(nlist, d, 3);
      const lists = BigInt64Array.from({ length: n }, (_, i) => BigInt(i * i % (nlist + 1)) - 1n);
      const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(5 * i % 1009));
      const about = new Float32Array(n * d);
      lists.forEach((list, i) => {
        const at = Math.max(0, Number(list)) * d;
        about.set(centroids.subarray(at, at + d), i * d);
      });
      const queries = normals(nq, d, 4);
      const probes = BigInt64Array.from({ length: 2 * nq }, (_, i) => BigInt(i % (nlist + 1)) - 1n);
      const searches = roundings.flatMap((rounding) =>
        selectors(n).map((selector): StoreSearch => ({
          metric: inner ? Metric.InnerProduct : Metric.L2,
          metricArg: packRounding(rounding),
          selector,
        }))
      );
      const answers = async (backend: Backend) => {
        using codec = backend.createCodec(spec);
        using listed = backend.createCodec(plain);
        using flat = backend.createCodes(spec);
        using store = backend.createCodeLists(plain, nlist, { centroids });
        const codes = [await codec.encode(x), await listed.encode(x, about)];
        await flat.add(codes[0]!);
        await store.add(codes[1]!, lists, ids);
        const found: Neighbors[] = [];
        for (const how of searches) {
          const first = await flat.search(queries, k, how);
          const radius = first.distances[Math.min(k, n) - 1] ?? 1;
          found.push(first, flat.searchSync(queries, k, how));
          found.push(await store.search(queries, probes, k, how));
          found.push(await flat.rangeSearch(queries, inner ? radius - 1 : radius + 1, how));
          found.push(await store.rangeSearch(queries, probes, inner ? -1e9 : 1e9, how));
        }
        return { codes, decoded: await codec.decode(codes[0]!), found };
      };
      const wanted = await answers(reference);
      try {
        for (const each of isas) {
          setISA(each);
          const what = `${nbits} bits of ${d}, ${inner ? "products" : "L2"}, ${each}`;
          const { codes, decoded, found } = await answers(cpu);
          assert.deepEqual(codes, wanted.codes, what);
          assert.deepEqual(decoded, wanted.decoded, what);
          found.forEach((one, i) => assertSame(one, wanted.found[i]!, `${what}, search ${i}`));
        }
      } finally {
        setISA(isa);
      }
    }
  }
});

testEach("more bits find more, and a finer query too", async (backend) => {
  const [d, n, k] = [48, 600, 10];
  const [x, queries] = [normals(n, d, 1), normals(10, d, 2)];
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
    using exact = new IndexFlat(d, metric, { backend });
    await exact.add(x);
    const truth = (await exact.search(queries, k)).labels;
    const recall = async (nbBits: number, qb: number) => {
      using index = new IndexRaBitQ(d, metric, nbBits, { backend });
      await index.train(x);
      await index.add(x);
      const { labels } = await index.search(queries, k, { qb });
      let common = 0;
      for (let q = 0; q < 10; q++) {
        const right = new Set(truth.subarray(q * k, (q + 1) * k));
        for (const label of labels.subarray(q * k, (q + 1) * k)) if (right.has(label)) common++;
      }
      return common / truth.length;
    };
    const [one, two, four, eight] = [
      await recall(1, 8),
      await recall(2, 8),
      await recall(4, 8),
      await recall(8, 8),
    ];
    const what = `metric ${metric}: ${one}, ${two}, ${four}, ${eight}`;
    assert(one > 0.3 && two > one && four > two && eight >= four && eight > 0.95, what);
    assert(one > await recall(1, 1) - 0.05, what);
  }
});

testEach("RaBitQ does what every index of codes does", async (backend) => {
  const d = 20;
  const x = normals(200, d, 1);
  const quantizer = new IndexFlatL2(d, { backend });
  for (
    const index of [
      new IndexRaBitQ(d, Metric.L2, 3, { backend }),
      new IndexIVFRaBitQ(quantizer, d, 4, Metric.L2, 3),
    ]
  ) {
    if (index instanceof IndexIVFRaBitQ) {
      index.cp.minPointsPerCentroid = 1;
      index.nprobe = 4;
    }
    await assert.rejects(index.add(x), NotTrainedError);
    await index.train(x);
    await index.add(x);
    assert.equal((await index.search(x.subarray(0, d), 1)).labels[0], 0n);
    const far = index.reconstruct(5).reduce(
      (sum, value, j) => sum + (value - x[5 * d + j]!) ** 2,
      0,
    );
    assert(far < 0.6 * x.subarray(5 * d, 6 * d).reduce((sum, value) => sum + value * value, 0));
    const only = await index.search(x.subarray(0, d), 3, { filter: [7, 9] });
    assert.deepEqual([...only.labels].sort(), [-1n, 7n, 9n]);
    assert.equal(await index.removeIds([0, 1]), 2);
    assert.equal(index.ntotal, 198);
    using copy = await index.to(backend);
    const found = await index.search(x, 5);
    assert.deepEqual((await copy.search(x, 5)).labels, found.labels);
    await index.mergeFrom(copy);
    assert.deepEqual([index.ntotal, copy.ntotal], [396, 0]);
    await assert.rejects(index.search(x, 1, { qb: 9 }), {
      message: /qb 9 is no integer from 0 to 8/,
    });
    await assert.rejects(index.search(x, 1, { qb: 1.5 }), RangeError);
    await index.reset();
    assert.equal(index.ntotal, 0);
    assert.equal((await index.search(x.subarray(0, d), 1)).labels[0], -1n);
    index.dispose();
  }
  quantizer.dispose();
});

testEach("RaBitQ lies in maps, under refinements and after rotations", async (backend) => {
  const d = 32;
  const x = normals(300, d, 1);
  using map = new IndexIDMap2(new IndexIVFRaBitQ(new IndexFlatL2(d, { backend }), d, 3));
  Object.assign(map.index, { ownFields: true, nprobe: 3 });
  map.ownFields = true;
  await map.train(x);
  await map.addWithIds(x, Array.from({ length: 300 }, (_, i) => 10 * i));
  const { labels } = await map.search(x.subarray(0, 4 * d), 1, { qb: 8 });
  assert.deepEqual([...labels], [0n, 10n, 20n, 30n]);
  using refined = indexFactory(d, "RR,RaBitQ2,RFlat", Metric.L2, { backend });
  assert(refined instanceof IndexRefineFlat);
  refined.kFactor = 4;
  await refined.train(x);
  await refined.add(x);
  assert.equal((await refined.search(x.subarray(9 * d, 10 * d), 1)).labels[0], 9n);
});

testEach("the factory makes RaBitQ of its tokens", async (backend) => {
  for (const token of ["RaBitQ", "RaBitQ4", "IVF8,RaBitQ", "IVF8,RaBitQ9", "IDMap,RR,RaBitQ2"]) {
    using index = indexFactory(16, token, Metric.InnerProduct, { backend });
    assert.equal(reverseIndexFactory(index), token);
    assert.equal(index.isTrained, false);
  }
  assert.throws(() => indexFactory(16, "RaBitQ0", Metric.L2, { backend }), /RaBitQ0/);
  assert.throws(() => new IndexRaBitQ(16, Metric.L2, 10, { backend }), /nbBits 10/);
  assert.throws(() => new IndexRaBitQ(16, Metric.L1, 1, { backend }), { name: "RangeError" });
  const gpu = Object.assign(Object.create(backend), { name: "gpu" });
  assert.throws(() => new IndexRaBitQ(16, Metric.L2, 1, { backend: gpu }), UnsupportedError);
  using quantizer = new RaBitQuantizer(4, 1, Metric.L2, { backend });
  await assert.rejects(quantizer.encode(new Float32Array(8), new Float32Array(4)), TypeError);
  await assert.rejects(quantizer.encode(Float32Array.of(1, NaN, 0, 0)), RangeError);
});

Deno.test("codes of one metric are not searched by the other", { ignore: !isNative }, async () => {
  for (const backend of [reference, createCpuBackend()]) {
    const spec: RaBitQSpec = {
      kind: "rabitq",
      d: 4,
      nbits: 1,
      inner: true,
      center: new Float32Array(),
    };
    using store = backend.createCodes(spec);
    const how = { metric: Metric.L2, metricArg: 4 };
    await store.add(new Uint8Array(store.codeSize));
    await assert.rejects(store.search(new Float32Array(4), 1, how), /the other metric/);
  }
});
