import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { LSHQuantizer } from "../lib/codec/lsh.ts";
import { NotTrainedError } from "../lib/errors.ts";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexLSH } from "../lib/index/lsh.ts";
import { deserializeIndex, readIndex, readNpy, serializeIndex } from "../lib/io/mod.ts";
import { writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { IDSelectorRange } from "../lib/selector.ts";
import { python } from "./faiss_peer.ts";
import { normals, testEach as testAll } from "./grid.ts";
import { isNative } from "./native.ts";

function testEach(name: string, run: (backend: Backend) => Promise<void>): void {
  testAll(name, run, (backend) => backend.name !== "gpu");
}

const reference = createReferenceBackend();
const backends = isNative ? [reference, createCpuBackend()] : [reference];

/**
 * Distances are the same. Labels are those of rows as near: among ties faiss keeps other ones than
 * the first, and a number that rounding puts at its threshold may have either sign.
 */
async function assertFinds(index: IndexLSH, queries: Float32Array, path: string): Promise<void> {
  const distances = (await readNpy(`${path}.D.npy`)).data as Float32Array;
  const found = await index.search(queries, 10);
  const other = found.distances.filter((distance, i) => distance !== distances[i]).length;
  assert(other <= distances.length / 50, `${path}: ${other} of ${distances.length} distances`);
}

Deno.test("LSH files written by faiss are read, and give its codes and distances", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_lsh.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(d.*)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 6);
  for (const backend of backends) {
    for (const name of names) {
      const path = `${directory}/${name}`;
      const bytes = await Deno.readFile(`${path}.faiss`);
      using index = await readIndex(`${path}.faiss`, { backend });
      assert(index instanceof IndexLSH);
      assert.deepEqual(await serializeIndex(index), bytes, name);
      const queries = (await readNpy(`${path}.npy`)).data as Float32Array;
      const codes = (await readNpy(`${path}.codes.npy`)).data as Uint8Array;
      const decoded = (await readNpy(`${path}.decoded.npy`)).data as Float32Array;
      const ours = await index.saEncode(queries);
      const other = ours.filter((byte, i) => byte !== codes[i]).length;
      assert(other <= (index.lsh.rotateData ? 2 : 0), `${name}: ${other} bytes differ`);
      const { d, lsh: { nbits, rotateData } } = index;
      (await index.saDecode(codes)).forEach((value, i) => {
        // What faiss leaves there is anything.
        if (!rotateData && i % d >= nbits) return assert.equal(value, 0);
        assert(Math.abs(value - decoded[i]!) < 1e-4, `${name}: ${value}, not ${decoded[i]}`);
      });
      await assertFinds(index, queries, path);
    }
    using index = await readIndex(`${directory}/untrained.faiss`, { backend });
    assert.equal(index.isTrained, false);
    const bytes = await Deno.readFile(`${directory}/untrained.faiss`);
    assert.deepEqual(await serializeIndex(index), bytes);
  }
  await Deno.remove(directory, { recursive: true });
});

