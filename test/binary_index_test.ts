import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { NotTrainedError, UnsupportedError } from "../lib/errors.ts";
import { BucketTable } from "../lib/index/binary/bucket_table.ts";
import { indexBinaryFactory, reverseIndexBinaryFactory } from "../lib/index/binary/factory.ts";
import { IndexBinaryFlat } from "../lib/index/binary/flat.ts";
import { IndexBinaryFromFloat } from "../lib/index/binary/from_float.ts";
import { IndexBinaryHash, IndexBinaryMultiHash } from "../lib/index/binary/hash.ts";
import { IndexBinaryHNSW } from "../lib/index/binary/hnsw.ts";
import { IndexBinaryIDMap, IndexBinaryIDMap2 } from "../lib/index/binary/id_map.ts";
import type { BinarySearchResult, IndexBinary } from "../lib/index/binary/index_binary.ts";
import { IndexBinaryIVF } from "../lib/index/binary/ivf.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import {
  binaryBackends,
  binaryIVF,
  bytes,
  everyBinaryKind,
  grouped,
  testBinary,
} from "./binary_kinds.ts";
import { isNative } from "./native.ts";

function plain({ distances, labels }: BinarySearchResult) {
  return { distances, labels };
}

/** Bits that differ, by definition. */
function hamming(x: Uint8Array, y: Uint8Array): number {
  return x.reduce((sum, byte, i) => sum + (byte ^ y[i]!).toString(2).replaceAll("0", "").length, 0);
}

/** What a search of all vectors finds. */
function exact(x: Uint8Array, q: Uint8Array, codeSize: number, k: number, ids: readonly number[]) {
  const hits = ids.map((id, row) => {
    return { id, distance: hamming(x.subarray(row * codeSize, (row + 1) * codeSize), q) };
  });
  return hits.sort((a, b) => a.distance - b.distance || a.id - b.id).slice(0, k);
}

testBinary("a flat index finds what the definition says", async (backend) => {
  const [n, d] = [60, 40];
  const x = grouped(n, d / 8, 1);
  x.copyWithin(50, 0, 25);
  using index = new IndexBinaryFlat(d, { backend });
  await index.add(x);
  const ids = Array.from({ length: n }, (_, i) => i);
  const queries = grouped(5, d / 8, 2);
  const found = await index.search(queries, 20);
  assert(found.distances instanceof Int32Array);
  for (let query = 0; query < 5; query++) {
    const q = queries.subarray(query * 5, query * 5 + 5);
    assert.deepEqual(found.row(query), exact(x, q, 5, 20, ids));
  }
  assert.deepEqual(plain(index.searchSync(queries, 20)), plain(found));
  const more = await index.search(queries, n + 2);
  assert.deepEqual([...more.labels.subarray(n, n + 2)], [-1n, -1n]);
  assert.deepEqual([...more.distances.subarray(n, n + 2)], [2 ** 31 - 1, 2 ** 31 - 1]);
  assert.equal(more.row(0).length, n);
  // The radius is outside.
  const near = await index.rangeSearch(x.subarray(0, 5), 1);
  assert.deepEqual([...near.labels], [0n, 10n]);
  assert.equal((await index.rangeSearch(x.subarray(0, 5), 0)).labels.length, 0);
  assert.equal((await index.rangeSearch(x.subarray(0, 5), Infinity)).labels.length, n);
  assert.equal((await index.rangeSearch(x.subarray(0, 5), -3)).labels.length, 0);
  assert.equal((await index.rangeSearch(x.subarray(0, 5), 0.5)).labels.length, 2);
});

