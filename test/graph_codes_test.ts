import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { QuantizerType } from "../lib/codec/quantizer_type.ts";
import type { IndexGraph } from "../lib/index/graph.ts";
import { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import { IndexHNSWPQ, IndexHNSWSQ } from "../lib/index/hnsw_codes.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexNNDescentFlat } from "../lib/index/nn_descent.ts";
import { IndexNSGFlat, IndexNSGPQ, IndexNSGSQ } from "../lib/index/nsg.ts";
import { IndexPQ } from "../lib/index/product_quantizer.ts";
import { IndexScalarQuantizer } from "../lib/index/scalar_quantizer.ts";
import { Metric } from "../lib/metric.ts";
import { manifold } from "../lib/profile/datasets.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorRange } from "../lib/selector.ts";
import { normals, testDevice } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();
const D = 6;

/** Whole numbers, of which sums are exact in any order: every backend sees the same distances. */
function wholes(n: number, seed: number, most = 20): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: n * D }, () => random.integer(2 * most + 1) - most);
}

/** Graphs over codes that stand for whole numbers, and those that are made at once. */
const makers: Record<string, (backend: Backend, metric: Metric) => IndexGraph> = {
  fp16: (backend, metric) => new IndexHNSWSQ(D, QuantizerType.QTfp16, 4, metric, { backend }),
  signed: (backend, metric) => {
    return new IndexHNSWSQ(D, QuantizerType.QT8bitDirectSigned, 3, metric, { backend });
  },
  PQ3x4: (backend, metric) => {
    const index = new IndexHNSWPQ(D, 3, 4, 4, metric, { backend });
    index.pq.restore(wholes(16, 5, 10));
    return index;
  },
  PQ2x11: (backend, metric) => {
    const index = new IndexHNSWPQ(D, 2, 4, 11, metric, { backend });
    index.pq.restore(wholes(2048, 6, 10));
    return index;
  },
  NSG: (backend, metric) => new IndexNSGFlat(D, 7, metric, { backend }),
  "NSG of few links": (backend, metric) => new IndexNSGFlat(D, 1, metric, { backend }),
  "NSG bf16": (backend, metric) => new IndexNSGSQ(D, QuantizerType.QTbf16, 8, metric, { backend }),
  "NSG PQ6x5": (backend, metric) => {
    const index = new IndexNSGPQ(D, 6, 6, 5, metric, { backend });
    index.pq.restore(wholes(32, 7, 10));
    return index;
  },
  NNDescent: (backend, metric) => new IndexNNDescentFlat(D, 9, metric, { backend }),
};

async function assertSame(ours: IndexGraph, theirs: IndexGraph, what: string): Promise<void> {
  assert.equal(ours.ntotal, theirs.ntotal, what);
  assert.equal(ours.memoryUsage(), theirs.memoryUsage(), what);
  if (ours.ntotal > 0) assert.deepEqual(ours.store.graph(), theirs.store.graph(), what);
  const n = ours.ntotal;
  assert.deepEqual(ours.reconstructN(0, n), theirs.reconstructN(0, n), what);
  const queries = wholes(9, 77, 25);
  for (const [k, list] of [[1, 1], [3, 10], [10, 4], [20, 50]] as const) {
    for (const filter of [undefined, new IDSelectorRange(3, 40)]) {
      for (const checkRelativeDistance of [true, false]) {
        const params = { efSearch: list, searchL: list, filter, checkRelativeDistance };
        const expected = await theirs.search(queries, k, params);
        for (
          const found of [
            await ours.search(queries, k, params),
            ours.searchSync(queries, k, params),
          ]
        ) {
          assert.deepEqual(found.labels, expected.labels, `${what} k ${k} list ${list}`);
          assert.deepEqual(found.distances, expected.distances, `${what} k ${k} list ${list}`);
        }
      }
    }
  }
  const radius = ours.metric === Metric.L2 ? 400 : 100;
  const [found, expected] = [
    await ours.rangeSearch(queries, radius),
    await theirs.rangeSearch(queries, radius),
  ];
  assert.deepEqual(found.labels, expected.labels, what);
  assert.deepEqual(found.lims, expected.lims, what);
}

Deno.test("native graphs equal the reference's, of every kind", { ignore: !isNative }, async () => {
  const cpu = createCpuBackend();
  for (const [name, make] of Object.entries(makers)) {
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const n of [0, 1, 2, 41, 300]) {
        const what = `${name} metric ${metric} of ${n}`;
        using ours = make(cpu, metric);
        using theirs = make(reference, metric);
        const both = [ours, theirs];
        if (n > 0) { for (const index of both) await index.add(wholes(n, 1, n < 50 ? 2 : 20)); }
        await assertSame(ours, theirs, what);
        for (const index of both) await index.add(wholes(30, 2));
        await assertSame(ours, theirs, `grown ${what}`);
        const moved = [0, 5, 20].map((row) => row % ours.ntotal);
        for (const index of both) {
          await index.updateVectors([...new Set(moved)], wholes(new Set(moved).size, 3));
        }
        await assertSame(ours, theirs, `updated ${what}`);
        for (const index of both) await index.removeIds((id) => id % 3n === 1n);
        await assertSame(ours, theirs, `removed ${what}`);
        for (const index of both) await index.removeIds(new IDSelectorRange(0, 1000));
        await assertSame(ours, theirs, `emptied ${what}`);
      }
    }
  }
});