testEach("LSH files written here are read by faiss", async (backend) => {
  const directory = await Deno.makeTempDir();
  const d = 24;
  const [x, queries] = [normals(300, d, 1), normals(20, d, 2)];
  const indexes = new Map<string, IndexLSH>();
  for (const token of ["LSH", "LSH9t", "LSH40r", "LSH24rt"]) {
    const index = indexFactory(d, token, Metric.L2, { backend }) as IndexLSH;
    await index.train(x);
    await index.add(x);
    await index.removeIds((id) => id % 4n === 1n);
    indexes.set(token, index);
    await writeIndex(index, `${directory}/${token}.faiss`);
  }
  await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
  await python("read_ours.py", directory);
  for (const [name, index] of indexes) {
    const path = `${directory}/${name}`;
    await assertFinds(index, queries, path);
    assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
    index.dispose();
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("native signs are searched as the reference does, with every instruction set", {
  ignore: !isNative,
}, async () => {
  const cpu = createCpuBackend();
  const { isa, isas } = describeLibrary();
  for (const [d, n, nq, k] of [[1, 9, 2, 12], [64, 0, 1, 1], [70, 130, 9, 5], [2050, 65, 2, 3]]) {
    const thresholds = d === 70 ? normals(1, d, 3) : new Float32Array();
    const spec = { kind: "signs", d: d!, thresholds } as const;
    const [x, queries] = [normals(n!, d!, 1), normals(nq!, d!, 2)];
    const answers = async (backend: Backend) => {
      using codec = backend.createCodec(spec);
      using store = backend.createCodes(spec);
      const codes = await codec.encode(x);
      await store.add(codes);
      const out: unknown[] = [codes, await codec.decode(codes)];
      for (const selector of [undefined, new IDSelectorRange(2, n! - 1)]) {
        const how = { metric: Metric.L2, metricArg: 0, selector };
        const found = await store.search(queries, k!, how);
        const within = await store.rangeSearch(queries, d! / 2, how);
        out.push(found.labels, found.distances, within.lims, within.labels, within.distances);
      }
      return out;
    };
    const wanted = await answers(reference);
    try {
      for (const each of isas) {
        setISA(each);
        assert.deepEqual(await answers(cpu), wanted, `${d} bits, ${each}`);
      }
    } finally {
      setISA(isa);
    }
  }
});

testEach("LSH does what every index of codes does", async (backend) => {
  const d = 20;
  const x = normals(100, d, 1);
  for (const rotateData of [false, true]) {
    using index = new IndexLSH(d, d, { rotateData, backend });
    assert.equal(index.searchSync(x.subarray(0, d), 1).labels[0], -1n);
  }
  using index = new IndexLSH(d, 40, { rotateData: true, trainThresholds: true, backend });
  await assert.rejects(index.add(x), NotTrainedError);
  await index.train(x);
  await index.add(x);
  const found = await index.search(x, 3);
  for (let i = 0; i < 100; i++) assert.equal(found.distances[3 * i], 0);
  const sync = index.searchSync(x.subarray(0, d), 3);
  assert.equal(sync.labels[0], 0n);
  const [own, back] = [x.subarray(0, d), index.reconstruct(0)];
  assert(own.reduce((sum, value, j) => sum + value * back[j]!, 0) > 0);
  assert.deepEqual(await index.saDecode(await index.saEncode(own)), back);
  using copy = await index.to(backend);
  assert.deepEqual((await copy.search(x, 3)).labels, found.labels);
  await index.mergeFrom(copy);
  assert.equal(index.ntotal, 200);
  assert.equal(await index.removeIds((id) => id >= 50n), 150);
  using same = await deserializeIndex(await serializeIndex(index), { backend });
  assert.deepEqual((await same.search(x, 3)).labels, (await index.search(x, 3)).labels);
  using map = new IndexIDMap2(new IndexLSH(d, 16, { backend }));
  map.ownFields = true;
  await map.addWithIds(x, Array.from({ length: 100 }, (_, i) => 3 * i));
  const only = await map.search(x.subarray(0, d), 2, { filter: [30, 33] });
  assert.deepEqual([...only.labels].sort(), [30n, 33n]);
});

testEach("the factory makes LSH of its tokens, and refuses what cannot be", async (backend) => {
  for (const token of ["LSH16", "LSH9t", "LSH40r", "PCA8,LSH8rt", "IDMap,LSH3"]) {
    using index = indexFactory(16, token, Metric.L2, { backend });
    assert.equal(reverseIndexFactory(index), token);
  }
  using all = indexFactory(16, "LSH", Metric.L2, { backend });
  assert.equal(reverseIndexFactory(all), "LSH16");
  const make = (token: string, metric: Metric = Metric.L2) => () =>
    indexFactory(16, token, metric, { backend });
  assert.throws(make("LSH17"), /nbits 17 is more than d 16/);
  assert.throws(make("LSH", Metric.InnerProduct), /L2 alone/);
  assert.throws(make("IVF4,LSH"), /token "LSH" is out of place/);
  assert.throws(() => new LSHQuantizer(0, 1, { backend }), RangeError);
  using quantizer = new LSHQuantizer(4, 2, { backend });
  await assert.rejects(quantizer.train(new Float32Array(3)), TypeError);
  using thresholds = new LSHQuantizer(2, 2, { trainThresholds: true, backend });
  await assert.rejects(thresholds.train(Float32Array.of(1, 2, 3, NaN)), /row 1 .*NaN/);
});

Deno.test("forged LSH files are refused", async () => {
  const backend = backends.at(-1)!;
  using index = new IndexLSH(3, 9, { rotateData: true, trainThresholds: true, backend });
  await index.train(normals(20, 3, 1));
  await index.add(normals(20, 3, 1));
  const bytes = await serializeIndex(index);
  // After the header: bits, two flags, thresholds, the code size, and the rotation.
  const size = 43 + 8 + 4 * 9;
  const forged: [at: number, value: number, message: RegExp][] = [
    [33, 0, /metric 0, not L2/],
    [37, 0, /codes have 0 bits/],
    [37, 10, /9 thresholds where 10 are needed/],
    [41, 0, /codes have 9 bits where the dimension is 3/],
    [42, 0, /9 thresholds where 0 are needed/],
    [43, 8, /8 thresholds where 9 are needed/],
    [size, 3, /3 bytes and 2 are needed/],
  ];
  for (const [at, value, message] of forged) {
    const copy = bytes.slice();
    copy[at] = value;
    await assert.rejects(deserializeIndex(copy, { backend }), { name: "FormatError", message });
  }
});

testEach("codes can come first: by merging, or as they are", async (backend) => {
  const x = normals(60, 8, 3);
  const full = new IndexLSH(8, 24, { rotateData: true, backend });
  await full.add(x);
  const queries = x.subarray(0, 5 * 8);
  const wanted = (await full.search(queries, 4)).labels;
  using coded = new IndexLSH(8, 24, { rotateData: true, backend });
  await coded.addSaCodes(await full.saEncode(x));
  using merged = new IndexLSH(8, 24, { rotateData: true, backend });
  await merged.mergeFrom(await full.to(backend));
  for (const index of [coded, merged]) {
    assert.deepEqual(index.searchSync(queries, 4).labels, wanted);
    assert.deepEqual(index.reconstruct(7), full.reconstruct(7));
  }
  full.dispose();
});

testEach("codes of other rotations are not merged", async (backend) => {
  const x = normals(20, 16, 3);
  using plain = new IndexLSH(16, 16, { backend });
  using rotated = new IndexLSH(16, 16, { rotateData: true, backend });
  using other = new IndexLSH(16, 16, { rotateData: true, backend });
  const turned = Float32Array.from({ length: 256 }, (_, i) => Number(i % 17 === 0));
  other.lsh.restore(undefined, turned);
  for (const index of [plain, rotated, other]) await index.add(x);
  for (const [a, b] of [[plain, rotated], [rotated, plain], [rotated, other]] as const) {
    await assert.rejects(a.mergeFrom(b), { name: "TypeError", message: /rotate|matrices/ });
    assert.deepEqual([a.ntotal, b.ntotal], [20, 20]);
  }
});
