import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index, SearchParameters } from "../lib/index/index.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "../lib/index/rabitq.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { assertFinds, assertWithin, near, python } from "./faiss_peer.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const backends = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

/**
 * Codes are FAISS's; of more than one bit but for the last digits of the two factors at their end, and
 * here and there a level: lengths are summed up in another order.
 */
async function assertEncodes(
  index: IndexRaBitQ | IndexIVFRaBitQ,
  queries: Float32Array,
  path: string,
): Promise<void> {
  const codes = (await readNpy(`${path}.codes.npy`)).data as Uint8Array;
  const decoded = (await readNpy(`${path}.decoded.npy`)).data as Float32Array;
  assert.deepEqual(await index.saDecode(codes), decoded, path);
  const ours = await index.saEncode(queries);
  const size = index.saCodeSize;
  const exact = index.rabitq.nbBits === 1 ? size : size - 8;
  assert.equal(ours.length, codes.length);
  let other = 0;
  for (let at = 0; at < codes.length; at += size) {
    const [a, b] = [ours, codes].map((all) => all.subarray(at, at + size));
    const apart = b!.subarray(0, exact).filter((byte, i) => byte !== a![i]).length;
    assert(apart <= (exact < size ? 2 : 0), `${path}: row ${at / size}: ${apart} bytes differ`);
    if (apart > 0) other++;
    const [c, d] = [a!, b!].map((code) => new Float32Array(code.slice(exact).buffer));
    c!.forEach((factor, i) => {
      assert(
        near(factor, d![i]!, apart ? 1000 : 1),
        `${path}: row ${at / size}: ${factor}, not ${d![i]}`,
      );
    });
  }
  const few = index.rabitq.nbBits < 8 ? 10 : 3;
  assert(other <= codes.length / size / few, `${path}: ${other} rows are coded otherwise`);
}

/** What a search with parameters finds is in files of other endings. */
async function assertFindsWith(
  index: Index,
  queries: Float32Array,
  path: string,
  terms: number,
  [distances, labels]: readonly [string, string],
  params: SearchParameters,
): Promise<void> {
  const wanted = (await readNpy(`${path}.${distances}.npy`)).data as Float32Array;
  const ids = (await readNpy(`${path}.${labels}.npy`)).data as BigInt64Array;
  const found = await index.search(queries, 10, params);
  let other = 0;
  found.distances.forEach((distance, i) => {
    assert(near(distance, wanted[i]!, terms), `${path}.${distances}: ${distance}, ${wanted[i]}`);
    if (found.labels[i] !== ids[i]) other++;
  });
  assert(other <= ids.length / 50, `${path}.${labels}: ${other} of ${ids.length} labels differ`);
}

Deno.test("RaBitQ files written by faiss are read, and give its codes, labels and distances", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_rabitq.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(\w+_\w+)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 2 * 2 * (3 * 3 + 8));
  for (const backend of backends) {
    for (const name of names) {
      const path = `${directory}/${name}`;
      using index = await readIndex(`${path}.faiss`, { backend });
      assert(index instanceof IndexRaBitQ || index instanceof IndexIVFRaBitQ);
      assert.deepEqual(await serializeIndex(index), await Deno.readFile(`${path}.faiss`), name);
      // The reference takes its time, and is what the other is held against elsewhere.
      if (backend.name === "reference" && (index.d > 64 || name.includes("IP"))) continue;
      const queries = (await readNpy(`${path}.npy`)).data as Float32Array;
      await assertEncodes(index, queries, path);
      const terms = 4 * index.d;
      await assertFinds(index, queries, path, terms);
      const centered = { qb: 6, centered: true };
      await assertFindsWith(index, queries, path, terms, ["C", "J"], centered);
      await assertFindsWith(index, queries, path, terms, ["F", "G"], { qb: 0 });
      if (index.rabitq.nbBits === 1) await assertWithin(index, queries, path, terms);
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
  Deno.test(`RaBitQ files written here are read by faiss [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    const d = 24;
    const [x, queries] = [normals(300, d, 1), normals(20, d, 2)];
    const indexes = new Map<string, Index>();
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      // Of more bits faiss leaves out some that it would find.
      for (const nbBits of [1, 5]) {
        const flat = new IndexRaBitQ(d, metric, nbBits, { backend });
        const ivf = new IndexIVFRaBitQ(
          new IndexFlat(d, metric, { backend }),
          d,
          5,
          metric,
          nbBits,
        );
        ivf.ownFields = true;
        ivf.nprobe = 2;
        ivf.cp.minPointsPerCentroid = 1;
        for (const index of [flat, ivf]) {
          index.qb = 6;
          await index.train(x);
          await index.add(nbBits === 1 ? x : x.subarray(0, 10 * d));
          await index.removeIds((id) => id % 4n === 1n);
          indexes.set(`${index.constructor.name}_${metric}_${nbBits}`, index);
        }
      }
    }
    const mapped = new IndexIDMap2(new IndexRaBitQ(d, Metric.L2, 1, { backend }));
    mapped.ownFields = true;
    await mapped.train(x);
    await mapped.addWithIds(x.subarray(0, 100 * d), Array.from({ length: 100 }, (_, i) => 7 * i));
    indexes.set("mapped", mapped);
    for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
    await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
    await python("read_ours.py", directory);
    for (const [name, index] of indexes) {
      const path = `${directory}/${name}`;
      await assertFinds(index, queries, path, 4 * d);
      assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  });
}
