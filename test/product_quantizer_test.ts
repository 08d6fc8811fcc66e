import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { ProductQuantizer } from "../lib/codec/product_quantizer.ts";
import { Metric } from "../lib/metric.ts";
import { integers, normals, testEach as testAll } from "./grid.ts";
import { isNative } from "./native.ts";

function testEach(name: string, run: (backend: Backend) => Promise<void>): void {
  testAll(name, run, (backend) => backend.name !== "gpu");
}

/** d, M, nbits: one part, whole bytes, codes across bytes, parts that fill no register. */
const shapes = [
  [1, 1, 1],
  [4, 1, 4],
  [6, 3, 5],
  [8, 8, 8],
  [34, 17, 3],
  [20, 4, 9],
  [12, 2, 12],
  [15, 5, 7],
  [6, 2, 16],
  [300, 300, 2],
] as const;

/** A quantizer of random centroids. */
function random(backend: Backend, [d, M, nbits]: readonly number[], seed = 1): ProductQuantizer {
  const pq = new ProductQuantizer(d!, M!, nbits, { backend });
  pq.restore(normals(pq.ksub, d!, seed));
  return pq;
}

/** Squared L2 between two rows. */
function apart(x: Float32Array, y: Float32Array, from: number, n: number): number {
  let sum = 0;
  for (let i = from; i < from + n; i++) sum += (x[i]! - y[i]!) ** 2;
  return sum;
}

testEach("ProductQuantizer packs numbers of parts from the lowest bit up", async (backend) => {
  using pq = new ProductQuantizer(3, 3, 5, { backend });
  pq.restore(Float32Array.from({ length: 96 }, (_, i) => i % 32));
  // 7 + 21 · 2^5 + 30 · 2^10 = 0x7aa7.
  const codes = await pq.encode(Float32Array.of(7.2, 20.9, 30, -5, 31.4, 99));
  assert.deepEqual([...codes], [0xa7, 0x7a, 0xe0, 0x7f]);
  assert.deepEqual([...await pq.decode(codes)], [7, 21, 30, 0, 31, 31]);
  assert.deepEqual([pq.dsub, pq.ksub, pq.codeSize], [1, 32, 2]);
});

testEach("ProductQuantizer takes the lower of two centroids that are as near", async (backend) => {
  using pq = new ProductQuantizer(2, 2, 4, { backend });
  pq.restore(Float32Array.from({ length: 32 }, (_, i) => i % 16 < 3 ? 50 : i % 2));
  assert.deepEqual([...await pq.encode(Float32Array.of(0.5, 50))], [0x03]);
});

testEach("ProductQuantizer encodes to the nearest centroids of every shape", async (backend) => {
  for (const shape of shapes) {
    using pq = random(backend, shape);
    const { d, M, dsub, ksub } = pq;
    const x = normals(37, d, 2);
    const codes = await pq.encode(x);
    assert.equal(codes.length, 37 * Math.ceil(M * shape[2] / 8));
    const decoded = await pq.decode(codes);
    const tables = pq.computeDistanceTables(x);
    assert.equal(tables.length, 37 * M * ksub);
    for (let part = 0; part < 37 * M; part++) {
      const least = tables.subarray(part * ksub, (part + 1) * ksub).reduce((a, b) =>
        Math.min(a, b)
      );
      const got = apart(x, decoded, part * dsub, dsub);
      assert(
        got <= least * (1 + 1e-5) + 1e-12,
        `${shape}: part ${part} is ${got} away, not ${least}`,
      );
    }
    assert.deepEqual(await pq.encode(decoded), codes, `${shape}`);
  }
});

