import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { Metric } from "../lib/metric.ts";
import { gaussian } from "../lib/profile/datasets.ts";
import { integers, normals, testEach } from "./grid.ts";
import { isNative } from "./native.ts";

testEach("IndexFlatL2 and IndexFlatIP have their metric", (backend) => {
  using l2 = new IndexFlatL2(3, { backend });
  using ip = new IndexFlatIP(3, { backend });
  assert.deepEqual([l2.metric, ip.metric], [Metric.L2, Metric.InnerProduct]);
  assert.deepEqual([l2.isTrained, l2.ntotal, l2.d], [true, 0, 3]);
});

testEach("IndexFlat refuses a d that is no integer from 1 to 2^20", (backend) => {
  for (const d of [0, -1, 1.5, NaN, 2 ** 20 + 1]) {
    assert.throws(() => new IndexFlat(d, Metric.L2, { backend }), {
      name: "RangeError",
      message: /d /,
    });
  }
});

testEach("IndexFlat.reconstruct() gives back the very numbers added", async (backend) => {
  using index = new IndexFlatL2(3, { backend });
  const x = normals(10, 3, 1);
  await index.add(x);
  assert.deepEqual(index.reconstruct(4), x.slice(12, 15));
  assert.deepEqual(index.reconstruct(9n), x.slice(27, 30));
  assert.deepEqual(index.reconstructN(2, 5), x.slice(6, 21));
  assert.deepEqual(index.reconstructN(10, 0), new Float32Array(0));
  assert.deepEqual(
    index.reconstructBatch([7, 0, 7]),
    Float32Array.of(...x.slice(21, 24), ...x.slice(0, 3), ...x.slice(21, 24)),
  );
});

testEach("IndexFlat.reconstruct() refuses ids that are not there", async (backend) => {
  using index = new IndexFlatL2(3, { backend });
  await index.add(normals(10, 3, 1));
  for (const id of [10, -1, 2 ** 40, 0.5]) {
    assert.throws(() => index.reconstruct(id), RangeError);
  }
  assert.throws(() => index.reconstructN(8, 3), { name: "RangeError", message: /id 10/ });
  assert.throws(() => index.reconstructN(0, -1), { name: "RangeError", message: /n -1/ });
  assert.throws(() => index.reconstructN(0, 1e9), { name: "RangeError", message: /n 1000000000/ });
});

testEach("IndexFlat.removeIds() moves later ids down", async (backend) => {
  using index = new IndexFlatL2(1, { backend });
  await index.add([0, 10, 20, 30]);
  assert.equal(await index.removeIds([1, 1, 99]), 1);
  assert.deepEqual([...index.reconstructN(0, 3)], [0, 20, 30]);
  assert.deepEqual((await index.search([20], 1)).row(0), [{ id: 1, distance: 0 }]);
});

testEach("IndexFlat.mergeFrom() takes no addId: ids are positions", async (backend) => {
  using a = new IndexFlatL2(1, { backend });
  using b = new IndexFlatL2(1, { backend });
  await a.add([1]);
  await b.add([2]);
  await assert.rejects(a.mergeFrom(b, 5), { name: "UnsupportedError", message: /addId/ });
  assert.deepEqual([a.ntotal, b.ntotal], [1, 1]);
});

testEach("IndexFlat.mergeFrom() crosswise at once does not hang", async (backend) => {
  using a = new IndexFlatL2(1, { backend });
  using b = new IndexFlatL2(1, { backend });
  await a.add([1]);
  await b.add([2, 3]);
  await Promise.all([a.mergeFrom(b), b.mergeFrom(a)]);
  assert.deepEqual([a.ntotal, b.ntotal], [0, 3]);
});

testEach(
  "IndexFlat keeps the digits of near-duplicates and of data far from 0",
  async (backend) => {
    const d = 32;
    for (const offset of [0, 100, 1e4]) {
      const x = normals(50, d, 5).map((value) => value * 1e-3 + offset);
      using index = new IndexFlatL2(d, { backend });
      await index.add(x);
      const found = await index.search(x, 5);
      for (let q = 0; q < 50; q++) {
        assert.equal(found.distances[q * 5], 0);
        for (const { id, distance } of found.row(q)) {
          let exact = 0;
          for (let c = 0; c < d; c++) exact += (x[q * d + c]! - x[id * d + c]!) ** 2;
          assert.ok(Math.abs(distance - exact) <= 1e-5 * exact, `${distance}, not ${exact}`);
        }
      }
    }
  },
);

testEach("IndexFlat returns equal vectors in order of id, at every k", async (backend) => {
  using index = new IndexFlatL2(4, { backend });
  const row = integers(1, 4, 9);
  await index.add(Array.from({ length: 70 }, () => row));
  for (const k of [1, 2, 33, 70]) {
    const { labels } = await index.search(row, k);
    assert.deepEqual([...labels], Array.from({ length: k }, (_, i) => BigInt(i)));
  }
});

testEach(
  "IndexFlat takes every type of array, and the vectors are the caller's to change",
  async (backend) => {
    using index = new IndexFlatL2(2, { backend });
    const x = Float32Array.of(1, 2);
    await index.add(x);
    x.fill(9);
    await index.add(Uint8Array.of(3, 4));
    await index.add(Float16Array.of(0.5, -0.5));
    await index.add([[5, 6], [7, 8]]);
    assert.deepEqual([...index.reconstructN(0, 5)], [1, 2, 3, 4, 0.5, -0.5, 5, 6, 7, 8]);
  },
);

testEach("IndexFlat.train() changes nothing", async (backend) => {
  using index = new IndexFlatL2(2, { backend });
  await index.train([[1, 2]]);
  assert.equal(index.ntotal, 0);
});

testEach("an aborted long search stops and the index works on", async (backend) => {
  const d = 64;
  using index = new IndexFlat(d, Metric.JensenShannon, { backend });
  const x = normals(20_000, d, 3).map(Math.abs);
  await index.add(x);
  const controller = new AbortController();
  const search = index.search(x, 1, { signal: controller.signal });
  const outcome = assert.rejects(search, { name: "AbortError" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  controller.abort();
  await outcome;
  assert.equal((await index.search(x.subarray(0, d), 1)).labels[0], 0n);
});

Deno.test("IndexFlat without a backend takes the selected one", async () => {
  const { backend } = await import("../lib/backend/select.ts");
  using index = new IndexFlatL2(2);
  assert.equal(index.backend, backend());
});

Deno.test(
  "batches on many threads find what single queries find",
  { ignore: !isNative },
  async () => {
    const [n, d, nq, k] = [22_000, 96, 1000, 5];
    const rows = gaussian(n + nq, d, 9);
    const queries = rows.subarray(n * d);
    for (const metric of [Metric.L2, Metric.InnerProduct]) {
      using index = new IndexFlat(d, metric, { backend: createCpuBackend() });
      await index.add(rows.subarray(0, n * d));
      const alone = Array.from({ length: nq }, (_, i) => {
        return [...index.searchSync(queries.subarray(i * d, (i + 1) * d), k).labels];
      });
      // What threads do to each other shows in some runs only.
      for (let run = 0; run < 10; run++) {
        assert.deepEqual([...(await index.search(queries, k)).labels], alone.flat());
      }
    }
  },
);
