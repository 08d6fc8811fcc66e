import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { Clustering, type ClusteringProgress, kmeans } from "../lib/index/clustering.ts";
import { imbalanceFactor, normalizeRows, splitClusters } from "../lib/index/clustering_steps.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { Metric } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { normals, testEach } from "./grid.ts";

const quiet = { minPointsPerCentroid: 1 };

/** `k` tight clusters of `each` vectors, far apart: at 100, 200 … in every coordinate. */
function blobs(k: number, each: number, d: number, seed: number): Float32Array {
  const noise = normals(k * each, d, seed);
  return noise.map((value, i) => 100 * (1 + Math.floor(i / d) % k) + value);
}

function sum(x: Float32Array): number {
  return x.reduce((total, value) => total + value, 0);
}

/** The squared distance of all vectors to their nearest centroid. */
function objective(x: Float32Array, centroids: Float32Array, d: number): number {
  let total = 0;
  for (let i = 0; i < x.length; i += d) {
    let least = Infinity;
    for (let j = 0; j < centroids.length; j += d) {
      let distance = 0;
      for (let c = 0; c < d; c++) distance += (x[i + c]! - centroids[j + c]!) ** 2;
      least = Math.min(least, distance);
    }
    total += least;
  }
  return total;
}

async function warnings(work: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  const { warn } = console;
  console.warn = (text: string) => texts.push(text);
  try {
    await work();
  } finally {
    console.warn = warn;
  }
  return texts;
}

for (const initMethod of ["random", "kmeans++", "afk-mc2"] as const) {
  testEach(
    `kmeans() by ${initMethod} finds clusters, and each iteration is no worse`,
    async (backend) => {
      const x = normals(300, 4, 1);
      const { centroids, iterations } = await kmeans(x, 4, 12, { ...quiet, initMethod, backend });
      const objectives = iterations.map((iteration) => iteration.objective);
      for (let i = 1; i < objectives.length; i++) {
        assert.ok(objectives[i]! <= objectives[i - 1]! * (1 + 1e-5), `${objectives}`);
      }
      assert.ok(objectives.at(-1)! < 0.8 * objective(x, x.subarray(0, 48), 4));
      assert.ok(objective(x, centroids, 4) <= objectives.at(-1)! * (1 + 1e-5));
    },
  );

  testEach(
    `kmeans() by ${initMethod} is the same for a seed and another for another`,
    async (backend) => {
      const x = normals(200, 3, 2);
      const run = async (seed: number) =>
        (await kmeans(x, 3, 7, { ...quiet, initMethod, backend, seed, niter: 2 })).centroids;
      assert.deepEqual(await run(5), await run(5));
      assert.notDeepEqual(await run(5), await run(6));
    },
  );
}

testEach("kmeans++ and afk-mc2 start with a vector in every far cluster", async (backend) => {
  const x = blobs(8, 20, 3, 3);
  for (const initMethod of ["kmeans++", "afk-mc2"] as const) {
    const { centroids } = await kmeans(x, 3, 8, { ...quiet, initMethod, backend, niter: 0 });
    const blob = Array.from({ length: 8 }, (_, i) => Math.round(centroids[i * 3]! / 100));
    assert.deepEqual(blob.sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8], initMethod);
  }
});

testEach(
  "every initMethod chooses vectors of the data, even where all are equal",
  async (backend) => {
    for (const initMethod of ["random", "kmeans++", "afk-mc2"] as const) {
      const same = new Float32Array(20).fill(3);
      const equal = await kmeans(same, 2, 4, { ...quiet, initMethod, backend, niter: 0 });
      assert.deepEqual([...equal.centroids], new Array(8).fill(3), initMethod);
      const x = normals(30, 2, 4);
      // A chain of one step moves away from a vector taken before by luck alone.
      const params = { ...quiet, initMethod, backend, niter: 0, afkmc2ChainLength: 1 };
      const { centroids } = await kmeans(x, 2, 29, params);
      const rows = new Set(Array.from({ length: 30 }, (_, i) => `${x.slice(i * 2, i * 2 + 2)}`));
      const chosen = Array.from({ length: 29 }, (_, i) => `${centroids.slice(i * 2, i * 2 + 2)}`);
      assert.ok(chosen.every((row) => rows.has(row)), initMethod);
      assert.equal(new Set(chosen).size, 29, initMethod);
    }
  },
);

testEach("Clustering gives means of the vectors nearest to each centroid", async (backend) => {
  const clustering = new Clustering(1, 2, quiet);
  clustering.centroids = Float32Array.of(0, 100);
  await clustering.train([1, 2, 3, 90, 110], { backend });
  assert.deepEqual([...clustering.centroids], [2, 100]);
  assert.equal(clustering.iterationStats.at(-1)!.objective, 202);
  assert.ok(Math.abs(clustering.iterationStats[0]!.imbalanceFactor - 2 * 13 / 25) < 1e-9);
});

