import assert from "node:assert/strict";
import type { Backend, StoreSearch } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { CodeBlocks } from "../lib/codec/code_blocks.ts";
import type { ProductSpec } from "../lib/codec/codec.ts";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "../lib/index/fast_scan.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexPQ } from "../lib/index/product_quantizer.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorArray, IDSelectorNot, IDSelectorRange } from "../lib/selector.ts";
import { normals, testEach as testAll } from "./grid.ts";
import { isNative } from "./native.ts";

function testEach(name: string, run: (backend: Backend) => Promise<void>): void {
  testAll(name, run, (backend) => backend.name !== "gpu");
}

/**
 * d, m, codes, queries, k: no codes, one, fewer than k, part of a block, odd parts, half of a wide
 * vector, many blocks, many queries, many and very many results, more parts than bytes add up, more than 16 bits do.
 */
const shapes = [
  [4, 2, 0, 3, 2],
  [2, 1, 1, 2, 3],
  [3, 3, 31, 5, 40],
  [10, 5, 33, 1, 4],
  [8, 4, 700, 7, 10],
  [12, 6, 1300, 9, 1],
  [32, 16, 3000, 6, 10],
  [34, 17, 2900, 33, 30],
  [16, 8, 2500, 3, 100],
  [16, 8, 1500, 2, 300],
  [130, 65, 1100, 4, 5],
  [258, 258, 300, 3, 4],
] as const;

function spec([d, m]: readonly number[], inBlocks = true): ProductSpec {
  return { kind: "pq", d: d!, m: m!, nbits: 4, centroids: normals(16, d!, 1), inBlocks };
}

/** Random codes, of which some are the same: their ties go by id. */
function codesOf({ m }: ProductSpec, n: number): Uint8Array {
  const size = Math.ceil(m / 2);
  const random = new Random(3);
  const codes = Uint8Array.from({ length: n * size }, (_, i) => {
    return random.integer(m % 2 === 1 && i % size === size - 1 ? 16 : 256);
  });
  codes.copyWithin(Math.floor(n / 2) * size, 0, Math.floor(n / 4) * size);
  return codes;
}

