import assert from "node:assert/strict";
import type { Backend, HNSWStore } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setThreads } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { IndexFlat, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { Metric, metricName } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorArray, IDSelectorBitmap, IDSelectorRange } from "../lib/selector.ts";
import { testDevice } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();
const options = { backend: reference };

/** Whole numbers, of which sums are exact in any order: every backend sees the same distances. */
function wholes(n: number, d: number, seed: number, most = 20): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: n * d }, () => random.integer(2 * most + 1) - most);
}

function normals(n: number, d: number, seed: number): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: n * d }, () => random.normal());
}

/** Levels that reach higher, and sooner, than those of an index. */
function levelsOf(n: number, seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: n }, () => Math.min(5, Math.floor(-Math.log(random.uniform()))));
}

async function assertSame(ours: HNSWStore, theirs: HNSWStore, metric: Metric, what: string) {
  assert.equal(ours.count, theirs.count, what);
  assert.equal(ours.links, theirs.links, what);
  assert.deepEqual(ours.graph(), theirs.graph(), what);
  const queries = wholes(9, ours.d, 77, 25);
  for (const [k, efSearch] of [[1, 1], [3, 10], [10, 4], [20, 50]] as const) {
    for (const selector of [undefined, new IDSelectorRange(3, 40)]) {
      const how = { metric, metricArg: 3, efSearch, selector };
      const expected = await theirs.search(queries, k, how);
      for (const found of [await ours.search(queries, k, how), ours.searchSync(queries, k, how)]) {
        assert.deepEqual(found.labels, expected.labels, `${what} k ${k} ef ${efSearch}`);
        assert.deepEqual(found.distances, expected.distances, `${what} k ${k} ef ${efSearch}`);
        assert.equal(found.run.variants[0], expected.run.variants[0]);
      }
    }
  }
}

/** Runs with a number of threads, and then with as many as before. */
async function withThreads(threads: number, body: () => Promise<void>): Promise<void> {
  const before = describeLibrary().threads;
  setThreads(threads);
  try {
    await body();
  } finally {
    setThreads(before);
  }
}

const exact = [Metric.L2, Metric.InnerProduct, Metric.L1, Metric.Linf, Metric.Lp];

Deno.test("native graphs equal the reference's, link by link", { ignore: !isNative }, async () => {
  const cpu = createCpuBackend();
  for (const metric of exact) {
    for (
      const [n, d, m, ef] of [[0, 3, 4, 8], [1, 1, 2, 1], [41, 2, 3, 5], [700, 9, 4, 20]] as const
    ) {
      const what = `${metricName(metric)} ${[n, d, m, ef]}`;
      const made = { d, m, metric, metricArg: 3 };
      using ours = cpu.createHNSW(made);
      using theirs = reference.createHNSW(made);
      // Two calls: the second's batches start elsewhere. Rows repeat.
      for (const [seed, size] of [[1, n], [2, Math.ceil(n / 3)]] as const) {
        const x = wholes(size, d, seed, d < 3 ? 4 : 20);
        for (const store of [ours, theirs]) await store.add(x, levelsOf(size, seed), ef);
        await assertSame(ours, theirs, metric, what);
      }
      const count = BigInt(ours.count);
      const rows = BigInt64Array.from({ length: Number(count) }, (_, i) => BigInt(i))
        .filter((row) => row % 7n === 2n);
      const x = wholes(rows.length, d, 5);
      for (const store of [ours, theirs]) await store.update(rows, x, ef);
      await assertSame(ours, theirs, metric, `updated ${what}`);
      const gone = new IDSelectorBitmap(
        new Uint8Array(Math.ceil(Number(count) / 8)).fill(0b0101_0010),
      );
      const removed = [];
      for (const store of [ours, theirs]) removed.push(await store.remove(gone));
      assert.equal(removed[0], removed[1]);
      await assertSame(ours, theirs, metric, `removed ${what}`);
      for (const store of [ours, theirs]) await store.add(x, levelsOf(rows.length, 9), ef);
      await assertSame(ours, theirs, metric, `grown again ${what}`);
    }
  }
});