Deno.test("graphs are the same with every instruction set", { ignore: !isNative }, async () => {
  const cpu = createCpuBackend();
  const before = describeLibrary().isa;
  const [x, queries] = [wholes(200, 4), wholes(20, 8)];
  try {
    for (const name of ["signed", "PQ3x4", "PQ2x11", "NSG bf16", "NNDescent"]) {
      using theirs = makers[name]!(reference, Metric.L2);
      await theirs.add(x);
      const expected = await theirs.search(queries, 4, { efSearch: 30, searchL: 30 });
      for (const isa of describeLibrary().isas) {
        setISA(isa);
        using ours = makers[name]!(cpu, Metric.L2);
        await ours.add(x);
        assert.deepEqual(ours.store.graph(), theirs.store.graph(), `${name} ${isa}`);
        for (const boundedQueue of [true, false]) {
          const found = await ours.search(queries, 4, { efSearch: 30, searchL: 30, boundedQueue });
          assert.deepEqual(found.labels, expected.labels, `${name} ${isa}`);
          assert.deepEqual(found.distances, expected.distances, `${name} ${isa}`);
        }
      }
    }
  } finally {
    setISA(before);
  }
});

const backends: [string, () => Backend][] = [["reference", () => reference]];
if (isNative) backends.push(["cpu", createCpuBackend]);

