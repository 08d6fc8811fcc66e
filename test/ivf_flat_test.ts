import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { Metric } from "../lib/metric.ts";
import { bruteForce, integers, normals, plain, testEach } from "./grid.ts";

function make(
  backend: Backend,
  d: number,
  nlist: number,
  metric: Metric = Metric.L2,
): IndexIVFFlat {
  const index = new IndexIVFFlat(new IndexFlat(d, metric, { backend }), d, nlist, metric);
  index.ownFields = true;
  index.cp.minPointsPerCentroid = 1;
  return index;
}

/** Four lists around 0, 100, 200 and 300. */
async function lines(backend: Backend): Promise<IndexIVFFlat> {
  const quantizer = new IndexFlat(1, Metric.L2, { backend });
  await quantizer.add([0, 100, 200, 300]);
  const index = new IndexIVFFlat(quantizer, 1, 4);
  index.ownFields = true;
  return index;
}

testEach("IndexIVFFlat has faiss's defaults", (backend) => {
  using index = make(backend, 4, 8);
  assert.deepEqual([index.nprobe, index.cp.niter, index.cp.spherical], [1, 10, false]);
  assert.equal(make(backend, 4, 8, Metric.InnerProduct).cp.spherical, true);
  assert.equal(make(backend, 4, 8, Metric.Cosine).cp.spherical, true);
  assert.equal(index.isTrained, false);
});

testEach("IndexIVFFlat refuses a bad nlist and a quantizer of another d", (backend) => {
  for (const nlist of [0, -1, 1.5, NaN]) {
    assert.throws(() => make(backend, 4, nlist), { name: "RangeError", message: /nlist/ });
  }
  const quantizer = new IndexFlat(3, Metric.L2, { backend });
  assert.throws(() => new IndexIVFFlat(quantizer, 4, 2), {
    name: "TypeError",
    message: /quantizer/,
  });
});

testEach("IndexIVFFlat before train() is a NotTrainedError", async (backend) => {
  using index = make(backend, 2, 2);
  const x = integers(4, 2, 1);
  const untrained = { name: "NotTrainedError", message: /train\(\)/ };
  await assert.rejects(index.add(x), untrained);
  await assert.rejects(index.addWithIds(x, [1, 2, 3, 4]), untrained);
  await assert.rejects(index.search(x, 1), untrained);
  await assert.rejects(index.rangeSearch(x, 1), untrained);
  await assert.rejects(index.searchAndReconstruct(x, 1), untrained);
  assert.throws(() => index.searchSync(x, 1), untrained);
  assert.equal(index.ntotal, 0);
});

testEach(
  "IndexIVFFlat.train() refuses too few or bad vectors, and stays untrained",
  async (backend) => {
    using index = make(backend, 2, 5);
    await assert.rejects(index.train(integers(4, 2, 1)), { name: "RangeError", message: /k 5/ });
    const bad = integers(20, 2, 1);
    bad[7] = NaN;
    await assert.rejects(index.train(bad), { name: "RangeError", message: /row 3 .*column 1/ });
    await assert.rejects(index.train(new Float32Array(0)), {
      name: "TypeError",
      message: /x.*empty/,
    });
    assert.deepEqual([index.isTrained, index.quantizer.ntotal], [false, 0]);
    await index.train(integers(20, 2, 1));
    assert.equal(index.isTrained, true);
  },
);

testEach("IndexIVFFlat.train() aborted leaves the index untrained and usable", async (backend) => {
  using index = make(backend, 8, 16);
  const x = normals(600, 8, 2);
  const controller = new AbortController();
  let seen = 0;
  const onProgress = () => {
    if (++seen === 2) controller.abort();
  };
  const training = index.train(x, { signal: controller.signal, onProgress });
  await assert.rejects(training, { name: "AbortError" });
  assert.deepEqual([seen, index.isTrained, index.quantizer.ntotal], [2, false, 0]);
  await index.train(x, { onProgress });
  assert.equal(index.isTrained, true);
  assert.equal(seen, 12);
});

testEach("IndexIVFFlat.train() a second time keeps the centroids", async (backend) => {
  using index = make(backend, 4, 4);
  await index.train(normals(100, 4, 2));
  const before = index.quantizer.reconstructN(0, 4);
  await index.train(normals(100, 4, 3));
  assert.deepEqual(index.quantizer.reconstructN(0, 4), before);
});