if (isNative) {
  const reference = createReferenceBackend();
  const cpu = binaryBackends.find(({ name }) => name === "cpu")!;
  for (const isa of describeLibrary().isas) {
    Deno.test(`native scans of bits find what plain ones do [${isa}]`, async () => {
      setISA(isa);
      try {
        for (const d of [8, 24, 64, 72, 128, 192, 256, 264, 512, 520, 1024, 2056]) {
          for (const n of [1, 15, 16, 17, 65, 130]) await assertSame(cpu, reference, d, n);
        }
      } finally {
        setISA(describeLibrary().isas[0]!);
      }
    });
  }

  Deno.test("parts of rows are put together as one scan finds them", async () => {
    const [n, d] = [60_000, 16];
    using index = new IndexBinaryFlat(d, { backend: cpu });
    using plainIndex = new IndexBinaryFlat(d, { backend: reference });
    const x = bytes(2 * n);
    await index.add(x);
    await plainIndex.add(x);
    for (const [nq, k] of [[1, 300], [2, 5], [20, 3]] as const) {
      const queries = bytes(2 * nq, 9);
      // With so few bits nearly all are ties.
      const found = await index.search(queries, k);
      assert.deepEqual(plain(found), plain(await plainIndex.search(queries, k)));
      const variant = nq < 4 ? "hamming_direct" : "hamming_block";
      assert.deepEqual([found.run.variants, found.run.scanned], [[variant], n * nq]);
      const [a, b] = [
        await index.rangeSearch(queries, 3),
        await plainIndex.rangeSearch(queries, 3),
      ];
      assert.deepEqual([a.lims, a.distances, a.labels], [b.lims, b.distances, b.labels]);
    }
  });

  Deno.test("of lists with little but ties the lowest ids are found", async () => {
    const n = 20_000;
    const x = bytes(2 * n);
    const ids = Array.from({ length: n }, (_, i) => (i * 7919) % n);
    const [ours, theirs] = await Promise.all([cpu, reference].map(async (backend) => {
      const index = await binaryIVF(new IndexBinaryFlat(16, { backend }), x, 4);
      await index.addWithIds(x, ids);
      index.nprobe = 4;
      return index;
    }));
    using one = ours!, other = theirs!;
    for (const [nq, k] of [[1, 40], [3, 1], [60, 200]] as const) {
      const queries = bytes(2 * nq, 9);
      const found = await one.search(queries, k);
      assert.deepEqual(plain(found), plain(await other.search(queries, k)));
      assert(found.run.variants.includes(nq < 6 ? "hamming_direct" : "hamming_block"));
    }
  });

  Deno.test("a search of bits can be stopped", async () => {
    using index = new IndexBinaryFlat(512, { backend: cpu });
    await index.add(bytes(64 * 50_000));
    const controller = new AbortController();
    const search = index.search(bytes(64 * 5000), 10, { signal: controller.signal });
    controller.abort();
    await assert.rejects(search, { name: "AbortError" });
    assert.equal((await index.search(bytes(64), 1)).labels.length, 1);
  });
}

/** Flat indexes and lists on two backends give the same, alone and in batches, with filters and without. */
async function assertSame(a: Backend, b: Backend, d: number, n: number): Promise<void> {
  const codeSize = d / 8;
  const x = bytes(n * codeSize, n);
  if (n > 20) x.copyWithin(10 * codeSize, 0, 5 * codeSize);
  const indexes = await Promise.all([a, b].map(async (backend) => {
    const flat = new IndexBinaryFlat(d, { backend });
    await flat.add(x);
    const nlist = Math.min(n, 4);
    const lists = await binaryIVF(new IndexBinaryFlat(d, { backend }), x, nlist);
    // Ids against the order of the rows.
    await lists.addWithIds(x, Array.from({ length: n }, (_, i) => (n - i) * 3));
    lists.nprobe = Math.min(nlist, 3);
    return [flat, lists];
  }));
  for (const [kind, ours] of indexes[0]!.entries()) {
    const theirs = indexes[1]![kind]!;
    for (const nq of [1, 4, 19]) {
      const queries = bytes(nq * codeSize, nq);
      queries.set(x.subarray(0, codeSize));
      for (const filter of [undefined, (id: bigint) => id % 4n !== 1n]) {
        for (const k of [1, 9, n + 3]) {
          const what = `${ours.constructor.name} ${d} bits, ${n} rows, ${nq} queries, k ${k}`;
          const [found, expected] = [ours, theirs].map((i) => i.searchSync(queries, k, { filter }));
          assert.deepEqual(plain(found!), plain(expected!), what);
        }
        const [found, expected] = await Promise.all(
          [ours, theirs].map((index) => index.rangeSearch(queries, d / 2, { filter })),
        );
        assert.deepEqual(
          [found!.lims, found!.distances, found!.labels],
          [expected!.lims, expected!.distances, expected!.labels],
        );
      }
    }
  }
  for (const index of indexes.flat()) index.dispose();
}

