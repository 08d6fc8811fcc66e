import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexIVF } from "../lib/index/ivf.ts";
import { mergeOnDisk, readIndex, readNpy, writeIndex } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { assertFinds, python } from "./faiss_peer.ts";
import { isNative } from "./native.ts";

const directory = await Deno.makeTempDir();
await python("write_ondisk.py", directory);
const x = (await readNpy(`${directory}/x.npy`)).data as Float32Array;
const queries = (await readNpy(`${directory}/queries.npy`)).data as Float32Array;
const names = (await Array.fromAsync(Deno.readDir(directory)))
  .flatMap(({ name }) => /^(\w+)\.faiss$/.exec(name)?.[1] ?? []).sort();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
const reference = createReferenceBackend();
const D = 12;

Deno.test("lists on disk written by faiss are read by a backend that maps nothing", async () => {
  const ondisk = names.filter((name) => name.startsWith("ondisk"));
  assert.equal(ondisk.length, 12);
  for (const name of ondisk) {
    using index = await readIndex(`${directory}/${name}.faiss`, { backend: reference });
    assert(index instanceof IndexIVF);
    index.nprobe = 3;
    await assertFinds(index, queries, `${directory}/${name}`, D);
  }
});

if (isNative) {
  const backend = createCpuBackend();

  Deno.test("files written by faiss are mapped, and give its labels and distances", async () => {
    assert.equal(names.length, 44);
    for (const name of names) {
      const path = `${directory}/${name}.faiss`;
      using index = await readIndex(path, { backend, mmap: true });
      using copied = await readIndex(path, { backend });
      if (index instanceof IndexIVF) index.nprobe = (copied as IndexIVF).nprobe = 3;
      assert(
        index.memoryUsage() < copied.memoryUsage() || name.startsWith("ondisk"),
        `${name}: ${index.memoryUsage()} bytes are in memory`,
      );
      await assertFinds(index, queries, `${directory}/${name}`, D);
      for (const nq of [1, 5, 25]) {
        const part = queries.subarray(0, nq * D);
        const [found, expected] = [await index.search(part, 7), await copied.search(part, 7)];
        assert.deepEqual(found.distances, expected.distances, name);
        assert.deepEqual(found.labels, expected.labels, name);
      }
      await writeIndex(index, `${directory}/again`);
      await writeIndex(copied, `${directory}/copied`);
      const again = await Deno.readFile(`${directory}/again`);
      assert.deepEqual(again, await Deno.readFile(`${directory}/copied`), name);
    }
  });

  Deno.test("faiss reads lists that are written to a file of their own, and those merged on disk", async () => {
    const ours = `${directory}/ours`;
    await Deno.mkdir(ours);
    await Deno.copyFile(`${directory}/queries.npy`, `${ours}/queries.npy`);
    const indexes = new Map<string, IndexIVF>();
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const code of ["Flat", "SQ8", "PQ4x4"]) {
        const index = indexFactory(D, `IVF9,${code}`, metric) as IndexIVF;
        index.nprobe = 4;
        await index.train(x);
        const path = `${ours}/${code}_${metric}`;
        await writeIndex(index, `${path}.trained`);
        for (const part of [0, 1]) {
          using shard = await readIndex(`${path}.trained`) as IndexIVF;
          await shard.add(x.subarray(part * 300 * D, (part + 1) * 300 * D));
          await writeIndex(shard, `${path}.shard${part}`);
        }
        const shards = [`${path}.shard0`, `${path}.shard1`];
        await mergeOnDisk(index, shards, `${path}.ivfdata`, { shiftIds: true });
        assert.deepEqual([index.ntotal, index.store.mapped], [600, true]);
        await writeIndex(index, `${path}.faiss`);
        indexes.set(path, index);

        // The same vectors, and some more, written at once.
        const all = await readIndex(`${path}.faiss`) as IndexIVF;
        assert.equal(all.store.mapped, true);
        await all.add(x.subarray(600 * D));
        assert.equal(all.store.mapped, false);
        await writeIndex(all, `${path}_all.faiss`, { ondisk: `${path}_all.ivfdata` });
        indexes.set(`${path}_all`, all);
      }
    }
    await python("read_ondisk.py", ours);
    for (const [path, index] of indexes) {
      await assertFinds(index, queries, path, D);
      using again = await readIndex(`${path}.faiss`, { ondiskSameDir: true });
      await assertFinds(again, queries, path, D);
      index.dispose();
    }
  });
}