Deno.test("a graph does not depend on the number of threads", { ignore: !isNative }, async () => {
  const d = 24;
  const x = normals(3000, d, 3);
  const graphs: unknown[] = [];
  for (const threads of [1, 2, 5]) {
    await withThreads(threads, async () => {
      using index = new IndexHNSWFlat(d, 8, Metric.L2, { backend: createCpuBackend() });
      await index.add(x);
      await index.removeIds((id) => id % 5n === 0n);
      await index.updateVectors([5, 500], x.subarray(0, 2 * d));
      graphs.push(index.store.graph());
    });
  }
  assert.deepEqual(graphs[1], graphs[0]);
  assert.deepEqual(graphs[2], graphs[0]);
});

/** Both backends, where there are both. */
const backends: [string, () => Backend][] = [["reference", () => reference]];
if (isNative) backends.push(["cpu", createCpuBackend]);

for (const [name, make] of backends) {
  Deno.test(`${name} walks find what a flat index finds, by any metric`, async () => {
    const backend = make();
    const [n, d] = [200, 6];
    for (const metric of Object.values(Metric)) {
      const metricArg = metric === Metric.Lp ? 3 : 0;
      const x = normals(n, d, 11);
      // Among positive rows the longest hide others from an inner product, as in FAISS.
      if (metric !== Metric.InnerProduct) x.forEach((value, i) => x[i] = Math.abs(value) + 0.1);
      if (metric === Metric.NaNEuclidean) { for (let i = 0; i < x.length; i += 13) x[i] = NaN; }
      const queries = x.slice(0, 20 * d).map((value) => value + 0.05);
      using flat = new IndexFlat(d, metric, { backend, metricArg });
      using index = new IndexHNSWFlat(d, 16, metric, { backend, metricArg });
      await flat.add(x);
      await index.add(x);
      const expected = await flat.search(queries, 5);
      const found = await index.search(queries, 5, { efSearch: 150 });
      assert(found.run.variants.includes("hnsw_walk"), metricName(metric));
      assert.deepEqual(found.labels, expected.labels, metricName(metric));
      assert.deepEqual(found.distances, expected.distances, metricName(metric));
    }
  });

  Deno.test(`${name} searches of an empty index, and for more than there are`, async () => {
    using index = new IndexHNSWFlat(3, 4, Metric.InnerProduct, { backend: make() });
    assert.deepEqual([...(await index.search([[1, 2, 3]], 2)).labels], [-1n, -1n]);
    assert.equal((await index.rangeSearch([[1, 2, 3]], 0)).labels.length, 0);
    assert.equal(await index.removeIds([0]), 0);
    await index.add([[1, 0, 0], [0, 1, 0]]);
    const found = index.searchSync([[1, 2, 3]], 3);
    assert.deepEqual([...found.labels], [1n, 0n, -1n]);
    assert.deepEqual([...found.distances], [2, 1, Math.fround(-3.4028234663852886e38)]);
    assert.equal(await index.removeIds([0, 1]), 2);
    assert.deepEqual([...(await index.search([[1, 2, 3]], 1)).labels], [-1n]);
    await index.add([[7, 0, 0]]);
    assert.deepEqual((await index.search([[1, 2, 3]], 1)).row(0), [{ id: 0, distance: 7 }]);
  });

  Deno.test(`${name} removals move ids down, updates keep them`, async () => {
    const d = 4;
    const x = normals(300, d, 21);
    using index = new IndexHNSWFlat(d, 8, Metric.L2, { backend: make() });
    using flat = new IndexFlatL2(d, options);
    for (const each of [index, flat]) {
      await each.add(x);
      assert.equal(await each.removeIds(new IDSelectorArray([0, 5, 6, 7, 299, 1000])), 5);
    }
    assert.deepEqual(index.reconstructN(0, 295), flat.reconstructN(0, 295));
    await index.updateVectors([3, 100], x.subarray(0, 2 * d));
    assert.deepEqual(
      index.reconstructBatch([100, 3]),
      Float32Array.of(...x.subarray(d, 2 * d), ...x.subarray(0, d)),
    );
    const { labels } = await index.search(x.subarray(0, 2 * d), 1);
    // The second vector moved down to 0 before it was put to 100 as well.
    assert.deepEqual([...labels], [3n, 0n]);
    assert.equal(index.ntotal, 295);
  });

  Deno.test(`${name} range searches are exact`, async () => {
    const d = 5;
    const x = normals(200, d, 31);
    using index = new IndexHNSWFlat(d, 4, Metric.L2, { backend: make() });
    using flat = new IndexFlatL2(d, options);
    for (const each of [index, flat]) await each.add(x);
    const params = { filter: new IDSelectorRange(20, 150) };
    const found = await index.rangeSearch(x.subarray(0, 9 * d), 3, params);
    const expected = await flat.rangeSearch(x.subarray(0, 9 * d), 3, params);
    assert(expected.labels.length > 20);
    assert.deepEqual(found.labels, expected.labels);
    assert.deepEqual(found.lims, expected.lims);
    assert.equal(found.run.backend, name);
  });

  Deno.test(`${name} refuses what does not fit, and stays as it was`, async () => {
    const backend = make();
    using index = new IndexHNSWFlat(2, 4, Metric.L2, { backend });
    await index.add([[0, 0], [3, 4]]);
    const before = index.store.graph();
    const value = (message: RegExp) => ({ name: "RangeError", message });
    await assert.rejects(index.add([[1, 2], [NaN, 0]]), value(/row 1 holds NaN at column 0/));
    await assert.rejects(index.updateVectors([2], [[1, 1]]), value(/row 2 is not among 2/));
    await assert.rejects(index.updateVectors([1, 1], [[1, 1], [2, 2]]), value(/updated twice/));
    await assert.rejects(index.updateVectors([1], [[Infinity, 1]]), value(/infinit|Infinity/));
    await assert.rejects(index.updateVectors([1, 0], [[1, 1]]), TypeError);
    await assert.rejects(index.search([[1, NaN]], 1), value(/query 0 holds NaN/));
    await assert.rejects(index.search([[1, 1]], 1, { efSearch: 0 }), value(/efSearch 0/));
    await assert.rejects(index.search([[1, 1]], 1, { efSearch: 1.5 }), value(/efSearch 1.5/));
    await assert.rejects(index.addWithIds([[1, 1]], [7]), { name: "UnsupportedError" });
    assert.throws(() => index.reconstruct(2), value(/id 2 of 2 vectors/));
    using flat = new IndexFlatL2(2, { backend });
    await assert.rejects(index.mergeFrom(flat), TypeError);
    index.hnsw.efConstruction = 0;
    await assert.rejects(index.add([[1, 1]]), value(/efConstruction 0/));
    assert.deepEqual(index.store.graph(), before);
    assert.deepEqual([...index.reconstructN(0, 2)], [0, 0, 3, 4]);
    for (const M of [1, 0, -4, 2.5, 1025]) {
      assert.throws(
        () => new IndexHNSWFlat(2, M, Metric.L2, { backend }),
        value(/no integer from 2 to 1024/),
      );
    }
  });
}

