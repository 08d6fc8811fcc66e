import assert from "node:assert/strict";
import type { StoreSearch } from "../lib/backend/backend.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorArray, IDSelectorRange } from "../lib/selector.ts";
import { bruteForce, integers, plain, testEach } from "./grid.ts";

const l2: StoreSearch = { metric: Metric.L2, metricArg: 0 };

testEach("FlatStore holds rows in order and copies them out", async (backend) => {
  using store = backend.createFlat(2);
  await store.add(Float32Array.of(1, 2, 3, 4));
  await store.add(Float32Array.of(5, 6));
  assert.deepEqual([store.d, store.count], [2, 3]);
  const out = new Float32Array(4);
  store.get(1, out);
  assert.deepEqual([...out], [3, 4, 5, 6]);
  store.gather(BigInt64Array.of(2n, 0n), out);
  assert.deepEqual([...out], [5, 6, 1, 2]);
  assert.throws(() => store.get(2, out), RangeError);
  assert.throws(() => store.gather(BigInt64Array.of(0n, 3n), out), RangeError);
  assert.throws(() => store.gather(BigInt64Array.of(0n, -1n), out), RangeError);
});

testEach("FlatStore.append() copies the other's rows and leaves them there", async (backend) => {
  using a = backend.createFlat(1);
  using b = backend.createFlat(1);
  await a.add(Float32Array.of(1));
  await b.add(Float32Array.of(2, 3));
  await a.append(b);
  assert.deepEqual([a.count, b.count], [3, 2]);
  assert.deepEqual([...a.searchSync(Float32Array.of(3), 1, l2).labels], [2n]);
});

