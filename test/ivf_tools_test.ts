import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Backend } from "../lib/backend/backend.ts";
import { FormatError, NotTrainedError, UnsupportedError } from "../lib/errors.ts";
import { DirectMapType } from "../lib/index/direct_map.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { IndexIVF } from "../lib/index/ivf.ts";
import { IndexPreTransform } from "../lib/index/pre_transform.ts";
import { IndexShards } from "../lib/index/shards.ts";
import { codecOf } from "../lib/index/standalone_codec.ts";
import { deserializeIndex, serializeIndex } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { normals, testEach } from "./grid.ts";
import { ivfKinds } from "./ivf_kinds.ts";

const [d, n] = [8, 300];
const x = normals(n, d, 1);
const row = (i: number) => x.slice(i * d, (i + 1) * d);
const { NoMap, Array: ArrayMap, Hashtable } = DirectMapType;

async function make(
  text: string,
  backend: Backend,
  metric: Metric = Metric.L2,
  rows: Float32Array | null = x,
): Promise<IndexIVF> {
  const index = indexFactory(d, text, metric, { backend }) as IndexIVF;
  index.cp.niter = 3;
  index.cp.minPointsPerCentroid = 1;
  await index.train(x);
  if (rows !== null) await index.add(rows);
  index.nprobe = index.nlist;
  return index;
}

const hasCodes = ({ name }: Backend) => name !== "gpu";
const textsOf = (backend: Backend) => {
  return hasCodes(backend)
    ? ["IVF9,Flat", "IVF9,SQfp16", "IVF9,PQ4x4", "IVF9,PQ4x4fs", "IVF9,RaBitQ2", "IVF9,RQ2x4"]
    : ["IVF9,Flat"];
};

testEach("direct maps follow every change, as a list of vectors by id does", async (backend) => {
  for (const type of [NoMap, ArrayMap, Hashtable]) {
    const random = new Random(3 + type);
    using index = await make("IVF9,Flat", backend, Metric.L2, null);
    await index.setDirectMapType(type);
    const held = new Map<number, number>();
    const some = (count: number) => [...random.permutation(n, count)];
    const add = async (ids: number[], rows: number[]) => {
      const vectors = Float32Array.from(rows.flatMap((i) => [...row(i)]));
      await index.addWithIds(vectors, ids);
      ids.forEach((id, i) => held.set(id, rows[i]!));
    };
    await index.add(x.subarray(0, 40 * d));
    for (let i = 0; i < 40; i++) held.set(i, i);
    assert.equal(index.directMapType, type);
    let next = 40;
    for (let round = 0; round < 25; round++) {
      const action = round % 5;
      if (action === 0) {
        // Far apart, so that they are hashed, and negative in no place.
        const ids = some(7).map((_, i) => next + i * 1_000_003);
        next += 7 * 1_000_003;
        await add(ids, some(7));
      } else if (action === 1) {
        const ids = [...held.keys()].filter(() => random.integer(6) === 0);
        const rows = some(ids.length);
        if (ids.length === 0) continue;
        await index.updateVectors(ids, Float32Array.from(rows.flatMap((i) => [...row(i)])));
        ids.forEach((id, i) => held.set(id, rows[i]!));
      } else if (action === 2) {
        const ids = [...held.keys()].filter(() => random.integer(5) === 0);
        assert.equal(await index.removeIds([...ids, 2 ** 50]), ids.length);
        for (const id of ids) held.delete(id);
      } else if (action === 3) {
        const removed = [...held.keys()].filter((id) => id % 11 === 3);
        assert.equal(await index.removeIds((id) => id % 11n === 3n), removed.length);
        for (const id of removed) held.delete(id);
      } else {
        using other = await make("IVF9,Flat", backend, Metric.L2, null);
        await other.add(x.subarray(0, 3 * d));
        next += 1_000;
        await index.mergeFrom(other, next);
        for (let i = 0; i < 3; i++) held.set(next + i, i);
        next += 3;
      }
      assert.equal(index.ntotal, held.size);
      const ids = [...held.keys()];
      const expected = Float32Array.from(ids.flatMap((id) => [...row(held.get(id)!)]));
      assert.deepEqual(index.reconstructBatch(ids), expected, `round ${round}`);
      assert.throws(() => index.reconstruct(2 ** 45), { name: "RangeError" });
      assert.deepEqual(new Set(index.heldIds()), new Set(ids.map(BigInt)));
    }
    // An array holds ids from 0 on; others are hashed.
    assert.equal(index.directMapType, type === NoMap ? NoMap : Hashtable);
    await index.reset();
    assert.equal(index.ntotal, 0);
    assert.throws(() => index.reconstruct(0), { name: "RangeError" });
    await index.add(x.subarray(0, d));
    assert.deepEqual(index.reconstruct(0), row(0));
  }
});