testEach(
  "Clustering stops once the objective changes by no more than the threshold",
  async (backend) => {
    const x = normals(300, 4, 5);
    const run = async (earlyStopThreshold: number) =>
      (await kmeans(x, 4, 5, { ...quiet, backend, niter: 500, earlyStopThreshold })).iterations;
    const exact = await run(0);
    assert.ok(exact.length > 5 && exact.length < 500, `${exact.length}`);
    assert.equal(exact.at(-1)!.objective, exact.at(-2)!.objective);
    const loose = await run(0.01);
    assert.ok(loose.length < exact.length && loose.length > 1);
    const [before, last] = loose.slice(-2).map((iteration) => iteration.objective);
    assert.ok((before! - last!) / before! <= 0.01);
    assert.equal((await run(1e9)).length, 2);
  },
);

testEach(
  "Clustering by weights pulls centroids to heavy vectors and leaves out weight 0",
  async (backend) => {
    const clustering = new Clustering(1, 2, { ...quiet, niter: 3 });
    clustering.centroids = Float32Array.of(0, 100);
    const weights = Float32Array.of(1, 3, 0, 1);
    await clustering.train([0, 4, 20, 100], { backend, weights });
    assert.deepEqual([...clustering.centroids], [3, 100]);
  },
);

testEach("Clustering: spherical centroids are unit vectors", async (backend) => {
  const { centroids } = await kmeans(normals(200, 5, 6), 5, 6, {
    ...quiet,
    backend,
    spherical: true,
  });
  for (let i = 0; i < 6; i++) {
    const norm = Math.hypot(...centroids.subarray(i * 5, i * 5 + 5));
    assert.ok(Math.abs(norm - 1) < 1e-6, `${norm}`);
  }
});

testEach("Clustering: intCentroids are rounded, halves away from 0", async (backend) => {
  const clustering = new Clustering(1, 3, { ...quiet, intCentroids: true });
  clustering.centroids = Float32Array.of(-10, 2.2, 50);
  await clustering.train([-10, -11, 2, 3, 49, 50, 51], { backend });
  assert.deepEqual([...clustering.centroids], [-11, 3, 50]);
});

testEach(
  "Clustering: frozenCentroids stay, and the others are found around them",
  async (backend) => {
    const x = blobs(3, 30, 2, 7);
    for (const initMethod of ["random", "kmeans++", "afk-mc2"] as const) {
      const clustering = new Clustering(2, 3, { ...quiet, frozenCentroids: true, initMethod });
      clustering.centroids = Float32Array.of(100.5, 101);
      await clustering.train(x, { backend });
      assert.deepEqual([...clustering.centroids.subarray(0, 2)], [100.5, 101]);
      assert.equal(clustering.centroids.length, 6);
      if (initMethod === "random") continue;
      const found = [clustering.centroids[2]!, clustering.centroids[4]!].sort((a, b) => a - b);
      assert.ok(Math.abs(found[0]! - 200) < 1 && Math.abs(found[1]! - 300) < 1, `${found}`);
    }
  },
);

testEach("Clustering: given centroids that are not frozen move", async (backend) => {
  const clustering = new Clustering(1, 2, quiet);
  clustering.centroids = Float32Array.of(0);
  await clustering.train([1, 3, 100, 102], { backend });
  assert.deepEqual([...clustering.centroids].sort((a, b) => a - b), [2, 101]);
});

testEach("Clustering: nredo keeps the best run and leaves it in the index", async (backend) => {
  const x = blobs(9, 10, 2, 8);
  const runs = new Map<number, number>();
  const index = new IndexFlat(2, Metric.L2, { backend });
  const onProgress = (p: ClusteringProgress) => runs.set(p.redo, p.objective);
  const clustering = new Clustering(2, 9, { ...quiet, nredo: 6, niter: 4 });
  await clustering.train(x, { index, onProgress });
  const { objective: kept, redo } = clustering.iterationStats.at(-1)!;
  assert.equal(runs.size, 6);
  assert.ok(new Set(runs.values()).size > 1);
  assert.equal(kept, Math.min(...runs.values()));
  assert.ok(clustering.iterationStats.every((stats) => stats.redo === redo));
  assert.deepEqual(index.reconstructN(0, 9), clustering.centroids);
});

testEach("Clustering by inner product keeps the run of the largest objective", async (backend) => {
  const runs = new Map<number, number>();
  const onProgress = (p: ClusteringProgress) => runs.set(p.redo, p.objective);
  const clustering = new Clustering(3, 5, { ...quiet, spherical: true, nredo: 5, niter: 2 });
  await clustering.train(normals(60, 3, 9), { backend, onProgress });
  assert.equal(clustering.iterationStats.at(-1)!.objective, Math.max(...runs.values()));
});