Deno.test("a restored graph is checked", { ignore: !isNative }, async () => {
  using store = createCpuBackend().createHNSW({ d: 1, m: 2, metric: Metric.L2, metricArg: 0 });
  await store.addRows(Float32Array.of(1, 2));
  const levels = Uint8Array.of(1, 0);
  const links = Int32Array.of(1, -1, -1, -1, -1, -1, 0, -1, -1, -1);
  const good = { levels, links, entry: 0 };
  const set = (at: number, value: number) => links.with(at, value);
  const cases: [Parameters<typeof store.restore>[0], RegExp][] = [
    [{ ...good, links: set(0, 2) }, /link to 2 on level 0/],
    [{ ...good, links: set(9, -2) }, /link to -2 on level 0/],
    [{ ...good, links: set(4, 1) }, /link to 1 on level 1/],
    [{ ...good, links: links.subarray(1) }, /9 links do not fit 2 nodes/],
    [{ ...good, entry: 1 }, /node 0 is above the entry/],
    [{ ...good, entry: 2 }, /entry 2 is not among 2/],
    [{ ...good, entry: -1 }, /entry -1 is not among 2/],
    [{ ...good, levels: Uint8Array.of(1) }, /length is 1, expected 2/],
  ];
  for (const [graph, message] of cases) await assert.rejects(store.restore(graph), { message });
  await store.restore(good);
  assert.deepEqual(store.graph(), good);
  await assert.rejects(store.restore(good), /there is a graph already/);
});