testEach("ProductQuantizer's tables add up to distances and products", async (backend) => {
  using pq = random(backend, [12, 3, 4]);
  const x = normals(5, 12, 3);
  const codes = await pq.encode(normals(5, 12, 4));
  const y = await pq.decode(codes);
  const [squares, products] = [pq.computeDistanceTables(x), pq.computeInnerProdTables(x)];
  for (let row = 0; row < 5; row++) {
    let [square, product] = [0, 0];
    for (let m = 0; m < 3; m++) {
      const bits = codes[row * 2 + (m >> 1)]! >> (m % 2 * 4) & 15;
      square += squares[(row * 3 + m) * 16 + bits]!;
      product += products[(row * 3 + m) * 16 + bits]!;
    }
    const inner = x.subarray(row * 12, row * 12 + 12)
      .reduce((sum, value, j) => sum + value * y[row * 12 + j]!, 0);
    assert(Math.abs(square - apart(x, y, row * 12, 12)) < 1e-5);
    assert(Math.abs(product - inner) < 1e-5);
  }
});

testEach("ProductQuantizer.train() finds centroids that k-means would", async (backend) => {
  // Each part has four values: none is lost with four centroids.
  const x = Float32Array.from({ length: 400 * 6 }, (_, i) => {
    return (Math.floor(i / 6) * 3 + Math.floor(i / 3) % 2) % 4 * 10 + i % 3;
  });
  using pq = new ProductQuantizer(6, 2, 2, { backend });
  pq.cp.minPointsPerCentroid = 1;
  pq.cp.initMethod = "kmeans++";
  await pq.train(x);
  assert.deepEqual(await pq.decode(await pq.encode(x)), x);
  const same = new ProductQuantizer(6, 2, 2, { backend });
  Object.assign(same.cp, pq.cp);
  await same.train(x);
  assert.deepEqual(same.centroids, pq.centroids);
});

testEach("ProductQuantizer.train() loses less with more parts and bits", async (backend) => {
  const x = normals(700, 8, 5);
  const losses: number[] = [];
  for (const [M, nbits] of [[1, 1], [2, 2], [4, 3], [4, 5], [8, 6]] as const) {
    using pq = new ProductQuantizer(8, M, nbits, { backend });
    Object.assign(pq.cp, { minPointsPerCentroid: 1, niter: 5 });
    await pq.train(x);
    losses.push(apart(x, await pq.decode(await pq.encode(x)), 0, x.length) / 700);
  }
  assert(losses[0]! < 8, `${losses}`);
  for (let i = 1; i < losses.length; i++) assert(losses[i]! < 0.75 * losses[i - 1]!, `${losses}`);
});

testEach(
  "ProductQuantizer.train() warns once of few vectors, and takes no more than it needs",
  async (backend) => {
    using pq = new ProductQuantizer(4, 4, 2, { backend });
    const { warn } = console;
    const warnings: string[] = [];
    console.warn = (text: string) => warnings.push(text);
    try {
      await pq.train(normals(20, 4, 1));
      assert.deepEqual(warnings.length, 1);
      assert.match(warnings[0]!, /20 vectors to 4 centroids: 156/);
      pq.cp.maxPointsPerCentroid = 50;
      await pq.train(normals(5000, 4, 1));
      assert.equal(warnings.length, 1);
    } finally {
      console.warn = warn;
    }
  },
);

