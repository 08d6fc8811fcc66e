import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { IndexPreTransform } from "../lib/index/pre_transform.ts";
import { IndexRefine, IndexRefineFlat } from "../lib/index/refine.ts";
import { IndexReplicas } from "../lib/index/replicas.ts";
import { IndexShards } from "../lib/index/shards.ts";
import { Metric } from "../lib/metric.ts";
import type { SearchResult } from "../lib/result.ts";
import { IDSelectorRange } from "../lib/selector.ts";
import {
  CenteringTransform,
  NormalizationTransform,
  RemapDimensionsTransform,
} from "../lib/transform/elementwise.ts";
import { HadamardRotation } from "../lib/transform/hadamard.ts";
import { PCAMatrix } from "../lib/transform/pca_matrix.ts";
import { RandomRotationMatrix } from "../lib/transform/random_rotation.ts";
import { numbers } from "./indexes.ts";

const backends = [createReferenceBackend(), selectedBackend()];
const D = 6;
const N = 300;
const x = numbers(N * D).map((value) => value - 0.4);
const queries = numbers(17 * D, 9).map((value) => value - 0.4);

/** The same labels, and distances within rounding. */
function assertSame(found: SearchResult, wanted: SearchResult, what: string): void {
  assert.deepEqual(found.labels, wanted.labels, what);
  found.distances.forEach((distance, i) => {
    const off = Math.abs(distance - wanted.distances[i]!);
    assert(off <= 1e-5 * Math.abs(wanted.distances[i]!) + 1e-6, `${what}: ${off} at ${i}`);
  });
}

/** A flat index of all vectors. */
async function flat(backend: Backend, metric: Metric = Metric.L2): Promise<IndexFlat> {
  const index = new IndexFlat(D, metric, { backend });
  await index.add(x);
  return index;
}

/** Lists of all vectors by their own first rows. */
function lists(backend: Backend, nlist = 8): IndexIVFFlat {
  return indexFactory(D, `IVF${nlist},Flat`, Metric.L2, { backend }) as IndexIVFFlat;
}

Deno.test("an index behind a rotation finds what one without finds", async () => {
  for (const backend of backends) {
    for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine] as Metric[]) {
      using plain = await flat(backend, metric);
      const inner = new IndexFlat(8, metric, { backend });
      const chain = [
        RemapDimensionsTransform.pad(D, 7),
        new RandomRotationMatrix(7),
        new HadamardRotation(7),
      ];
      using index = new IndexPreTransform(chain, inner);
      index.ownFields = true;
      assert.deepEqual([index.d, index.ntotal, index.isTrained], [D, 0, false]);
      await index.train(x);
      await index.add(x);
      assertSame(await index.search(queries, 7), await plain.search(queries, 7), `${metric}`);
      assertSame(index.searchSync(queries, 7), plain.searchSync(queries, 7), `${metric}`);
      assert.equal(index.lastRun!.backend, backend.name);
      const filter = new IDSelectorRange(20, 90);
      const some = await index.search(queries, 7, { filter });
      assertSame(some, await plain.search(queries, 7, { filter }), "filtered");
      const odd = (id: bigint) => id % 2n === 1n;
      const half = await index.search(queries, 7, { filter: odd });
      assertSame(half, await plain.search(queries, 7, { filter: odd }), "by a function");
      const found = await index.searchAndReconstruct(queries, 3);
      found.labels.forEach((label, i) => {
        const vector = found.vectors.subarray(i * D, (i + 1) * D);
        const own = x.subarray(Number(label) * D, (Number(label) + 1) * D);
        own.forEach((value, j) => assert(Math.abs(value - vector[j]!) < 1e-5));
        index.reconstruct(label).forEach((value, j) => assert(Math.abs(value - own[j]!) < 1e-5));
      });
    }
  }
});

Deno.test("rows that are missing are missing behind transforms too", async () => {
  using inner = new IndexFlatL2(D);
  using index = new IndexPreTransform(new CenteringTransform(D), inner);
  await index.train(x);
  await index.add(x.subarray(0, D));
  const found = await index.searchAndReconstruct(queries.subarray(0, D), 2);
  assert.deepEqual([...found.labels], [0n, -1n]);
  assert(found.vectors.subarray(D).every(Number.isNaN));
  assert(found.vectors.subarray(0, D).every((value, i) => Math.abs(value - x[i]!) < 1e-6));
});

