import assert from "node:assert/strict";
import type { Index } from "../lib/index/index.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import { IndexIDMap, IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import {
  type NpyData,
  readIndex,
  readNpy,
  serializeIndex,
  writeIndex,
  writeNpy,
} from "../lib/io/mod.ts";
import { Metric, metricName } from "../lib/metric.ts";
import { numbers } from "./indexes.ts";
import { assertFinds, assertWithin, python } from "./interop_files.ts";

const K = 10;
// FAISS sums in single precision: an inner product near 0 keeps the error of its terms.
const tolerance = { relative: 1e-5, absolute: 2e-6 };

Deno.test("files written by faiss are read, and give its labels and distances", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_faiss.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(\w+_\w+)\.faiss$/.exec(name)?.[1] ?? []);
  assert(names.length > 30);
  for (const name of names) {
    const path = `${directory}/${name}`;
    using index = await readIndex(`${path}.faiss`);
    const queries = await readNpy(`${directory}/${name.split("_")[0]}.npy`);
    await assertFinds(index, queries.data as Float32Array, path, tolerance);
    if (index.ntotal >= K && !name.includes("HNSW")) {
      await assertWithin(index, queries.data as Float32Array, path, tolerance);
    }
    // Ours drops direct maps, and an nprobe above nlist.
    if (/array|hashtable|all$/.test(name)) continue;
    assert.deepEqual(await serializeIndex(index), await Deno.readFile(`${path}.faiss`), name);
  }
  using untrained = await readIndex(`${directory}/untrained.faiss`);
  assert(untrained instanceof IndexIDMap2 && !untrained.isTrained);
  await assert.rejects(
    readIndex(`${directory}/later.faiss`),
    /IwSh \(IndexIVFSpectralHash\) is not/,
  );
  await Deno.remove(directory, { recursive: true });
});

Deno.test("files written here are read by faiss and numpy, and give our results", async () => {
  const d = 16;
  const x = numbers(640 * d).map((value) => value + 0.01);
  const queries = numbers(20 * d, 7).map((value) => value + 0.01);
  const ids = BigInt64Array.from({ length: 640 }, (_, i) => BigInt(i * 7919 % 100_000));
  const directory = await Deno.makeTempDir();
  const indexes = new Map<string, Index>();
  for (const metric of Object.values(Metric)) {
    if (metric === Metric.Cosine) continue;
    const index = new IndexFlat(d, metric, { metricArg: metric === Metric.Lp ? 3 : 0 });
    await index.add(x);
    indexes.set(metricName(metric), index);
  }
  for (const metric of [Metric.L2, Metric.InnerProduct]) {
    const quantizer = new IndexFlat(d, metric);
    const index = new IndexIVFFlat(quantizer, d, 16, metric);
    index.ownFields = true;
    await index.train(x);
    await index.addWithIds(x, ids);
    await index.removeIds((id) => id % 5n === 0n);
    index.nprobe = 4;
    indexes.set(`IVF${metricName(metric)}`, index);
  }
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.L1]) {
    const index = new IndexHNSWFlat(d, 6, metric);
    await index.add(x.subarray(0, 500 * d));
    await index.removeIds((id) => id % 4n === 0n);
    await index.updateVectors([5, 6], x.subarray(300 * d, 302 * d));
    await index.add(x.subarray(500 * d));
    indexes.set(`HNSW${metricName(metric)}`, index);
  }
  indexes.set("HNSWempty", new IndexHNSWFlat(d, 16));
  const walked = new IndexIVFFlat(new IndexHNSWFlat(d, 4), d, 16);
  walked.ownFields = true;
  await walked.train(x);
  await walked.add(x);
  walked.nprobe = 3;
  indexes.set("IVFwalked", walked);
  const sparse = new IndexIVFFlat(new IndexFlatL2(d), d, 16);
  await sparse.train(x);
  await sparse.add(x.subarray(0, 2 * d));
  indexes.set("IVFsparse", sparse);
  indexes.set("IVFuntrained", new IndexIVFFlat(new IndexFlatL2(d), d, 16));
  for (const Map of [IndexIDMap, IndexIDMap2]) {
    const index = new Map(new IndexFlatIP(d));
    index.ownFields = true;
    await index.addWithIds(x, ids);
    await index.removeIds([ids[3]!, ids[300]!]);
    indexes.set(Map.name, index);
  }
  indexes.set("empty", new IndexFlatL2(d));
  for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
  using cosine = new IndexFlat(d, Metric.Cosine);
  await cosine.save(`${directory}/refused.faiss`);
  await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
  await writeDtypes(directory);

  await python("read_ours.py", directory);
  for (const [name, index] of indexes) {
    const path = `${directory}/${name}`;
    if (index.isTrained) await assertFinds(index, queries, path, tolerance);
    assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
    if (index instanceof IndexIVFFlat && !index.ownFields) index.quantizer.dispose();
    index.dispose();
  }
  await Deno.remove(directory, { recursive: true });
});

/** An npy file of each data type, of 0 to 3 axes. */
async function writeDtypes(directory: string): Promise<void> {
  const arrays: [string, NpyData | boolean[], number[]][] = [
    ["f2", Float16Array.of(1, 2, 3, 4, 5, 6), [3, 2]],
    ["f4", Float32Array.of(1), []],
    ["f8", Float64Array.of(1, 2), [2, 1, 1]],
    ["i1", Int8Array.of(1, 2), [2]],
    ["i2", Int16Array.of(-1, 2), [2]],
    ["i4", Int32Array.of(-1, 2), [1, 2]],
    ["i8", BigInt64Array.of(-1n), [1]],
    ["u1", new Uint8Array(1000), [10, 100]],
    ["u2", Uint16Array.of(1), [1]],
    ["u4", new Uint32Array(), [0, 128]],
    ["u8", BigUint64Array.of(2n ** 63n), [1, 1]],
    ["b1", [true, false], [2]],
  ];
  for (const [dtype, data, shape] of arrays) {
    await writeNpy(`${directory}/dtype_${dtype}.npy`, data, shape);
  }
}