testEach("IndexIVFFlat with a quantizer that holds the centroids is trained", async (backend) => {
  using index = await lines(backend);
  assert.equal(index.isTrained, true);
});

testEach("IndexIVFFlat looks at the nprobe nearest lists and no others", async (backend) => {
  using index = await lines(backend);
  await index.add([1, 99, 101, 201, 303, 297]);
  const near = async (nprobe: number) =>
    [...(await index.search([149], 6, { nprobe })).labels].filter((id) => id >= 0n);
  assert.deepEqual(await near(1), [2n, 1n]);
  assert.deepEqual(await near(2), [2n, 1n, 3n]);
  assert.deepEqual(await near(3), [2n, 1n, 3n, 0n]);
  assert.deepEqual(await near(4), [2n, 1n, 3n, 0n, 5n, 4n]);
  assert.deepEqual([...(await index.search([149], 3)).labels], [2n, 1n, -1n]);
  assert.deepEqual([...index.searchSync([149], 3, { nprobe: 2 }).labels], [2n, 1n, 3n]);
  assert.deepEqual([...(await index.rangeSearch([149], 1e9, { nprobe: 2 })).labels], [1n, 2n, 3n]);
  assert.equal((await index.search([149], 1)).run.scanned, 2);
  index.nprobe = 4;
  assert.equal((await index.search([149], 1)).run.scanned, 6);
});

testEach("IndexIVFFlat refuses an nprobe that is no integer from 1 to nlist", async (backend) => {
  using index = await lines(backend);
  await index.add([1]);
  for (const nprobe of [0, -1, 5, 1.5, NaN]) {
    const bad = { name: "RangeError", message: /nprobe/ };
    await assert.rejects(index.search([1], 1, { nprobe }), bad);
    await assert.rejects(index.rangeSearch([1], 1, { nprobe }), bad);
    assert.throws(() => index.searchSync([1], 1, { nprobe }), bad);
  }
  index.nprobe = 9;
  await assert.rejects(index.search([1], 1), { name: "RangeError", message: /nprobe 9/ });
});

testEach("IndexIVFFlat at nprobe = nlist finds what IndexFlat finds", async (backend) => {
  for (const metric of [Metric.L2, Metric.InnerProduct, Metric.L1, Metric.Cosine]) {
    const x = normals(300, 6, 7);
    const queries = normals(20, 6, 8);
    using index = make(backend, 6, 10, metric);
    using flat = new IndexFlat(6, metric, { backend });
    await index.train(x);
    await index.add(x);
    await flat.add(x);
    assert.deepEqual(
      plain(await index.search(queries, 9, { nprobe: 10 })),
      plain(await flat.search(queries, 9)),
    );
  }
});

testEach("IndexIVFFlat passes quantizerParams to its quantizer", async (backend) => {
  using index = await lines(backend);
  await index.add([1, 99, 101, 201]);
  const found = await index.search([99], 4, { quantizerParams: { filter: [2, 3] } });
  assert.deepEqual([...found.labels], [3n, -1n, -1n, -1n]);
  const sync = index.searchSync([99], 1, { quantizerParams: { filter: [0] } });
  assert.deepEqual([...sync.labels], [0n]);
});

testEach(
  "IndexIVFFlat numbers added vectors from ntotal and keeps ids of others",
  async (backend) => {
    using index = await lines(backend);
    await index.addWithIds([5, 105], [70, 70]);
    await index.add([205, 305]);
    index.nprobe = 4;
    assert.deepEqual([...(await index.search([5], 4)).labels], [70n, 70n, 2n, 3n]);
    assert.equal(await index.removeIds([70]), 2);
    assert.equal(index.ntotal, 2);
    // As in faiss: the next number is ntotal, though 2 is taken.
    await index.add([6]);
    assert.deepEqual([...(await index.search([6], 3)).labels], [2n, 2n, 3n]);
  },
);

testEach("IndexIVFFlat.reconstruct() finds vectors by id", async (backend) => {
  using index = await lines(backend);
  await index.addWithIds([5, 105, 205], [9, 2n ** 62n, 8]);
  assert.deepEqual([...index.reconstruct(2n ** 62n)], [105]);
  assert.deepEqual([...index.reconstructN(8, 2)], [205, 5]);
  assert.deepEqual([...index.reconstructBatch([9, 9])], [5, 5]);
  assert.throws(() => index.reconstruct(7), { name: "RangeError", message: /id 7/ });
  assert.throws(() => index.reconstructN(8, 3), { name: "RangeError", message: /id 10/ });
});

