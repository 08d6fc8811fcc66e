import assert from "node:assert/strict";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap } from "../lib/index/id_map.ts";
import { isSimilarity, Metric } from "../lib/metric.ts";
import {
  type Filter,
  IDSelectorAll,
  IDSelectorAnd,
  IDSelectorArray,
  IDSelectorBatch,
  IDSelectorBitmap,
  IDSelectorNot,
  IDSelectorOr,
  IDSelectorRange,
  IDSelectorXOr,
  toSelector,
} from "../lib/selector.ts";
import { bruteForce, filled, idsOf, integers, plain, rank, testKinds } from "./grid.ts";

const metrics = [Metric.L2, Metric.InnerProduct, Metric.L1];

/** Every form of filter, over ids up to about 200. */
const filters: [string, Filter][] = [
  ["all", new IDSelectorAll()],
  ["range", new IDSelectorRange(10, 60)],
  ["empty range", new IDSelectorRange(7, 7)],
  ["array", new IDSelectorArray([5, 8, 11, 30, 31, 32, 1000])],
  ["batch", new IDSelectorBatch([2, 8, 14, 20])],
  ["bitmap", new IDSelectorBitmap(Uint8Array.of(0xa5, 0xff, 0, 3, 0x80))],
  ["not", new IDSelectorNot(new IDSelectorRange(0, 50))],
  [
    "and",
    new IDSelectorAnd(new IDSelectorRange(5, 90), new IDSelectorNot(new IDSelectorArray([8, 11]))),
  ],
  ["or", new IDSelectorOr(new IDSelectorRange(0, 12), new IDSelectorArray([80, 83]))],
  ["xor", new IDSelectorXOr(new IDSelectorRange(0, 40), new IDSelectorRange(20, 70))],
  ["function", (id: bigint) => id % 3n !== 1n && id < 70n],
  ["function inside", new IDSelectorAnd(toSelector((id) => id % 2n === 0n), new IDSelectorAll())],
  ["list", [5, 8n, 11]],
  ["BigInt64Array", BigInt64Array.of(14n, 20n)],
];

testKinds(
  "search() finds what sorting all finds, for odd sizes, ties and offsets",
  async (kind, backend) => {
    const shapes = [[1, 1, 1, 1], [7, 3, 5, 2], [33, 17, 3, 40], [64, 8, 1, 10], [130, 5, 9, 3]];
    for (const [n, d, nq, k] of shapes as [number, number, number, number][]) {
      if (n < 4 && kind.name.includes("IVF")) continue;
      for (const metric of metrics) {
        for (const offset of [0, 100]) {
          const x = integers(n, d, n, offset);
          const queries = integers(nq, d, n + 1, offset);
          using index = await filled(kind, backend, d, metric, x);
          const expected = bruteForce(x, queries, d, k, metric, idsOf(kind, n));
          assert.deepEqual(plain(await index.search(queries, k)), expected);
          assert.deepEqual(plain(index.searchSync(queries, k)), expected);
          assert.equal(index.lastRun?.backend, backend.name);
          assert.equal(index.lastRun?.engine, backend.engine);
        }
      }
    }
  },
);

testKinds("search() gives the same for a query alone and in any batch", async (kind, backend) => {
  const x = integers(200, 12, 3, 1e4);
  using index = await filled(kind, backend, 12, Metric.L2, x);
  const queries = integers(40, 12, 4, 1e4);
  const together = await index.search(queries, 7);
  for (let q = 0; q < 40; q++) {
    const alone = await index.search(queries.subarray(q * 12, (q + 1) * 12), 7);
    assert.deepEqual(alone.row(0), together.row(q));
  }
});