Deno.test("transforms before lists: ids, removal, merge, copies", async () => {
  for (const backend of backends) {
    using index = indexFactory(D, "IDMap2,PCAR4,IVF8,Flat", Metric.L2, { backend });
    await index.train(x);
    const ids = Array.from({ length: N }, (_, i) => 1000 - i);
    await index.addWithIds(x, ids);
    const chain = (index as IndexIDMap2).index as IndexPreTransform;
    (chain.index as IndexIVFFlat).nprobe = 8;
    const before = await index.search(queries, 5);
    assert.equal(await index.removeIds([1000, 999, 990]), 3);
    assert.equal(index.ntotal, N - 3);
    const after = await index.search(x.subarray(0, 12 * D), 1);
    const gone = new Set([1000n, 999n, 990n]);
    after.labels.forEach((label, i) => {
      assert(!gone.has(label));
      if (!gone.has(1000n - BigInt(i))) assert.equal(label, 1000n - BigInt(i));
    });

    using copy = await index.to(createReferenceBackend());
    assertSame(await copy.search(queries, 5), await index.search(queries, 5), "copy");
    using other = await index.to(backend);
    await other.reset();
    await other.addWithIds(x.subarray(0, 2 * D), [1000, 999]);
    await other.addWithIds(x.subarray(10 * D, 11 * D), [990]);
    await index.mergeFrom(other);
    assert.deepEqual([index.ntotal, other.ntotal], [N, 0]);
    assertSame(await index.search(queries, 5), before, "merged");
  }
});

Deno.test("indexes behind other transforms are not merged", async () => {
  const make = (chain: ConstructorParameters<typeof IndexPreTransform>[0]) => {
    const index = new IndexPreTransform(chain, new IndexFlatL2(8));
    index.ownFields = true;
    return index;
  };
  using a = make(new HadamardRotation(8, 1));
  using b = make(new HadamardRotation(8, 2));
  using c = make([new HadamardRotation(8, 1), new NormalizationTransform(8)]);
  using e = make(new NormalizationTransform(8));
  await assert.rejects(a.mergeFrom(b), { name: "TypeError", message: /seeds .* differ/ });
  await assert.rejects(a.mergeFrom(c), { name: "TypeError", message: /has not 1 transforms/ });
  await assert.rejects(a.mergeFrom(e), { name: "TypeError", message: /differ in kind or size/ });
  using f = make(new HadamardRotation(8, 1));
  await f.add(numbers(16));
  await a.mergeFrom(f);
  assert.deepEqual([a.ntotal, f.ntotal], [2, 0]);
});

Deno.test("IndexPreTransform refuses what does not fit", async () => {
  using inner = new IndexFlatL2(4);
  const reject = (chain: ConstructorParameters<typeof IndexPreTransform>[0], message: RegExp) => {
    assert.throws(() => new IndexPreTransform(chain, inner), { name: "TypeError", message });
  };
  reject(new NormalizationTransform(3), /transform 0 gives 3 numbers, the index takes 4/);
  reject(
    [new PCAMatrix(9, 5), new NormalizationTransform(4)],
    /transform 0 gives 5 numbers, transform 1 takes 4/,
  );
  using index = new IndexPreTransform(new PCAMatrix(9, 4), inner);
  await assert.rejects(index.add(numbers(9)), { name: "NotTrainedError" });
  await index.train(numbers(90));
  const row = numbers(18).fill(NaN, 11, 12);
  await assert.rejects(index.add(row), /Cannot add: row 1 holds NaN at column 2/);
  await assert.rejects(index.search(row, 1), /Cannot search: query 1 holds NaN at column 2/);
  const large = new Float32Array(9).fill(3e38);
  await assert.rejects(index.add(large), /transforms take row 0 out of the range of float32/);
  assert.equal(index.ntotal, 0);
  using white = indexFactory(9, "PCAW4,Flat");
  await white.train(numbers(90));
  await white.add(numbers(90));
  assert.throws(() => white.reconstruct(0), { name: "UnsupportedError", message: /orthonormal/ });
});

Deno.test("training of transforms and index stops, and leaves both as they were", async () => {
  using index = indexFactory(D, "PCA4,IVF8,Flat") as IndexPreTransform;
  const abort = new AbortController();
  const onProgress = () => abort.abort(new Error("enough"));
  await assert.rejects(index.train(x, { signal: abort.signal, onProgress }), /enough/);
  assert(!index.isTrained && !index.chain[0]!.isTrained);
  await index.train(x);
  assert(index.isTrained);
});

