import assert from "node:assert/strict";
import { createCpuBackend, describeLibrary, setISA, setThreads } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { PartClustering } from "../lib/codec/part_clustering.ts";
import { ProductQuantizer } from "../lib/codec/product_quantizer.ts";
import { eigenSymmetric } from "../lib/linalg/eigen.ts";
import { HadamardRotation } from "../lib/transform/hadamard.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

const reference = createReferenceBackend();

/** Rows, d, parts, centroids of a part: nothing, less than a block, parts of one number, no whole vector. */
const shapes = [[0, 4, 2, 3], [1, 3, 1, 1], [7, 8, 8, 5], [300, 12, 4, 16], [1001, 16, 2, 37]]
  .concat([[513, 40, 1, 64], [260, 34, 17, 256], [9000, 8, 2, 20]]) as [
    ...[n: number, d: number, m: number, k: number],
  ][];

/** Does something on each instruction set that runs here. */
async function onEachISA(body: (isa: string) => Promise<void>): Promise<void> {
  const own = describeLibrary().isa;
  try {
    for (const isa of ["scalar", "avx2", "avx512", "neon"]) {
      try {
        setISA(isa);
      } catch {
        continue;
      }
      await body(isa);
    }
  } finally {
    setISA(own);
  }
}

Deno.test({
  name: "a step of k-means over parts is the reference's, on every instruction set",
  ignore: !isNative,
  fn: async () => {
    const cpu = createCpuBackend();
    await onEachISA(async (isa) => {
      for (const [n, d, m, k] of shapes) {
        // Far from the origin, where squares and products alone would lose every digit.
        for (const offset of [0, 1e4]) {
          const x = normals(n, d, 1).map((value) => value + offset);
          const start = normals(k, d, 2).map((value) => value + offset);
          const [ours, theirs] = [start.slice(), start.slice()];
          const counts = await cpu.kmeansParts!(x, m, ours, d);
          const expected = await reference.kmeansParts!(x, m, theirs, d);
          const what = `${isa}: ${n} x ${d}, ${m} parts, ${k} centroids, at ${offset}`;
          assert.equal(counts.length, m * k, what);
          assert.equal(counts.reduce((sum, count) => sum + count, 0), n * m, what);
          // One row in 500 may be as near to two but for rounding.
          const other = counts.filter((count, i) => count !== expected[i]).length;
          assert(other <= 2 + n * m / 500, `${what}: ${other} counts differ`);
          const dsub = d / m;
          ours.forEach((value, i) => {
            const centroid = Math.floor(i / dsub);
            if (counts[centroid] !== expected[centroid]) return;
            assert(Math.abs(value - theirs[i]!) <= 1e-6 * (offset + 1), `${what}: ${value}`);
          });
        }
      }
    });
  },
});

Deno.test({
  name: "a step of k-means over parts does not depend on the number of threads",
  ignore: !isNative,
  fn: async () => {
    const cpu = createCpuBackend();
    const { threads } = describeLibrary();
    const x = normals(20_000, 8, 3);
    const found: Float32Array[] = [];
    for (const count of [1, 3]) {
      setThreads(count);
      const centroids = x.slice(0, 64 * 8);
      await cpu.kmeansParts!(x, 2, centroids, 8);
      found.push(centroids);
    }
    setThreads(threads);
    assert.deepEqual(found[0], found[1]);
  },
});

Deno.test("PartClustering splits what is large for what is empty, and lowers what is lost", async () => {
  // Two values a part, and four centroids.
  const x = Float32Array.from({ length: 64 * 4 }, (_, i) => Math.floor(i / 4) % 2 * 10 + i % 4);
  const clustering = new PartClustering(4, 2, 4, 1);
  await clustering.train(x, 12, reference, undefined);
  const centroids = clustering.centroids(x);
  assert(centroids.every((value) => Number.isFinite(value)));
  const first = Array.from({ length: 4 }, (_, j) => centroids[j * 2]!);
  for (const wanted of [0, 10]) assert(first.some((value) => Math.abs(value - wanted) < 0.02));
  const aborted = AbortSignal.abort();
  await assert.rejects(clustering.train(x, 1, reference, aborted), { name: "AbortError" });
});

Deno.test({
  name: "ProductQuantizer.train() moves parts together as well as one by one",
  ignore: !isNative,
  fn: async () => {
    const backend = createCpuBackend();
    const x = normals(3000, 16, 4);
    const losses: number[] = [];
    // A threshold below any change asks for clusterings one by one.
    for (const earlyStopThreshold of [0, 1e-300]) {
      using pq = new ProductQuantizer(16, 4, 5, { backend });
      Object.assign(pq.cp, { earlyStopThreshold, minPointsPerCentroid: 1 });
      await pq.train(x);
      const decoded = await pq.decode(await pq.encode(x));
      losses.push(x.reduce((sum, value, i) => sum + (value - decoded[i]!) ** 2, 0));
    }
    assert(Math.abs(losses[0]! / losses[1]! - 1) < 0.02, `${losses}`);
    using pq = new ProductQuantizer(16, 4, 5, { backend });
    x[37] = NaN;
    await assert.rejects(pq.train(x), { name: "RangeError", message: /row 2 holds NaN/ });
    pq.cp.niter = 1.5;
    await assert.rejects(pq.train(x), { name: "RangeError", message: /niter 1.5/ });
  },
});

Deno.test({
  name: "native Hadamard rotations are TypeScript's to the last bit, there and back",
  ignore: !isNative,
  fn: async () => {
    const backend = createCpuBackend();
    await onEachISA(async (isa) => {
      for (const d of [1, 2, 3, 5, 8, 16, 31, 100, 768]) {
        const rotation = new HadamardRotation(d, 3);
        const x = normals(70, d, d);
        const y = await rotation.apply(x, { backend });
        assert.deepEqual(y, rotation.applySync(x), `${isa}, ${d}`);
        assert.deepEqual(await rotation.reverse(y, { backend }), rotation.reverseSync(y), `${isa}`);
        const clone = rotation.clone();
        assert.deepEqual(await clone.apply(x, { backend }), y);
      }
    });
  },
});

Deno.test({
  name: "native eigenvalues are the reference's",
  ignore: !isNative,
  fn: async () => {
    const { linalg } = createCpuBackend();
    for (const n of [1, 2, 5, 40]) {
      const b = normals(n, n, n);
      const a = Float64Array.from(
        { length: n * n },
        (_, i) => b[i]! + b[i % n * n + Math.floor(i / n)]!,
      );
      const { values, vectors } = await linalg.eigenSymmetric!(a, n);
      const expected = eigenSymmetric(a, n);
      values.forEach((value, j) => {
        assert(Math.abs(value - expected.values[j]!) < 1e-10 * n);
        for (let i = 0; i < n; i++) {
          let sum = 0;
          for (let c = 0; c < n; c++) sum += a[i * n + c]! * vectors[c * n + j]!;
          assert(Math.abs(sum - value * vectors[i * n + j]!) < 1e-9 * n);
        }
      });
    }
    await assert.rejects(linalg.eigenSymmetric!(Float64Array.of(NaN), 1), /not finite/);
  },
});