testKinds("every selector limits search() and rangeSearch() to its ids", async (kind, backend) => {
  const [n, d] = [60, 6];
  const x = integers(n, d, 11);
  const queries = integers(4, d, 12);
  const ids = idsOf(kind, n);
  for (const metric of metrics) {
    using index = await filled(kind, backend, d, metric, x);
    for (const [name, filter] of filters) {
      const selector = toSelector(filter);
      const allowed = (id: bigint) => selector.isMember(id);
      const expected = bruteForce(x, queries, d, 8, metric, ids, allowed);
      assert.deepEqual(plain(await index.search(queries, 8, { filter })), expected, name);
      assert.deepEqual(plain(index.searchSync(queries, 8, { filter })), expected, name);
      const within = await index.rangeSearch(queries, 40, { filter });
      for (let q = 0; q < 4; q++) {
        const hits = rank(x, queries.subarray(q * d, (q + 1) * d), metric, ids, allowed)
          .filter(({ distance }) => isSimilarity(metric) ? distance > 40 : distance < 40)
          .sort((a, b) => Number(a.id - b.id))
          .map(({ id, distance }) => ({ id: Number(id), distance }));
        assert.deepEqual(within.row(q), hits, name);
      }
    }
  }
});

testKinds("rangeSearch() leaves out what lies exactly at the radius", async (kind, backend) => {
  const x = Float32Array.of(0, 1, 2, 3);
  const [zero, first] = idsOf(kind, 4);
  using l2 = await filled(kind, backend, 1, Metric.L2, x);
  assert.deepEqual([...(await l2.rangeSearch([0], 4)).labels], [zero, first]);
  assert.deepEqual([...(await l2.rangeSearch([0, 9], 4.001)).lims], [0n, 3n, 3n]);
  using ip = await filled(kind, backend, 1, Metric.InnerProduct, x);
  assert.deepEqual([...(await ip.rangeSearch([1], 1)).labels], idsOf(kind, 4).slice(2));
});

testKinds("removeIds() leaves what a search over the rest finds", async (kind, backend) => {
  const [n, d] = [60, 6];
  const x = integers(n, d, 21);
  const queries = integers(5, d, 22);
  const ids = idsOf(kind, n);
  for (const [name, filter] of filters) {
    using index = await filled(kind, backend, d, Metric.L2, x);
    const selector = toSelector(filter);
    const rest = ids.map((id, row) => ({ id, row })).filter(({ id }) => !selector.isMember(id));
    assert.equal(await index.removeIds(filter), n - rest.length, name);
    assert.equal(index.ntotal, rest.length, name);
    const left = Float32Array.from(
      rest.flatMap(({ row }) => [...x.subarray(row * d, row * d + d)]),
    );
    // Where ids are positions, those behind the removed ones move down.
    const names = kind.takesIds ? rest.map(({ id }) => id) : rest.map((_, i) => BigInt(i));
    const expected = bruteForce(left, queries, d, 5, Metric.L2, names);
    assert.deepEqual(plain(await index.search(queries, 5)), expected, name);
  }
});

testKinds("removeIds(), add and search go on working in turn", async (kind, backend) => {
  const [n, d] = [40, 4];
  const x = integers(n, d, 23);
  using index = await filled(kind, backend, d, Metric.L2, x);
  const held = idsOf(kind, n).map((id, row) => ({
    id,
    row: [...x.subarray(row * d, row * d + d)],
  }));
  for (let round = 0; round < 5; round++) {
    const gone = held.filter((_, i) => i % 3 === round % 3).map(({ id }) => id);
    const rest = held.filter(({ id }) => !gone.includes(id));
    assert.equal(await index.removeIds(gone), gone.length);
    const more = integers(7, d, 50 + round);
    const fresh = Array.from({ length: 7 }, (_, i) => BigInt(1000 * (round + 1) + i));
    if (kind.takesIds) await index.addWithIds(more, fresh);
    else await index.add(more);
    held.splice(0, held.length, ...rest);
    fresh.forEach((id, i) => held.push({ id, row: [...more.subarray(i * d, i * d + d)] }));
    if (!kind.takesIds) held.forEach((entry, i) => entry.id = BigInt(i));
    const all = Float32Array.from(held.flatMap(({ row }) => row));
    const queries = integers(3, d, 70 + round);
    const expected = bruteForce(all, queries, d, 50, Metric.L2, held.map(({ id }) => id));
    assert.equal(index.ntotal, held.length);
    assert.deepEqual(plain(await index.search(queries, 50)), expected);
  }
});