testEach("an array stays one while ids are 0 to ntotal - 1", async (backend) => {
  for (const text of textsOf(backend)) {
    using index = await make(text, backend);
    await index.makeDirectMap();
    assert.equal(index.directMapType, ArrayMap);
    await index.add(x.subarray(0, 5 * d));
    await index.addWithIds(x.subarray(0, 2 * d), [n + 5, n + 6]);
    await index.updateVectors([0, n + 6], x.subarray(3 * d, 5 * d));
    assert.equal(await index.removeIds([10 * n]), 0);
    using other = await make(text, backend, Metric.L2, x.subarray(0, 4 * d));
    await index.mergeFrom(other, n + 7);
    assert.equal(index.directMapType, ArrayMap, text);
    assert.equal(index.ntotal, n + 11);
    const target = backend.name === "reference" ? "reference" : backend;
    using copy = await index.to(target);
    assert.equal(copy.directMapType, ArrayMap);
    using again = await deserializeIndex(await serializeIndex(copy), { backend }) as IndexIVF;
    assert.equal(again.directMapType, ArrayMap);
    assert.deepEqual(again.reconstructN(0, n + 11), index.reconstructN(0, n + 11));

    await index.removeIds([0]);
    assert.equal(index.directMapType, Hashtable);
    await assert.rejects(index.setDirectMapType(ArrayMap), /ids are not 0 to ntotal - 1/);
    await index.makeDirectMap(false);
    assert.equal(index.directMapType, NoMap);
    const map = await deserializeIndex(await serializeIndex(index), { backend }) as IndexIVF;
    assert.equal(map.directMapType, NoMap);
    map.dispose();
  }
});

testEach("updateVectors() changes all or nothing", async (backend) => {
  for (const text of textsOf(backend)) {
    using index = await make(text, backend);
    const before = await serializeIndex(index);
    const two = x.subarray(0, 2 * d);
    for (
      const [ids, rows, message] of [
        [[1, n], two, /id 300 is not in the index/],
        [[1, 1], two, /id 1 is given twice/],
        [[1], two, /ids/],
        [[1, -2], two, /-2/],
        [[1, 2], two.map((value, i) => i === 11 ? NaN : value), /NaN|row 1/],
        [[1, 2], two.subarray(1), /d|rows/],
      ] as [number[], Float32Array, RegExp][]
    ) {
      await assert.rejects(index.updateVectors(ids, rows), message, `${text} ${ids}`);
    }
    assert.deepEqual(await serializeIndex(index), before);
    await index.addWithIds(x.subarray(0, d), [7]);
    await assert.rejects(index.updateVectors([8], x.subarray(0, d)), /ids repeat in the lists/);

    using untrained = indexFactory(d, text, Metric.L2, { backend }) as IndexIVF;
    await untrained.setDirectMapType(Hashtable);
    await assert.rejects(untrained.updateVectors([1], x.subarray(0, d)), NotTrainedError);
    await untrained.train(x);
    await untrained.add(x);
    await untrained.updateVectors([n - 1], x.subarray(0, d));
    assert.equal(untrained.directMapType, Hashtable);
    assert.deepEqual(untrained.reconstruct(n - 1), untrained.reconstruct(0));
  }
  using index = await make("IVF9,Flat", backend);
  await assert.rejects(index.setDirectMapType(3 as DirectMapType), /no direct map of type 3/);
  index.dispose();
  await assert.rejects(index.updateVectors([1], row(1)), { name: "DisposedError" });
});