testEach("Clustering refills empty clusters from big ones", async (backend) => {
  const clustering = new Clustering(2, 4, { ...quiet, niter: 20 });
  clustering.centroids = Float32Array.of(100, 100, 1e4, 1e4, 2e4, 2e4, 3e4, 3e4);
  const x = blobs(2, 40, 2, 10);
  await clustering.train(x, { backend });
  assert.ok(clustering.iterationStats[0]!.nsplit >= 3);
  const index = new IndexFlat(2, Metric.L2, { backend });
  await index.add(clustering.centroids);
  assert.equal(new Set(await index.assign(x)).size, 4);
});

testEach("Clustering with light weights and empty clusters ends", async (backend) => {
  const clustering = new Clustering(1, 3, { ...quiet, niter: 5 });
  clustering.centroids = Float32Array.of(0, 1e6, 2e6);
  const weights = new Float32Array(8).fill(1e-3);
  await clustering.train([1, 2, 3, 4, 5, 6, 7, 8], { backend, weights });
  assert.ok(clustering.centroids.every((value) => value >= 0 && value < 9));
});

testEach("Clustering copies the vectors where there are k of them", async (backend) => {
  const x = normals(4, 3, 11);
  const index = new IndexFlat(3, Metric.L2, { backend });
  const clustering = new Clustering(3, 4, quiet);
  await clustering.train(x, { index });
  assert.deepEqual(clustering.centroids, x);
  assert.deepEqual(index.reconstructN(0, 4), x);
  assert.equal(clustering.iterationStats[0]!.objective, 0);
});

testEach(
  "Clustering takes maxPointsPerCentroid vectors at random, with their weights",
  async (backend) => {
    let seen = 0;
    // Rows that stay on a device are not seen.
    const { residentRows: _, ...host } = backend;
    const spy: Backend = {
      ...host,
      kmeansUpdate: (x, assign, weights, centroids, d) => {
        seen = assign.length;
        for (let i = 0; i < seen; i++) assert.equal(weights![i], Math.fround(x[i]! + 1));
        return backend.kmeansUpdate(x, assign, weights, centroids, d);
      },
    };
    const x = Float32Array.from({ length: 500 }, (_, i) => i);
    const clustering = new Clustering(1, 4, { maxPointsPerCentroid: 10, ...quiet, niter: 1 });
    await clustering.train(x, { backend: spy, weights: x.map((value) => value + 1) });
    assert.equal(seen, 40);
    assert.ok(sum(clustering.centroids) / 4 > 100);
  },
);

testEach("Clustering warns once of fewer than minPointsPerCentroid vectors", async (backend) => {
  const few = await warnings(() => kmeans(normals(100, 2, 12), 2, 4, { backend, nredo: 2 }));
  assert.deepEqual(few, ["Clustering 100 vectors to 4 centroids: 156 would be better"]);
  const many = await warnings(() => kmeans(normals(160, 2, 12), 2, 4, { backend }));
  assert.deepEqual(many, []);
});

testEach(
  "Clustering with an index to be trained trains it; updateIndex trains it each time",
  async (backend) => {
    const inner = new IndexFlat(2, Metric.L2, { backend });
    const index = new IndexIVFFlat(inner, 2, 2);
    index.nprobe = 2;
    index.cp.minPointsPerCentroid = 1;
    let trained = 0;
    const train = index.train.bind(index);
    index.train = (...args) => {
      trained++;
      return train(...args);
    };
    const x = normals(80, 2, 13);
    const run = async (updateIndex: boolean) => {
      trained = 0;
      const clustering = new Clustering(2, 6, { ...quiet, niter: 3, updateIndex, seed: 3 });
      await clustering.train(x, { index });
      return clustering.centroids;
    };
    const first = await run(false);
    assert.equal(trained, 1);
    assert.deepEqual(await run(true), first);
    assert.equal(trained, 3);
    assert.equal(index.ntotal, 6);
  },
);

testEach("Clustering aborted between or in iterations keeps its centroids", async (backend) => {
  const clustering = new Clustering(4, 8, quiet);
  const given = normals(8, 4, 14);
  clustering.centroids = given;
  const controller = new AbortController();
  const onProgress = () => controller.abort(new Error("enough"));
  const training = clustering.train(normals(200, 4, 15), {
    backend,
    onProgress,
    signal: controller.signal,
  });
  await assert.rejects(training, { message: "enough" });
  assert.equal(clustering.centroids, given);
  await clustering.train(normals(200, 4, 15), { backend });
  assert.notDeepEqual(clustering.centroids, given);
  const aborted = clustering.train(given, { backend, signal: AbortSignal.abort() });
  await assert.rejects(aborted, { name: "AbortError" });
});

