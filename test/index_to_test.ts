import assert from "node:assert/strict";
import { UnsupportedError } from "../lib/errors.ts";
import { indexFactory } from "../lib/index/factory.ts";
import { IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { Index } from "../lib/index/index.ts";
import { IndexIVF } from "../lib/index/ivf.ts";
import { Metric } from "../lib/metric.ts";
import { useBackend } from "../lib/backend/select.ts";
import { backends, filled, integers, kinds, normals, plain, testEach } from "./grid.ts";
import { everyKind, isThere, numbers } from "./indexes.ts";

testEach("to() gives an index that finds the same on every backend", async (backend) => {
  const [n, d] = [40, 5];
  const x = integers(n, d, 1);
  const queries = integers(4, d, 2);
  for (const kind of kinds) {
    using index = await filled(kind, backend, d, Metric.L2, x);
    const expected = plain(await index.search(queries, 6));
    for (const other of backends()) {
      using copy = await index.to(other);
      assert.equal(copy.constructor, index.constructor);
      assert.equal(copy.backend, other);
      assert.deepEqual([copy.ntotal, copy.d, copy.metric], [n, d, Metric.L2]);
      assert.deepEqual(plain(await copy.search(queries, 6)), expected, kind.name);
      assert.equal(copy.lastRun?.backend, other.name);
      // Neither knows of the other's changes.
      if (kind.takesIds) await copy.addWithIds(x, Array.from({ length: n }, (_, i) => i + 1000));
      else await copy.add(x);
      assert.deepEqual([copy.ntotal, index.ntotal], [2 * n, n]);
      await index.removeIds([]);
      assert.equal(await copy.removeIds(() => true), 2 * n);
      assert.deepEqual(plain(await index.search(queries, 6)), expected);
    }
  }
});

testEach("to() keeps what files keep, of every kind of index", async (backend) => {
  for (const [name, index] of await everyKind(backend)) {
    for (const other of backends()) {
      if (!isThere(name, other)) {
        await assert.rejects(index.to(other), { name: "UnsupportedError", message: /gpu/i }, name);
        continue;
      }
      using copy = await index.to(other);
      using back = await copy.to(backend);
      for (const made of [copy, back]) {
        const { ntotal, isTrained, metricArg } = made;
        assert.deepEqual(
          [ntotal, isTrained, metricArg],
          [index.ntotal, index.isTrained, index.metricArg],
          name,
        );
        assert.equal(made.memoryUsage(), index.memoryUsage());
        if (made instanceof IndexIVF && index instanceof IndexIVF) {
          const { nprobe, nlist, cp, ownFields } = made;
          assert.deepEqual([nprobe, nlist, cp], [index.nprobe, index.nlist, index.cp]);
          assert.equal(ownFields, true);
        }
      }
    }
    index.dispose();
  }
});

testEach("to() keeps the class of a flat index, and its vectors", async (backend) => {
  const x = normals(9, 3, 4);
  for (const Kind of [IndexFlatL2, IndexFlatIP]) {
    using index = new Kind(3, { backend });
    await index.add(x);
    using copy: IndexFlatL2 | IndexFlatIP = await index.to("reference");
    assert.ok(copy instanceof Kind);
    assert.deepEqual(copy.reconstructN(0, 9), x);
  }
});

testEach("to() refuses an unknown backend and a disposed index", async (backend) => {
  const index = new IndexFlatL2(3, { backend });
  await assert.rejects(index.to("tpu" as "gpu"), { name: "RangeError", message: /tpu/ });
  index.dispose();
  await assert.rejects(index.to("reference"), { name: "DisposedError" });
});

Deno.test("to() of an index of your own says that it cannot", async () => {
  class Own extends IndexFlatL2 {
    protected override doCopy(): Promise<Index> {
      return Index.prototype["doCopy"].call(this, this.backend);
    }
  }
  using index = new Own(2, { backend: backends()[0] });
  await assert.rejects(index.to("reference"), { name: "UnsupportedError", message: /Own/ });
});

Deno.test("useBackend() refuses a name that is no backend's", () => {
  assert.throws(() => useBackend("tpu" as "gpu"), { name: "RangeError", message: /gpu, cpu/ });
});

testEach("to() gives transforms that do all that the first ones do", async (backend) => {
  const d = 8;
  const x = numbers(300 * d);
  for (const chain of ["PCA4", "PCAWR8", "OPQ2", "RR6", "ITQ", "ITQ4", "HR", "L2norm,RR"]) {
    // Its training makes codes.
    if (chain === "OPQ2" && backend.name === "gpu") continue;
    using index = indexFactory(d, `${chain},Flat`, Metric.L2, { backend });
    using before = await index.to("reference");
    await before.train(x);
    await index.train(x);
    await index.add(x);
    using copy = await index.to("reference");
    const [found, wanted] = [copy, index].map((made) => made.searchSync(x.subarray(0, d), 3));
    assert.deepEqual(found!.labels, wanted!.labels, chain);
    const attempts = [copy, index].map((made) => {
      try {
        return made.reconstruct(3);
      } catch (error) {
        assert(error instanceof UnsupportedError, chain);
        return error.message;
      }
    });
    assert.deepEqual(attempts[0], attempts[1], chain);
  }
});