Deno.test("refinement finds what an exact index finds, if candidates suffice", async () => {
  for (const backend of backends) {
    for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine, Metric.L1] as Metric[]) {
      using plain = await flat(backend, metric);
      using index = indexFactory(D, "PCA3,Flat,RFlat", metric, { backend }) as IndexRefineFlat;
      await index.train(x);
      await index.add(x);
      const all = { kFactor: N / 5 };
      const wanted = await plain.search(queries, 5);
      assert.deepEqual((await index.search(queries, 5, all)).labels, wanted.labels);
      assert.deepEqual(index.searchSync(queries, 5, all).labels, wanted.labels);
      assert(index.lastRun!.variants.includes("rerank_f64"));
      assert.equal(index.lastRun!.recomputed >= 17 * N, true);
      // As FAISS: with a factor of 1 the base's neighbours, in the right order.
      const few = await index.search(queries, 5);
      const base = await index.baseIndex.search(queries, 5);
      for (let query = 0; query < 17; query++) {
        const ours = few.labels.slice(5 * query, 5 * query + 5).sort();
        assert.deepEqual(ours, base.labels.slice(5 * query, 5 * query + 5).sort());
        const sign = metric === Metric.L2 || metric === Metric.L1 ? 1 : -1;
        const row = few.distances.subarray(5 * query, 5 * query + 5).map((value) => sign * value);
        assert.deepEqual(row, row.slice().sort());
      }
      // Components about their mean may lie on the other side of the query.
      if (metric === Metric.InnerProduct || metric === Metric.Cosine) continue;
      const radius = wanted.distances[4]!;
      const within = await index.rangeSearch(queries, radius, { kFactor: 1e6 });
      const exact = await plain.rangeSearch(queries, radius);
      assert.deepEqual(within.lims, exact.lims);
      assert.deepEqual(within.labels, exact.labels);
    }
  }
});

Deno.test("refinement by radius widens similarities downwards, on both sides of 0", async () => {
  // What a base of two dimensions sees of three is off by up to a fifth.
  const base = new IndexPreTransform(new RemapDimensionsTransform(3, [0, 1]), new IndexFlatIP(2));
  base.ownFields = true;
  const exact = new IndexFlatIP(3);
  using index = new IndexRefine(base, exact);
  index.ownFields = index.ownRefineIndex = true;
  await index.add([[1, 0, 0.1], [0.9, 0, 0.2], [-1, 0, 0.1], [-1.05, 0, 0.3]]);
  const labels = async (radius: number, kFactor: number) => {
    return [...(await index.rangeSearch([[1, 0, 1]], radius, { kFactor })).labels];
  };
  assert.deepEqual(await labels(1.05, 1), []);
  assert.deepEqual(await labels(1.05, 1.5), [0n, 1n]);
  assert.deepEqual(await labels(-0.8, 1), [0n, 1n]);
  assert.deepEqual(await labels(-0.8, 1.5), [0n, 1n, 3n]);
});

Deno.test("refinement keeps filters, removes, merges, reconstructs and copies", async () => {
  for (const backend of backends) {
    for (const base of ["Flat", "IVF8,Flat"]) {
      using plain = await flat(backend);
      using index = indexFactory(D, `${base},RFlat`, Metric.L2, { backend }) as IndexRefine;
      await index.train(x);
      await index.add(x);
      const how = { nprobe: 8, filter: (id: bigint) => id % 3n === 0n };
      const wanted = await plain.search(queries, 4, { filter: how.filter });
      assertSame(await index.search(queries, 4, how), wanted, base);
      const inner = { baseIndexParams: { nprobe: 8, filter: how.filter } };
      assertSame(await index.search(queries, 4, inner), wanted, base);

      assert.equal(await index.removeIds([0, 7, 7, 999, 299]), 3);
      await plain.removeIds([0, 7, 299]);
      const all = { nprobe: 8 };
      assertSame(await index.search(queries, 4, all), await plain.search(queries, 4), base);
      using copy = await index.to("reference");
      assert(copy instanceof IndexRefineFlat);
      assertSame(await copy.search(queries, 4, all), await plain.search(queries, 4), base);
      using other = await index.to(backend);
      await index.mergeFrom(other);
      assert.deepEqual([index.ntotal, other.ntotal], [2 * (N - 3), 0]);
      using twice = await plain.to(backend);
      await plain.mergeFrom(twice);
      assertSame(await index.search(queries, 6, all), await plain.search(queries, 6), base);
      assert.deepEqual(index.reconstruct(500), plain.reconstruct(500));
      assert.equal(await index.removeIds([]), 0);
    }
  }
});

