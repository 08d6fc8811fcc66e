import assert from "node:assert/strict";
import { indexFactory, reverseIndexFactory } from "../lib/index/factory.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap } from "../lib/index/id_map.ts";
import { IndexPreTransform } from "../lib/index/pre_transform.ts";
import { IndexRefine } from "../lib/index/refine.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { CenteringTransform } from "../lib/transform/elementwise.ts";
import { ITQMatrix } from "../lib/transform/itq.ts";
import { OPQMatrix } from "../lib/transform/opq.ts";
import { PCAMatrix } from "../lib/transform/pca_matrix.ts";
import { assertFinds, assertWithin, python } from "./interop_files.ts";

const D = 16;
// Both sum products of transforms in single precision.
const tolerance = { relative: 2e-5, absolute: 2e-5 };
const directory = await Deno.makeTempDir();
await python("write_transforms.py", directory);
const x = (await readNpy(`${directory}/x.npy`)).data as Float32Array;
const queries = (await readNpy(`${directory}/queries.npy`)).data as Float32Array;
const names = (await Array.fromAsync(Deno.readDir(directory)))
  .flatMap(({ name }) => /^(\w+)\.faiss$/.exec(name)?.[1] ?? []).sort();
const strings = new Map<string, string>();
for (const name of names) {
  const text = await Deno.readTextFile(`${directory}/${name}.txt`).catch(() => undefined);
  if (text !== undefined) strings.set(name, text);
}
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

/** FAISS's metric of a file, by its name. */
function metricOf(name: string): Metric {
  return name.endsWith("IP") ? Metric.InnerProduct : Metric.L2;
}

Deno.test("files with transforms written by faiss are read, and give its labels and distances", async () => {
  assert(names.length > 60);
  for (const name of names) {
    const path = `${directory}/${name}`;
    using index = await readIndex(`${path}.faiss`);
    await assertFinds(index, queries, path, tolerance);
    const bytes = await serializeIndex(index);
    // Ours repeats the p of Lp.
    if (name !== "lp") assert.deepEqual(bytes, await Deno.readFile(`${path}.faiss`), name);
    if (index instanceof IndexRefine && index.metric === Metric.InnerProduct) index.kFactor = 1;
    await assertWithin(index, queries, path, tolerance);
  }
});

Deno.test("indexFactory() makes what faiss makes, byte by byte", async () => {
  assert.equal(strings.size, 70);
  for (const [name, string] of strings) {
    using index = indexFactory(D, string, metricOf(name));
    const theirs = await Deno.readFile(`${directory}/${name}.untrained`);
    assert.deepEqual(await serializeIndex(index), theirs, string);
    const reversed = string.replace("Refine(Flat)", "RFlat");
    assert.equal(reverseIndexFactory(index), reversed);
    using copy = await readIndex(`${directory}/${name}.untrained`);
    assert.equal(copy.isTrained, index.isTrained);
  }
});

Deno.test("training gives what faiss's training gives, where it does not depend on chance", async () => {
  let compared = 0;
  for (const [name, string] of strings) {
    if (/ITQ|OPQ|IVF|IDMap|SQ/.test(string)) continue;
    using index = indexFactory(D, string, metricOf(name));
    await index.train(x);
    await index.add(x);
    // Sums of squares of whitened components are of the size of those of all vectors.
    await assertFinds(index, queries, `${directory}/${name}`, { relative: 2e-4, absolute: 2e-4 });
    compared++;
  }
  assert(compared >= 34);
});

Deno.test("reconstruct() reverses what faiss's transforms can reverse", async () => {
  for (const [name, string] of strings) {
    if (metricOf(name) !== Metric.L2 || !/^(PCAR?8|RR|HR|OPQ4|OPQ4_8|Pad20),Flat$/.test(string)) {
      continue;
    }
    using index = await readIndex(`${directory}/${name}.faiss`);
    const rows = index.reconstructN(0, 50);
    const isWhole = !/8/.test(string);
    const off = rows.map((value, i) => Math.abs(value - x[i]!));
    if (isWhole) assert(Math.max(...off) < 1e-5, string);
    const found = await index.searchAndReconstruct(queries.subarray(0, D), 3);
    found.labels.forEach((label, i) => {
      const row = index.reconstruct(label);
      row.forEach((value, j) => assert(Math.abs(value - found.vectors[i * D + j]!) < 1e-5, string));
    });
  }
});

Deno.test("files with transforms written here are read by faiss, and give our results", async () => {
  const ours = `${directory}/ours`;
  await Deno.mkdir(ours);
  await writeNpy(`${ours}/x.npy`, x, [x.length / D, D]);
  await writeNpy(`${ours}/queries.npy`, queries, [queries.length / D, D]);
  const opq = new OPQMatrix(D, 4);
  opq.niter = 10;
  const made = new Map([
    ["opq", new IndexPreTransform(opq, new IndexFlatL2(D))],
    ["itq", new IndexPreTransform(new ITQMatrix(D), new IndexFlatL2(D))],
    ["centering", new IndexPreTransform(new CenteringTransform(D), new IndexFlatL2(D))],
    [
      "bins",
      new IndexPreTransform(new PCAMatrix(D, 8, { balancedBins: 4 }), new IndexFlatL2(8)),
    ],
  ].map(([name, index]) => [name as string, index as IndexPreTransform]));
  const indexes = new Map<string, ReturnType<typeof indexFactory>>(made);
  for (const index of made.values()) index.ownFields = true;
  for (const [name, string] of strings) {
    if (!/OPQ/.test(string)) indexes.set(name, indexFactory(D, string, metricOf(name)));
  }
  for (const [name, index] of indexes) {
    await index.train(x);
    if (index instanceof IndexIDMap) {
      await index.addWithIds(x, Array.from({ length: x.length / D }, (_, i) => 7 * i + 1));
      await index.removeIds([8, 15]);
    } else {
      await index.add(x);
    }
    if (index instanceof IndexRefine) {
      index.kFactor = 2;
      await index.removeIds([3, 5]);
    }
    await writeIndex(index, `${ours}/${name}.faiss`);
  }
  await python("read_transforms.py", ours);
  for (const [name, index] of indexes) {
    const path = `${ours}/${name}`;
    await assertFinds(index, queries, path, tolerance);
    assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
    index.dispose();
  }
  // With a rotation of ours a quantizer loses no more than with faiss's, and less than without.
  const [lost, theirs, unrotated] = (await readNpy(`${ours}/loss.npy`)).data as Float64Array;
  assert(lost! < 1.05 * theirs! && lost! < 0.95 * unrotated!, `${lost}, ${theirs}, ${unrotated}`);
  const [signs, faissSigns] = (await readNpy(`${ours}/signs.npy`)).data as Float64Array;
  assert(signs! <= faissSigns!, `${signs}, not ${faissSigns}`);
});