testEach("removing listed ids by a map, and by a look at all, leaves the same", async (backend) => {
  const ids = [...new Random(9).permutation(n, 120)];
  const queries = normals(9, d, 4);
  for (const text of textsOf(backend)) {
    using plain = await make(text, backend);
    using mapped = await make(text, backend);
    await mapped.setDirectMapType(Hashtable);
    for (const index of [plain, mapped]) {
      assert.equal(await index.removeIds([...ids, ...ids, 10 ** 9]), ids.length);
    }
    const [a, b] = [await plain.search(queries, 20), await mapped.search(queries, 20)];
    assert.deepEqual(a.labels, b.labels);
    assert.deepEqual(a.distances, b.distances);
    // Where ids repeat all of them go.
    await mapped.addWithIds(x.subarray(0, 2 * d), [5000, 5000]);
    assert.equal(await mapped.removeIds([5000]), 2);
    assert.equal(mapped.ntotal, n - ids.length);
  }
});

testEach(
  "searchAndReconstruct() gives the vectors that were found, though ids repeat",
  async (backend) => {
    for (const text of textsOf(backend)) {
      using index = await make(text, backend, Metric.L2, null);
      await index.addWithIds(x.subarray(0, 40 * d), Array.from({ length: 40 }, (_, i) => i % 4));
      const found = await index.searchAndReconstruct(x.subarray(0, 3 * d), 50);
      const plain = await index.search(x.subarray(0, 3 * d), 50);
      assert.deepEqual(found.labels, plain.labels);
      assert.deepEqual(found.distances, plain.distances);
      for (let i = 0; i < 150; i++) {
        const vector = found.vectors.subarray(i * d, (i + 1) * d);
        if (found.labels[i] === -1n) {
          assert(vector.every(Number.isNaN));
          continue;
        }
        // Those whose place is kept: a GPU finds them by their ids.
        // RaBitQ's distances are estimates, not those from what codes stand for.
        if (backend.name !== "cpu" || text === "IVF9,RaBitQ2") continue;
        const query = Math.floor(i / 50);
        const apart = vector.reduce((sum, value, j) => sum + (value - x[query * d + j]!) ** 2, 0);
        assert(Math.abs(apart - found.distances[i]!) < 1e-4, `${text}: ${i}`);
      }
    }
  },
);

testEach("parameters of searches out of range are refused", async (backend) => {
  using index = await make("IVF9,Flat", backend);
  for (const params of [{ maxCodes: -1 }, { maxCodes: 0.5 }, { maxCodes: NaN }]) {
    await assert.rejects(index.search(row(0), 1, params), { name: "RangeError" });
  }
  for (const maxEmptyResultBuckets of [-1, 0.5]) {
    await assert.rejects(index.rangeSearch(row(0), 1, { maxEmptyResultBuckets }), {
      name: "RangeError",
    });
  }
  const all = await index.search(x.subarray(0, 20 * d), 5);
  for (const maxCodes of [n, 2 ** 31, 2 ** 40]) {
    const found = await index.search(x.subarray(0, 20 * d), 5, { maxCodes });
    assert.deepEqual(found.labels, all.labels);
  }
  index.maxCodes = 1;
  const one = await index.search(x.subarray(0, 20 * d), 5);
  // A GPU looks at whole lists.
  if (backend.name !== "gpu") {
    assert.deepEqual(one.row(3).length, 1);
    assert.equal(one.run.scanned, 20);
  }
  const within = await index.rangeSearch(x.subarray(0, 4 * d), 6, { maxEmptyResultBuckets: 100 });
  const without = await index.rangeSearch(x.subarray(0, 4 * d), 6);
  assert.deepEqual(within.labels, without.labels);
  assert.deepEqual(within.lims, without.lims);
});