Deno.test("a refinement that cannot add leaves no candidates behind", async () => {
  using base = lists(backends[1]!);
  using index = new IndexRefineFlat(base);
  await index.train(x);
  await index.add(x);
  (index.refineIndex as IndexFlat).store.add = () => Promise.reject(new Error("no memory"));
  await assert.rejects(index.add(x), /no memory/);
  assert.deepEqual([base.ntotal, index.ntotal], [N, N]);
  await assert.rejects(
    index.addWithIds(x, BigInt64Array.from({ length: N }, (_, i) => BigInt(i))),
    {
      name: "UnsupportedError",
    },
  );
});

Deno.test("IndexRefine refuses parts that do not fit", async () => {
  using a = await flat(backends[0]!);
  using b = new IndexFlatL2(D, { backend: backends[0] });
  using c = new IndexFlatIP(D, { backend: backends[0] });
  assert.throws(() => new IndexRefine(a, b), { name: "TypeError", message: /300 and 0 vectors/ });
  assert.throws(() => new IndexRefine(b, c), { name: "TypeError", message: /metric/ });
  assert.throws(() => new IndexRefineFlat(a), { name: "TypeError", message: /give them too/ });
  using index = new IndexRefineFlat(a, await flat(backends[0]!));
  for (const kFactor of [0, 0.99, NaN, Infinity]) {
    await assert.rejects(index.search(queries, 1, { kFactor }), {
      name: "RangeError",
      message: `Cannot search: kFactor ${kFactor} is no number from 1`,
    });
  }
});

Deno.test("shards find what one index finds, by either numbering", async () => {
  for (const backend of backends) {
    for (const metric of [Metric.L2, Metric.InnerProduct] as Metric[]) {
      using plain = await flat(backend, metric);
      for (const successiveIds of [true, false]) {
        using index = new IndexShards(D, metric, { backend, successiveIds });
        index.ownFields = true;
        for (let i = 0; i < 3; i++) {
          const shard = new IndexFlat(D, metric, { backend });
          const map = new IndexIDMap2(shard);
          map.ownFields = true;
          index.addShard(successiveIds ? shard : map);
        }
        await index.add(x.subarray(0, N * D));
        assert.deepEqual(index.shards.map(({ ntotal }) => ntotal), [100, 100, 100]);
        assertSame(await index.search(queries, 9), await plain.search(queries, 9), "all");
        assertSame(index.searchSync(queries, 9), plain.searchSync(queries, 9), "sync");
        assertSame(await index.search(queries, 310), await plain.search(queries, 310), "more");
        for (const filter of [new IDSelectorRange(50, 220), (id: bigint) => id % 7n === 1n]) {
          const some = await index.search(queries, 9, { filter });
          assertSame(some, await plain.search(queries, 9, { filter }), "filtered");
        }
        const radius = (await plain.search(queries, 4)).distances[3]!;
        const [within, exact] = [
          await index.rangeSearch(queries, radius),
          await plain.rangeSearch(queries, radius),
        ];
        assert.deepEqual([within.lims, within.labels], [exact.lims, exact.labels]);
        assert.deepEqual(index.reconstruct(250), plain.reconstruct(250));
        assert.throws(() => index.reconstruct(300), RangeError);
        using copy = await index.to("reference");
        assertSame(await copy.search(queries, 9), await plain.search(queries, 9), "copy");

        using less = await plain.to(backend);
        const gone = [0, 1, 150, 299];
        assert.equal(await index.removeIds(gone), 4);
        await less.removeIds(gone);
        const found = await index.search(queries, 3);
        const wanted = await less.search(queries, 3);
        assert.deepEqual(found.distances, wanted.distances);
        if (successiveIds) assert.deepEqual(found.labels, wanted.labels);
        await index.reset();
        assert.equal(index.ntotal, 0);
      }
    }
  }
});

Deno.test("equally near vectors of several shards come by id", async () => {
  using index = new IndexShards(1);
  const shards = [new IndexFlatL2(1), new IndexFlatL2(1)];
  index.ownFields = true;
  for (const shard of shards) index.addShard(shard);
  await index.add([[2], [1], [1], [1], [2], [1]]);
  const { labels } = await index.search([[1]], 6);
  assert.deepEqual([...labels], [1n, 2n, 3n, 5n, 0n, 4n]);
});

