import assert from "node:assert/strict";
import type { Backend, Neighbors, StoreSearch } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Metric, metricName } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import {
  IDSelectorAll,
  IDSelectorAnd,
  IDSelectorArray,
  IDSelectorBatch,
  IDSelectorBitmap,
  IDSelectorNot,
  IDSelectorOr,
  IDSelectorRange,
  IDSelectorXOr,
} from "../lib/selector.ts";
import { normals, testDevice } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();
const metrics = Object.values(Metric);

/** Rows, dimension, queries, k: nothing, one, odd, past register tiles, k above n. */
const shapes = [[0, 3, 2, 2], [1, 1, 1, 1], [7, 3, 2, 9], [100, 17, 5, 10], [259, 65, 33, 7]];

/** Backends to hold against the reference, made when a test first needs one. */
const makers: Record<"cpu" | "gpu", () => Backend> = {
  cpu: createCpuBackend,
  gpu: () => createGpuBackend(testDevice()),
};

function test(
  name: string,
  body: (tested: Backend) => Promise<void> | void,
  names: ("cpu" | "gpu")[] = ["cpu", "gpu"],
): void {
  for (const backend of names) {
    Deno.test(`${backend} backend ${name}`, { ignore: !isNative }, () => body(makers[backend]()));
  }
}

/** Float32 steps that distances may be off by: a GPU has no double precision for some metrics. */
function tolerance({ name }: Backend, metric: Metric): number {
  if (name !== "gpu") return 1;
  switch (metric) {
    case Metric.Lp:
    case Metric.Canberra:
    case Metric.BrayCurtis:
    case Metric.Jaccard:
    case Metric.NaNEuclidean:
    case Metric.Cosine:
      return 8;
    case Metric.JensenShannon:
      return 64;
    default:
      return 1;
  }
}

/** Vectors that every metric takes: distributions where it wants them, gaps where it may. */
function vectors(n: number, d: number, seed: number, metric: Metric): Float32Array {
  const x = normals(n, d, seed);
  if (metric === Metric.JensenShannon || metric === Metric.Jaccard) {
    return x.map((value) => Math.abs(value) + 0.01);
  }
  if (metric !== Metric.NaNEuclidean) return x;
  const random = new Random(seed + 1);
  return x.map((value) => random.uniform() < 0.2 ? NaN : value);
}

/** Selectors over ids near `0 … n`. */
function selectors(n: number): StoreSearch["selector"][] {
  const some = Array.from({ length: Math.ceil(n / 3) }, (_, i) => i * 3);
  const range = new IDSelectorRange(Math.floor(n / 4), Math.floor(n / 2) + 1);
  const batch = new IDSelectorBatch([...some, n + 5, 2 ** 40]);
  const bitmap = new IDSelectorBitmap(new Uint8Array(Math.ceil(n / 8)).fill(0b1010_0110));
  return [
    undefined,
    range,
    new IDSelectorArray(some.toReversed()),
    batch,
    bitmap,
    new IDSelectorNot(bitmap),
    new IDSelectorAnd(range, new IDSelectorNot(batch)),
    new IDSelectorXOr(new IDSelectorOr(range, bitmap), batch),
    new IDSelectorArray([]),
  ];
}

/** Steps between two float32: 0 for the same number, 1 for neighbors. */
function ulps(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0;
  const [x, y] = new Int32Array(new Float32Array([a, b]).buffer);
  const ordered = (bits: number) => bits < 0 ? -(bits & 0x7fff_ffff) : bits;
  return Math.abs(ordered(x!) - ordered(y!));
}

function assertNear(
  actual: Float32Array,
  expected: Float32Array,
  what: string,
  most = 1,
): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < actual.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    assert.ok(ulps(a, b) <= most, `${what}: distances[${i}] is ${a}, expected ${b}`);
  }
}

function assertSame(actual: Neighbors, expected: Neighbors, what: string, most = 1): void {
  assert.deepEqual(actual.labels, expected.labels, what);
  assertNear(actual.distances, expected.distances, what, most);
}

