import assert from "node:assert/strict";
import type { HNSWOptions, ResidualLists } from "../lib/backend/backend.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import type { CodecSpec } from "../lib/codec/codec.ts";
import { FormatError } from "../lib/errors.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIVF } from "../lib/index/ivf.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { deserializeIndex, readIndex, serializeIndex, writeIndex } from "../lib/io/mod.ts";
import { Metric } from "../lib/metric.ts";
import { everyKind, ivf, numbers } from "./indexes.ts";

const backend = createReferenceBackend();
const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

Deno.test("readIndex() returns every kind of index that writeIndex() wrote", async () => {
  const query = numbers(6, 5);
  for (const [kind, index] of await everyKind(backend)) {
    const path = `${directory}/${kind}.faiss`;
    await writeIndex(index, path);
    const same = await readIndex(path, { backend });
    for (
      const name of ["constructor", "d", "metric", "metricArg", "ntotal", "isTrained"] as const
    ) {
      assert.equal(same[name], index[name], `${kind}: ${name}`);
    }
    if (index instanceof IndexIVF) {
      assert.equal((same as IndexIVF).nprobe, index.nprobe);
    }
    if (index.isTrained) {
      assert.deepEqual(await same.search(query, 5), await index.search(query, 5), kind);
    }
    assert.deepEqual(await serializeIndex(same), await Deno.readFile(path), kind);
    index.dispose();
    same.dispose();
  }
});

Deno.test("an index read from a file takes more vectors", async () => {
  using index = await ivf(backend, numbers(8), 2, 4);
  await index.add(numbers(8));
  using same = await deserializeIndex(await serializeIndex(index), { backend });
  await same.add([[9, 9]]);
  assert.deepEqual([same.ntotal, (await same.search([[9, 9]], 1)).labels[0]], [5, 4n]);
});

Deno.test("serializeIndex() lays bytes out as FAISS does", async () => {
  const x = numbers(12);
  using l2 = new IndexFlatL2(4, { backend });
  await l2.add(x);
  const bytes = await serializeIndex(l2);
  assert.equal(bytes.length, 45 + 48);
  assert.equal(new TextDecoder().decode(bytes.subarray(0, 4)), "IxF2");
  assert.deepEqual(new Float32Array(bytes.slice(45).buffer), x);

  using lp = new IndexFlat(4, Metric.Lp, { backend, metricArg: 3 });
  await lp.add(x);
  assert.equal((await serializeIndex(lp)).length, 49 + 48);
});

Deno.test("a cosine index is IxFl with metric 100", async () => {
  using index = new IndexFlat(4, Metric.Cosine, { backend });
  const view = new DataView((await serializeIndex(index)).buffer);
  assert.deepEqual([view.getUint32(0, true), view.getInt32(33, true)], [0x6c467849, 100]);
});

Deno.test("files of many chunks keep every row", async () => {
  const d = 2048;
  const x = numbers(2500 * d);
  using flat = new IndexFlatIP(d, { backend });
  await flat.add(x);
  await flat.save(`${directory}/large.faiss`);
  using same = await readIndex(`${directory}/large.faiss`, { backend });
  assert.deepEqual(same.reconstructN(0, 2500), x);

  // One list longer than a chunk, and short ones around it.
  using lists = await ivf(backend, numbers(3 * d, 9), d, 3);
  const assigned = BigInt64Array.from({ length: 2500 }, (_, i) => i < 5 ? 0n : i < 2490 ? 1n : 2n);
  const ids = BigInt64Array.from({ length: 2500 }, (_, i) => BigInt(i));
  await lists.store.add(x, assigned, ids);
  const whole = IndexIVFFlat.fromParts({
    ...{ quantizer: lists.quantizer, d, nlist: 3, metric: Metric.L2, metricArg: 0, nprobe: 3 },
    ...{ ntotal: 2500, isTrained: true, store: lists.store },
  });
  await writeIndex(whole, `${directory}/large.faiss`);
  using again = await readIndex(`${directory}/large.faiss`, { backend });
  assert.deepEqual(again.reconstructN(0, 2500), x);
});

