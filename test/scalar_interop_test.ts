import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { QuantizerType } from "../lib/codec/quantizer_type.ts";
import { ScalarQuantizer } from "../lib/codec/scalar_quantizer.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "../lib/index/scalar_quantizer.ts";
import { readIndex, readNpy, serializeIndex, writeIndex, writeNpy } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { assertFinds, assertWithin, python } from "./faiss_peer.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const backends = isNative
  ? [createReferenceBackend(), createCpuBackend()]
  : [createReferenceBackend()];

async function floats(path: string): Promise<Float32Array> {
  return (await readNpy(path)).data as Float32Array;
}

/** What the sums of distances are made of: FAISS adds them up in single precision. */
function termsOf(x: Float32Array, d: number): number {
  return d * x.reduce((most, value) => Math.max(most, value * value), 0);
}

/** Codes are FAISS's, byte by byte; what they stand for differs by the rounding of two steps. */
async function assertEncodes(
  index: IndexScalarQuantizer | IndexIVFScalarQuantizer,
  queries: Float32Array,
  path: string,
): Promise<void> {
  const codes = (await readNpy(`${path}.codes.npy`)).data as Uint8Array;
  assert.deepEqual(await index.saEncode(queries), codes, path);
  const theirs = await floats(`${path}.decoded.npy`);
  const ours = await index.saDecode(codes);
  assert.equal(ours.length, theirs.length);
  const largest = queries.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  ours.forEach((value, i) => {
    assert(Math.abs(value - theirs[i]!) <= 5e-7 * largest, `${path}: ${value}, not ${theirs[i]}`);
  });
}

for (const backend of backends) {
  Deno.test(`scalar-quantized files written by faiss are read [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    await python("write_scalar.py", directory);
    const names = (await Array.fromAsync(Deno.readDir(directory)))
      .flatMap(({ name }) => /^(\w+_\w+)\.faiss$/.exec(name)?.[1] ?? []);
    assert.equal(names.length, 2 * (9 * 5 + 9 + 7 + 10) + 4 * 3);
    for (const name of names) {
      const path = `${directory}/${name}`;
      using index = await readIndex(`${path}.faiss`, { backend });
      assert(index instanceof IndexScalarQuantizer || index instanceof IndexIVFScalarQuantizer);
      const queries = await floats(`${path}.npy`);
      await assertEncodes(index, queries, path);
      const terms = termsOf(queries, index.d);
      await assertFinds(index, queries, path, terms);
      await assertWithin(index, queries, path, terms);
      assert.deepEqual(await serializeIndex(index), await Deno.readFile(`${path}.faiss`), name);
    }
    for (const name of ["untrained", "untrainedivf", "untrainedhalves"]) {
      using index = await readIndex(`${directory}/${name}.faiss`, { backend });
      assert.equal(index.isTrained, false);
      const bytes = await Deno.readFile(`${directory}/${name}.faiss`);
      assert.deepEqual(await serializeIndex(index), bytes, name);
    }
    await assert.rejects(
      readIndex(`${directory}/later.faiss`, { backend }),
      /a scalar quantizer of type 13 \(TurboQuant \(tqmse\)\) is not available yet/,
    );
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`scalar-quantized files written here are read by faiss [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    const d = 11;
    const queries = normals(20, d, 2);
    const integers = (x: Float32Array) => x.map((value) => Math.round(20 * value));
    const indexes = new Map<string, Index>();
    const add = async (name: string, index: Index, x: Float32Array) => {
      await index.train(x);
      await index.add(x);
      await index.removeIds((id) => id % 4n === 1n);
      indexes.set(name, index);
    };
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      for (const [kind, qtype] of Object.entries(QuantizerType)) {
        const x = kind.includes("Direct") ? integers(normals(400, d, 1)) : normals(400, d, 1);
        const flat = new IndexScalarQuantizer(d, qtype, metric, { backend });
        await add(`flat_${kind}_${metric}`, flat, x);
        const ivf = new IndexIVFScalarQuantizer(
          ...[new IndexFlat(d, metric, { backend }), d, 5, qtype, metric] as const,
          { byResidual: !kind.includes("Direct") },
        );
        ivf.ownFields = true;
        ivf.nprobe = 2;
        await add(`ivf_${kind}_${metric}`, ivf, x);
      }
    }
    const mapped = indexFactory(d, "IDMap2,IVF5,SQ6", Metric.L2, { backend });
    assert(mapped instanceof IndexIDMap2);
    await mapped.train(normals(400, d, 3));
    await mapped.addWithIds(normals(100, d, 4), Array.from({ length: 100 }, (_, i) => 7 * i));
    indexes.set("mapped", mapped);
    for (const [name, index] of indexes) await writeIndex(index, `${directory}/${name}.faiss`);
    await writeNpy(`${directory}/queries.npy`, queries, [20, d]);
    await python("read_ours.py", directory);
    for (const [name, index] of indexes) {
      const path = `${directory}/${name}`;
      await assertFinds(index, queries, path, name.includes("Direct") ? d * 60 ** 2 : d);
      assert.deepEqual(await Deno.readFile(`${path}.again`), await Deno.readFile(`${path}.faiss`));
      index.dispose();
    }
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`training finds the ranges that faiss finds [${backend.name}]`, async () => {
    const directory = await Deno.makeTempDir();
    await python("write_scalar.py", directory);
    const names = (await Array.fromAsync(Deno.readDir(directory)))
      .flatMap(({ name }) => /^((?:flat|range)_\w+)\.faiss$/.exec(name)?.[1] ?? []);
    assert.equal(names.length, 2 * 9 * 5 + 4 * 3);
    for (const name of names) {
      const path = `${directory}/${name}`;
      using theirs = await readIndex(`${path}.faiss`, { backend });
      const { d, sq } = theirs as IndexScalarQuantizer;
      const { qtype, rangeStat, rangeStatArg } = sq;
      using ours = new ScalarQuantizer(d, qtype, { backend, rangeStat, rangeStatArg });
      const x = await floats(`${path}.train.npy`);
      await ours.train(x);
      const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      // FAISS adds up in single precision while it looks for the range with the least error.
      const tolerance = name.includes("optim") ? 2e-3 : 1e-5;
      ours.trained.forEach((value, i) => {
        const error = Math.abs(value - sq.trained[i]!);
        assert(error <= tolerance * largest, `${name}: number ${i} is ${value}, ${sq.trained[i]}`);
      });
    }
    await Deno.remove(directory, { recursive: true });
  });
}