testEach(
  "ProductQuantizer refuses bad numbers, too few vectors and use before training",
  async (backend) => {
    const bad: [number, number, number, RegExp][] = [
      [0, 1, 8, /d 0 is no integer from 1 to 2\^20/],
      [2 ** 21, 1, 8, /d 2097152/],
      [8, 0, 8, /M 0 is no integer above 0/],
      [8, 1.5, 8, /M 1.5/],
      [8, 3, 8, /d 8 is not divisible by M 3/],
      [8, 16, 8, /d 8 is not divisible by M 16/],
      [8, 2, 0, /nbits 0 is no integer from 1 to 16/],
      [8, 2, 17, /nbits 17/],
      [8, 2, 4.5, /nbits 4.5/],
    ];
    for (const [d, M, nbits, message] of bad) {
      assert.throws(() => new ProductQuantizer(d, M, nbits, { backend }), {
        name: "RangeError",
        message,
      });
    }
    using pq = new ProductQuantizer(4, 2, 4, { backend });
    const untrained = { name: "NotTrainedError", message: /call train\(\) first/ };
    await assert.rejects(pq.encode(new Float32Array(4)), untrained);
    await assert.rejects(pq.decode(new Uint8Array(1)), untrained);
    assert.throws(() => pq.computeDistanceTables([[1, 2, 3, 4]]), untrained);
    assert.equal(pq.centroids.length, 0);
    await assert.rejects(pq.train(normals(15, 4, 1)), {
      name: "RangeError",
      message: "Cannot train: 15 vectors are fewer than 16 centroids of a part",
    });
    await assert.rejects(pq.train(new Float32Array(7)), {
      name: "TypeError",
      message: /rows of 4/,
    });
    const aborted = AbortSignal.abort();
    await assert.rejects(pq.train(normals(16, 4, 1), aborted), { name: "AbortError" });
    assert.equal(pq.isTrained, false);
    assert.throws(() => pq.restore(new Float32Array(63)), { name: "TypeError", message: /64/ });
    pq.restore(normals(16, 4, 1));
    await assert.rejects(pq.encode(Float32Array.of(1, 2, 3)), { name: "TypeError" });
    await assert.rejects(pq.encode(Float32Array.of(1, 2, NaN, 3)), {
      name: "RangeError",
      message: /row 0 holds NaN at column 2/,
    });
    assert.equal((await pq.decode(new Uint8Array(0))).length, 0);
    pq[Symbol.dispose]();
    await assert.rejects(pq.encode(new Float32Array(4)), { name: "DisposedError" });
    await assert.rejects(pq.train(normals(16, 4, 1)), { name: "DisposedError" });
  },
);

Deno.test("cpu backend encodes and decodes product codes as the reference does", {
  ignore: !isNative,
}, async () => {
  for (const shape of shapes) {
    using ours = random(createCpuBackend(), shape);
    using theirs = random(createReferenceBackend(), shape);
    for (const n of [0, 1, 65, 200]) {
      const x = normals(n, ours.d, 6);
      const codes = await theirs.encode(x);
      const decoded = await theirs.decode(codes);
      assert.deepEqual(await ours.decode(codes), decoded);
      const other = await ours.decode(await ours.encode(x));
      // Of two centroids that are as near in single precision, either may be taken.
      other.forEach((value, i) => {
        if (value === decoded[i]) return;
        const from = i - i % ours.dsub;
        const [a, b] = [other, decoded].map((y) => apart(x, y, from, ours.dsub));
        assert(Math.abs(a! - b!) <= 1e-5 * b!, `${shape}: number ${i}`);
      });
    }
  }
});

Deno.test("cpu backend compares short rows with centroids as sorting all would", {
  ignore: !isNative,
}, async () => {
  const backend = createCpuBackend();
  for (const [n, k, d] of [[1, 1, 1], [500, 16, 4], [300, 17, 16], [2500, 70, 3]] as const) {
    // Of integers sums are exact and ties many.
    const [x, centroids] = [integers(n, d, 1), integers(k, d, 2)];
    using rows = await backend.residentRows!(x, d, Metric.L2);
    const { distances, labels } = await rows!.assign(centroids, Metric.L2);
    const all = await backend.pairwise(x, centroids, d, Metric.L2, 0);
    for (let i = 0; i < n; i++) {
      const row = all.subarray(i * k, (i + 1) * k);
      const least = row.reduce((a, b) => Math.min(a, b));
      assert.deepEqual([distances[i], labels[i]], [least, BigInt(row.indexOf(least))]);
    }
    await assert.rejects(rows!.assign(centroids, Metric.L2, AbortSignal.abort()), {
      name: "AbortError",
    });
  }
  assert.equal(await backend.residentRows!(new Float32Array(17), 17, Metric.L2), undefined);
  assert.equal(await backend.residentRows!(new Float32Array(4), 4, Metric.InnerProduct), undefined);
});