testEach("stores that scan whole lists end after one, when enough was seen", async (backend) => {
  const isGpu = backend.name === "gpu";
  using index = await make(isGpu ? "IVF9,Flat" : "IVF9,PQ4x4fs", backend);
  const queries = x.subarray(0, 30 * d);
  const { labels: probes } = await index.quantizer.search(queries, index.nlist);
  const sizes = index.store.sizes();
  const chosen = new Set(Array.from({ length: n }, (_, i) => BigInt(i)).filter((id) => id % 5n));
  const members = (id: bigint) => chosen.has(id);
  const lists = (await index.quantizer.assign(x)).map((list) => list);
  for (
    const [params, most] of [
      [{ maxCodes: 1 }, 1],
      [{ maxCodes: 70 }, 70],
      [{ maxCodes: 50, filter: members }, 50],
      [{ maxCodes: 50, ensureTopkFull: true }, n],
    ] as const
  ) {
    const found = await index.search(queries, n, params);
    for (let query = 0; query < 30; query++) {
      let seen = 0;
      const looked = new Set<bigint>();
      for (const list of probes.subarray(query * 9, (query + 1) * 9)) {
        if (seen >= most) break;
        looked.add(list);
        seen += "filter" in params
          ? lists.filter((of, i) => of === list && members(BigInt(i))).length
          : sizes[Number(list)]!;
      }
      const row = found.row(query);
      assert.equal(row.length, seen, `${JSON.stringify(params)}: ${query}`);
      assert(row.every(({ id }) => looked.has(lists[id]!)));
    }
    const alone = index.searchSync(row(7), n, params);
    assert.deepEqual(alone.row(0), found.row(7));
  }
});

testEach("codes of indexes around others are added, and come back", async (backend) => {
  for (const text of ["IVF9,Flat", "IVF300,SQ8", "IVF9,PQ4x4"]) {
    using index = await make(text, backend);
    const codes = await index.saEncode(x.subarray(0, 30 * d));
    assert.equal(index.saCodeSize * 30, codes.length);
    await index.addSaCodes(codes);
    await index.addSaCodes(codes.subarray(0, index.saCodeSize), [7000]);
    assert.equal(index.ntotal, n + 31);
    const decoded = await index.saDecode(codes);
    assert.deepEqual(index.reconstructN(n, 30), decoded);
    assert.deepEqual(index.reconstruct(7000), decoded.slice(0, d));
    assert.deepEqual(await index.saDecode(new Uint8Array()), new Float32Array());
    await assert.rejects(index.addSaCodes(codes.subarray(1)), { name: "TypeError" });
    await assert.rejects(index.addSaCodes(codes, [1]), /ids/);
    const bad = codes.slice();
    bad[0] = 255;
    if (text !== "IVF300,SQ8") await assert.rejects(index.saDecode(bad), /of list 255 of 9/);
  }
  using inner = new IndexShards(d);
  using chain = new IndexPreTransform([], inner);
  await assert.rejects(chain.saEncode(x), UnsupportedError);
  assert.throws(() => chain.saCodeSize, /IndexShards has no codes/);
  using map = new IndexIDMap2(new IndexFlatL2(d, { backend }));
  assert.deepEqual(await map.saDecode(await map.saEncode(x)), x);
  using refined = indexFactory(d, "PCA4,SQ8,RFlat", Metric.L2, { backend });
  const codec = codecOf("test", refined);
  assert.equal(codec.saCodeSize, 4 + 4 * d);
  await assert.rejects(codec.saEncode(x), NotTrainedError);
  await refined.train(x);
  assert.deepEqual(await codec.saDecode(await codec.saEncode(x)), x);
  await assert.rejects(codec.saDecode(new Uint8Array(5)), { name: "TypeError" });
}, hasCodes);

testEach("centroids of a training that failed are not kept", async (backend) => {
  for (const text of ["IVF4,PQ4x6", "IVF4_HNSW4,PQ4x6", "PCA4,IVF4,RQ1x6"]) {
    using index = indexFactory(d, text, Metric.L2, { backend });
    using fresh = indexFactory(d, text, Metric.L2, { backend });
    await assert.rejects(index.train(x.subarray(0, 20 * d)), RangeError, text);
    assert.equal(index.isTrained, false);
    const [trained, wanted] = await Promise.all([index, fresh].map(async (each) => {
      await each.train(x);
      await each.add(x);
      return await serializeIndex(each);
    }));
    assert.deepEqual(trained, wanted, text);
  }
}, hasCodes);

testEach("codes may be part of a Buffer", async (backend) => {
  for (const text of ["Flat", "HNSW4", "IVF9,Flat", "HNSW4,SQ8"]) {
    using index = indexFactory(d, text, Metric.L2, { backend });
    await index.train(x);
    const codec = codecOf("test", index);
    const codes = await codec.saEncode(x.subarray(0, 2 * d));
    const part = Buffer.concat([Uint8Array.of(1, 2, 3, 4), codes]).subarray(4);
    assert.deepEqual(await codec.saDecode(part), await codec.saDecode(codes), text);
    await assert.rejects(codec.saDecode(part.subarray(1)), { name: "TypeError" });
  }
}, hasCodes);