/** How an index of everything is searched, so that nothing is missed. */
const thorough = { nprobe: 4, nflip: 4, efSearch: 64 };

/** Kinds that hold all 12 vectors, and find any of them if they look everywhere. */
const whole = /^(flat|hash|multihash|graph|IVF|floats|map.*)$/;

/** Parameters that an index has. */
function paramsOf(kind: string) {
  if (kind === "hash") return { ...thorough, nflip: 5 };
  if (kind === "map of hash") return { ...thorough, nflip: 3 };
  return thorough;
}

testBinary("every kind of index of bits searches, filters, removes, resets", async (backend) => {
  const d = 24;
  const x = grouped(12, d / 8);
  const queries = grouped(4, d / 8, 5);
  let checked = 0;
  for (const [kind, index] of await everyBinaryKind(backend, d)) {
    using _ = index;
    if (!whole.test(kind)) continue;
    checked++;
    const isMap = kind.startsWith("map");
    const ids = isMap
      ? [40, 0, 7, 7, 2 ** 40, 3, 9, 8, 1, 2, 5, 6]
      : Array.from({ length: 12 }, (_, i) => i);
    const params = paramsOf(kind);
    const found = await index.search(queries, 5, params);
    assert.deepEqual(plain(index.searchSync(queries, 5, params)), plain(found), kind);
    assert.equal(index.lastRun!.backend, backend.name);
    for (let query = 0; query < 4; query++) {
      const q = queries.subarray(query * 3, query * 3 + 3);
      const expected = exact(x, q, 3, 5, ids).map(({ distance }) => distance);
      assert.deepEqual(found.row(query).map(({ distance }) => distance), expected, kind);
    }
    const odd = (id: bigint) => id % 2n === 1n;
    const filtered = await index.search(queries, 5, { ...params, filter: odd });
    const oddRows = ids.flatMap((id, row) => id % 2 === 1 ? [row] : []);
    for (let query = 0; query < 4; query++) {
      const q = queries.subarray(query * 3, query * 3 + 3);
      const some = Uint8Array.from(oddRows.flatMap((row) => [...x.subarray(row * 3, row * 3 + 3)]));
      const expected = exact(some, q, 3, 5, oddRows.map((row) => ids[row]!));
      const hits = filtered.row(query);
      assert.deepEqual(hits.map((hit) => hit.distance), expected.map((hit) => hit.distance), kind);
      assert(hits.every(({ id }) => id % 2 === 1), kind);
    }
    const within = await index.rangeSearch(queries, 9, params);
    for (let query = 0; query < 4; query++) {
      const q = queries.subarray(query * 3, query * 3 + 3);
      const near = exact(x, q, 3, 12, ids).filter(({ distance }) => distance < 9);
      assert.equal(within.row(query).length, near.length, kind);
    }
    if (!/^map$|^map of/.test(kind)) {
      const [first, last] = [ids[0]!, ids.at(-1)!];
      const codes = index.reconstructBatch([last, first]);
      assert.deepEqual(codes, Uint8Array.from([...x.subarray(33, 36), ...x.subarray(0, 3)]), kind);
      assert.throws(() => index.reconstruct(99), { name: "RangeError", message: /99/ }, kind);
      const both = await index.searchAndReconstruct(x.subarray(0, 3), 13, params);
      assert.equal(both.distances[0], 0);
      assert.deepEqual([...both.vectors.subarray(0, 3)], [...x.subarray(0, 3)], kind);
      assert.deepEqual([...both.vectors.subarray(36)], [255, 255, 255], kind);
    } else {
      assert.throws(() => index.reconstruct(40), UnsupportedError);
    }
    assert(index.memoryUsage() >= 36, kind);
    const gone = ids.filter((id) => id % 2 === 1).length;
    assert.equal(await index.removeIds(odd), gone, kind);
    assert.equal(index.ntotal, 12 - gone);
    assert.equal(await index.removeIds([12345]), 0, kind);
    const left = await index.search(x, 12, params);
    const rows = ids.flatMap((id, row) => id % 2 === 1 ? [] : [row]);
    const kept = Uint8Array.from(rows.flatMap((row) => [...x.subarray(row * 3, row * 3 + 3)]));
    for (let query = 0; query < 12; query++) {
      const expected = exact(kept, x.subarray(query * 3, query * 3 + 3), 3, 12, rows);
      assert.deepEqual(left.row(query).map((hit) => hit.distance), expected.map((h) => h.distance));
    }
    await index.reset();
    assert.equal(index.ntotal, 0);
    assert.equal((await index.search(queries, 1, params)).row(0).length, 0, kind);
    if (isMap) await index.addWithIds(x, ids);
    else await index.add(x);
    assert.deepEqual((await index.search(queries, 5, params)).distances, found.distances, kind);
  }
  assert.equal(checked, 10);
});