testEach("Clustering aborted in a long search stops", async (backend) => {
  const controller = new AbortController();
  const training = kmeans(normals(8000, 64, 16), 64, 500, {
    ...quiet,
    backend,
    niter: 1000,
    signal: controller.signal,
  });
  const outcome = assert.rejects(training, { name: "AbortError" });
  await new Promise((resolve) => setTimeout(resolve, 0));
  controller.abort();
  await outcome;
});

testEach("Clustering refuses bad data, weights and centroids, naming them", async (backend) => {
  const x = normals(10, 2, 17);
  const train = (input: Float32Array, weights?: Float32Array) =>
    new Clustering(2, 3, quiet).train(input, { backend, weights });
  await assert.rejects(train(x.subarray(0, 4)), {
    name: "RangeError",
    message: /2 vectors .* k 3/,
  });
  const bad = x.slice();
  bad[5] = Infinity;
  await assert.rejects(train(bad), { name: "RangeError", message: /row 2 .* column 1/ });
  await assert.rejects(train(new Float32Array(0)), { name: "TypeError", message: /x.*empty/ });
  await assert.rejects(train(x, new Float32Array(9)), { name: "TypeError", message: /weights/ });
  await assert.rejects(train(x, new Float32Array(10).fill(-1)), {
    name: "RangeError",
    message: /weight 0/,
  });
  const clustering = new Clustering(2, 3, quiet);
  clustering.centroids = new Float32Array(8);
  await assert.rejects(clustering.train(x, { backend }), {
    name: "TypeError",
    message: /centroids/,
  });
});

Deno.test("Clustering refuses parameters out of range, naming them", () => {
  const bad = {
    niter: -1,
    nredo: 0,
    minPointsPerCentroid: 0.5,
    maxPointsPerCentroid: 0,
    seed: 0.5,
    afkmc2ChainLength: 0,
    earlyStopThreshold: -1,
    initMethod: "best" as "random",
  };
  for (const [name, value] of Object.entries(bad)) {
    assert.throws(() => new Clustering(2, 2, { [name]: value }), {
      name: "RangeError",
      message: new RegExp(name),
    });
  }
  assert.throws(() => new Clustering(2, 0), { name: "RangeError", message: /k 0/ });
  assert.throws(() => new Clustering(0, 2), { name: "RangeError", message: /d 0/ });
});

testEach("Clustering with a negative seed is another each time", async (backend) => {
  const x = normals(200, 3, 18);
  const run = () => kmeans(x, 3, 7, { ...quiet, backend, seed: -1, niter: 0 });
  assert.notDeepEqual((await run()).centroids, (await run()).centroids);
});

Deno.test("splitClusters() halves a big cluster for each empty one and spares frozen ones", () => {
  const centroids = Float32Array.of(9, 9, 0, 0, 8, 4, 0, 0);
  const sizes = Float32Array.of(1000, 0, 8, 0);
  const splits = splitClusters(centroids, sizes, 2, 1, new Random(1));
  assert.equal(splits, 2);
  assert.equal(sizes[0], 1000);
  assert.equal(sizes[1]! + sizes[2]! + sizes[3]!, 8);
  assert.deepEqual([...centroids.subarray(0, 2)], [9, 9]);
  for (const i of [1, 2, 3]) {
    assert.ok(Math.abs(centroids[2 * i]! - 8) < 0.02 && Math.abs(centroids[2 * i + 1]! - 4) < 0.01);
  }
  assert.notEqual(centroids[2], centroids[4]);
  const none = Float32Array.of(0, 0);
  assert.equal(splitClusters(new Float32Array(2), none, 1, 0, new Random(1)), 0);
});

Deno.test("splitClusters() chooses in proportion to size less one", () => {
  const random = new Random(2);
  let second = 0;
  for (let i = 0; i < 8000; i++) {
    const sizes = Float32Array.of(11, 31, 1, 0);
    splitClusters(new Float32Array(4), sizes, 1, 0, random);
    assert.equal(sizes[2], 1);
    if (sizes[1]! < 31) second++;
  }
  assert.ok(Math.abs(second / 8000 - 0.75) < 0.012, `${second}`);
});

Deno.test("normalizeRows() leaves a zero row", () => {
  const x = Float32Array.of(3, 4, 0, 0);
  normalizeRows(x, 2);
  assert.deepEqual([...x], [Math.fround(0.6), Math.fround(0.8), 0, 0]);
});

Deno.test("imbalanceFactor() is 1 for even clusters and k for one that has all", () => {
  assert.equal(imbalanceFactor(BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n), 3), 1);
  assert.equal(imbalanceFactor(BigInt64Array.of(1n, 1n, -1n), 3), 3);
});