Deno.test("shards refuse what does not fit, and lose nothing", async () => {
  using index = new IndexShards(D);
  await assert.rejects(index.train(x), /there are no shards/);
  await assert.rejects(index.add(x), { name: "NotTrainedError" });
  const [a, b] = [new IndexFlatL2(D), new IndexFlatL2(D)];
  index.addShard(a);
  assert.throws(() => index.addShard(a), /is here already/);
  assert.throws(() => index.addShard(new IndexFlatIP(D)), { name: "TypeError" });
  assert.throws(() => index.addShard(lists(selectedBackend())), /some shards are trained/);
  index.addShard(b);
  await assert.rejects(index.add(numbers(N * D).fill(NaN, 900)), /row 150 holds NaN/);
  assert.equal(index.ntotal, 0);
  await index.add(x);
  await assert.rejects(index.add(x), { name: "UnsupportedError" });
  await assert.rejects(
    index.addWithIds(x, BigInt64Array.from({ length: N }, (_, i) => BigInt(i))),
    {
      name: "UnsupportedError",
    },
  );
  await assert.rejects(index.save("nowhere"), { name: "UnsupportedError" });
  index.removeShard(b);
  assert.equal(index.ntotal, N / 2);
  assert.throws(() => index.removeShard(b), TypeError);
  a.dispose();
  b.dispose();
});

Deno.test("lists as shards: trained alike, with ids that stay", async () => {
  using index = new IndexShards(D, Metric.L2, { successiveIds: false });
  index.ownFields = true;
  for (let i = 0; i < 2; i++) index.addShard(lists(selectedBackend(), 4));
  await index.train(x);
  await index.addWithIds(x, BigInt64Array.from({ length: N }, (_, i) => BigInt(2 * i)));
  using plain = await flat(selectedBackend());
  const found = await index.search(queries, 5, { nprobe: 4 });
  const wanted = await plain.search(queries, 5);
  assert.deepEqual(found.labels, wanted.labels.map((label) => 2n * label));
  assert.equal(await index.removeIds([0, 2, 3]), 2);
});

Deno.test("replicas share queries, and change alike", async () => {
  for (const backend of backends) {
    using plain = await flat(backend);
    using index = new IndexReplicas(D, Metric.L2, { backend });
    index.ownFields = true;
    await assert.rejects(index.search(queries, 1), { name: "NotTrainedError" });
    for (let i = 0; i < 3; i++) index.addReplica(new IndexFlatL2(D, { backend }));
    await index.add(x);
    assert.deepEqual(index.replicas.map(({ ntotal }) => ntotal), [N, N, N]);
    for (const nq of [1, 2, 3, 4, 17]) {
      const some = queries.subarray(0, nq * D);
      assertSame(await index.search(some, 5), await plain.search(some, 5), `${nq} queries`);
      const [within, exact] = [
        await index.rangeSearch(some, 0.3),
        await plain.rangeSearch(some, 0.3),
      ];
      assert.deepEqual([within.lims, within.labels], [exact.lims, exact.labels]);
    }
    assertSame(index.searchSync(queries, 5), plain.searchSync(queries, 5), "sync");
    assert.equal(await index.removeIds([4, 5]), 2);
    assert.deepEqual(index.replicas.map(({ ntotal }) => ntotal), [N - 2, N - 2, N - 2]);
    assert.deepEqual(index.reconstruct(4), x.slice(6 * D, 7 * D));
    using copy = await index.to("reference");
    assert.equal(copy.replicas.length, 3);
    const other = new IndexFlatL2(D, { backend });
    assert.throws(() => index.addReplica(other), { name: "TypeError", message: /0 vectors/ });
    other.dispose();
    await index.reset();
    assert.equal(index.ntotal, 0);
  }
});

Deno.test("an index of 1,000 nested ones is refused", () => {
  const wraps: ((index: Index) => Index)[] = [
    (index) => new IndexPreTransform([], index),
    (index) => new IndexRefineFlat(index),
    (index) => {
      const shards = new IndexShards(2);
      shards.addShard(index);
      return shards;
    },
    (index) => new IndexIVFFlat(index, 2, 4),
  ];
  for (const wrap of wraps) {
    let index: Index = new IndexFlatL2(2);
    let depth = 1;
    assert.throws(() => {
      for (; depth < 1000; depth++) index = wrap(index);
    }, {
      name: "RangeError",
      message: "Cannot wrap an index: more than 32 would lie inside one another",
    });
    assert.equal(depth, 32);
  }
});
