import assert from "node:assert/strict";
import type { Backend, CodeLists, CodeStore, StoreSearch } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import type { ProductSpec } from "../lib/codec/codec.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFPQ, IndexPQ } from "../lib/index/product_quantizer.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorArray, IDSelectorRange } from "../lib/selector.ts";
import { normals, testEach as testAll } from "./grid.ts";
import { isNative } from "./native.ts";

function testEach(name: string, run: (backend: Backend) => Promise<void>): void {
  testAll(name, run, (backend) => backend.name !== "gpu");
}

/** d, m, nbits, codes, queries, k: past blocks and filters, few codes, more than k, wide sums. */
const shapes = [
  [4, 2, 8, 0, 3, 2],
  [1, 1, 1, 9, 2, 12],
  [8, 4, 4, 700, 5, 10],
  [16, 4, 8, 1300, 9, 1],
  [34, 17, 7, 900, 3, 30],
  [12, 3, 10, 600, 2, 5],
  [64, 64, 6, 1000, 2, 20],
  [260, 260, 2, 600, 2, 4],
] as const;

function spec([d, m, nbits]: readonly number[]): ProductSpec {
  return { kind: "pq", d: d!, m: m!, nbits: nbits!, centroids: normals(2 ** nbits!, d!, 1) };
}

/** Random codes, of which some are the same: their ties go by id. */
function codesOf({ m, nbits }: ProductSpec, n: number): Uint8Array {
  const size = Math.ceil(m * nbits / 8);
  const random = new Random(3);
  const codes = Uint8Array.from({ length: n * size }, () => random.integer(256));
  codes.copyWithin(Math.floor(n / 2) * size, 0, Math.floor(n / 4) * size);
  return codes;
}

function searches(n: number): StoreSearch[] {
  const selectors = [
    undefined,
    new IDSelectorRange(Math.floor(n / 4), n - Math.floor(n / 8)),
    new IDSelectorArray([1, 3, n + 5, n >> 1]),
  ];
  return [Metric.L2, Metric.InnerProduct].flatMap((metric) =>
    selectors.map((selector) => ({ metric, metricArg: 0, selector }))
  );
}

function test(name: string, run: (backend: Backend) => Promise<void>): void {
  Deno.test(`cpu backend ${name}`, { ignore: !isNative }, async () => {
    const backend = createCpuBackend();
    const { isa, isas } = describeLibrary();
    try {
      for (const each of isas) {
        setISA(each);
        await run(backend);
      }
    } finally {
      setISA(isa);
    }
  });
}

test("searches product codes as the reference does, with every instruction set", async (backend) => {
  for (const shape of shapes) {
    const [, , , n, nq, k] = shape;
    const codec = spec(shape);
    using ours: CodeStore = backend.createCodes(codec);
    using theirs: CodeStore = createReferenceBackend().createCodes(codec);
    const codes = codesOf(codec, n);
    for (const store of [ours, theirs]) await store.add(codes);
    const queries = normals(nq, codec.d, 2);
    for (const how of searches(n)) {
      const [found, wanted] = [
        await ours.search(queries, k, how),
        await theirs.search(queries, k, how),
      ];
      assert.deepEqual(found.labels, wanted.labels, `${shape}`);
      assert.deepEqual(found.distances, wanted.distances, `${shape}`);
      assert.deepEqual(ours.searchSync(queries, k, how).labels, wanted.labels);
      const radius = wanted.distances[k - 1]!;
      const [within, expected] = [
        await ours.rangeSearch(queries, radius, how),
        await theirs.rangeSearch(queries, radius, how),
      ];
      assert.deepEqual(within.lims, expected.lims, `${shape} within ${radius}`);
      assert.deepEqual(within.labels, expected.labels, `${shape} within ${radius}`);
      assert.deepEqual(within.distances, expected.distances, `${shape} within ${radius}`);
      // Of few codes an item has fewer than tables have entries.
      const tables = how.selector === undefined && codec.nbits <= 8 && n > 0;
      if (tables) assert.deepEqual(found.run.variants, ["table_f32"], `${shape}`);
    }
  }
});