for (const metric of metrics) {
  const name = metricName(metric);
  const metricArg = metric === Metric.Lp ? 3 : 0;

  test(`flat search equals the reference: ${name}`, async (tested) => {
    const most = tolerance(tested, metric);
    for (const [n, d, nq, k] of shapes as [number, number, number, number][]) {
      using ours = tested.createFlat(d);
      using theirs = reference.createFlat(d);
      const x = vectors(n, d, 1, metric);
      const queries = vectors(nq, d, 2, metric);
      for (const store of [ours, theirs]) await store.add(x, metric === Metric.NaNEuclidean);
      for (const [i, selector] of selectors(n).entries()) {
        const what = `${name} ${[n, d, nq, k]} selector ${i}`;
        const how = { metric, metricArg, selector };
        const expected = theirs.searchSync(queries, k, how);
        const found = await ours.search(queries, k, how);
        assertSame(found, expected, what, most);
        assert.deepEqual(ours.searchSync(queries, k, how).labels, expected.labels, what);

        const radius = expected.distances[Math.floor(k / 2)]! * (most > 1 ? 1.0001 : 1);
        const range = await ours.rangeSearch(queries, radius, how);
        const expectedRange = await theirs.rangeSearch(queries, radius, how);
        assert.deepEqual(range.lims, expectedRange.lims, `range ${what}`);
        assertSame(range, expectedRange, `range ${what}`, most);
      }
    }
  });

  test(`ivf search equals the reference: ${name}`, async (tested) => {
    const most = tolerance(tested, metric);
    const [n, d, nq, k, nlist, nprobe] = [203, 19, 9, 5, 6, 4];
    using ours = tested.createIVF(d, nlist);
    using theirs = reference.createIVF(d, nlist);
    const x = vectors(n, d, 3, metric);
    const queries = vectors(nq, d, 4, metric);
    const lists = BigInt64Array.from({ length: n }, (_, i) => BigInt(i % (nlist + 1)) - 1n);
    const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt((i * 10) % n));
    const probes = BigInt64Array.from(
      { length: nq * nprobe },
      (_, i) => i % 5 === 4 ? -1n : BigInt(i % nlist),
    );
    for (const store of [ours, theirs]) {
      if (metric === Metric.NaNEuclidean) x.forEach((value, i) => x[i] = value || 0);
      await store.add(x, lists, ids);
    }
    assert.equal(ours.count, theirs.count);
    for (const [i, selector] of selectors(n).entries()) {
      const how = { metric, metricArg, selector };
      const expected = theirs.searchSync(queries, probes, k, how);
      assertSame(await ours.search(queries, probes, k, how), expected, `selector ${i}`, most);
      assertSame(ours.searchSync(queries, probes, k, how), expected, `sync, selector ${i}`, most);
      const radius = expected.distances[2]! * (most > 1 ? 1.0001 : 1);
      const range = await ours.rangeSearch(queries, probes, radius, how);
      const expectedRange = await theirs.rangeSearch(queries, probes, radius, how);
      assert.deepEqual(range.lims, expectedRange.lims);
      assertSame(range, expectedRange, `range, selector ${i}`, most);
    }
  });

  test(`pairwise() equals the reference: ${name}`, async (tested) => {
    const [x, y] = [vectors(9, 21, 5, metric), vectors(13, 21, 6, metric)];
    const expected = await reference.pairwise(x, y, 21, metric, metricArg);
    assertNear(
      await tested.pairwise(x, y, 21, metric, metricArg),
      expected,
      name,
      tolerance(tested, metric),
    );
  });
}

test("search() off the main thread equals searchSync()", async (tested) => {
  const [n, d, nq, k] = [5000, 32, 40, 10];
  using store = tested.createFlat(d);
  await store.add(normals(n, d, 7));
  const queries = normals(nq, d, 8);
  for (const selector of selectors(n)) {
    const how = { metric: Metric.L2, metricArg: 0, selector };
    const [found, again] = await Promise.all([
      store.search(queries, k, how),
      store.search(queries, k, how),
    ]);
    const sync = store.searchSync(queries, k, how);
    assert.deepEqual(found.labels, sync.labels);
    assert.deepEqual(found.distances, sync.distances);
    assert.deepEqual(again.labels, sync.labels);
  }
});