testEach("FlatStore goes on after remove() and clear()", async (backend) => {
  using store = backend.createFlat(1);
  await store.add(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  assert.equal(await store.remove(new IDSelectorRange(2, 7)), 5);
  assert.equal(await store.remove(new IDSelectorArray([50])), 0);
  const out = new Float32Array(5);
  store.get(0, out);
  assert.deepEqual([...out], [0, 1, 7, 8, 9]);
  await store.add(Float32Array.of(4));
  assert.deepEqual([...store.searchSync(Float32Array.of(4), 2, l2).labels], [5n, 1n]);
  store.clear();
  assert.equal(store.count, 0);
  await store.add(Float32Array.of(6));
  assert.deepEqual([...store.searchSync(Float32Array.of(4), 2, l2).labels], [0n, -1n]);
});

testEach("a disposed store is a DisposedError", async (backend) => {
  const flat = backend.createFlat(1);
  const ivf = backend.createIVF(1, 2);
  flat[Symbol.dispose]();
  flat[Symbol.dispose]();
  ivf[Symbol.dispose]();
  const disposed = { name: "DisposedError" };
  await assert.rejects(async () => await flat.add(Float32Array.of(1)), disposed);
  assert.throws(() => flat.searchSync(Float32Array.of(1), 1, l2), disposed);
  assert.throws(() => ivf.sizes(), disposed);
});

testEach("IVFStore keeps rows and ids by list, and skips list -1", async (backend) => {
  using store = backend.createIVF(2, 3);
  const x = Float32Array.of(1, 1, 2, 2, 3, 3, 4, 4);
  await store.add(x, BigInt64Array.of(2n, 0n, -1n, 2n), BigInt64Array.of(10n, 11n, 12n, 10n));
  assert.equal(store.count, 3);
  assert.deepEqual([...store.sizes()], [1, 0, 2]);
  assert.deepEqual(store.list(2), {
    x: Float32Array.of(1, 1, 4, 4),
    ids: BigInt64Array.of(10n, 10n),
  });
  assert.deepEqual(store.list(1), { x: new Float32Array(0), ids: new BigInt64Array(0) });
  const [at, missing] = store.locate(BigInt64Array.of(11n, 12n));
  assert.deepEqual([at, missing], [0n, -1n]);
  const out = new Float32Array(4);
  store.gather(BigInt64Array.of((2n << 32n) | 1n, 0n), out);
  assert.deepEqual([...out], [4, 4, 2, 2]);
  const empty = BigInt64Array.of(1n << 32n);
  assert.throws(() => store.gather(empty, out.subarray(0, 2)), RangeError);
  assert.throws(() => store.list(3), RangeError);
});

testEach("IVFStore.add() refuses a list that is not there, and adds nothing", async (backend) => {
  using store = backend.createIVF(1, 2);
  for (const list of [2n, -2n]) {
    const adding = async () =>
      await store.add(Float32Array.of(1, 2), BigInt64Array.of(0n, list), BigInt64Array.of(1n, 2n));
    await assert.rejects(adding, { name: "RangeError", message: /row 1|list/ });
  }
  assert.equal(store.count, 0);
});

testEach("IVFStore searches the lists probed, each id as often as it is there", async (backend) => {
  using store = backend.createIVF(1, 3);
  const lists = BigInt64Array.of(0n, 1n, 2n, 0n, 1n);
  const ids = BigInt64Array.of(9n, 8n, 7n, 9n, 6n);
  await store.add(Float32Array.of(0, 1, 2, 3, 1), lists, ids);
  const query = Float32Array.of(0);
  const search = (
    probes: bigint[],
    how = l2,
  ) => [...store.searchSync(query, BigInt64Array.from(probes), 4, how).labels];
  assert.deepEqual(search([0n]), [9n, 9n, -1n, -1n]);
  assert.deepEqual(search([0n, 1n]), [9n, 6n, 8n, 9n]);
  assert.deepEqual(search([-1n, 2n]), [7n, -1n, -1n, -1n]);
  assert.deepEqual(search([0n, 1n, 2n], { ...l2, selector: new IDSelectorRange(7, 9) }), [
    8n,
    7n,
    -1n,
    -1n,
  ]);
  const found = await store.rangeSearch(query, BigInt64Array.of(1n, 0n), 2, l2);
  assert.deepEqual([...found.labels], [6n, 8n, 9n]);
  assert.throws(() => search([3n]), RangeError);
});

testEach("IVFStore.append() moves rows, remove() drops ids", async (backend) => {
  using a = backend.createIVF(1, 2);
  using b = backend.createIVF(1, 2);
  await a.add(Float32Array.of(1), BigInt64Array.of(1n), BigInt64Array.of(1n));
  await b.add(Float32Array.of(2, 3), BigInt64Array.of(1n, 0n), BigInt64Array.of(1n, 2n));
  await a.append(b, 10);
  assert.deepEqual([a.count, b.count], [3, 0]);
  assert.deepEqual([...a.list(1).ids], [1n, 11n]);
  assert.equal(await a.remove(new IDSelectorArray([11, 12, 5])), 2);
  assert.deepEqual([...a.sizes()], [0, 1]);
  a.clear();
  assert.equal(a.count, 0);
});

testEach("pairwise() compares every row with every other", async (backend) => {
  const [x, y] = [integers(7, 5, 1), integers(11, 5, 2)];
  const distances = await backend.pairwise(x, y, 5, Metric.L2, 0);
  assert.equal(distances.length, 77);
  for (let i = 0; i < 7; i++) {
    const row = bruteForce(
      y,
      x.subarray(i * 5, i * 5 + 5),
      5,
      11,
      Metric.L2,
      [
        ...Array(11).keys(),
      ].map(BigInt),
    );
    row.labels.forEach((id, at) => {
      assert.equal(distances[i * 11 + Number(id)], row.distances[at]);
    });
  }
});

testEach("hamming() counts the bits that differ, ties by id", async (backend) => {
  const y = Uint8Array.of(0xff, 0, 0x0f, 0, 0, 1, 0x0f, 0);
  const found = await backend.hamming(Uint8Array.of(0x0f, 0, 0, 0), y, 2, 5);
  const none = 2 ** 31 - 1;
  assert.deepEqual([...found.labels], [1n, 3n, 0n, 2n, -1n, 2n, 1n, 3n, 0n, -1n]);
  assert.deepEqual([...found.distances], [0, 0, 4, 5, none, 1, 4, 4, 8, none]);
});

testEach("hamming() agrees with counting every bit, for odd code sizes", async (backend) => {
  const random = new Random(6);
  for (const codeSize of [1, 3, 7, 8, 13, 64]) {
    const bytes = (n: number) =>
      Uint8Array.from({ length: n * codeSize }, () => random.integer(256));
    const [x, y] = [bytes(3), bytes(20)];
    const found = await backend.hamming(x, y, codeSize, 4);
    for (let i = 0; i < 3; i++) {
      const all = Array.from({ length: 20 }, (_, id) => {
        let distance = 0;
        for (let bit = 0; bit < codeSize * 8; bit++) {
          const at = Math.floor(bit / 8);
          const differ = x[i * codeSize + at]! ^ y[id * codeSize + at]!;
          distance += (differ >> (bit % 8)) & 1;
        }
        return { id, distance };
      }).sort((a, b) => a.distance - b.distance || a.id - b.id).slice(0, 4);
      assert.deepEqual(
        [...found.labels.subarray(i * 4, i * 4 + 4)].map(Number),
        all.map(({ id }) => id),
      );
      assert.deepEqual(
        [...found.distances.subarray(i * 4, i * 4 + 4)],
        all.map(({ distance }) => distance),
      );
    }
  }
});

testEach(
  "kmeansUpdate() gives weighted means and leaves empty centroids alone",
  async (backend) => {
    const x = Float32Array.of(0, 0, 2, 4, 10, 10, 5, 5);
    const assign = BigInt64Array.of(0n, 0n, 2n, -1n);
    const centroids = Float32Array.of(9, 9, 8, 8, 7, 7);
    const sizes = await backend.kmeansUpdate(x, assign, undefined, centroids, 2);
    assert.deepEqual([...sizes], [2, 0, 1]);
    assert.deepEqual([...centroids], [1, 2, 8, 8, 10, 10]);
    const weights = Float32Array.of(1, 3, 0, 1);
    assert.deepEqual([...await backend.kmeansUpdate(x, assign, weights, centroids, 2)], [4, 0, 0]);
    assert.deepEqual([...centroids], [1.5, 3, 8, 8, 10, 10]);
  },
);

testEach("kmeansLeast() keeps the smaller distance", async (backend) => {
  const least = Float32Array.of(3, Infinity, 0.5);
  await backend.kmeansLeast(Float32Array.of(0, 0, 1, 1, 2, 2), Float32Array.of(1, 1), least);
  assert.deepEqual([...least], [2, 0, 0.5]);
});

testEach("search() and searchSync() agree, and count what they looked at", async (backend) => {
  using store = backend.createFlat(3);
  await store.add(integers(100, 3, 7));
  const queries = integers(9, 3, 8);
  const found = await store.search(queries, 6, l2);
  const sync = store.searchSync(queries, 6, l2);
  assert.deepEqual(plain(found), plain(sync));
  assert.deepEqual([found.run.scanned, sync.run.scanned], [900, 900]);
  const how = { ...l2, selector: new IDSelectorRange(10, 30) };
  const some = await store.search(queries, 6, how);
  assert.deepEqual(plain(some), plain(store.searchSync(queries, 6, how)));
  assert.ok(some.labels.every((id) => id >= 10n && id < 30n));
});

Deno.test("the reference backend lets timers in during a long search", async () => {
  const store = createReferenceBackend().createFlat(64);
  await store.add(integers(3000, 64, 9));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  await store.search(integers(40, 64, 10), 1, { metric: Metric.JensenShannon, metricArg: 0 });
  clearInterval(timer);
  assert.ok(ticks >= 3, `${ticks}`);
});