testBinary("every kind of index of bits is copied and merged", async (backend) => {
  const [one, other] = await Promise.all([everyBinaryKind(backend), everyBinaryKind(backend)]);
  const queries = grouped(3, 3, 8);
  for (const [kind, index] of one) {
    const twin = other.get(kind)!;
    for (const target of binaryBackends) {
      using copy = await index.to(target);
      assert.deepEqual([copy.constructor, copy.ntotal], [index.constructor, index.ntotal], kind);
      assert.equal(copy.backend, target);
      if (!index.isTrained) continue;
      const [found, expected] = [await copy.search(queries, 4), await index.search(queries, 4)];
      assert.deepEqual(found.distances, expected.distances, kind);
    }
    if (index.isTrained) {
      const n = index.ntotal;
      const keeps = index.keepsIds || kind.startsWith("map");
      await index.mergeFrom(twin, keeps ? 1000 : 0);
      assert.deepEqual([index.ntotal, twin.ntotal], [2 * n, 0], kind);
      if (n > 1 && keeps) {
        const found = await index.search(grouped(12, 3).subarray(0, 3), 2, paramsOf(kind));
        assert.deepEqual([...found.distances], [0, 0], kind);
        assert.equal(found.labels[1]! - found.labels[0]!, 1000n, kind);
      }
      await assert.rejects(index.mergeFrom(index), RangeError);
    } else {
      await assert.rejects(index.mergeFrom(twin), { name: "TypeError", message: /trained/ });
    }
    index.dispose();
    twin.dispose();
  }
  using flat = new IndexBinaryFlat(16, { backend });
  using wide = new IndexBinaryFlat(24, { backend });
  using graph = new IndexBinaryHNSW(16, 4, { backend });
  using hash = new IndexBinaryHash(16, 4, { backend });
  using fine = new IndexBinaryHash(16, 5, { backend });
  await assert.rejects(flat.mergeFrom(wide), { name: "TypeError", message: /d or backend/ });
  await assert.rejects(flat.mergeFrom(graph), { name: "TypeError", message: /HNSW is no/ });
  await assert.rejects(hash.mergeFrom(fine), { name: "TypeError", message: /the hashes/ });
  await assert.rejects(flat.mergeFrom(new IndexBinaryFlat(16, { backend }), 3), UnsupportedError);
});