testKinds(
  "mergeFrom() gives what adding both gives, and empties the other",
  async (kind, backend) => {
    const d = 5;
    const [x, y] = [integers(30, d, 31), integers(11, d, 32)];
    using a = await filled(kind, backend, d, Metric.L2, x);
    using b = await kind.make(backend, d, Metric.L2, x);
    const theirs = Array.from({ length: 11 }, (_, i) => BigInt(500 + i));
    if (kind.takesIds) await b.addWithIds(y, theirs);
    else await b.add(y);
    await a.mergeFrom(b, kind.takesIds ? 100 : 0);
    assert.equal(a.ntotal, 41);
    assert.equal(b.ntotal, 0);
    const ids = [...idsOf(kind, 30)].concat(
      kind.takesIds ? theirs.map((id) => id + 100n) : theirs.map((_, i) => BigInt(30 + i)),
    );
    const both = new Float32Array([...x, ...y]);
    const queries = integers(6, d, 33);
    const expected = bruteForce(both, queries, d, 41, Metric.L2, ids);
    assert.deepEqual(plain(await a.search(queries, 41)), expected);
    assert.deepEqual([...(await b.search(queries, 1)).labels], new Array(6).fill(-1n));
    if (kind.takesIds) await b.addWithIds(y, theirs);
    else await b.add(y);
    assert.equal(b.ntotal, 11);
  },
);

testKinds(
  "mergeFrom() refuses what does not fit, and both stay as they were",
  async (kind, backend) => {
    const x = integers(12, 4, 41);
    using a = await filled(kind, backend, 4, Metric.L2, x);
    using otherD = await filled(kind, backend, 2, Metric.L2, x);
    using otherMetric = await filled(kind, backend, 4, Metric.InnerProduct, x);
    using otherKind = kind.name === "IndexFlat"
      ? new IndexIDMap(new IndexFlat(4, Metric.L2, { backend }))
      : new IndexFlat(4, Metric.L2, { backend });
    for (const other of [otherD, otherMetric, otherKind]) {
      await assert.rejects(a.mergeFrom(other), TypeError);
    }
    await assert.rejects(a.mergeFrom(a), { name: "RangeError", message: /other is this index/ });
    using same = await filled(kind, backend, 4, Metric.L2, x);
    for (const addId of [-1, 0.5, NaN]) {
      await assert.rejects(a.mergeFrom(same, addId), { name: "RangeError", message: /addId/ });
    }
    assert.deepEqual([a.ntotal, same.ntotal, otherD.ntotal], [12, 12, 24]);
  },
);

testKinds(
  "searchAndReconstruct() gives the vectors found, NaN where there are none",
  async (kind, backend) => {
    const x = integers(6, 3, 51);
    using index = await filled(kind, backend, 3, Metric.L2, x);
    const found = await index.searchAndReconstruct([x.subarray(0, 3)], 8);
    const ids = idsOf(kind, 6);
    found.labels.forEach((label, i) => {
      const row = ids.indexOf(label);
      const vector = [...found.vectors.subarray(i * 3, i * 3 + 3)];
      assert.deepEqual(vector, row < 0 ? [NaN, NaN, NaN] : [...x.subarray(row * 3, row * 3 + 3)]);
    });
    assert.deepEqual(plain(found), plain(await index.search([x.subarray(0, 3)], 8)));
  },
);

testKinds(
  "assign() gives the ids of the nearest, one a vector by default",
  async (kind, backend) => {
    const x = integers(20, 4, 61);
    using index = await filled(kind, backend, 4, Metric.L2, x);
    const expected = bruteForce(x, x, 4, 3, Metric.L2, idsOf(kind, 20)).labels;
    assert.deepEqual([...await index.assign(x, 3)], expected);
    assert.deepEqual([...await index.assign(x)], expected.filter((_, i) => i % 3 === 0));
  },
);

testKinds("reset() empties the index, which goes on working", async (kind, backend) => {
  const x = integers(20, 4, 62);
  using index = await filled(kind, backend, 4, Metric.L2, x);
  await index.reset();
  assert.equal(index.ntotal, 0);
  assert.equal(index.isTrained, true);
  assert.deepEqual([...(await index.search([0, 0, 0, 0], 2)).labels], [-1n, -1n]);
  if (kind.takesIds) await index.addWithIds(x, idsOf(kind, 20));
  else await index.add(x);
  const expected = bruteForce(x, x, 4, 2, Metric.L2, idsOf(kind, 20));
  assert.deepEqual(plain(await index.search(x, 2)), expected);
});