test("searches lists of product codes as the reference does, with every instruction set", async (backend) => {
  for (const shape of shapes) {
    for (const offset of [undefined, 0, 1000]) {
      const [d, , , n, nq, k] = shape;
      const nlist = 3;
      const codec = spec(shape);
      const centroids = normals(nlist, d, 5).map((value) => value + (offset ?? 0));
      const residual = offset === undefined ? undefined : { centroids };
      using ours: CodeLists = backend.createCodeLists(codec, nlist, residual);
      using theirs: CodeLists = createReferenceBackend().createCodeLists(codec, nlist, residual);
      const lists = BigInt64Array.from({ length: n }, (_, i) => BigInt((i * i) % (nlist + 1)) - 1n);
      const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
      const codes = codesOf(codec, n);
      for (const store of [ours, theirs]) await store.add(codes, lists, ids);
      const queries = normals(nq, d, 2).map((value) => value + (offset ?? 0));
      const probes = BigInt64Array.from({ length: nq * 2 }, (_, i) => BigInt(i % (nlist + 1)) - 1n);
      for (const how of searches(n)) {
        const [found, wanted] = [
          await ours.search(queries, probes, k, how),
          await theirs.search(queries, probes, k, how),
        ];
        assert.deepEqual(found.labels, wanted.labels, `${shape} from ${offset}`);
        assert.deepEqual(found.distances, wanted.distances, `${shape} from ${offset}`);
        const radius = wanted.distances[0]! + (how.metric === Metric.L2 ? 1 : -1);
        const [within, expected] = [
          await ours.rangeSearch(queries, probes, radius, how),
          await theirs.rangeSearch(queries, probes, radius, how),
        ];
        assert.deepEqual(within.labels, expected.labels, `${shape} from ${offset}`);
        assert.deepEqual(within.distances, expected.distances, `${shape} from ${offset}`);
      }
    }
  }
});

test("finds the same alone and in a batch, and many queries over threads", async (backend) => {
  const codec = spec([16, 8, 8]);
  using store = backend.createCodes(codec);
  await store.add(codesOf(codec, 20_000));
  const queries = normals(100, 16, 4);
  const how = { metric: Metric.L2, metricArg: 0 };
  const all = await store.search(queries, 10, how);
  for (let q = 0; q < 100; q += 33) {
    const alone = store.searchSync(queries.subarray(q * 16, (q + 1) * 16), 10, how);
    assert.deepEqual(alone.labels, all.labels.subarray(q * 10, (q + 1) * 10));
    assert.deepEqual(alone.distances, all.distances.subarray(q * 10, (q + 1) * 10));
  }
});

async function trained(backend: Backend, metric: Metric, x: Float32Array): Promise<IndexPQ> {
  const index = new IndexPQ(8, 4, 4, metric, { backend });
  Object.assign(index.pq.cp, { minPointsPerCentroid: 1, niter: 4 });
  await index.train(x);
  return index;
}

async function trainedIVF(
  backend: Backend,
  metric: Metric,
  x: Float32Array,
  byResidual: boolean,
): Promise<IndexIVFPQ> {
  const quantizer = new IndexFlat(8, metric, { backend });
  const index = new IndexIVFPQ(quantizer, 8, 4, 4, 4, metric, { byResidual });
  index.ownFields = true;
  index.nprobe = 4;
  index.cp.minPointsPerCentroid = 1;
  Object.assign(index.pq.cp, { minPointsPerCentroid: 1, niter: 4 });
  await index.train(x);
  return index;
}

testEach("IndexPQ finds what its codes stand for, nearest first", async (backend) => {
  const x = normals(300, 8, 1);
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
    using index = await trained(backend, metric, x);
    await index.add(x);
    using exact = new IndexFlat(8, metric === Metric.L2 ? metric : Metric.InnerProduct, {
      backend,
    });
    await exact.add(await index.saDecode(await index.saEncode(x)));
    const queries = normals(10, 8, 2);
    const unit = queries.map((value, i) => {
      const row = queries.subarray(i - i % 8, i - i % 8 + 8);
      return value / (metric === Metric.Cosine ? Math.hypot(...row) : 1);
    });
    const [found, wanted] = [await index.search(queries, 20), await exact.search(unit, 20)];
    found.distances.forEach((distance, i) => {
      assert(Math.abs(distance - wanted.distances[i]!) < 1e-5, `${metric}, place ${i}`);
    });
    assert.deepEqual(
      index.reconstructN(0, 300),
      await index.saDecode(await index.saEncode(x)),
    );
    assert.equal(index.memoryUsage(), 300 * 2);
    await assert.rejects(index.addWithIds(x, BigInt64Array.from({ length: 300 }, () => 1n)), {
      name: "UnsupportedError",
    });
  }
});

