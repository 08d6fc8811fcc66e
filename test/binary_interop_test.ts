import assert from "node:assert/strict";
import { indexBinaryFactory } from "../lib/index/binary/factory.ts";
import { IndexBinaryFromFloat } from "../lib/index/binary/from_float.ts";
import type { IndexBinaryHashed } from "../lib/index/binary/hashed.ts";
import type { IndexBinary } from "../lib/index/binary/index_binary.ts";
import { IndexBinaryIVF } from "../lib/index/binary/ivf.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import {
  readIndexBinary,
  readNpy,
  serializeIndexBinary,
  writeIndexBinary,
  writeNpy,
} from "../lib/io/mod.ts";
import { grouped, testBinary } from "./binary_kinds.ts";
import { python } from "./faiss_peer.ts";

/** Distances are FAISS's; labels too, but among vectors as near that are not all returned. */
async function assertFinds(
  index: IndexBinary,
  queries: Uint8Array,
  path: string,
  distances: Int32Array,
): Promise<void> {
  const labels = (await readNpy(`${path}.I.npy`)).data as BigInt64Array;
  const k = distances.length / (queries.length / index.codeSize);
  const found = await index.search(queries, k);
  assert.deepEqual(found.distances, distances, path);
  for (let query = 0; query < found.nq; query++) {
    const [from, to] = [query * k, (query + 1) * k];
    const last = distances[to - 1]!;
    const settled = (all: BigInt64Array) =>
      [...all.subarray(from, to)].map((label, i) => `${distances[from + i]}: ${label}`)
        .filter((_, i) => distances[from + i] !== last || last === 2 ** 31 - 1).sort();
    assert.deepEqual(settled(found.labels), settled(labels), `${path}: query ${query}`);
  }
}

async function assertWithin(index: IndexBinary, queries: Uint8Array, path: string): Promise<void> {
  const radius = Number((await readNpy(`${path}.radius.npy`)).data[0]);
  const lims = (await readNpy(`${path}.lims.npy`)).data as BigInt64Array;
  const within = (await readNpy(`${path}.within.npy`)).data as BigInt64Array;
  const found = await index.rangeSearch(queries, radius);
  assert.deepEqual([...found.lims], [...lims], path);
  for (let query = 0; query < found.nq; query++) {
    const [from, to] = [Number(lims[query]), Number(lims[query + 1])];
    assert.deepEqual(found.labels.slice(from, to).sort(), within.slice(from, to), path);
  }
}

/** What a walk finds is not what another one finds, where many are as near. */
function isApproximate(name: string): boolean {
  return name.includes("HNSW");
}

/** Share of the k nearest that are as near as the others'; graphs of FAISS have negative distances where there is none. */
function recall(found: Int32Array, exact: Int32Array): number {
  const isAsNear = (distance: number, i: number) => {
    return exact[i]! < 0 || exact[i] === 2 ** 31 - 1
      ? !(distance < exact[i]!)
      : distance <= exact[i]!;
  };
  return found.filter(isAsNear).length / exact.length;
}

testBinary("indexes of bits written by faiss are read, and find the same", async (backend) => {
  const directory = await Deno.makeTempDir();
  await python("write_binary.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(.*)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 3 * 13 + 5);
  let ranged = 0;
  for (const name of names) {
    const path = `${directory}/${name}`;
    using index = await readIndexBinary(`${path}.faiss`, { backend });
    const again = await serializeIndexBinary(index);
    if (!/Hash|direct/.test(name)) {
      assert.deepEqual(again, await Deno.readFile(`${path}.faiss`), name);
    }
    if (!index.isTrained) continue;
    const queries = (await readNpy(`${path}.q.npy`)).data as Uint8Array;
    const distances = (await readNpy(`${path}.D.npy`)).data as Int32Array;
    if (!isApproximate(name)) {
      await assertFinds(index, queries, path, distances);
    } else {
      const { distances: ours } = await index.search(queries, 10);
      assert(recall(ours, distances) > 0.97, `${name}: ${recall(ours, distances)}`);
    }
    const radius = await Deno.stat(`${path}.radius.npy`).catch(() => undefined);
    // Of those that faiss searches by radius only walks of a quantizer may differ.
    if (radius === undefined || isApproximate(name)) continue;
    await assertWithin(index, queries, path);
    ranged++;
  }
  assert(ranged > 25);
  await Deno.remove(directory, { recursive: true });
});

testBinary(
  "indexes of bits written here are read by faiss, which finds the same",
  async (backend) => {
    const directory = await Deno.makeTempDir();
    const d = 72;
    const [x, queries] = [grouped(256, d / 8, 1), grouped(10, d / 8, 2)];
    const indexes = new Map<string, IndexBinary>();
    const strings = ["BFlat", "BIVF5", "BIVF4_HNSW6", "BHNSW12", "BHash7", "BHash3x9", "BHash50"];
    for (
      const string of [...strings, "IDMap,BHash3x8", "IDMap2,BIVF3", "BHNSW5,IDMap", "IDMap,BFlat"]
    ) {
      const index = indexBinaryFactory(d, string, { backend });
      if (index instanceof IndexBinaryIVF) {
        index.cp.minPointsPerCentroid = 1;
        index.nprobe = 2;
      }
      if (/^BHash/.test(string)) (index as IndexBinaryHashed).nflip = 1;
      await index.train(x);
      if (string.includes("IDMap")) {
        await index.addWithIds(x, Array.from({ length: 256 }, (_, i) => 9 * i));
      } else {
        await index.add(x);
      }
      await index.removeIds((id) => id % 5n === 1n);
      indexes.set(string, index);
    }
    // As many vectors as a power of two, all in one bucket.
    const same = indexBinaryFactory(d, "BHash2x4", { backend });
    await same.add(new Uint8Array(64 * d / 8));
    indexes.set("BHash2x4 of one bucket", same);
    const one = indexBinaryFactory(d, "BHash2x4", { backend });
    await one.add(x.subarray(0, d / 8));
    indexes.set("BHash2x4 of one", one);
    const floats = new IndexBinaryFromFloat(new IndexFlatL2(d, { backend }));
    floats.ownFields = true;
    await floats.add(x);
    indexes.set("floats", floats);
    for (const [name, index] of indexes) {
      await writeIndexBinary(
        index,
        `${directory}/${name}.faiss`,
      );
    }
    await writeNpy(`${directory}/queries.npy`, queries, [10, d / 8]);
    await python("read_binary.py", directory);
    for (const [name, index] of indexes) {
      const path = `${directory}/${name}`;
      const distances = (await readNpy(`${path}.D.npy`)).data as Int32Array;
      assert.equal(Number((await readNpy(`${path}.n.npy`)).data[0]), index.ntotal, name);
      if (isApproximate(name)) {
        const { distances: ours } = await index.search(queries, 10);
        assert(recall(distances, ours) > 0.9, `${name}: ${recall(distances, ours)}`);
      } else {
        await assertFinds(index, queries, path, distances);
      }
      if (!name.includes("Hash")) {
        assert.deepEqual(
          await Deno.readFile(`${path}.again`),
          await Deno.readFile(`${path}.faiss`),
        );
      }
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  },
);
