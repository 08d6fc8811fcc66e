import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { DirectMapType } from "../lib/index/direct_map.ts";
import { indexFactory } from "../lib/index/factory.ts";
import type { Index, SearchParameters } from "../lib/index/index.ts";
import { IndexIVF } from "../lib/index/ivf.ts";
import { codecOf } from "../lib/index/standalone_codec.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { IDSelectorArray } from "../lib/selector.ts";
import { assertFinds, near, python } from "./faiss_peer.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const backends = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

const directory = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
await python("write_ivf.py", directory);
const numbers = async (name: string) => {
  return (await readNpy(`${directory}/${name}.npy`)).data as Float32Array;
};
const integers = async (name: string) => {
  return (await readNpy(`${directory}/${name}.npy`)).data as BigInt64Array;
};
const [x, queries] = [await numbers("x"), await numbers("queries")];
const [n, d, k] = [800, 16, 10];
const names = (await Array.fromAsync(Deno.readDir(directory)))
  .flatMap(({ name }) => /^(.+)\.faiss$/.exec(name)?.[1] ?? []);
const named = (pattern: RegExp) => names.filter((name) => pattern.test(name)).sort();

async function read(name: string, backend: (typeof backends)[number]): Promise<IndexIVF> {
  const index = await readIndex(`${directory}/${name}.faiss`, { backend });
  assert(index instanceof IndexIVF, name);
  return index;
}

/** Pairs of a hash table are in no order: of a file with one, all but them. */
function withoutPairs(bytes: Uint8Array, index: IndexIVF): Uint8Array {
  if (index.directMapType !== DirectMapType.Hashtable) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at + 17 < bytes.length; at++) {
    const isMap = bytes[at] === 2 && view.getBigUint64(at + 1, true) === 0n &&
      view.getBigUint64(at + 9, true) === BigInt(n);
    if (isMap) bytes.fill(0, at + 17, at + 17 + 16 * n);
  }
  return bytes;
}

for (const backend of backends) {
  Deno.test(`direct maps of faiss are kept, and vectors replaced as it does [${backend.name}]`, async () => {
    const replaced = await integers("replaced");
    const rows = new Float32Array(replaced.length * d);
    replaced.forEach((id, i) => {
      rows.set(x.subarray(Number(id) * d, (Number(id) + 1) * d).map((value) => -value), i * d);
    });
    const files = named(/^map_\w+_[012]$/);
    assert.equal(files.length, 18);
    for (const name of files) {
      using index = await read(name, backend);
      const type = Number(name.at(-1));
      assert.equal(index.directMapType, type, name);
      const bytes = await Deno.readFile(`${directory}/${name}.faiss`);
      assert.deepEqual(
        withoutPairs(await serializeIndex(index), index),
        withoutPairs(bytes, index),
        name,
      );
      if (type === DirectMapType.NoMap) {
        await assertFinds(index, queries, `${directory}/${name}`, d);
        await index.updateVectors(replaced, rows);
        const same = `${directory}/${name.slice(0, -1)}1_updated`;
        await assertFinds(index, queries, same, d);
        continue;
      }
      await index.updateVectors(replaced, rows);
      await assertFinds(index, queries, `${directory}/${name}_updated`, d);
      assert.equal(index.directMapType, type, name);
      // Rows are in FAISS's order where they are moved as it moves them.
      if (backend.name !== "cpu") continue;
      const theirs = await Deno.readFile(`${directory}/${name}_updated.faiss`);
      assert.deepEqual(
        withoutPairs(await serializeIndex(index), index),
        withoutPairs(theirs, index),
        name,
      );
    }
  });

  Deno.test(`search parameters do what faiss does [${backend.name}]`, async () => {
    const filter = new IDSelectorArray(Array.from({ length: 115 }, (_, i) => 7 * i));
    const cases: Record<string, SearchParameters> = {
      codes: { maxCodes: 100 },
      few: { maxCodes: 3 },
      selected: { maxCodes: 30, filter },
      full: { maxCodes: 3, ensureTopkFull: true },
      fullselected: { maxCodes: 3, ensureTopkFull: true, filter },
    };
    const files = named(/^how_/);
    assert.equal(files.length, 6);
    for (const name of files) {
      using index = await read(name, backend);
      for (const [suffix, params] of Object.entries(cases)) {
        const path = `${name}_${suffix}`;
        const asked = { nprobe: 12, ...params };
        const [D, I] = [await numbers(`${path}.D`), await integers(`${path}.I`)];
        const found = await index.search(queries, k, asked);
        assertSame(found, { distances: D, labels: I }, path);
        // One at a time they are grouped in another way.
        for (let query = 0; query < 5; query++) {
          const row = queries.subarray(query * d, (query + 1) * d);
          const [from, to] = [query * k, (query + 1) * k];
          assertSame(index.searchSync(row, k, asked), {
            distances: D.subarray(from, to),
            labels: I.subarray(from, to),
          }, `${path} alone`);
        }
      }
      const radius = (await numbers(`${name}.radius`))[0]!;
      const within = await index.rangeSearch(queries, radius, {
        nprobe: 12,
        maxEmptyResultBuckets: 1,
      });
      const [lims, labels] = [await integers(`${name}.lims`), await integers(`${name}.within`)];
      for (let query = 0; query < within.nq; query++) {
        const theirs = new Set(labels.subarray(Number(lims[query]), Number(lims[query + 1])));
        const ours = new Set(
          within.labels.subarray(Number(within.lims[query]), Number(within.lims[query + 1])),
        );
        assert.deepEqual(ours, theirs, `${name}: query ${query}`);
      }
      const found = await index.searchAndReconstruct(queries, k);
      const vectors = await numbers(`${name}_vectors`);
      const ids = await integers(`${name}_labels`);
      found.labels.forEach((label, i) => {
        if (label !== ids[i]) return;
        for (let j = i * d; j < (i + 1) * d; j++) {
          assert(near(found.vectors[j]!, vectors[j]!, 1), `${name}: ${i}`);
        }
      });
    }
  });

  Deno.test(`coarse quantizers of faiss's files are of any kind [${backend.name}]`, async () => {
    const files = named(/^coarse_/);
    assert.equal(files.length, 2 * (5 * 3 + 3));
    for (const name of files) {
      using index = await read(name, backend);
      await assertFinds(index, queries, `${directory}/${name}`, d);
      const bytes = await Deno.readFile(`${directory}/${name}.faiss`);
      assert.deepEqual(await serializeIndex(index), bytes, name);
    }
  });

  Deno.test(`codes of indexes around others are faiss's [${backend.name}]`, async () => {
    const files = named(/^codes_/);
    assert.equal(files.length, 6);
    for (const name of files) {
      using index = await readIndex(`${directory}/${name}.faiss`, { backend });
      const codec = codecOf("test", index);
      const theirs = (await readNpy(`${directory}/${name}.codes.npy`)).data as Uint8Array;
      assert.equal(codec.saCodeSize, theirs.length / (queries.length / d), name);
      const decoded = await numbers(`${name}.decoded`);
      const ours = await codec.saDecode(await codec.saEncode(queries));
      const others = ours.filter((value, i) => !near(value, decoded[i]!, 10)).length;
      // Numbers that lie between two are rounded either way.
      assert(others <= ours.length / 50, `${name}: ${others} of ${ours.length} numbers`);
      const again = await codec.saDecode(theirs);
      assert.equal(again.length, decoded.length, name);
      again.forEach((value, i) => assert(near(value, decoded[i]!, 10), `${name}: ${i}`));
    }
  });
}

