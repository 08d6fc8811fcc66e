import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexNNDescentFlat } from "../lib/index/nn_descent.ts";
import { IndexNSG } from "../lib/index/nsg.ts";
import type { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import type { Index, SearchParameters } from "../lib/index/index.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { manifold } from "../lib/profile/datasets.ts";
import { near, python } from "./faiss_peer.ts";
import { isNative } from "./native.ts";

const backends = isNative
  ? [createCpuBackend(), createReferenceBackend()]
  : [createReferenceBackend()];

/** Sums are rounded otherwise, which now and then leads another way: the share that has to agree. */
const LEAST = 0.99;

/** The share of places whose label is FAISS's, or as near. */
async function agreement(
  index: Index,
  queries: Float32Array,
  path: string,
  params: SearchParameters = {},
): Promise<number> {
  const distances = (await readNpy(`${path}.D.npy`)).data as Float32Array;
  const labels = (await readNpy(`${path}.I.npy`)).data as BigInt64Array;
  const nq = queries.length / index.d;
  const k = labels.length / nq;
  const found = await index.search(queries, k, params);
  let same = 0;
  for (let i = 0; i < labels.length; i++) {
    const ties = near(found.distances[i]!, distances[i]!, index.d);
    if (found.labels[i] === labels[i] || ties) same++;
  }
  return same / labels.length;
}

Deno.test("graphs written by faiss are walked as it walks them", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_graphs.py", directory);
  const queries = (await readNpy(`${directory}/queries.npy`)).data as Float32Array;
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(\w+_\w+)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 2 * (6 + 4 + 1 + 1) + 2);
  for (const backend of backends) {
    for (const name of names) {
      // The plain one takes its time: one of a kind is enough.
      if (backend.name === "reference" && !/8bit_L2|PQ6x8_L2|601_L2|NNDescent_flat_IP/.test(name)) {
        continue;
      }
      const path = `${directory}/${name}`;
      const what = `${name} [${backend.name}]`;
      using index = await readIndex(`${path}.faiss`, { backend });
      const share = await agreement(index, queries, path);
      assert(share >= LEAST, `${what}: ${share}`);
      if (name.startsWith("HNSW")) {
        const params = { efSearch: 12, checkRelativeDistance: false };
        const share = await agreement(index, queries, `${path}.steps`, params);
        assert(share >= LEAST, `${what} in steps: ${share}`);
      }
      assert.deepEqual(await serializeIndex(index), await Deno.readFile(`${path}.faiss`), what);
    }
    using untrained = await readIndex(`${directory}/untrained.faiss`, { backend });
    assert.equal(untrained.isTrained, false);
    using empty = await readIndex(`${directory}/empty.faiss`, { backend });
    assert.equal(empty.ntotal, 0);
    await empty.add(queries);
    assert.equal((await empty.search(queries.subarray(0, empty.d), 1)).labels[0], 0n);
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("graphs written here are walked by faiss as here", { ignore: !isNative }, async () => {
  const backend = createCpuBackend();
  const directory = await Deno.makeTempDir();
  const [n, nq, d] = [2500, 40, 16];
  const all = manifold(n + nq, d);
  const [x, queries] = [all.slice(0, n * d), all.slice(n * d)];
  const indexes = new Map<string, Index>();
  for (const metric of [Metric.L2, Metric.InnerProduct]) {
    for (
      const [name, description] of Object.entries({
        sq8: "HNSW8,SQ8",
        bf16: "HNSW8,SQbf16",
        pq: "HNSW8,PQ4x6",
        nsg: "NSG16,Flat",
        nsgsq: "NSG16,SQ6",
        nsgpq: "NSG16,PQ8x8",
      })
    ) {
      const index = indexFactory(d, description, metric, { backend });
      await index.train(x);
      await index.add(x.subarray(0, 2000 * d));
      await index.removeIds((id) => id % 7n === 3n);
      await index.add(x.subarray(2000 * d));
      if (index instanceof IndexNSG) index.nsg.searchL = 30;
      indexes.set(`${name}${metric}`, index);
    }
    const neighbors = new IndexNNDescentFlat(d, 20, metric, { backend });
    neighbors.nndescent.searchL = 40;
    await neighbors.add(x);
    indexes.set(`neighbors${metric}`, neighbors);
  }
  const lists = indexFactory(d, "IVF32_NSG8,Flat", Metric.L2, { backend }) as IndexIVFFlat;
  await lists.train(x);
  await lists.add(x);
  indexes.set("lists", lists);
  indexes.set("empty", indexFactory(d, "NSG16,Flat", Metric.L2, { backend }));
  indexes.set("untrained", indexFactory(d, "HNSW8,PQ4x6", Metric.L2, { backend }));
  for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
  await writeNpy(`${directory}/queries.npy`, queries, [nq, d]);
  // FAISS refuses to search a graph that it has not built.
  await Deno.rename(`${directory}/empty.faiss`, `${directory}/empty`);
  await python("read_ours.py", directory);
  for (const [name, index] of indexes) {
    const path = `${directory}/${name}`;
    if (index.ntotal > 0) {
      const share = await agreement(index, queries, path);
      assert(share >= LEAST, `${name}: ${share}`);
    }
    if (name !== "empty") {
      assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
    }
    index.dispose();
  }
  await Deno.remove(directory, { recursive: true });
});