testEach(
  "IndexIVFFlat.mergeFrom() refuses other centroids and untrained indexes",
  async (backend) => {
    using a = await lines(backend);
    const quantizer = new IndexFlat(1, Metric.L2, { backend });
    await quantizer.add([0, 100, 200, 301]);
    using b = new IndexIVFFlat(quantizer, 1, 4);
    using few = make(backend, 1, 3);
    using untrained = make(backend, 1, 4);
    await assert.rejects(a.mergeFrom(b), { name: "TypeError", message: /centroids/ });
    await assert.rejects(a.mergeFrom(few), { name: "TypeError", message: /lists/ });
    await assert.rejects(a.mergeFrom(untrained), { name: "TypeError", message: /trained/ });
  },
);

testEach("IndexIVFFlat.mergeFrom() keeps the ids of the other plus addId", async (backend) => {
  using a = await lines(backend);
  using b = await lines(backend);
  await a.add([1, 101]);
  await b.addWithIds([2, 302], [7, 8]);
  await a.mergeFrom(b, 10);
  a.nprobe = 4;
  assert.deepEqual([...(await a.search([0], 4)).labels], [0n, 17n, 1n, 18n]);
  assert.deepEqual([a.ntotal, b.ntotal], [4, 0]);
});

testEach(
  "IndexIVFFlat refuses a vector that is at no distance from any centroid",
  async (backend) => {
    const quantizer = new IndexFlat(2, Metric.BrayCurtis, { backend });
    await quantizer.add([[1, 1]]);
    using index = new IndexIVFFlat(quantizer, 2, 1, Metric.BrayCurtis);
    await assert.rejects(index.add([[2, 1], [-1, -1]]), { name: "RangeError", message: /row 1/ });
    assert.equal(index.ntotal, 0);
  },
);

testEach("IndexIVFFlat with an IndexIVFFlat as quantizer finds its vectors", async (backend) => {
  const inner = make(backend, 4, 3);
  inner.nprobe = 3;
  using index = new IndexIVFFlat(inner, 4, 9);
  index.ownFields = true;
  index.cp.minPointsPerCentroid = 1;
  const x = integers(80, 4, 5);
  await index.train(x);
  await index.add(x);
  index.nprobe = 9;
  const ids = Array.from({ length: 80 }, (_, i) => BigInt(i));
  assert.deepEqual(plain(await index.search(x, 3)), bruteForce(x, x, 4, 3, Metric.L2, ids));
});

testEach("IndexIVFFlat disposes of its quantizer only if it owns it", async (backend) => {
  const quantizer = new IndexFlat(1, Metric.L2, { backend });
  await quantizer.add([0, 1]);
  new IndexIVFFlat(quantizer, 1, 2).dispose();
  assert.equal(quantizer.ntotal, 2);
  const owner = new IndexIVFFlat(quantizer, 1, 2);
  owner.ownFields = true;
  owner.dispose();
  assert.throws(() => quantizer.searchSync([0], 1), { name: "DisposedError" });
});

const cutProbes = async (backend: Backend) => {
  // 17,000 × 64 probes are more than one call of the store gets.
  const [nlist, nq] = [64, 17_000];
  const quantizer = new IndexFlat(1, Metric.L2, { backend });
  await quantizer.add(Float32Array.from({ length: nlist }, (_, i) => i * 10));
  using index = new IndexIVFFlat(quantizer, 1, nlist);
  index.ownFields = true;
  await index.add(Float32Array.from({ length: 10 }, (_, i) => i * 64));
  const queries = Float32Array.from({ length: nq }, (_, i) => i % 701);
  const found = await index.search(queries, 1, { nprobe: nlist });
  assert.equal(found.run.scanned, nq * 10);
  queries.forEach((query, q) => {
    // Halfway between two the lower id wins.
    const nearest = Math.min(9, Math.max(0, Math.ceil(query / 64 - 0.5)));
    assert.equal(found.labels[q], BigInt(nearest));
  });
};

// Of a million probes, the emulator has enough after a minute.
testEach(
  "IndexIVFFlat finds the same however the probes are cut into calls",
  cutProbes,
  ({ engine }) => engine !== "emulator",
);