function searches(n: number): StoreSearch[] {
  const few = new IDSelectorArray([1, 3, n + 5, n >> 1]);
  const selectors = [
    undefined,
    new IDSelectorRange(Math.floor(n / 4), n - Math.floor(n / 8)),
    few,
    new IDSelectorNot(few),
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

const reference = createReferenceBackend();

test("searches codes in blocks as the reference does, with every instruction set", async (backend) => {
  for (const shape of shapes) {
    const [, , n, nq, k] = shape;
    const codec = spec(shape);
    using ours = backend.createCodes(codec);
    using theirs = reference.createCodes(codec);
    const codes = codesOf(codec, n);
    for (const store of [ours, theirs]) await store.add(codes);
    assert.deepEqual(ours.codes(0, n), codes);
    const queries = normals(nq, codec.d, 2);
    for (const how of searches(n)) {
      const what = `${shape}, metric ${how.metric}, ${how.selector?.constructor.name}`;
      const [found, wanted] = [
        await ours.search(queries, k, how),
        await theirs.search(queries, k, how),
      ];
      assert.deepEqual(found.labels, wanted.labels, what);
      assert.deepEqual(found.distances, wanted.distances, what);
      assert.deepEqual(found.run.variants, ["blocks_u8"], what);
      assert.deepEqual(ours.searchSync(queries, k, how).labels, wanted.labels, what);
      const radius = wanted.distances[k - 1]!;
      const [within, expected] = [
        await ours.rangeSearch(queries, radius, how),
        await theirs.rangeSearch(queries, radius, how),
      ];
      assert.deepEqual(within.lims, expected.lims, `${what} within ${radius}`);
      assert.deepEqual(within.labels, expected.labels, `${what} within ${radius}`);
      assert.deepEqual(within.distances, expected.distances, `${what} within ${radius}`);
    }
  }
});

test("searches lists in blocks as the reference does, with every instruction set", async (backend) => {
  for (const shape of shapes) {
    for (const offset of [undefined, 0, 1000]) {
      const [d, , n, nq, k] = shape;
      const nlist = 3;
      const codec = spec(shape);
      const centroids = normals(nlist, d, 5).map((value) => value + (offset ?? 0));
      const residual = offset === undefined ? undefined : { centroids };
      using ours = backend.createCodeLists(codec, nlist, residual);
      using theirs = reference.createCodeLists(codec, nlist, residual);
      const lists = BigInt64Array.from({ length: n }, (_, i) => BigInt((i * i) % (nlist + 1)) - 1n);
      const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
      const codes = codesOf(codec, n);
      const half = (n >> 1) * ours.codeSize;
      for (const store of [ours, theirs]) {
        // In two parts, so that the second begins within a block.
        await store.add(codes.subarray(0, half), lists.slice(0, n >> 1), ids.slice(0, n >> 1));
        await store.add(codes.subarray(half), lists.slice(n >> 1), ids.slice(n >> 1));
      }
      const queries = normals(nq, d, 2).map((value) => value + (offset ?? 0));
      const probes = BigInt64Array.from({ length: nq * 2 }, (_, i) => BigInt(i % (nlist + 1)) - 1n);
      for (const how of searches(n)) {
        const what = `${shape} from ${offset}, metric ${how.metric}`;
        const [found, wanted] = [
          await ours.search(queries, probes, k, how),
          await theirs.search(queries, probes, k, how),
        ];
        assert.deepEqual(found.labels, wanted.labels, what);
        assert.deepEqual(found.distances, wanted.distances, what);
        const radius = wanted.distances[0]! + (how.metric === Metric.L2 ? 1 : -1);
        const [within, expected] = [
          await ours.rangeSearch(queries, probes, radius, how),
          await theirs.rangeSearch(queries, probes, radius, how),
        ];
        assert.deepEqual(within.labels, expected.labels, what);
        assert.deepEqual(within.distances, expected.distances, what);
      }
    }
  }
});

test("searches one list for queries some of which look at nothing", async (backend) => {
  const codec = spec([8, 4]);
  using ours = backend.createCodeLists(codec, 1);
  using theirs = reference.createCodeLists(codec, 1);
  const ids = BigInt64Array.from({ length: 200 }, (_, i) => BigInt(i));
  for (const store of [ours, theirs]) {
    await store.add(codesOf(codec, 200), new BigInt64Array(200), ids);
  }
  const queries = normals(6, 8, 2);
  const probes = BigInt64Array.of(-1n, 0n, 0n, -1n, 0n, -1n);
  for (const how of searches(200)) {
    const found = await ours.search(queries, probes, 5, how);
    const wanted = await theirs.search(queries, probes, 5, how);
    assert.deepEqual([found.labels, found.distances], [wanted.labels, wanted.distances]);
  }
});

test("changes codes in blocks as the reference does", async (backend) => {
  const codec = spec([10, 5]);
  const codes = codesOf(codec, 300);
  for (const [first, second] of [[32, 64], [33, 70], [1, 0], [0, 95]] as const) {
    const made = [backend, reference].map((
      each,
    ) => [each.createCodes(codec), each.createCodes(codec)]);
    const kept = [];
    for (const [store, other] of made) {
      await store!.add(codes.subarray(0, first * 3));
      await other!.add(codes.subarray(first * 3, (first + second) * 3));
      await store!.append(other!);
      const selector = new IDSelectorArray(Array.from({ length: 40 }, (_, i) => i * 2));
      const removed = await store!.remove(selector);
      await store!.add(codes.subarray(0, 40 * 3));
      const rows = BigInt64Array.from({ length: store!.count }, (_, i) => BigInt(i));
      const x = new Float32Array(rows.length * 10);
      store!.gather(rows, x);
      kept.push([removed, store!.codes(0, store!.count), x]);
      for (const each of [store!, other!]) each[Symbol.dispose]();
    }
    assert.deepEqual(kept[0], kept[1], `${first} and ${second}`);
  }
  using blocks = backend.createCodes(codec);
  using rows = backend.createCodes(spec([10, 5], false));
  await assert.rejects(blocks.append(rows), { name: "TypeError", message: /laid out differently/ });
});

test("finds the same alone and in a batch, and many queries over threads", async (backend) => {
  const codec = spec([16, 8]);
  using store = backend.createCodes(codec);
  using rows = backend.createCodes(spec([16, 8], false));
  const codes = codesOf(codec, 150_000);
  for (const each of [store, rows]) await each.add(codes);
  const queries = normals(100, 16, 4);
  for (const selector of [undefined, new IDSelectorRange(70_001, 70_600)]) {
    const how = { metric: Metric.L2, metricArg: 0, selector };
    const all = await store.search(queries, 10, how);
    const plain = await rows.search(queries, 10, how);
    assert.deepEqual([all.labels, all.distances], [plain.labels, plain.distances]);
    for (let q = 0; q < 100; q += 33) {
      const alone = store.searchSync(queries.subarray(q * 16, (q + 1) * 16), 10, how);
      assert.deepEqual(alone.labels, all.labels.subarray(q * 10, (q + 1) * 10));
      assert.deepEqual(alone.distances, all.distances.subarray(q * 10, (q + 1) * 10));
    }
  }
});

Deno.test("CodeBlocks lays codes out as described, and back", () => {
  const blocks = new CodeBlocks(2, 32);
  const codes = Uint8Array.from({ length: 33 }, (_, i) => i % 16 | (15 - i % 16) << 4);
  const packed = blocks.pack(codes);
  assert.equal(packed.length, 64);
  // Codes 0, 8, 1 of the first part, with 16, 24, 17 in the high halves; then of the second.
  assert.deepEqual([...packed.subarray(0, 3)], [0x00, 0x88, 0x11]);
  assert.deepEqual([...packed.subarray(16, 19)], [0xff, 0x77, 0xee]);
  // Code 32, alone in its block.
  assert.deepEqual([packed[32], packed[33], packed[48]], [0x00, 0x00, 0x0f]);
  for (const [parts, bbs, n] of [[3, 32, 100], [8, 64, 64], [1, 96, 97], [6, 128, 1]] as const) {
    const wide = new CodeBlocks(parts, bbs);
    const rows = codesOf(spec([parts, parts]), n);
    assert.deepEqual(wide.unpack(wide.pack(rows), n), rows);
  }
});

async function trained(backend: Backend, metric: Metric, x: Float32Array, M = 4) {
  const index = new IndexPQFastScan(8, M, 4, metric, { backend });
  Object.assign(index.pq.cp, { minPointsPerCentroid: 1, niter: 4 });
  await index.train(x);
  return index;
}

async function trainedIVF(backend: Backend, metric: Metric, x: Float32Array, byResidual: boolean) {
  const quantizer = new IndexFlat(8, metric, { backend });
  const index = new IndexIVFPQFastScan(quantizer, 8, 4, 4, 4, metric, { byResidual, bbs: 64 });
  index.ownFields = true;
  index.nprobe = 4;
  index.cp.minPointsPerCentroid = 1;
  Object.assign(index.pq.cp, { minPointsPerCentroid: 1, niter: 4 });
  await index.train(x);
  return index;
}

testEach("IndexPQFastScan finds what IndexPQ finds, exactly", async (backend) => {
  const x = normals(300, 8, 1);
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
    using index = await trained(backend, metric, x);
    using plain = new IndexPQ(8, 4, 4, metric, { backend });
    plain.pq.restore(index.pq.centroids);
    for (const each of [index, plain]) await each.add(x);
    assert.deepEqual(await index.saEncode(x), await plain.saEncode(x));
    const queries = normals(10, 8, 2);
    const filter = (id: bigint) => id % 3n === 1n;
    for (const options of [{}, { filter }]) {
      const [found, wanted] = [
        await index.search(queries, 20, options),
        await plain.search(queries, 20, options),
      ];
      assert.deepEqual([found.labels, found.distances], [wanted.labels, wanted.distances]);
      assert.deepEqual(index.searchSync(queries, 20, options).labels, wanted.labels);
    }
    assert.deepEqual(index.reconstructN(0, 300), plain.reconstructN(0, 300));
    assert.equal(index.memoryUsage(), 300 * 2);
  }
});

testEach("IndexIVFPQFastScan finds with all lists what its codes stand for", async (backend) => {
  const x = normals(300, 8, 1).map((value) => value + 3);
  for (const byResidual of [true, false]) {
    using index = await trainedIVF(backend, Metric.L2, x, byResidual);
    assert.equal(index.byResidual, byResidual);
    await index.add(x);
    const decoded = await index.saDecode(await index.saEncode(x));
    assert.deepEqual(index.reconstructN(0, 300), decoded);
    using exact = new IndexFlat(8, Metric.L2, { backend });
    await exact.add(decoded);
    const queries = normals(10, 8, 2);
    const [found, wanted] = [await index.search(queries, 20), await exact.search(queries, 20)];
    assert.deepEqual(found.distances, wanted.distances);
    assert.deepEqual(found.labels, wanted.labels);
  }
});

testEach("IndexIVFPQFastScan looks at as many codes as it may", async (backend) => {
  const x = normals(300, 8, 1);
  using index = await trainedIVF(backend, Metric.L2, x, false);
  await index.add(x);
  using plain = await index.to("reference");
  const queries = normals(70, 8, 2);
  const filter = (id: bigint) => id % 3n === 1n;
  for (const maxCodes of [0, 1, 33, 70, 1000]) {
    for (const more of [{}, { ensureTopkFull: true }, { filter }]) {
      const params = { nprobe: 3, maxCodes, ...more };
      for (const part of [queries, queries.subarray(0, 8)]) {
        const [found, wanted] = [
          await index.search(part, 40, params),
          await plain.search(part, 40, params),
        ];
        assert.deepEqual([found.labels, found.distances], [wanted.labels, wanted.distances]);
      }
    }
  }
});

testEach(
  "indexes of fast scans move, merge, remove, reset and go through bytes",
  async (backend) => {
    const x = normals(200, 8, 1);
    const makers = [
      () => trained(backend, Metric.L2, x),
      () => trainedIVF(backend, Metric.InnerProduct, x, true),
      async () => {
        const index = new IndexIDMap2(await trainedIVF(backend, Metric.L2, x, false));
        index.ownFields = true;
        return index;
      },
    ];
    for (const make of makers) {
      using index = await make();
      using other = await make();
      const add = async (to: typeof index, from: number, n: number) => {
        const rows = x.subarray(from * 8, (from + n) * 8);
        if (!(to instanceof IndexIDMap2)) return await to.add(rows);
        await to.addWithIds(rows, Array.from({ length: n }, (_, i) => from + i));
      };
      await add(index, 0, 121);
      await add(other, 121, 79);
      await index.mergeFrom(other, index instanceof IndexIVFPQFastScan ? 121 : 0);
      assert.deepEqual([index.ntotal, other.ntotal], [200, 0]);
      using whole = await make();
      await add(whole, 0, 200);
      const [found, wanted] = [await index.search(x, 5), await whole.search(x, 5)];
      assert.deepEqual(found.labels, wanted.labels);
      using copy = await index.to("reference");
      assert.deepEqual((await copy.search(x, 5)).labels, wanted.labels);
      using read = await deserializeIndex(await serializeIndex(index), { backend });
      assert.deepEqual((await read.search(x, 5)).labels, wanted.labels);
      assert.equal(await index.removeIds((id) => id % 2n === 0n), 100);
      assert.equal(index.ntotal, 100);
      const left = await index.search(x, 5);
      assert(left.labels.every((id) => index instanceof IndexPQFastScan || id % 2n === 1n));
      await index.reset();
      assert.deepEqual((await index.search(x.subarray(0, 8), 1)).labels, BigInt64Array.of(-1n));
    }
    using ours = await trained(backend, Metric.L2, x);
    using theirs = new IndexPQ(8, 4, 4, Metric.L2, { backend });
    await assert.rejects(ours.mergeFrom(theirs), {
      name: "TypeError",
      message: /is no IndexPQFastScan/,
    });
  },
);

Deno.test("factory strings of fast scans make them, and back", () => {
  const flat = indexFactory(8, "PQ4x4fs_64", Metric.InnerProduct);
  assert(flat instanceof IndexPQFastScan && flat.bbs === 64 && flat.pq.nbits === 4);
  const lists = indexFactory(8, "IVF16,PQ2x4fsr_96");
  assert(lists instanceof IndexIVFPQFastScan && lists.byResidual && lists.bbs === 96);
  assert.equal((indexFactory(8, "IVF16,PQ2x4fs") as IndexIVFPQFastScan).byResidual, false);
  const names = {
    "PQ4x4fs": "PQ4x4fs",
    "PQ4x4fs_32": "PQ4x4fs",
    "PQ4x4fs_64": "PQ4x4fs_64",
    "IVF16,PQ4x4fs": "IVF16,PQ4x4fs",
    "IVF16_HNSW8,PQ4x4fsr_64": "IVF16_HNSW8,PQ4x4fsr_64",
    "IDMap,OPQ2_4,IVF4,PQ2x4fsr,RFlat": "IDMap,OPQ2_4,IVF4,PQ2x4fsr,RFlat",
  };
  for (const [name, back] of Object.entries(names)) {
    assert.equal(reverseIndexFactory(indexFactory(8, name)), back);
  }
});

testEach("indexes of fast scans refuse bad numbers and use before training", async (backend) => {
  using quantizer = new IndexFlat(8, Metric.L2, { backend });
  const makers = [
    (M: number, nbits: number, bbs?: number) =>
      new IndexPQFastScan(8, M, nbits, Metric.L2, { backend, bbs }),
    (M: number, nbits: number, bbs?: number) =>
      new IndexIVFPQFastScan(quantizer, 8, 2, M, nbits, Metric.L2, { bbs }),
  ];
  const untrained = { name: "NotTrainedError", message: /train\(\)/ };
  for (const make of makers) {
    assert.throws(() => make(3, 4), { name: "RangeError", message: /8 is not divisible by M 3/ });
    assert.throws(() => make(4, 8), { name: "RangeError", message: /is of 4 bits, not 8/ });
    for (const bbs of [0, 33, -32, 2 ** 20, NaN]) {
      assert.throws(() => make(4, 4, bbs), { name: "RangeError", message: /no multiple of 32/ });
    }
    using index = make(4, 4);
    assert.equal(index.isTrained, false);
    const x = normals(10, 8, 1);
    await assert.rejects(index.add(x), untrained);
    await assert.rejects(index.search(x, 1), untrained);
    await assert.rejects(index.saEncode(x), untrained);
    await assert.rejects(index.train(x), {
      name: "RangeError",
      message: /fewer than 16 centroids/,
    });
  }
  assert.throws(() => new IndexPQFastScan(8, 4, 4, Metric.L1, { backend }), { message: /L1/ });
  const gpu = Object.assign(Object.create(reference), { name: "gpu" });
  assert.throws(() => new IndexPQFastScan(8, 4, 4, Metric.L2, { backend: gpu }), {
    name: "UnsupportedError",
    message: /not on the gpu/,
  });
});