testBinary("lists of bits are trained by k-means, and find near everything", async (backend) => {
  const [n, d] = [500, 64];
  const x = grouped(n, d / 8, 1);
  using index = indexBinaryFactory(d, "BIVF8", { backend });
  assert(index instanceof IndexBinaryIVF);
  await assert.rejects(index.add(x), NotTrainedError);
  await assert.rejects(index.search(x.subarray(0, 8), 1), NotTrainedError);
  await assert.rejects(index.train(x.subarray(0, 8 * 7)), { name: "RangeError", message: /fewer/ });
  const steps: number[] = [];
  await index.train(x, { onProgress: ({ iteration }) => steps.push(iteration) });
  assert(steps.length > 0 && index.isTrained);
  // The groups' centers are the centroids, but for one or two that start with two.
  const centers = bytes(8 * 8, 3);
  using flat = new IndexBinaryFlat(d, { backend });
  await flat.add(index.quantizer.reconstructN(0, 8));
  const { distances } = await flat.search(centers, 1);
  assert(distances.filter((distance) => distance <= 4).length >= 5, `${distances}`);
  await index.add(x);
  await flat.reset();
  await flat.add(x);
  const queries = grouped(20, d / 8, 4);
  const all = await index.search(queries, 10, { nprobe: 8 });
  assert.deepEqual(plain(all), plain(await flat.search(queries, 10)));
  await assert.rejects(index.search(queries, 1, { nprobe: 9 }), RangeError);
});

testBinary("a graph of bits finds nearly all, and what changed in it", async (backend) => {
  const [n, d] = [backend.name === "cpu" ? 3000 : 300, 100 * 8];
  const x = grouped(n, d / 8, 1);
  const queries = grouped(30, d / 8, 2);
  using index = new IndexBinaryHNSW(d, 16, { backend });
  using flat = new IndexBinaryFlat(d, { backend });
  await index.add(x);
  await flat.add(x);
  const expected = await flat.search(queries, 10);
  const found = await index.search(queries, 10, { efSearch: 100 });
  const right = found.distances.filter((distance, i) => distance <= expected.distances[i]!).length;
  assert(right > 0.97 * 300, `${right} of 300`);
  assert(found.run.variants.includes("hnsw_walk"));
  assert.deepEqual(index.reconstructN(5, 2), x.slice(5 * d / 8, 7 * d / 8));
  // A filter that lets few pass.
  const filter = [5, 17, 29];
  const few = await index.search(queries, 3, { filter });
  assert.deepEqual(plain(few), plain(await flat.search(queries, 3, { filter })));
  await index.updateVectors([7, 8], queries.subarray(0, d / 4));
  const { labels, distances } = await index.search(queries.subarray(0, d / 4), 1, { efSearch: 64 });
  assert.deepEqual([[...labels], [...distances]], [[7n, 8n], [0, 0]]);
  await assert.rejects(index.updateVectors([7, 7], queries.subarray(0, d / 4)), RangeError);
  await assert.rejects(index.search(queries, 1, { efSearch: 0 }), RangeError);
});