testKinds("an empty index finds nothing: -1 and ±FLT_MAX", async (kind, backend) => {
  for (const metric of metrics) {
    using index = await kind.make(backend, 4, metric, integers(8, 4, 63));
    const found = await index.search([1, 2, 3, 4], 3);
    assert.deepEqual(
      plain(found),
      bruteForce(new Float32Array(0), Float32Array.of(1, 2, 3, 4), 4, 3, metric, []),
    );
    assert.equal((await index.rangeSearch([1, 2, 3, 4], 1e9)).labels.length, 0);
    assert.equal(await index.removeIds(() => true), 0);
  }
});

testKinds(
  "bad arguments are typed errors that name them, and nothing is lost",
  async (kind, backend) => {
    const x = integers(10, 4, 64);
    using index = await filled(kind, backend, 4, Metric.L2, x);
    const add = (rows: Float32Array, ids: number[]) =>
      kind.takesIds ? index.addWithIds(rows, ids) : index.add(rows);
    const row = (column: number, value: number) => {
      const rows = new Float32Array(8);
      rows[4 + column] = value;
      return rows;
    };
    const ok = new Float32Array(4);
    await assert.rejects(add(new Float32Array(3), [1]), {
      name: "TypeError",
      message: /x.*dimension 4/,
    });
    await assert.rejects(add(new Float32Array(0), []), {
      name: "TypeError",
      message: /x: it is empty/,
    });
    await assert.rejects(add(row(2, NaN), [1, 2]), {
      name: "RangeError",
      message: /row 1 .*column 2/,
    });
    await assert.rejects(add(row(0, -Infinity), [1, 2]), { name: "RangeError", message: /row 1/ });
    if (kind.takesIds) {
      await assert.rejects(index.addWithIds(ok, [-1]), {
        name: "RangeError",
        message: /ids.*position 0/,
      });
      await assert.rejects(index.addWithIds(ok, [1, 2]), {
        name: "TypeError",
        message: /2 ids for 1/,
      });
    } else {
      await assert.rejects(index.addWithIds(ok, [1]), { name: "UnsupportedError" });
    }
    for (const k of [0, -1, 1.5, NaN, Infinity, "3" as unknown as number]) {
      await assert.rejects(index.search(ok, k), { name: "RangeError", message: /k / });
      assert.throws(() => index.searchSync(ok, k), { name: "RangeError", message: /k / });
    }
    await assert.rejects(index.search(ok, 2 ** 40), { name: "RangeError", message: /k / });
    await assert.rejects(index.search(new Float32Array(6), 1), {
      name: "TypeError",
      message: /queries/,
    });
    await assert.rejects(index.search(new Float32Array(0), 1), {
      name: "TypeError",
      message: /empty/,
    });
    await assert.rejects(index.search(row(3, NaN), 1), { name: "RangeError", message: /query 1/ });
    assert.throws(() => index.searchSync(row(3, Infinity), 1), {
      name: "RangeError",
      message: /query 1/,
    });
    await assert.rejects(index.rangeSearch(row(3, NaN), 1), {
      name: "RangeError",
      message: /query 1/,
    });
    await assert.rejects(index.rangeSearch(ok, NaN), { name: "RangeError", message: /radius/ });
    await assert.rejects(index.search(ok, 1, { filter: 3 as unknown as [] }), TypeError);
    await assert.rejects(index.removeIds({} as unknown as []), TypeError);
    assert.equal(index.ntotal, 10);
    const expected = bruteForce(x, x, 4, 3, Metric.L2, idsOf(kind, 10));
    assert.deepEqual(plain(await index.search(x, 3)), expected);
  },
);

testKinds(
  "a function that throws ends the search with its error, and the index works on",
  async (kind, backend) => {
    const x = integers(10, 4, 65);
    using index = await filled(kind, backend, 4, Metric.L2, x);
    const filter = () => {
      throw new SyntaxError("mine");
    };
    await assert.rejects(index.search(x, 1, { filter }), { name: "SyntaxError", message: "mine" });
    await assert.rejects(index.removeIds(filter), { name: "SyntaxError" });
    assert.equal(index.ntotal, 10);
    assert.equal((await index.search(x, 1)).nq, 10);
  },
);

