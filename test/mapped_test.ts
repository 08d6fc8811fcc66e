import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { FormatError, UnsupportedError } from "../lib/errors.ts";
import { DirectMapType } from "../lib/index/direct_map.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexHNSW } from "../lib/index/hnsw.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVF } from "../lib/index/ivf.ts";
import { mergeOnDisk, readIndex, serializeIndex, writeIndex } from "../lib/io/mod.ts";
import { everyKind } from "./indexes.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

const D = 7;
const N = 3000;
const x = normals(N, D, 1);
const queries = normals(20, D, 2);
const STRINGS = [
  "Flat",
  "SQ8",
  "SQ6",
  "PQ7x4",
  "IVF8,Flat",
  "IVF8,SQfp16",
  "IVF8,PQ7x4",
  "HNSW6,Flat",
  "HNSW6,SQ8",
  "HNSW6_PQ7x4",
];

/** An index of a factory string with the vectors, in a file. */
async function written(string: string, name = "file"): Promise<string> {
  using index = indexFactory(D, string);
  if (index instanceof IndexIVF) index.nprobe = 4;
  await index.train(x);
  await index.add(x);
  const path = `${directory}/${name}`;
  await writeIndex(index, path);
  return path;
}

async function assertSame(a: Index, b: Index, what: string): Promise<void> {
  assert.equal(a.ntotal, b.ntotal, what);
  const [found, expected] = [await a.search(queries, 6), await b.search(queries, 6)];
  assert.deepEqual(found.labels, expected.labels, what);
  assert.deepEqual(found.distances, expected.distances, what);
}

/** Everything that reads vectors. */
const reads: [string, (index: Index) => Promise<unknown>][] = [
  ["search", (index) => index.search(queries, 3)],
  ["searchSync", (index) => Promise.try(() => index.searchSync(queries, 3))],
  ["rangeSearch", (index) => index.rangeSearch(queries, 2)],
  ["reconstruct", (index) => Promise.try(() => index.reconstruct(N - 1))],
  ["add", (index) => index.add(x)],
  ["removeIds", (index) => index.removeIds([N - 1])],
  ["to", (index) => index.to("cpu")],
  ["save", (index) => index.save(`${directory}/saved`)],
];

Deno.test("readIndex() maps for no backend that cannot, and says so", async () => {
  const path = `${directory}/flat`;
  using index = indexFactory(D, "Flat", undefined, { backend: createReferenceBackend() });
  await index.add(x);
  await writeIndex(index, path);
  await assert.rejects(
    readIndex(path, { backend: createReferenceBackend(), mmap: true }),
    (error) => error instanceof UnsupportedError && /reference backend/.test(error.message),
  );
});