testEach("factory strings nest quantizers", async (backend) => {
  for (
    const text of [
      "IVF16(IVF4,Flat),Flat",
      "IVF16(PQ4x4),SQ8",
      "IVF16(PCA4,SQ8,RFlat),PQ2x4",
      "IVF16(IVF8(IVF2,Flat),Flat),Flat",
      "IVF16(HNSW8,Flat),Flat",
    ]
  ) {
    using index = await make(text, backend);
    assert.equal(index.ntotal, n);
    const found = await index.search(x, 1, { quantizerParams: { nprobe: 2, efSearch: 20 } });
    const right = found.labels.filter((label, i) => label === BigInt(i)).length;
    assert(right > 0.4 * n, `${text}: ${right}`);
    using again = await deserializeIndex(await serializeIndex(index), { backend });
    assert.deepEqual((await again.search(x, 3)).labels, (await index.search(x, 3)).labels);
  }
}, hasCodes);

const kinds = await ivfKinds((await import("../lib/backend/select.ts")).createBackend("reference"));
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const [name, index] of kinds) {
  files.set(name, await serializeIndex(index));
  index.dispose();
}

/** Where the direct map of a file is: after the quantizer's numbers, which its count goes before. */
function forge(kind: string, change: (view: DataView, at: number) => void): Uint8Array {
  const bytes = files.get(kind)!.slice();
  // The header, nlist and nprobe, the quantizer's header, and its 4 rows of 3 numbers.
  change(new DataView(bytes.buffer), 37 + 16 + 37 + 8 + 4 * 3 * 4);
  return bytes;
}

Deno.test("deserializeIndex() refuses direct maps that contradict the lists", async () => {
  const u64 = (offset: number, value: bigint) => (view: DataView, at: number) =>
    view.setBigUint64(at + offset, value, true);
  const cases: [string, Uint8Array, RegExp][] = [
    ["type", forge("IVF array", (view, at) => view.setUint8(at, 3)), /direct map has type 3/],
    ["size", forge("IVF array", u64(1, 11n)), /type 1 has 11 entries for 12 vectors/],
    ["huge", forge("IVF array", u64(1, 2n ** 61n)), /direct map/],
    ["none", forge("IVF array", (view, at) => view.setUint8(at, 0)), /type 0 has 12 entries/],
    ["pairs", forge("IVF table", u64(9, 13n)), /direct map has 13 ids for 12 vectors/],
    ["both", forge("IVF table", u64(1, 1n)), /type 2 has 1 entries for 12 vectors/],
    [
      "ids",
      forge("IVF array", (view) => view.setBigInt64(view.byteLength - 8, 99n, true)),
      /ids that are not 0 to ntotal - 1/,
    ],
    [
      "twice",
      forge("IVF array", (view) => view.setBigInt64(view.byteLength - 8, 0n, true)),
      /ids that are not 0 to ntotal - 1/,
    ],
  ];
  for (const [what, bytes, message] of cases) {
    await assert.rejects(deserializeIndex(bytes), (error) => {
      assert(error instanceof FormatError, `${what}: ${error}`);
      assert.match(error.message, message, what);
      return true;
    });
  }
  // What a map says is known from the lists: it is not believed.
  const lying = forge("IVF array", u64(9, 2n ** 40n));
  using index = await deserializeIndex(lying) as IndexIVF;
  assert.equal(index.reconstructN(0, 12).length, 36);
});

Deno.test("deserializeIndex() refuses quantizers whose ids are no list numbers", async () => {
  const bytes = files.get("IVF of IVF")!.slice();
  const text = new TextDecoder("latin1").decode(bytes);
  const view = new DataView(bytes.buffer);
  // The last id of the quantizer's lists lies before the outer index's direct map and lists.
  const outer = text.lastIndexOf("ilar");
  const end = outer - 9;
  view.setBigInt64(end - 8, 5n, true);
  await assert.rejects(deserializeIndex(bytes), /has id 5/);
  const code = text.indexOf("IwFl", 4);
  view.setBigInt64(end - 8, 4n, true);
  bytes.set(new TextEncoder().encode("IxM2"), code);
  await assert.rejects(deserializeIndex(bytes), /IxM2 is not available where ids are positions/);
});