Deno.test("writeIndex() leaves the original when it fails midway", async () => {
  const path = `${directory}/kept.faiss`;
  using index = new IndexFlatL2(2, { backend });
  await index.add(numbers(4));
  await writeIndex(index, path);
  const before = await Deno.readFile(path);
  using failing = new IndexFlatL2(2, { backend });
  await failing.add(numbers(40));
  failing.store.get = () => {
    throw new Error("the rows are gone");
  };
  await assert.rejects(writeIndex(failing, path), /the rows are gone/);
  assert.deepEqual(await Deno.readFile(path), before);
  for await (const { name } of Deno.readDir(directory)) assert(!name.endsWith(".tmp"), name);
});

Deno.test("writeIndex() waits for changes under way", async () => {
  using index = new IndexFlatL2(2, { backend });
  const added = index.add(numbers(4000));
  const bytes = serializeIndex(index);
  await added;
  assert.equal((await bytes).length, 45 + 4 * 4000);
});

Deno.test("readIndex() names the file, the byte and the kind that is missing", async () => {
  const path = `${directory}/pq.faiss`;
  const cases: [string, string][] = [
    ["IwEe", "at byte 0: IwEe (IndexIVFEDEN) is not available yet"],
    ["IHN2", "at byte 0: IHN2 (IndexHNSW) is not available yet"],
    ["IBxF", "at byte 0: IBxF is an index of bits: readIndexBinary reads it"],
    ["null", "at byte 0: null (no index) is not available yet"],
    ["what", 'at byte 0: "what" is no kind of index'],
    ["Ix", "at byte 0: the kind of index needs 4 bytes and 2 remain"],
  ];
  for (const [code, message] of cases) {
    await Deno.writeTextFile(path, code);
    await assert.rejects(readIndex(path, { backend }), (error) => {
      assert(error instanceof FormatError);
      assert.equal(error.path, path);
      assert.equal(error.message, `Cannot read "${path}": ${message}`);
      return true;
    });
  }
  await assert.rejects(deserializeIndex(new Uint8Array(), { backend }), {
    message: /^Cannot read the bytes: at byte 0: /,
  });
  await assert.rejects(readIndex(`${directory}/none`), Deno.errors.NotFound);
});

Deno.test("readIndex() names the row that holds no number", async () => {
  using index = new IndexFlatL2(2, { backend });
  await index.add(numbers(6));
  const bytes = await serializeIndex(index);
  new DataView(bytes.buffer).setFloat32(45 + 8 * 2 + 4, NaN, true);
  await assert.rejects(deserializeIndex(bytes, { backend }), /at byte 65: row 2 holds NaN$/);
});

Deno.test("stores are disposed of when reading fails", async () => {
  let open = 0;
  const count = <T extends Disposable>(store: T): T => {
    open++;
    const dispose = store[Symbol.dispose].bind(store);
    store[Symbol.dispose] = () => {
      open--;
      dispose();
    };
    return store;
  };
  const counting = Object.assign(Object.create(backend) as typeof backend, {
    createFlat: (d: number) => count(backend.createFlat(d)),
    createIVF: (d: number, nlist: number) => count(backend.createIVF(d, nlist)),
    createCodes: (spec: CodecSpec) => count(backend.createCodes(spec)),
    createCodeLists: (spec: CodecSpec, nlist: number, residual?: ResidualLists) =>
      count(backend.createCodeLists(spec, nlist, residual)),
    createHNSW: (options: HNSWOptions) => count(backend.createHNSW(options)),
  });
  for (const [kind, index] of await everyKind(backend)) {
    const bytes = await serializeIndex(index);
    for (let size = 0; size < bytes.length; size++) {
      await assert.rejects(deserializeIndex(bytes.subarray(0, size), { backend: counting }));
      assert.equal(open, 0, `${kind} cut to ${size} bytes`);
    }
    (await deserializeIndex(bytes, { backend: counting })).dispose();
    assert.equal(open, 0, kind);
    index.dispose();
  }
});
