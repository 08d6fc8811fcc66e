import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { UnsupportedError } from "../lib/errors.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFPQ, IndexPQ } from "../lib/index/product_quantizer.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { assertFinds, assertWithin, near, python } from "./faiss_peer.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const backends = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

/** Squared L2 between two rows of arrays. */
function apart(x: Float32Array, y: Float32Array, row: number, d: number): number {
  let sum = 0;
  for (let i = row * d; i < (row + 1) * d; i++) sum += (x[i]! - y[i]!) ** 2;
  return sum;
}

/** Codes are FAISS's, but where two are as near. */
async function assertEncodes(
  index: IndexPQ | IndexIVFPQ,
  queries: Float32Array,
  path: string,
): Promise<void> {
  const codes = (await readNpy(`${path}.codes.npy`)).data as Uint8Array;
  const decoded = (await readNpy(`${path}.decoded.npy`)).data as Float32Array;
  const ours = await index.saEncode(queries);
  assert.equal(ours.length, codes.length, path);
  assert.deepEqual(await index.saDecode(codes), decoded, path);
  const { d, saCodeSize } = index;
  const other = await index.saDecode(ours);
  for (let row = 0; row < queries.length / d; row++) {
    const [a, b] = [ours, codes].map((all) =>
      all.subarray(row * saCodeSize, (row + 1) * saCodeSize)
    );
    if (a!.every((byte, i) => byte === b![i])) continue;
    const [near1, near2] = [apart(queries, other, row, d), apart(queries, decoded, row, d)];
    assert(near(near1, near2, near2), `${path}: row ${row} is coded ${a}, not ${b}`);
  }
}

Deno.test("product-quantized files written by faiss are read, and give its codes, labels and distances", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_pq.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(\w+_\w+)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 2 * (8 * 3 + 2));
  for (const backend of backends) {
    for (const name of names) {
      const path = `${directory}/${name}`;
      using index = await readIndex(`${path}.faiss`, { backend });
      assert(index instanceof IndexPQ || index instanceof IndexIVFPQ);
      // The reference takes its time, and is what the other is held against elsewhere.
      if (backend.name === "reference" && index.d > 20) continue;
      const queries = (await readNpy(`${path}.npy`)).data as Float32Array;
      await assertEncodes(index, queries, path);
      const terms = index.d * 10;
      await assertFinds(index, queries, path, terms);
      await assertWithin(index, queries, path, terms);
      assert.deepEqual(await serializeIndex(index), await Deno.readFile(`${path}.faiss`), name);
    }
    for (const name of ["untrained", "untrainedivf"]) {
      using index = await readIndex(`${directory}/${name}.faiss`, { backend });
      assert.equal(index.isTrained, false);
      const bytes = await Deno.readFile(`${directory}/${name}.faiss`);
      assert.deepEqual(await serializeIndex(index), bytes, name);
    }
    await assert.rejects(
      readIndex(`${directory}/symmetric.faiss`, { backend }),
      /a search of kind 3 is not available/,
    );
  }
  await Deno.remove(directory, { recursive: true });
});

for (const backend of backends) {
  Deno.test(`product-quantized files written here are read by faiss [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    const d = 12;
    const [x, queries] = [normals(500, d, 1), normals(20, d, 2)];
    const indexes = new Map<string, Index>();
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const [M, nbits] of [[4, 8], [6, 5], [3, 4], [2, 9]] as const) {
        // Of 9 bits there would be more centroids than vectors.
        const rows = nbits === 9 ? normals(600, d, 3) : x;
        const flat = new IndexPQ(d, M, nbits, metric, { backend });
        const ivf = new IndexIVFPQ(new IndexFlat(d, metric, { backend }), d, 5, M, nbits, metric);
        ivf.ownFields = true;
        ivf.nprobe = 2;
        ivf.cp.minPointsPerCentroid = 1;
        for (const index of [flat, ivf]) {
          Object.assign(index.pq.cp, { minPointsPerCentroid: 1, niter: 4 });
          await index.train(rows);
          await index.add(x);
          await index.removeIds((id) => id % 4n === 1n);
          indexes.set(`${index.constructor.name}_${metric}_${M}x${nbits}`, index);
        }
      }
    }
    const mapped = new IndexIDMap2(new IndexPQ(d, 4, 4, Metric.L2, { backend }));
    mapped.ownFields = true;
    Object.assign((mapped.index as IndexPQ).pq.cp, { minPointsPerCentroid: 1 });
    await mapped.train(x);
    await mapped.addWithIds(x.subarray(0, 100 * d), Array.from({ length: 100 }, (_, i) => 7 * i));
    indexes.set("mapped", mapped);
    for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
    await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
    await python("read_ours.py", directory);
    for (const [name, index] of indexes) {
      const path = `${directory}/${name}`;
      await assertFinds(index, queries, path, d);
      assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  });
}

Deno.test("codes are refused on the gpu and by metrics that faiss has none of for them", () => {
  const backend = Object.assign(Object.create(createReferenceBackend()), { name: "gpu" });
  assert.throws(() => new IndexPQ(8, 2, 4, Metric.L2, { backend }), UnsupportedError);
  assert.throws(() => new IndexPQ(8, 2, 4, Metric.L1), { name: "RangeError", message: /L1/ });
});
