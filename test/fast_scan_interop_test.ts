import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "../lib/index/fast_scan.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { assertFinds, python } from "./faiss_peer.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const backends = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

/** A search of FAISS's rounds: its distances are near ours, and most of its labels are ours. */
async function assertRounded(
  index: Index,
  queries: Float32Array,
  path: string,
  tied = false,
): Promise<void> {
  const distances = (await readNpy(`${path}.D.npy`)).data as Float32Array;
  const labels = (await readNpy(`${path}.I.npy`)).data as BigInt64Array;
  const nq = queries.length / index.d;
  const k = labels.length / nq;
  const found = await index.search(queries, k);
  let common = 0;
  for (let q = 0; q < nq; q++) {
    const theirs = new Set(labels.subarray(q * k, (q + 1) * k));
    for (const id of found.labels.subarray(q * k, (q + 1) * k)) common += theirs.has(id) ? 1 : 0;
    const spread = Math.abs(found.distances[q * k]!) + Math.abs(found.distances[(q + 1) * k - 1]!);
    for (let i = q * k; i < (q + 1) * k; i++) {
      const apart = Math.abs(distances[i]! - found.distances[i]!);
      assert(apart <= 0.1 * spread, `${path}: place ${i}: ${found.distances[i]}, ${distances[i]}`);
    }
  }
  // Codes of one part are tied: which of them are found is chance.
  assert(tied || common >= 0.85 * nq * k, `${path}: ${common} labels of ${nq * k} in common`);
}

Deno.test("fast-scan files written by faiss are read, and give its codes, labels and distances", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_fast_scan.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(\w+_\w+)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 2 * (6 * 3 + 2));
  for (const backend of backends) {
    for (const name of names) {
      const path = `${directory}/${name}`;
      using index = await readIndex(`${path}.faiss`, { backend });
      assert(index instanceof IndexPQFastScan || index instanceof IndexIVFPQFastScan);
      // The reference takes its time, and is what the other is held against elsewhere.
      if (backend.name === "reference" && index.d > 16) continue;
      const queries = (await readNpy(`${path}.npy`)).data as Float32Array;
      assert.deepEqual(await index.saEncode(queries), (await readNpy(`${path}.codes.npy`)).data);
      await assertFinds(index, queries, path, index.d * 10);
      await assertRounded(index, queries, `${path}.rounded`, index.pq.M === 1);
      // FAISS leaves what it removed behind the last code of a block.
      if (name.startsWith("factory")) continue;
      const bytes = await Deno.readFile(`${path}.faiss`);
      assert.equal(Buffer.compare(await serializeIndex(index), bytes), 0, name);
    }
    for (const name of ["untrained", "untrainedivf"]) {
      using index = await readIndex(`${directory}/${name}.faiss`, { backend });
      assert.equal(index.isTrained, false);
      const bytes = await Deno.readFile(`${directory}/${name}.faiss`);
      assert.deepEqual(await serializeIndex(index), bytes, name);
    }
  }
  await Deno.remove(directory, { recursive: true });
});

for (const backend of backends) {
  Deno.test(`fast-scan files written here are read by faiss [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    const d = 12;
    const [x, queries] = [normals(500, d, 1), normals(20, d, 2)];
    const indexes = new Map<string, Index>();
    const train = async (index: IndexPQFastScan | IndexIVFPQFastScan) => {
      Object.assign(index.pq.cp, { minPointsPerCentroid: 1, niter: 4 });
      await index.train(x);
      await index.add(x);
      await index.removeIds((id) => id % 4n === 1n);
    };
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const [M, bbs] of [[4, 32], [3, 64], [12, 96]] as const) {
        const flat = new IndexPQFastScan(d, M, 4, metric, { backend, bbs });
        await train(flat);
        indexes.set(`flat_${metric}_${M}`, flat);
        for (const byResidual of [true, false]) {
          const quantizer = new IndexFlat(d, metric, { backend });
          const options = { byResidual, bbs };
          const ivf = new IndexIVFPQFastScan(quantizer, d, 5, M, 4, metric, options);
          Object.assign(ivf, { ownFields: true, nprobe: 2 });
          ivf.cp.minPointsPerCentroid = 1;
          await train(ivf);
          indexes.set(`ivf_${byResidual}_${metric}_${M}`, ivf);
        }
      }
    }
    const inner = new IndexPQFastScan(d, 4, 4, Metric.L2, { backend });
    Object.assign(inner.pq.cp, { minPointsPerCentroid: 1 });
    const mapped = new IndexIDMap2(inner);
    mapped.ownFields = true;
    await mapped.train(x);
    await mapped.addWithIds(x.subarray(0, 100 * d), Array.from({ length: 100 }, (_, i) => 7 * i));
    indexes.set("mapped", mapped);
    for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
    await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
    await python("read_ours.py", directory);
    for (const [name, index] of indexes) {
      const path = `${directory}/${name}`;
      await assertRounded(index, queries, path);
      assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  });
}