testBinary("hashes find what is in the buckets of a query, and of those near", async (backend) => {
  const [n, d, b] = [200, 80, 37];
  const x = grouped(n, d / 8, 1);
  using index = new IndexBinaryHash(d, b, { backend });
  await index.add(x);
  const queries = grouped(6, d / 8, 2);
  const bitsOf = (code: Uint8Array, from: number) => {
    return Array.from({ length: b }, (_, i) => (code[(from + i) >> 3]! >> ((from + i) & 7)) & 1);
  };
  const differ = (row: number, query: number, from = 0) => {
    const [a, c] = [x.subarray(row * 10), queries.subarray(query * 10)].map((v) => bitsOf(v, from));
    return a!.filter((bit, i) => bit !== c![i]).length;
  };
  for (const nflip of [0, 1, 2, 9]) {
    const found = await index.rangeSearch(queries, 1e6, { nflip });
    for (let query = 0; query < 6; query++) {
      const rows = Array.from({ length: n }, (_, row) => row);
      const expected = rows.filter((row) => differ(row, query) <= nflip);
      assert.deepEqual(found.row(query).map(({ id }) => id), expected, `nflip ${nflip}`);
    }
  }
  using multi = new IndexBinaryMultiHash(d, 2, b, { backend });
  await multi.add(x);
  const found = await multi.rangeSearch(queries, 1e6, { nflip: 3 });
  for (let query = 0; query < 6; query++) {
    const rows = Array.from({ length: n }, (_, row) => row);
    const near = rows.filter((row) => Math.min(differ(row, query), differ(row, query, b)) <= 3);
    assert.deepEqual(found.row(query).map(({ id }) => id), near);
  }
  const buckets = new Set(
    Array.from({ length: n }, (_, row) => `${bitsOf(x.subarray(row * 10), 0)}`),
  );
  assert.equal(index.hashtableSize, buckets.size);
  await assert.rejects(index.search(queries, 1, { nflip: 38 }), RangeError);
  await assert.rejects(index.search(queries, 1, { nflip: -1 }), RangeError);
  await index.addWithIds(x.subarray(0, 10), [5000]);
  assert.deepEqual(index.reconstruct(5000), x.slice(0, 10));
  assert.throws(() => new IndexBinaryMultiHash(16, 3, 6), RangeError);
  assert.throws(() => new IndexBinaryHash(128, 65), { name: "RangeError", message: /1 to 64/ });
});

Deno.test("a bucket table reads any bits of a code", () => {
  const codes = bytes(20);
  for (
    const [from, b] of [[0, 1], [3, 5], [7, 32], [0, 64], [5, 33], [96, 64], [31, 33]] as const
  ) {
    const { low, high } = new BucketTable(from, b).key(codes, 0);
    const bit = (i: number) => BigInt(codes[(from + i) >> 3]! >> ((from + i) & 7) & 1) << BigInt(i);
    const expected = Array.from({ length: b }, (_, i) => bit(i)).reduce((sum, part) => sum | part);
    assert.equal(BigInt(high) << 32n | BigInt(low), expected, `${b} bits from ${from}`);
  }
});

Deno.test("factory strings of bits give indexes, and these the strings", () => {
  const backend = createReferenceBackend();
  const strings = ["BFlat", "BIVF16", "BIVF16_HNSW8", "BHNSW24", "BHash5", "BHash4x8"]
    .flatMap((string) => [string, `IDMap,${string}`, `IDMap2,${string}`]);
  for (const string of strings) {
    using index = indexBinaryFactory(64, string, { backend });
    assert.equal(reverseIndexBinaryFactory(index), string);
  }
  const others = { "BFlat,IDMap": "IDMap,BFlat", "BHNSW": "BHNSW32", "BIVF4_HNSW": "BIVF4_HNSW32" };
  for (const [string, normal] of Object.entries(others)) {
    using index = indexBinaryFactory(64, string, { backend });
    assert.equal(reverseIndexBinaryFactory(index), normal);
  }
  assert.throws(() => indexFactory(64, "IDMap,BFlat", undefined, { backend }), {
    name: "RangeError",
    message: /unknown token "BFlat"; indexBinaryFactory knows it/,
  });
  using floats = new IndexBinaryFromFloat(new IndexFlatL2(8, { backend }));
  assert.throws(() => reverseIndexBinaryFactory(floats), UnsupportedError);
  for (
    const [string, message] of [
      ["", /token 1 is empty/],
      ["Flat", /unknown token "Flat"/],
      ["BFlat,", /token 2 is empty/],
      ["IDMap", /IDMap wraps nothing/],
      ["IDMap,IDMap2,BFlat", /IDMap wraps another IDMap/],
      ["BFlat,BFlat", /"BFlat" has no place after BFlat/],
      ["BHash9x8", /nhash 9 of 8 bits/],
      ["BHash65", /b 65 is no integer/],
      ["BIVF0", /nlist 0/],
      ["BHNSW1", /M 1/],
    ] as const
  ) {
    assert.throws(() => indexBinaryFactory(64, string, { backend }), {
      name: "RangeError",
      message,
    });
  }
});