testKinds("every operation of a disposed index is a DisposedError", async (kind, backend) => {
  const x = integers(10, 4, 66);
  const index = await filled(kind, backend, 4, Metric.L2, x);
  using other = await filled(kind, backend, 4, Metric.L2, x);
  index.dispose();
  index.dispose();
  const disposed = { name: "DisposedError" };
  const calls = [
    () => index.train(x),
    () => index.add(x),
    () => index.addWithIds(x, idsOf(kind, 10)),
    () => index.search(x, 1),
    () => index.rangeSearch(x, 1),
    () => index.searchAndReconstruct(x, 1),
    () => index.removeIds([1]),
    () => index.mergeFrom(other),
    () => other.mergeFrom(index),
    () => index.reset(),
    () => index.assign(x),
    () => index.save("never-written.faiss"),
  ];
  for (const call of calls) await assert.rejects(call(), disposed, String(call));
  assert.throws(() => index.searchSync(x, 1), disposed);
  assert.throws(() => index.reconstruct(1), disposed);
  assert.throws(() => index.reconstructN(0, 1), disposed);
  assert.throws(() => index.reconstructBatch([1]), disposed);
  assert.match(Deno.inspect(index), /disposed/);
  assert.equal(other.ntotal, 10);
});

testKinds(
  "an aborted search rejects with the reason, and the index works on",
  async (kind, backend) => {
    const x = integers(10, 4, 67);
    using index = await filled(kind, backend, 4, Metric.L2, x);
    await assert.rejects(index.search(x, 1, { signal: AbortSignal.abort() }), {
      name: "AbortError",
    });
    const reason = new Error("enough");
    await assert.rejects(index.rangeSearch(x, 1, { signal: AbortSignal.abort(reason) }), reason);
    await assert.rejects(index.train(x, { signal: AbortSignal.abort(reason) }), reason);
    assert.equal((await index.search(x, 1)).nq, 10);
  },
);

testKinds("calls that overlap act one after the other", async (kind, backend) => {
  const x = integers(30, 4, 68);
  using index = await filled(kind, backend, 4, Metric.L2, x);
  const ids = idsOf(kind, 30);
  const more = integers(5, 4, 69);
  const add = (first: number) =>
    kind.takesIds
      ? index.addWithIds(more, Array.from({ length: 5 }, (_, i) => first + i))
      : index.add(more);
  const [before, , removed, , after] = await Promise.all([
    index.search(x, 2),
    add(1000),
    index.removeIds(ids.slice(0, 10)),
    add(2000),
    index.search(x, 40),
  ]);
  assert.equal(removed, 10);
  assert.equal(index.ntotal, 30);
  assert.deepEqual(plain(before), bruteForce(x, x, 4, 2, Metric.L2, ids));
  const all = new Float32Array([...x.subarray(40), ...more, ...more]);
  const names = kind.takesIds
    ? ids.slice(10).concat([1000n, 1001n, 1002n, 1003n, 1004n, 2000n, 2001n, 2002n, 2003n, 2004n])
    : ids;
  assert.deepEqual(plain(after), bruteForce(all, x, 4, 40, Metric.L2, names));
});

testKinds("searchSync() refuses to look while a change is under way", async (kind, backend) => {
  const x = integers(30, 4, 70);
  using index = await filled(kind, backend, 4, Metric.L2, x);
  const change = index.removeIds([1, 5]);
  await Promise.resolve();
  assert.throws(() => index.searchSync(x, 1), { message: /change is under way/ });
  await change;
  assert.equal(index.searchSync(x, 1).nq, 30);
});

testKinds("an index shows what it is", async (kind, backend) => {
  using index = await filled(kind, backend, 4, Metric.L2, integers(10, 4, 71));
  const text = Deno.inspect(index);
  const name = kind.name.replace(/\(.*/, "");
  assert.match(
    text,
    new RegExp(`^${name} \\{ d: 4, ntotal: 10, metric: L2, isTrained: true, backend: `),
  );
  const show = index as unknown as Record<symbol, () => Record<string, string>>;
  assert.match(
    show[Symbol.for("Jupyter.display")]!()["text/html"]!,
    /<td[^>]*>ntotal<\/td><td[^>]*>10<\/td>/,
  );
  assert.ok(index.memoryUsage() >= 10 * 4 * 4 && index.memoryUsage() <= 10 * 32 + 64, text);
});