Deno.test("a GPU has no graphs, and says so", { ignore: !isNative }, () => {
  const backend = createGpuBackend(testDevice());
  assert.throws(() => new IndexHNSWFlat(8, 16, Metric.L2, { backend }), {
    name: "UnsupportedError",
    message: /HNSW.*use the cpu backend/,
  });
});

Deno.test("to() copies the graph, mergeFrom() links the other's vectors", async () => {
  const d = 4;
  const x = normals(400, d, 41);
  using index = new IndexHNSWFlat(d, 6, Metric.L2, options);
  await index.add(x.subarray(0, 250 * d));
  index.hnsw.efSearch = 33;
  using copy = await index.to(backends.at(-1)![1]());
  assert.deepEqual(copy.store.graph(), index.store.graph());
  assert.equal(copy.hnsw.efSearch, 33);
  assert.deepEqual(copy.reconstructN(0, 250), index.reconstructN(0, 250));
  using other = new IndexHNSWFlat(d, 16, Metric.L2, options);
  await other.add(x.subarray(250 * d));
  await index.mergeFrom(other);
  assert.deepEqual([index.ntotal, other.ntotal], [400, 0]);
  assert.deepEqual(index.reconstructN(0, 400), x);
  const { labels } = await index.search(x.subarray(300 * d, 310 * d), 1);
  assert.deepEqual([...labels], Array.from({ length: 10 }, (_, i) => BigInt(300 + i)));
  await index.reset();
  assert.equal(index.ntotal, 0);
  assert.equal(index.memoryUsage(), 0);
});

Deno.test("ids of your own over a graph, and a graph that finds lists", async () => {
  const d = 4;
  const x = normals(300, d, 51);
  const ids = BigInt64Array.from({ length: 300 }, (_, i) => BigInt(1000 + i));
  using map = new IndexIDMap2(new IndexHNSWFlat(d, 8, Metric.L2, options));
  map.ownFields = true;
  await map.addWithIds(x, ids);
  assert.equal(await map.removeIds((id) => id % 2n === 0n), 150);
  await map.addWithIds(x.subarray(0, d), [7]);
  assert.deepEqual((await map.search(x.subarray(0, 2 * d), 1)).labels, BigInt64Array.of(7n, 1001n));
  assert.deepEqual(map.reconstruct(1299), x.slice(299 * d));
  const some = await map.search(x.subarray(0, d), 3, { filter: [1001, 1003, 1004] });
  assert.deepEqual([...some.labels].toSorted(), [-1n, 1001n, 1003n]);

  using lists = new IndexIVFFlat(new IndexHNSWFlat(d, 8, Metric.L2, options), d, 20);
  lists.ownFields = true;
  await lists.train(x);
  await lists.add(x);
  using flat = new IndexFlatL2(d, options);
  await flat.add(x);
  const [found, expected] = [
    await lists.search(x.subarray(0, 10 * d), 3, { nprobe: 20 }),
    await flat.search(x.subarray(0, 10 * d), 3),
  ];
  assert.deepEqual(found.labels, expected.labels);
});