Deno.test("indexes of bits refuse what is no vector of bits", async () => {
  const backend = createReferenceBackend();
  assert.throws(() => new IndexBinaryFlat(12), { name: "RangeError", message: /multiple of 8/ });
  assert.throws(() => new IndexBinaryFlat(0), RangeError);
  assert.throws(() => new IndexBinaryFlat(2 ** 20 + 8), RangeError);
  using index = new IndexBinaryFlat(16, { backend });
  const wrong: [unknown, RegExp, string][] = [
    [Uint8Array.of(1, 2, 3), /length 3 is not a multiple of 2 bytes/, "TypeError"],
    [new Uint8Array(0), /it is empty/, "TypeError"],
    [[], /it is empty/, "TypeError"],
    [[[1, 2], [3]], /row 1 has 1 bytes, not 2/, "TypeError"],
    [[[1, 256]], /row 0 holds 256, which is no byte/, "RangeError"],
    [[[1, NaN]], /row 0 holds NaN/, "RangeError"],
    [new Float32Array(4), /no Uint8Array/, "TypeError"],
    ["ab", /no Uint8Array/, "TypeError"],
  ];
  for (const [x, message, name] of wrong) {
    await assert.rejects(index.add(x as Uint8Array), { name, message });
    await assert.rejects(index.search(x as Uint8Array, 1), { name, message });
  }
  assert.equal(index.ntotal, 0);
  await index.add([[1, 2], Uint8Array.of(3, 4)]);
  assert.deepEqual([...index.reconstructN(0, 2)], [1, 2, 3, 4]);
  for (const k of [0, -1, 1.5, NaN]) await assert.rejects(index.search([[1, 2]], k), RangeError);
  await assert.rejects(index.rangeSearch([[1, 2]], NaN), RangeError);
  await assert.rejects(index.addWithIds([[1, 2]], [3]), UnsupportedError);
  await assert.rejects(index.search([[1, 2]], 2 ** 32), RangeError);
  assert.throws(() => new IndexBinaryIDMap(index), { message: /holds 2 vectors, and there are 0/ });
  using map = new IndexBinaryIDMap2(new IndexBinaryFlat(16, { backend }));
  assert.throws(() => new IndexBinaryIDMap(map), { name: "TypeError", message: /already has ids/ });
  await assert.rejects(map.add([[1, 2]]), UnsupportedError);
  await assert.rejects(map.addWithIds([[1, 2]], [-4]), RangeError);
  index.dispose();
  await assert.rejects(index.add([[1, 2]]), { name: "DisposedError" });
  const gpu = Object.assign(Object.create(backend), { name: "gpu" });
  assert.throws(() => new IndexBinaryFlat(16, { backend: gpu }), UnsupportedError);
});

Deno.test("an index of bits shows what it is", async () => {
  using index: IndexBinary = new IndexBinaryHNSW(16, 4, { backend: createReferenceBackend() });
  await index.add([[1, 2]]);
  assert.match(Deno.inspect(index), /IndexBinaryHNSW \{ d: 16, ntotal: 1, metric: Hamming/);
  const shown = (index as unknown as Record<symbol, () => Record<string, string>>)[
    Symbol.for("Jupyter.display")
  ]!();
  assert.match(shown["text/plain"]!, /BHNSW4/);
  const found = await index.search([[1, 3]], 2);
  assert.match(Deno.inspect(found), /1 query, k = 2/);
});