testEach("IndexIVFPQ finds with all lists what its codes stand for", async (backend) => {
  const x = normals(300, 8, 1).map((value) => value + 3);
  for (const byResidual of [true, false]) {
    using index = await trainedIVF(backend, Metric.L2, x, byResidual);
    await index.add(x);
    const decoded = await index.saDecode(await index.saEncode(x));
    assert.deepEqual(index.reconstructN(0, 300), decoded);
    using exact = new IndexFlat(8, Metric.L2, { backend });
    await exact.add(decoded);
    const queries = normals(10, 8, 2);
    const [found, wanted] = [await index.search(queries, 20), await exact.search(queries, 20)];
    assert.deepEqual(found.distances, wanted.distances);
    assert.deepEqual(found.labels, wanted.labels);
    assert.equal(index.memoryUsage(), 300 * (2 + 8) + 4 * 8 * 4);
  }
});

testEach(
  "IndexPQ and IndexIVFPQ move between backends, merge, remove and reset",
  async (backend) => {
    const x = normals(200, 8, 1);
    const indexes = [
      () => trained(backend, Metric.L2, x),
      () => trainedIVF(backend, Metric.InnerProduct, x, true),
      async () => {
        const index = new IndexIDMap2(await trainedIVF(backend, Metric.L2, x, true));
        index.ownFields = true;
        return index;
      },
    ];
    for (const make of indexes) {
      using index = await make();
      using other = await make();
      const add = async (to: typeof index, from: number, n: number) => {
        const rows = x.subarray(from * 8, (from + n) * 8);
        if (!(to instanceof IndexIDMap2)) return await to.add(rows);
        await to.addWithIds(rows, Array.from({ length: n }, (_, i) => from + i));
      };
      await add(index, 0, 120);
      await add(other, 120, 80);
      await index.mergeFrom(other, index instanceof IndexIVFPQ ? 120 : 0);
      assert.deepEqual([index.ntotal, other.ntotal], [200, 0]);
      using whole = await make();
      await add(whole, 0, 200);
      const [found, wanted] = [await index.search(x, 5), await whole.search(x, 5)];
      assert.deepEqual(found.labels, wanted.labels);
      using copy = await index.to("reference");
      assert.deepEqual((await copy.search(x, 5)).labels, wanted.labels);
      assert.equal(await index.removeIds((id) => id % 2n === 0n), 100);
      assert.equal(index.ntotal, 100);
      await index.reset();
      assert.deepEqual((await index.search(x.subarray(0, 8), 1)).labels, BigInt64Array.of(-1n));
    }
    using ours = await trained(backend, Metric.L2, x);
    using theirs = await trained(backend, Metric.L2, normals(200, 8, 9));
    await assert.rejects(ours.mergeFrom(theirs), {
      name: "TypeError",
      message: /codecs .* differ/,
    });
  },
);

testEach("IndexPQ and IndexIVFPQ refuse bad numbers and use before training", async (backend) => {
  const quantizer = new IndexFlat(8, Metric.L2, { backend });
  const makers = [
    (M: number, nbits: number) => new IndexPQ(8, M, nbits, Metric.L2, { backend }),
    (M: number, nbits: number) => new IndexIVFPQ(quantizer, 8, 2, M, nbits),
  ];
  const untrained = { name: "NotTrainedError", message: /train\(\)/ };
  for (const make of makers) {
    assert.throws(() => make(3, 8), { name: "RangeError", message: /8 is not divisible by M 3/ });
    assert.throws(() => make(0, 8), { name: "RangeError", message: /M 0/ });
    assert.throws(() => make(4, 0), { name: "RangeError", message: /nbits 0/ });
    assert.throws(() => make(4, 24), { name: "RangeError", message: /nbits 24/ });
    using index = make(4, 4);
    assert.equal(index.isTrained, false);
    const x = normals(10, 8, 1);
    await assert.rejects(index.add(x), untrained);
    await assert.rejects(index.search(x, 1), untrained);
    await assert.rejects(index.saEncode(x), untrained);
    await assert.rejects(index.saDecode(new Uint8Array(index.saCodeSize)), untrained);
    await assert.rejects(index.train(x), {
      name: "RangeError",
      message: /10 vectors are fewer than 16 centroids/,
    });
    assert.deepEqual([index.isTrained, index.ntotal], [false, 0]);
  }
  quantizer.dispose();
});