interface Found {
  distances: Float32Array;
  labels: BigInt64Array;
}

/** The same in the same places, but for what is as near. */
function assertSame(ours: Found, theirs: Found, what: string): void {
  assert.equal(ours.labels.length, theirs.labels.length, what);
  ours.distances.forEach((distance, i) => {
    assert(near(distance, theirs.distances[i]!, d), `${what}: ${i}: ${distance}`);
  });
  const others = ours.labels.filter((label, i) => label !== theirs.labels[i]).length;
  assert(others <= ours.labels.length / 20, `${what}: ${others} other labels`);
}

Deno.test("IVF files written here with direct maps and other quantizers are read by faiss", async () => {
  const directory = await Deno.makeTempDir();
  const backend = backends.at(-1)!;
  const rows = normals(600, d, 3);
  const indexes = new Map<string, Index>();
  const texts = ["PQ4x4", "HNSW8", "IVF4,Flat", "PCA8,Flat", "SQ8,RFlat", "Flat"];
  for (const metric of [Metric.L2, Metric.InnerProduct]) {
    for (const [at, text] of texts.entries()) {
      for (const code of /IVF|PCA/.test(text) ? ["Flat"] : ["Flat", "SQ8", "PQ4x4"]) {
        const index = indexFactory(d, `IVF18(${text}),${code}`, metric, { backend }) as IndexIVF;
        index.cp.niter = 3;
        index.cp.minPointsPerCentroid = 1;
        await index.train(rows);
        await index.add(rows);
        index.nprobe = 4;
        await index.setDirectMapType((at % 3) as DirectMapType);
        if (at % 2 === 0) await index.updateVectors([1, 599], rows.subarray(0, 2 * d));
        if (at % 3 === 2) await index.removeIds([4, 5, 6]);
        indexes.set(`${metric}_${at}_${code}`, index);
      }
    }
  }
  for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
  await writeNpy(`${directory}/queries.npy`, queries, [queries.length / d, d]);
  await python("read_ours.py", directory);
  for (const [name, index] of indexes) {
    await assertFinds(index, queries, `${directory}/${name}`, d);
    const [again, ours] = [
      await Deno.readFile(`${directory}/${name}.again`),
      await Deno.readFile(`${directory}/${name}.faiss`),
    ];
    assert.equal(again.length, ours.length, name);
    if ((index as IndexIVF).directMapType !== DirectMapType.Hashtable) {
      assert.deepEqual(again, ours, name);
    }
    index.dispose();
  }
  await Deno.remove(directory, { recursive: true });
});
