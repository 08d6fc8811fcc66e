import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { IndexFlat, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap, IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { Metric } from "../lib/metric.ts";
import { testEach } from "./grid.ts";

function flat(backend: Backend): IndexFlat {
  return new IndexFlatL2(1, { backend });
}

testEach("IndexIDMap returns the ids given, repeated and beyond 2^53 too", async (backend) => {
  using index = new IndexIDMap(flat(backend));
  await index.addWithIds([1, 2, 3], [7, 2n ** 63n - 1n, 7]);
  const { labels } = await index.search([0], 4);
  assert.deepEqual([...labels], [7n, 2n ** 63n - 1n, 7n, -1n]);
  assert.deepEqual([...index.idMap], [7n, 2n ** 63n - 1n, 7n]);
});

testEach("IndexIDMap returns ties in order of arrival", async (backend) => {
  using index = new IndexIDMap(flat(backend));
  await index.addWithIds([5, 5, 5], [30, 10, 20]);
  assert.deepEqual([...(await index.search([5], 2)).labels], [30n, 10n]);
});

testEach(
  "IndexIDMap cannot add without ids, IndexIDMap2 can reconstruct and it cannot",
  async (backend) => {
    using map = new IndexIDMap(flat(backend));
    using map2 = new IndexIDMap2(flat(backend));
    const unsupported = (message: RegExp) => ({ name: "UnsupportedError", message });
    await assert.rejects(map.add([1]), unsupported(/addWithIds/));
    await assert.rejects(map2.add([1]), unsupported(/addWithIds/));
    await map.addWithIds([1], [5]);
    await map2.addWithIds([1, 2, 3], [5, 6, 5]);
    assert.throws(() => map.reconstruct(5), unsupported(/IndexIDMap2/));
    assert.deepEqual([...map2.reconstruct(6)], [2]);
    assert.throws(() => map2.reconstruct(1), { name: "RangeError", message: /id 1 / });
  },
);

testEach(
  "IndexIDMap2.reconstruct() finds the last of a repeated id, after changes too",
  async (backend) => {
    using index = new IndexIDMap2(flat(backend));
    await index.addWithIds([1, 2, 3], [5, 6, 5]);
    assert.deepEqual([...index.reconstruct(5)], [3]);
    await index.addWithIds([4], [6]);
    assert.deepEqual([...index.reconstructBatch([6, 5])], [4, 3]);
    await index.removeIds([5]);
    assert.deepEqual([...index.reconstruct(6)], [4]);
    assert.throws(() => index.reconstruct(5), RangeError);
    using other = new IndexIDMap2(flat(backend));
    await other.addWithIds([9], [5]);
    assert.deepEqual([...other.reconstruct(5)], [9]);
    await index.mergeFrom(other, 1);
    assert.deepEqual([...index.reconstruct(6)], [9]);
    assert.throws(() => other.reconstruct(5), { name: "RangeError", message: /id 5 / });
    await index.reset();
    assert.throws(() => index.reconstruct(6), RangeError);
  },
);

testEach("IndexIDMap keeps vectors and ids in step when an add fails", async (backend) => {
  using index = new IndexIDMap2(flat(backend));
  await index.addWithIds([1], [10]);
  await assert.rejects(index.addWithIds([2, NaN], [20, 21]), {
    name: "RangeError",
    message: /row 1/,
  });
  await index.addWithIds([3], [30]);
  assert.deepEqual([...index.idMap], [10n, 30n]);
  assert.deepEqual((await index.search([2.9], 3)).row(0).map(({ id }) => id), [30, 10]);
  assert.deepEqual([...index.reconstruct(30)], [3]);
});

testEach("IndexIDMap.removeIds() removes every vector of a repeated id", async (backend) => {
  using index = new IndexIDMap(flat(backend));
  await index.addWithIds([1, 2, 3, 4], [5, 6, 5, 7]);
  assert.equal(await index.removeIds([5, 99]), 2);
  assert.deepEqual([...index.idMap], [6n, 7n]);
  assert.deepEqual((await index.search([1], 4)).row(0).map(({ id }) => id), [6, 7]);
});

testEach("IndexIDMap wraps an index that holds vectors only with their ids", async (backend) => {
  const inner = flat(backend);
  await inner.add([1, 2]);
  assert.throws(() => new IndexIDMap(inner), { name: "RangeError", message: /2 vectors.*0 ids/ });
  using index = IndexIDMap2.fromParts(inner, BigInt64Array.of(8n, 9n));
  assert.ok(index instanceof IndexIDMap2);
  assert.deepEqual([...index.reconstruct(9)], [2]);
  await index.addWithIds([3], [10]);
  assert.deepEqual([...index.idMap], [8n, 9n, 10n]);
  assert.throws(() => new IndexIDMap(index), { name: "TypeError", message: /already has ids/ });
});

testEach("IndexIDMap trains what it wraps", async (backend) => {
  const quantizer = new IndexFlat(1, Metric.L2, { backend });
  const ivf = new IndexIVFFlat(quantizer, 1, 2);
  ivf.cp.minPointsPerCentroid = 1;
  using index = new IndexIDMap(ivf);
  assert.equal(index.isTrained, false);
  await assert.rejects(index.addWithIds([1], [1]), { name: "NotTrainedError" });
  await assert.rejects(index.search([1], 1), { name: "NotTrainedError" });
  await index.train([0, 1, 10, 11]);
  assert.deepEqual([index.isTrained, ivf.isTrained], [true, true]);
  await index.addWithIds([0, 10], [100, 200]);
  const found = await index.search([4], 2, { nprobe: 2 });
  assert.deepEqual([...found.labels], [100n, 200n]);
  assert.deepEqual([...(await index.search([4], 2)).labels], [100n, -1n]);
});

testEach("IndexIDMap disposes of what it wraps only if it owns it", (backend) => {
  const inner = flat(backend);
  new IndexIDMap(inner).dispose();
  assert.equal(inner.ntotal, 0);
  const owner = new IndexIDMap(inner);
  owner.ownFields = true;
  owner.dispose();
  assert.throws(() => inner.searchSync([0], 1), { name: "DisposedError" });
});
