import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { IndexAdditiveQuantizer } from "../lib/index/additive_quantizer.ts";
import { indexFactory } from "../lib/index/factory.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFAdditiveQuantizer } from "../lib/index/ivf_additive_quantizer.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { quicken } from "./additive.ts";
import { assertFinds, assertWithin, near, python } from "./faiss_peer.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

type Additive = IndexAdditiveQuantizer | IndexIVFAdditiveQuantizer;

const backends = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Squared L2 of each row and what it is decoded as. */
function errors(x: Float32Array, decoded: Float32Array, d: number): number[] {
  return Array.from({ length: x.length / d }, (_, row) => {
    let sum = 0;
    for (let i = row * d; i < (row + 1) * d; i++) sum += (x[i]! - decoded[i]!) ** 2;
    return sum;
  });
}

/**
 * Codes are FAISS's, but where single precision chose between sums that are as near: of few
 * rows, which are decoded about as well. Returns how many rows differ.
 */
async function assertEncodes(
  index: Additive,
  queries: Float32Array,
  path: string,
): Promise<number> {
  const codes = (await readNpy(`${path}.codes.npy`)).data as Uint8Array;
  const decoded = (await readNpy(`${path}.decoded.npy`)).data as Float32Array;
  const ours = await index.saEncode(queries);
  assert.equal(ours.length, codes.length, path);
  const again = await index.saDecode(codes);
  again.forEach((value, i) => assert(near(value, decoded[i]!, 1), `${path}: number ${i}`));
  const { d, saCodeSize } = index;
  const [a, b] = [errors(queries, await index.saDecode(ours), d), errors(queries, decoded, d)];
  let differing = 0;
  for (let row = 0; row < a.length; row++) {
    const own = ours.subarray(row * saCodeSize, (row + 1) * saCodeSize);
    const theirs = codes.subarray(row * saCodeSize, (row + 1) * saCodeSize);
    if (own.every((byte, i) => byte === theirs[i])) continue;
    // A norm's last bits go by the order of sums.
    if (near(a[row]!, b[row]!, b[row]!) && /_N(float|c?qint|lsq|rq)/.test(path)) continue;
    differing++;
  }
  const mean = (x: number[]) => x.reduce((sum, value) => sum + value, 0) / x.length;
  assert(mean(a) <= 1.02 * mean(b), `${path}: error ${mean(a)}, not ${mean(b)}`);
  return differing;
}

Deno.test("additive files written by faiss are read, and give its codes, labels and distances", async () => {
  const directory = await Deno.makeTempDir();
  await python("write_additive.py", directory);
  const names = (await Array.fromAsync(Deno.readDir(directory)))
    .flatMap(({ name }) => /^(\w+)\.faiss$/.exec(name)?.[1] ?? []);
  assert.equal(names.length, 2 * (4 * 9 * 2 + 5 + 3) + 1);
  for (const backend of backends) {
    let [rows, differing] = [0, 0];
    for (const [i, name] of names.sort().entries()) {
      // The reference takes its time, and is what the other is held against elsewhere.
      if (backend.name === "reference" && (i % 8 > 0 || name.includes("x8"))) continue;
      const path = `${directory}/${name}`;
      using index = await readIndex(`${path}.faiss`, { backend }) as Additive;
      assert(index instanceof IndexAdditiveQuantizer || index instanceof IndexIVFAdditiveQuantizer);
      const queries = (await readNpy(`${path}.npy`)).data as Float32Array;
      rows += queries.length / index.d;
      differing += await assertEncodes(index, queries, path);
      const terms = index.d * (name.startsWith("far") ? 2000 : 20);
      await assertFinds(index, queries, path, terms);
      if (await exists(`${path}.radius.npy`)) await assertWithin(index, queries, path, terms);
      assert.deepEqual(await serializeIndex(index), await Deno.readFile(`${path}.faiss`), name);
    }
    assert(differing <= 0.005 * rows, `${differing} of ${rows} rows differ`);
  }
  await Deno.remove(directory, { recursive: true });
});

const strings = [
  "RQ3x4",
  "RQ2x5_1x3_Nqint8",
  "LSQ2x4_Nfloat",
  "PRQ2x2x4_Ncqint4",
  "PLSQ2x2x3_Nnone",
  "IVF4,RQ3x4_Nrq2x4",
  "IVF4,LSQ2x4_Ncqint8",
  "IVF4,PRQ3x1x4_Nlsq2x4",
  "IVF4,PLSQ2x2x4_Nqint4",
  "IDMap2,RQ2x4_Nfloat",
];

for (const backend of backends) {
  Deno.test(`additive files written here are read by faiss [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    const d = 12;
    const [x, queries] = [normals(400, d, 1), normals(20, d, 2)];
    const indexes = new Map<string, Index>();
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const [i, description] of strings.entries()) {
        if (backend.name === "reference" && i % 2 === metric) continue;
        const index = indexFactory(d, description, metric, { backend });
        quicken(index);
        await index.train(x);
        if (description.startsWith("IDMap")) {
          await index.addWithIds(x, Array.from({ length: 400 }, (_, i) => 3 * i));
        } else {
          await index.add(x);
        }
        await index.removeIds((id) => id % 4n === 1n);
        indexes.set(`${metric}_${i}`, index);
      }
    }
    for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
    await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
    await python("read_ours.py", directory);
    for (const [name, index] of indexes) {
      const path = `${directory}/${name}`;
      await assertFinds(index, queries, path, d * 20);
      assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  });
}