if (isNative) {
  const backend = createCpuBackend();
  const map = (path: string) => readIndex(path, { backend, mmap: true });

  Deno.test("a mapped index of every kind is what was written", async () => {
    for (const [kind, index] of await everyKind(backend)) {
      const path = `${directory}/kind`;
      await writeIndex(index, path);
      using same = await map(path);
      assert.deepEqual(await serializeIndex(same), await Deno.readFile(path), kind);
      if (index.isTrained) {
        const query = normals(2, index.d, 3);
        const [found, expected] = [await same.search(query, 5), await index.search(query, 5)];
        assert.deepEqual(found.labels, expected.labels, kind);
        assert.deepEqual(found.distances, expected.distances, kind);
      }
      index.dispose();
    }
  });

  for (const string of STRINGS) {
    Deno.test(`${string} takes no memory while it is mapped, and its own when it changes`, async () => {
      const path = await written(string);
      const bytes = await Deno.readFile(path);
      using index = await map(path);
      using copy = await readIndex(path, { backend });
      const quantizer = index instanceof IndexIVF ? index.quantizer.memoryUsage() : 0;
      assert.equal(index.memoryUsage(), quantizer);
      await assertSame(index, copy, string);
      for (const one of [index, copy]) {
        assert.equal(await one.removeIds([5, 17, 2999]), 3);
        await one.add(x.subarray(0, 10 * D));
        if (one instanceof IndexHNSW) await one.updateVectors([4], x.subarray(7, 14));
      }
      assert(index.memoryUsage() > N * D / 4);
      await assertSame(index, copy, string);
      // It has its vectors now: nothing of the file is needed.
      if (!(index instanceof IndexIVF)) {
        await Deno.truncate(path, 10);
        await assertSame(index, copy, string);
      } else {
        assert.deepEqual(await Deno.readFile(path), bytes);
      }
    });

    Deno.test(`${string} is merged from, and into, while it is mapped`, async () => {
      const path = await written(string);
      using index = await map(path);
      using copy = await readIndex(path, { backend });
      using from = await map(path);
      using fromCopy = await readIndex(path, { backend });
      await index.mergeFrom(from);
      await copy.mergeFrom(fromCopy);
      assert.deepEqual([index.ntotal, from.ntotal], [2 * N, 0]);
      await assertSame(index, copy, string);
      await index.reset();
      assert.equal(index.ntotal, 0);
    });

    Deno.test(`${string} outlives its file, and one that takes its name`, async () => {
      const path = await written(string);
      using index = await map(path);
      using copy = await readIndex(path, { backend });
      await writeIndex(index, path);
      await assertSame(index, copy, string);
      await Deno.remove(path);
      await assertSame(index, copy, string);
    });

    Deno.test(`${string} throws FormatError when its file is cut off while open`, async () => {
      const { size } = await Deno.stat(await written(string));
      // Within a page, at its end, in the middle, all.
      for (const cut of [size - 1, size - 5000, 4096, 0]) {
        for (const [name, read] of reads) {
          const path = await written(string, "cut");
          using index = await map(path);
          await Deno.truncate(path, cut);
          const what = `${string} cut to ${cut} of ${size}: ${name}`;
          await assert.rejects(read(index), (error) => {
            assert(error instanceof FormatError, `${what}: ${error}`);
            assert.match(error.message, /shorter|damaged/, what);
            return true;
          }, what);
          // And again: it stays so.
          await assert.rejects(index.search(queries, 3), FormatError, what);
        }
      }
    });
  }

  Deno.test("searches under way when a file is cut off fail or are right, and nothing crashes", async () => {
    for (const string of STRINGS) {
      const path = await written(string, "racing");
      const { size } = await Deno.stat(path);
      using index = await map(path);
      const many = normals(500, D, 4);
      const expected = await index.search(many, 3);
      let failed = 0;
      const searches = Array.from({ length: 12 }, async (_, i) => {
        // Some start before, some after.
        await new Promise((resolve) => setTimeout(resolve, i));
        try {
          const { labels, distances } = await index.search(many, 3);
          assert.deepEqual([labels, distances], [expected.labels, expected.distances], string);
        } catch (error) {
          assert(error instanceof FormatError, `${string}: ${error}`);
          failed++;
        }
      });
      await new Promise((resolve) => setTimeout(resolve, 4));
      await Deno.truncate(path, Math.floor(size / 3));
      await Promise.all(searches);
      assert(failed > 0, string);
    }
  });

  Deno.test("a mapped graph whose links lead nowhere is refused where they are met", async () => {
    const path = await written("HNSW6,Flat");
    const bytes = await Deno.readFile(path);
    const view = new DataView(bytes.buffer);
    // Links follow probabilities, sizes, levels and offsets, which have their counts before them.
    let at = 37;
    for (const itemBytes of [8, 4, 4, 8]) at += 8 + itemBytes * view.getUint32(at, true);
    const words = view.getUint32(at, true);
    for (const bad of [N, 0x7fffffff, -2]) {
      for (let word = 0; word < words; word++) view.setInt32(at + 8 + 4 * word, bad, true);
      await Deno.writeFile(path, bytes);
      using index = await map(path);
      await assert.rejects(index.search(queries, 3), FormatError);
      await assert.rejects(index.removeIds([1]), FormatError);
      // Those that need no links work.
      assert.equal((await index.rangeSearch(queries, 1e9)).labels.length, 20 * N);
    }
  });

  Deno.test("mergeOnDisk() keeps an array of ids only where they are one, and refuses blocks", async () => {
    using trained = indexFactory(D, "IVF8,SQ8") as IndexIVF;
    await trained.train(x);
    using shard = await trained.to("cpu");
    await shard.add(x.subarray(0, 50 * D));
    for (const shiftIds of [true, false]) {
      using index = await trained.to("cpu");
      await index.makeDirectMap();
      await mergeOnDisk(index, [shard, shard], `${directory}/merged${shiftIds}`, { shiftIds });
      const { Array, Hashtable } = DirectMapType;
      assert.equal(index.directMapType, shiftIds ? Array : Hashtable);
      assert.deepEqual(index.reconstruct(7), shard.reconstruct(7));
      assert.equal(await index.removeIds([7]), shiftIds ? 1 : 2);
    }
    using blocks = indexFactory(D, "IVF8,PQ7x4fs") as IndexIVF;
    await blocks.train(x);
    const path = `${directory}/blocks`;
    await assert.rejects(mergeOnDisk(blocks, [], path), UnsupportedError);
    await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
  });

  Deno.test("lists in a file of their own: the errors name it", async () => {
    const path = await written("IVF8,SQ8");
    using index = await readIndex(path, { backend });
    const data = `${directory}/lists.ivfdata`;
    await writeIndex(index, path, { ondisk: data });
    await assert.rejects(
      writeIndex(index, `${directory}/other`, { ondisk: data }),
      Deno.errors.AlreadyExists,
    );
    await assert.rejects(Deno.stat(`${directory}/other`), Deno.errors.NotFound);
    using same = await readIndex(path, { backend });
    await assertSame(same, index, "on disk");
    await Deno.truncate(data, 1000);
    await assert.rejects(same.search(queries, 3), FormatError);
    await assert.rejects(readIndex(path, { backend }), /has 1000 bytes, and the index says/);
    await Deno.remove(data);
    await assert.rejects(readIndex(path, { backend }), (error) => {
      assert(error instanceof FormatError);
      assert.match(error.message, /lists are in ".*lists.ivfdata", which is not there$/);
      return true;
    });
    using flat = indexFactory(D, "Flat");
    await assert.rejects(writeIndex(flat, path, { ondisk: data }), UnsupportedError);
    await assert.rejects(Deno.stat(data), Deno.errors.NotFound);
  });
}