test("search() says what ran", async (tested) => {
  using store = tested.createFlat(8);
  await store.add(normals(50, 8, 9));
  const { run } = await store.search(normals(3, 8, 10), 2, { metric: Metric.L2, metricArg: 0 });
  assert.equal(run.backend, tested.name);
  assert.equal(run.engine, tested.engine);
  assert.equal(run.isa, tested.isa);
  assert.ok(run.variants.length > 0);
  assert.ok(run.threads >= 1);
  assert.ok(run.scanned >= 150);
});

test("search() is stopped by its signal and leaves the store usable", async (tested) => {
  // So that it takes a second or so, on either.
  const [n, d, nq] = tested.engine === "emulator" ? [2000, 16, 400] : [40_000, 64, 2000];
  using store = tested.createFlat(d);
  await store.add(normals(n, d, 11));
  const queries = normals(nq, d, 12);
  const how = { metric: Metric.L1, metricArg: 0 };
  const controller = new AbortController();
  const searching = store.search(queries, 5, { ...how, signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 5);
  await assert.rejects(searching, { message: "enough" });
  await assert.rejects(
    store.search(queries, 5, { ...how, signal: AbortSignal.abort() }),
    { name: "AbortError" },
  );
  assert.equal(store.searchSync(queries.subarray(0, d), 5, how).labels.length, 5);
});

test("stores keep their rows through append, remove and clear", async (tested) => {
  for (const backend of [tested, reference]) {
    using store = backend.createFlat(2);
    using other = backend.createFlat(2);
    await store.add(Float32Array.of(0, 0, 1, 1, 2, 2, 3, 3));
    await other.add(Float32Array.of(4, 4));
    await store.append(other);
    assert.equal(await store.remove(new IDSelectorRange(1, 3)), 2);
    assert.equal(store.count, 3);
    const rows = new Float32Array(6);
    store.get(0, rows);
    assert.deepEqual([...rows], [0, 0, 3, 3, 4, 4]);
    store.gather(BigInt64Array.of(2n, 0n), rows.subarray(0, 4));
    assert.deepEqual([...rows.subarray(0, 4)], [4, 4, 0, 0]);
    store.clear();
    assert.equal(store.count, 0);

    using lists = backend.createIVF(1, 2);
    using more = backend.createIVF(1, 2);
    await lists.add(
      Float32Array.of(1, 2, 3),
      BigInt64Array.of(0n, 1n, 1n),
      BigInt64Array.of(7n, 8n, 9n),
    );
    await more.add(Float32Array.of(4), BigInt64Array.of(0n), BigInt64Array.of(1n));
    await lists.append(more, 100);
    assert.deepEqual([...lists.sizes()], [2, 2]);
    assert.equal(more.count, 0);
    assert.deepEqual([...lists.list(0).ids], [7n, 101n]);
    const locations = lists.locate(BigInt64Array.of(101n, 5n, 9n));
    assert.deepEqual([...locations], [1n, -1n, (1n << 32n) | 1n]);
    const found = new Float32Array(2);
    lists.gather(BigInt64Array.of(locations[2]!, locations[0]!), found);
    assert.deepEqual([...found], [3, 4]);
    assert.equal(await lists.remove(new IDSelectorArray([8, 101])), 2);
    assert.equal(lists.count, 2);
    assert.equal(await lists.remove(new IDSelectorAll()), 2);
    await store.add(Float32Array.of(5, 5));
    assert.equal(await store.remove(new IDSelectorAll()), 1);
  }
});

test("add() refuses NaN and keeps the store as it was", async (tested) => {
  using store = tested.createFlat(2);
  await store.add(Float32Array.of(1, 2));
  await assert.rejects(store.add(Float32Array.of(1, 2, 3, NaN)), (error: Error) => {
    return error instanceof RangeError && /1/.test(error.message);
  });
  assert.equal(store.count, 1);
  await assert.rejects(store.add(Float32Array.of(1)), TypeError);
});

test("stores refuse use after dispose", async (tested) => {
  const flat = tested.createFlat(2);
  const ivf = tested.createIVF(2, 2);
  for (const store of [flat, ivf]) store[Symbol.dispose]();
  const how = { metric: Metric.L2, metricArg: 0 };
  const query = new Float32Array(2);
  assert.throws(() => flat.searchSync(query, 1, how), { name: "DisposedError" });
  assert.throws(() => ivf.sizes(), { name: "DisposedError" });
  await assert.rejects(flat.add(query), { name: "DisposedError" });
});

test("arrays that do not fit never reach native code", async (tested) => {
  const floats = (n: number) => new Float32Array(n);
  const ints = (n: number) => new BigInt64Array(n);
  using ivf = tested.createIVF(2, 2);
  using flat = tested.createFlat(2);
  await assert.rejects(ivf.add(floats(4), ints(1), ints(2)), TypeError);
  await assert.rejects(ivf.add(floats(4), ints(2), ints(1)), TypeError);
  assert.throws(() => flat.gather(ints(2), floats(2)), TypeError);
  assert.throws(() => flat.get(0, floats(2)), RangeError);
  await assert.rejects(tested.kmeansUpdate(floats(4), ints(1), undefined, floats(2), 2), TypeError);
  await assert.rejects(tested.kmeansUpdate(floats(4), ints(2), floats(1), floats(2), 2), TypeError);
  await assert.rejects(tested.kmeansLeast(floats(4), floats(2), floats(3)), TypeError);
});

test("hamming() equals the reference", async (tested) => {
  const random = new Random(13);
  for (const codeSize of [1, 8, 13, 32]) {
    const codes = (n: number) =>
      Uint8Array.from({ length: n * codeSize }, () => random.integer(256));
    const [x, y] = [codes(11), codes(70)];
    for (const k of [1, 9, 80]) {
      assert.deepEqual(
        await tested.hamming(x, y, codeSize, k),
        await reference.hamming(x, y, codeSize, k),
      );
    }
  }
});

test("kmeansUpdate() and kmeansLeast() equal the reference", async (tested) => {
  const [n, d, lists] = [150, 7, 6];
  const x = normals(n, d, 14);
  const assign = BigInt64Array.from({ length: n }, (_, i) => BigInt(i % lists) - 1n);
  const random = new Random(15);
  for (const weights of [undefined, Float32Array.from({ length: n }, () => random.uniform())]) {
    const ours = normals(lists, d, 16);
    const theirs = ours.slice();
    const totals = await tested.kmeansUpdate(x, assign, weights, ours, d);
    assertNear(totals, await reference.kmeansUpdate(x, assign, weights, theirs, d), "weights");
    assertNear(ours, theirs, "centroids");
  }
  const ours = new Float32Array(n).fill(9);
  const theirs = ours.slice();
  await tested.kmeansLeast(x, x.subarray(0, d), ours);
  await reference.kmeansLeast(x, x.subarray(0, d), theirs);
  // Weights of a random choice: summed in float32 here.
  assertNear(ours, theirs, "least", 8);
});

test("gives the same labels with every instruction set", async (tested) => {
  const { isa, isas } = describeLibrary();
  using store = tested.createFlat(48);
  await store.add(normals(600, 48, 17));
  const queries = normals(20, 48, 18);
  const how = { metric: Metric.L2, metricArg: 0 };
  try {
    const expected = store.searchSync(queries, 10, how);
    for (const name of isas) {
      setISA(name);
      const found = store.searchSync(queries, 10, how);
      assert.equal(found.run.isa, name);
      assertSame(found, expected, name);
    }
    assert.throws(() => setISA("abacus"), RangeError);
  } finally {
    setISA(isa);
  }
}, ["cpu"]);