for (const [name, make] of backends) {
  Deno.test(`graphs over codes find what an index of codes finds [${name}]`, async () => {
    const backend = make();
    const [n, d] = [300, 8];
    const all = manifold(n + 12, d);
    const [x, queries] = [all.slice(0, n * d), all.slice(n * d)];
    for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
      for (const qtype of Object.values(QuantizerType)) {
        using codes = new IndexScalarQuantizer(d, qtype, metric, { backend });
        using graph = new IndexHNSWSQ(d, qtype, 16, metric, { backend });
        for (const index of [codes, graph]) {
          await index.train(x);
          await index.add(x);
        }
        const what = `${qtype} ${metric}`;
        assert.deepEqual(await graph.saEncode(x), await codes.saEncode(x), what);
        assert.deepEqual(graph.store.codes(0, n), codes.store.codes(0, n), what);
        const expected = await codes.search(queries, 5);
        const found = await graph.search(queries, 5, { efSearch: 200 });
        assert(found.run.variants.includes("hnsw_walk"));
        assert.deepEqual(found.distances, expected.distances, what);
      }
      using codes = new IndexPQ(d, 4, 5, metric, { backend });
      using graph = new IndexHNSWPQ(d, 4, 16, 5, metric, { backend });
      await codes.train(x);
      graph.pq.restore(codes.pq.centroids);
      for (const index of [codes, graph]) await index.add(x);
      const expected = await codes.search(queries, 5);
      const found = await graph.search(queries, 5, { efSearch: 200 });
      assert.deepEqual(found.distances, expected.distances, `PQ ${metric}`);
      const filter = new IDSelectorRange(0, 9);
      assert.deepEqual(
        (await graph.search(queries, 3, { filter })).distances,
        (await codes.search(queries, 3, { filter })).distances,
      );
      assert.equal(graph.lastRun!.variants[0], "hnsw_scan");
    }
  });

  Deno.test(`graphs merge, copy, keep ids and reset [${name}]`, async () => {
    const backend = make();
    const x = wholes(120, 1);
    for (const [kind, make] of Object.entries(makers)) {
      using index = make(backend, Metric.L2);
      using other = make(backend, Metric.L2);
      await index.add(x.subarray(0, 80 * D));
      await other.add(x.subarray(80 * D));
      const decoded = await index.saDecode(await index.saEncode(x));
      await index.mergeFrom(other);
      assert.deepEqual([index.ntotal, other.ntotal], [120, 0], kind);
      assert.deepEqual(index.reconstructN(0, 120), decoded, kind);
      using copy = await index.to(reference);
      assert.deepEqual(copy.store.graph(), index.store.graph(), kind);
      await index.reset();
      assert.deepEqual([index.ntotal, index.memoryUsage()], [0, 0], kind);
      using map = new IndexIDMap2(index);
      await assert.rejects(map.addWithIds(x, [1]), TypeError);
      await map.addWithIds(x.subarray(0, 3 * D), [7, 9, 11]);
      assert.deepEqual(map.reconstruct(9), decoded.slice(D, 2 * D), kind);
      assert.equal(await map.removeIds([7]), 1);
      const { labels } = await map.search(x.subarray(0, D), 3);
      assert.deepEqual([...labels].toSorted(), [-1n, 11n, 9n], kind);
      using flat = new IndexHNSWFlat(D, 4, Metric.L2, { backend });
      await assert.rejects(index.mergeFrom(flat), TypeError);
    }
  });

  Deno.test(`graphs refuse what does not fit, and stay as they were [${name}]`, async () => {
    const backend = make();
    const value = (message: RegExp) => ({ name: "RangeError", message });
    using untrained = new IndexHNSWPQ(4, 2, 8, 8, Metric.L2, { backend });
    await assert.rejects(untrained.add([[1, 2, 3, 4]]), { name: "NotTrainedError" });
    await assert.rejects(untrained.search([[1, 2, 3, 4]], 1), { name: "NotTrainedError" });
    await assert.rejects(untrained.train(normals(10, 4, 1)), /training|256/);
    assert.equal(untrained.memoryUsage(), 0);
    for (const [kind, make] of Object.entries(makers)) {
      using index = make(backend, Metric.L2);
      await index.add(wholes(30, 1));
      const before = index.store.graph();
      await assert.rejects(index.add(wholes(1, 1).with(2, NaN)), value(/row 0 holds NaN/), kind);
      await assert.rejects(index.updateVectors([30], wholes(1, 1)), value(/30 is not among/), kind);
      await assert.rejects(index.addWithIds(wholes(1, 1), [1]), { name: "UnsupportedError" }, kind);
      await assert.rejects(index.saDecode(new Uint8Array(index.saCodeSize + 1)), TypeError, kind);
      assert.throws(() => index.reconstruct(30), value(/id 30 of 30/), kind);
      assert.deepEqual(index.store.graph(), before, kind);
      index.dispose();
      await assert.rejects(index.add(wholes(1, 1)), { name: "DisposedError" }, kind);
    }
    const options = { backend };
    assert.throws(() => new IndexHNSWSQ(4, 99 as QuantizerType, 8, Metric.L2, options), RangeError);
    assert.throws(() => new IndexHNSWSQ(4, 0, 1, Metric.L2, options), value(/M 1 is no integer/));
    assert.throws(() => new IndexHNSWSQ(4, 0, 8, Metric.L1, options), value(/compares by L2/));
    assert.throws(() => new IndexHNSWPQ(4, 3, 8, 8, Metric.L2, options), value(/divisible/));
    assert.throws(() => new IndexNSGFlat(4, 1025, Metric.L2, options), value(/R 1025/));
    assert.throws(() => new IndexNNDescentFlat(4, 0, Metric.L2, options), value(/K 0/));
    using spread = new IndexNSGFlat(D, 8, Metric.L2, options);
    for (const [name, value] of [["GK", 0], ["S", 0], ["iter", 1.5], ["R", -1]] as const) {
      const kept = spread.build[name];
      spread.build[name] = value;
      await assert.rejects(spread.add(wholes(9, 1)), RangeError, name);
      spread.build[name] = kept;
    }
    await spread.add(wholes(9, 1));
    await assert.rejects(spread.search(wholes(1, 1), 1, { searchL: 0 }), value(/searchL 0/));
  });
}

Deno.test("a native graph is over codes that walks can read", { ignore: !isNative }, () => {
  const backend = createCpuBackend();
  const shape = { d: 8, m: 4, metric: Metric.L2, metricArg: 0 };
  const centroids = new Float32Array(16 * 8);
  for (
    const codec of [
      { kind: "binary", d: 8 },
      { kind: "signs", d: 8, thresholds: new Float32Array() },
      { kind: "rabitq", d: 8, nbits: 4, inner: false, center: new Float32Array() },
      { kind: "pq", d: 8, m: 4, nbits: 4, centroids, inBlocks: true },
    ] as const
  ) {
    assert.throws(() => backend.createHNSW({ ...shape, codec }), {
      name: "RangeError",
      message: /graphs are over codes of scalar or product quantizers in rows/,
    }, codec.kind);
  }
});

Deno.test("a GPU has no graphs over codes, and says so", { ignore: !isNative }, () => {
  const backend = createGpuBackend(testDevice());
  const options = { backend };
  for (
    const make of [
      () => new IndexHNSWSQ(4, QuantizerType.QT8bit, 8, Metric.L2, options),
      () => new IndexHNSWPQ(4, 2, 8, 8, Metric.L2, options),
      () => new IndexNSGFlat(4, 8, Metric.L2, options),
      () => new IndexNSGSQ(4, QuantizerType.QT8bit, 8, Metric.L2, options),
      () => new IndexNNDescentFlat(4, 8, Metric.L2, options),
    ]
  ) assert.throws(make, { name: "UnsupportedError" });
});
