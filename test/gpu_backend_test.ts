import assert from "node:assert/strict";
import type { Backend, StoreSearch } from "../lib/backend/backend.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { DeviceError, OutOfMemoryError } from "../lib/errors.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import type { GpuDevice } from "../lib/kernel/device.ts";
import { keysTile, planFlat, scanTile } from "../lib/backend/gpu/plan.ts";
import { paddedWidth } from "../lib/backend/gpu/rows.ts";
import { Metric, metricName } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorArray, IDSelectorRange } from "../lib/selector.ts";
import { integers, normals, testDevice } from "./grid.ts";

const reference = createReferenceBackend();
const fastMetrics = [Metric.L2, Metric.InnerProduct, Metric.Cosine];

interface Case {
  x: Float32Array;
  queries: Float32Array;
  d: number;
  k: number;
  how: StoreSearch;
}

/** Searches with both backends; returns what the GPU ran. */
async function assertEqual(gpu: Backend, { x, queries, d, k, how }: Case, what: string) {
  using ours = gpu.createFlat(d);
  using theirs = reference.createFlat(d);
  for (const store of [ours, theirs]) await store.add(x);
  const found = await ours.search(queries, k, how);
  const expected = theirs.searchSync(queries, k, how);
  assert.deepEqual(found.labels, expected.labels, what);
  found.distances.forEach((distance, i) => {
    const error = Math.abs(distance - expected.distances[i]!);
    const most = 1.2e-7 * Math.abs(expected.distances[i]!) + 1e-43;
    assert.ok(error <= most, `${what}: ${distance}, expected ${expected.distances[i]}`);
  });
  return found.run;
}

/** Data that defeats bounds, keys or both. */
const kinds: Record<string, (n: number, d: number, seed: number) => Float32Array> = {
  "normal": normals,
  "at a mean of 1e4": (n, d, seed) => normals(n, d, seed).map((value) => value + 1e4),
  "of few values": (n, d, seed) => integers(n, d, seed).map((value) => value > 0 ? 1 : 0),
  "all equal": (n, d) => new Float32Array(n * d).fill(0.5),
  "nearer and nearer": (n, d, seed) =>
    normals(n, d, seed).map((value, i) => value * 1e-3 + 100 / (1 + Math.floor(i / d))),
  "farther and farther": (n, d, seed) =>
    normals(n, d, seed).map((value, i) => value * 1e-3 + Math.floor(i / d) * 1e-2),
  "one far outlier": (n, d, seed) =>
    normals(n, d, seed).map((value, i) => seed === 1 && i < d ? 1e30 : value),
  "huge": (n, d, seed) => normals(n, d, seed).map((value) => value * 1e17),
  "tiny": (n, d, seed) => normals(n, d, seed).map((value) => value * 1e-17),
  "zero in some rows": (n, d, seed) =>
    normals(n, d, seed).map((value, i) => Math.floor(i / d) % 3 === 0 ? 0 : value),
  "near-duplicates": (n, d, seed) => {
    const base = normals(20, d, 99);
    return normals(n, d, seed).map((value, i) => base[i % base.length]! + value * 1e-3);
  },
};

for (const metric of fastMetrics) {
  for (const [kind, make] of Object.entries(kinds)) {
    Deno.test(`gpu search by ${metricName(metric)} is exact where rows are ${kind}`, async () => {
      const gpu = createGpuBackend(testDevice());
      const how = { metric, metricArg: 0 };
      const d = 6;
      for (const [n, nq, k] of [[9000, 1, 10], [9000, 3, 5], [9000, 40, 40], [600, 70, 7]]) {
        const x = make(n!, d, 1);
        const queries = make(nq!, d, 2);
        const run = await assertEqual(gpu, { x, queries, d, k: k!, how }, `${n} × ${nq}`);
        const names = run.variants.join(" ");
        const dense = n! <= 8192;
        assert.match(names, dense ? /flat_keys_/ : /flat_threshold .*flat_(direct_)?scan_/);
        const tile = dense ? keysTile(nq!) : scanTile(nq!, paddedWidth(d) / 4);
        assert.match(names, new RegExp(`_${tile.name}\\b`));
        assert.equal(run.scanned, n! * nq!);
        assert.ok(run.recomputed >= nq! * k! && run.threads > 0);
      }
    });
  }
}

Deno.test("gpu search says when no bound helped", async () => {
  const gpu = createGpuBackend(testDevice());
  const x = new Float32Array(9000 * 4).fill(2);
  const queries = normals(2, 4, 1);
  const how = { metric: Metric.L2, metricArg: 0 };
  const run = await assertEqual(gpu, { x, queries, d: 4, k: 3, how }, "equal rows");
  assert.ok(run.variants.includes("exhaust_l2"), run.variants.join(" "));
  assert.equal(run.backend, "gpu");
  assert.equal(run.engine, testDevice().engine);
  assert.equal(run.isa, testDevice().name);
});

Deno.test("gpu search tries again where a bound let too many through", async () => {
  const gpu = createGpuBackend(testDevice());
  const [n, d] = [9000, 4];
  // A third of the rows lies at one distance, twenty are nearer: the bound is that of the third.
  const x = normals(n, d, 50).map((value) => value + 100);
  for (let row = 0; row < n; row += 3) {
    x.fill(1, row * d, (row + 1) * d);
    if (row % 450 === 0) x.fill(0.5 + row / 1e5, row * d, (row + 1) * d);
  }
  for (const nq of [1, 3, 9]) {
    const queries = new Float32Array(nq * d);
    for (const metric of [Metric.L2, Metric.Cosine]) {
      // Of cosines, the others are as near: they try again and then give up.
      if (metric === Metric.Cosine) queries.fill(1);
      const how = { metric, metricArg: 0 };
      const { variants } = await assertEqual(gpu, { x, queries, d, k: 5, how }, `${nq} queries`);
      assert.ok(variants.includes("gather_rows_b32"), variants.join(" "));
      if (metric === Metric.L2) assert.ok(!variants.includes("exhaust_l2"), variants.join(" "));
    }
  }
});

Deno.test("gpu finds inner products that overflow, or whose terms do, as the host does", async () => {
  const gpu = createGpuBackend(testDevice());
  const [d, k] = [6, 12];
  const how = { metric: Metric.InnerProduct, metricArg: 0 };
  for (const [n, nq] of [[300, 5], [9000, 1], [9000, 20]] as const) {
    // Up to 1e39, of either sign: some sums come back into range, some do not.
    const x = normals(n, d, 60).map((value, i) => value * (i % 7 === 0 ? 1e20 : 1e19));
    const queries = normals(nq, d, 61).map((value) => value * 1e19);
    using ours = gpu.createFlat(d);
    using theirs = reference.createFlat(d);
    using ourLists = gpu.createIVF(d, 1);
    for (const store of [ours, theirs]) await store.add(x);
    const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
    await ourLists.add(x, new BigInt64Array(n), ids);
    const expected = theirs.searchSync(queries, k, how);
    assert.ok(expected.distances.includes(Infinity));
    for (
      const found of [
        ours.searchSync(queries, k, how),
        ourLists.searchSync(queries, new BigInt64Array(nq), k, how),
      ]
    ) {
      assert.deepEqual(found.labels, expected.labels);
      found.distances.forEach((distance, i) => {
        const wanted = expected.distances[i]!;
        if (distance === wanted) return;
        assert.ok(
          Math.abs(distance - wanted) <= 1.2e-7 * wanted,
          `${distance}, expected ${wanted}`,
        );
      });
    }
    const radius = 3e38;
    const within = await ours.rangeSearch(queries, radius, how);
    assert.deepEqual(within.labels, (await theirs.rangeSearch(queries, radius, how)).labels);
  }
});

/** The row that `sample.h` takes of each part. */
function sampledRows(rows: number, samples: number): number[] {
  return Array.from({ length: samples }, (_, i) => {
    const [begin, end] = [Math.floor(i * rows / samples), Math.floor((i + 1) * rows / samples)];
    let hash = Math.imul(i, 0x9e3779b9);
    hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
    hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
    return begin + ((hash ^ hash >>> 16) >>> 0) % (end - begin);
  });
}

Deno.test("gpu search is exact where the sample holds the nearest rows and no others", async () => {
  const gpu = createGpuBackend(testDevice());
  const [n, d, k] = [9000, 4, 40];
  const plan = planFlat(n, k);
  assert.ok(plan.kind === "sampled" && plan.rank < k);
  const x = normals(n, d, 51).map((value) => value + 10);
  for (const row of sampledRows(n, plan.samples)) {
    for (let c = 0; c < d; c++) x[row * d + c]! -= 10;
  }
  const how = { metric: Metric.L2, metricArg: 0 };
  for (const nq of [1, 9]) {
    const queries = normals(nq, d, 52);
    const { variants } = await assertEqual(gpu, { x, queries, d, k, how }, `${nq} queries`);
    assert.ok(variants.includes("exhaust_l2"), variants.join(" "));
  }
});

Deno.test("gpu search finds any k up to 2,048, and of fewer rows all", async () => {
  const gpu = createGpuBackend(testDevice());
  const d = 4;
  const x = normals(9000, d, 3);
  const queries = normals(2, d, 4);
  const how = { metric: Metric.L2, metricArg: 0 };
  for (const k of [1, 2, 100, 1024, 2048]) {
    await assertEqual(gpu, { x, queries, d, k, how }, `k ${k}`);
  }
  const few = x.subarray(0, 30 * d);
  await assertEqual(gpu, { x: few, queries, d, k: 5000, how }, "30 rows");
  using store = gpu.createFlat(d);
  await store.add(x);
  await assert.rejects(store.search(queries, 2049, how), {
    name: "RangeError",
    message: /2049.*2048/,
  });
});

Deno.test("gpu search looks only at the selected rows, many or few", async () => {
  const gpu = createGpuBackend(testDevice());
  const d = 5;
  const n = 10_000;
  const random = new Random(5);
  const x = normals(n, d, 5);
  const chosen = Array.from({ length: n }, (_, i) => i).filter(() => random.uniform() < 0.9);
  for (
    const [selector, rows] of [
      [new IDSelectorArray(chosen), chosen.length],
      [new IDSelectorRange(7, 900), 893],
      [new IDSelectorRange(0, n), n],
      [new IDSelectorArray([9999, 3]), 2],
    ] as const
  ) {
    for (const metric of [Metric.L2, Metric.InnerProduct, Metric.L1]) {
      for (const nq of [1, 5]) {
        const how = { metric, metricArg: 0, selector };
        const queries = normals(nq, d, 6);
        const run = await assertEqual(gpu, { x, queries, d, k: 12, how }, `${rows} rows`);
        assert.equal(run.scanned, nq * rows);
      }
    }
  }
});

Deno.test("gpu search in batches of a small budget finds the same", async () => {
  const small = createGpuBackend(testDevice(), { budget: 200_000 });
  const d = 3;
  const queries = normals(40, d, 8);
  for (const metric of [Metric.L2, Metric.L1]) {
    const how = { metric, metricArg: 0 };
    for (const n of [9000, 500]) {
      await assertEqual(small, { x: normals(n, d, 7), queries, d, k: 9, how }, `${n} rows`);
    }
  }
  const x = normals(50, d, 9);
  const expected = await reference.pairwise(x, queries, d, Metric.L1, 0);
  const tiny = createGpuBackend(testDevice(), { budget: 1000 });
  const distances = await tiny.pairwise(x, queries, d, Metric.L1, 0);
  distances.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-6));
  const codes = Uint8Array.from({ length: 130 }, (_, i) => i * 37);
  assert.deepEqual(
    await tiny.hamming(codes, codes, 2, 4),
    await reference.hamming(codes, codes, 2, 4),
  );
});

Deno.test("gpu rangeSearch finds more pairs than it had room for", async () => {
  const gpu = createGpuBackend(testDevice());
  const d = 2;
  const x = normals(3000, d, 10);
  const queries = normals(3, d, 11);
  using ours = gpu.createFlat(d);
  using theirs = reference.createFlat(d);
  for (const store of [ours, theirs]) await store.add(x);
  for (const radius of [1e-3, 4, 1e9]) {
    const how = { metric: Metric.L2, metricArg: 0 };
    const found = await ours.rangeSearch(queries, radius, how);
    const expected = await theirs.rangeSearch(queries, radius, how);
    assert.deepEqual(found.lims, expected.lims);
    assert.deepEqual(found.labels, expected.labels);
  }
});

/** A device that refuses buffers larger than `most` bytes while `most` says so. */
function limited(device: GpuDevice, limit: { most: number }): GpuDevice {
  return new Proxy(device, {
    get(target, key) {
      if (key === "createBuffer") {
        return (bytes: number, options: Parameters<GpuDevice["createBuffer"]>[1]) => {
          if (bytes > limit.most) throw new OutOfMemoryError(`Cannot create: ${bytes} bytes`);
          return target.createBuffer(bytes, options);
        };
      }
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("gpu stores stay as they were where memory runs out", async () => {
  const limit = { most: Infinity };
  const gpu = createGpuBackend(limited(testDevice(), limit));
  const d = 4;
  const x = normals(100, d, 12);
  const how = { metric: Metric.L2, metricArg: 0 };
  using flat = gpu.createFlat(d);
  using lists = gpu.createIVF(d, 3);
  const assigned = BigInt64Array.from({ length: 100 }, (_, i) => BigInt(i % 3));
  const ids = BigInt64Array.from({ length: 100 }, (_, i) => BigInt(i));
  await flat.add(x);
  await lists.add(x, assigned, ids);
  const memory = { name: "OutOfMemoryError" };
  // Of search, only what grows with the results; of changes, everything.
  limit.most = 1000;
  await assert.rejects(flat.add(x), memory);
  await assert.rejects(lists.add(x, assigned, ids), memory);
  await assert.rejects(flat.remove(new IDSelectorRange(0, 10)), memory);
  await assert.rejects(lists.remove(new IDSelectorRange(0, 10)), memory);
  await assert.rejects(flat.search(x, 50, how), memory);
  assert.throws(() => lists.searchSync(x, assigned, 50, how), memory);
  limit.most = Infinity;
  assert.deepEqual([flat.count, lists.count], [100, 100]);
  assert.deepEqual([...flat.searchSync(x, 1, how).labels].map(Number), [...ids].map(Number));
  assert.deepEqual([...lists.searchSync(x, assigned, 1, how).labels], [...ids]);
  await flat.add(x);
  assert.equal(flat.count, 200);
});

Deno.test("gpu flat stores grow, and terms with them", async () => {
  const gpu = createGpuBackend(testDevice());
  const d = 3;
  using ours = gpu.createFlat(d);
  using theirs = reference.createFlat(d);
  const queries = normals(6, d, 20);
  const how = { metric: Metric.L2, metricArg: 0 };
  for (const [step, n] of [3, 40, 1, 500, 30].entries()) {
    // Each addition lies elsewhere, so that the center has to move.
    const x = normals(n, d, step).map((value) => value + 50 * step);
    for (const store of [ours, theirs]) await store.add(x);
    for (const at of [0, 50, 150]) {
      const near = queries.map((value) => value + at);
      assert.deepEqual(
        ours.searchSync(near, 8, how).labels,
        theirs.searchSync(near, 8, how).labels,
      );
    }
  }
  assert.equal(await ours.remove(new IDSelectorRange(1, 400)), 399);
  await theirs.remove(new IDSelectorRange(1, 400));
  assert.deepEqual(
    ours.searchSync(queries, 8, how).labels,
    theirs.searchSync(queries, 8, how).labels,
  );
});

Deno.test("what a failed command buffer was to leave of rows is computed again", async () => {
  const device = testDevice();
  const lose = { next: false };
  // A stream whose command buffer is never run, and fails.
  const stream = new Proxy(device.stream, {
    get(target, key) {
      if (key === "commands" && lose.next) {
        return () => ({
          dispatch() {},
          fill() {},
          commit: () => ({ completed: Promise.reject(new DeviceError("Cannot run: lost")) }),
        });
      }
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const gpu = createGpuBackend(
    new Proxy(device, {
      get(target, key) {
        if (key === "stream") return stream;
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
  );
  const [d, k] = [4, 5];
  const how = { metric: Metric.L2, metricArg: 0 };
  const x = normals(9000, d, 72);
  const queries = normals(9, d, 73);
  using ours = gpu.createFlat(d);
  using theirs = reference.createFlat(d);
  for (const store of [ours, theirs]) await store.add(x);
  lose.next = true;
  await assert.rejects(ours.search(queries, k, how), { name: "DeviceError" });
  lose.next = false;
  assert.deepEqual(
    (await ours.search(queries, k, how)).labels,
    theirs.searchSync(queries, k, how).labels,
  );
});

Deno.test("gpu stores that were cleared find a new center", async () => {
  const gpu = createGpuBackend(testDevice());
  const [d, nq, k] = [4, 9, 5];
  const how = { metric: Metric.L2, metricArg: 0 };
  using flat = gpu.createFlat(d);
  using lists = gpu.createIVF(d, 1);
  for (const at of [0, 1e4]) {
    const x = normals(9000, d, 70).map((value) => value + at);
    const queries = normals(nq, d, 71).map((value) => value + at);
    const ids = BigInt64Array.from({ length: 9000 }, (_, i) => BigInt(i));
    flat.clear();
    lists.clear();
    await flat.add(x);
    await lists.add(x, new BigInt64Array(9000), ids);
    const found = flat.searchSync(queries, k, how);
    const listed = lists.searchSync(queries, new BigInt64Array(nq), k, how);
    assert.deepEqual(listed.labels, found.labels);
    const variants = [...found.run.variants, ...listed.run.variants].join(" ");
    assert.doesNotMatch(variants, /exhaust/, `at ${at}`);
  }
});

Deno.test("gpu inverted lists keep rows through many additions", async () => {
  const gpu = createGpuBackend(testDevice());
  const [d, nlist] = [3, 5];
  using ours = gpu.createIVF(d, nlist);
  using theirs = reference.createIVF(d, nlist);
  const random = new Random(6);
  for (const n of [10, 1, 60, 7]) {
    const x = normals(n, d, n);
    const lists = BigInt64Array.from({ length: n }, () => BigInt(random.integer(nlist)) - 1n);
    const ids = BigInt64Array.from({ length: n }, () => BigInt(random.integer(1e9)));
    for (const store of [ours, theirs]) await store.add(x, lists, ids);
  }
  assert.deepEqual(ours.sizes(), theirs.sizes());
  for (let list = 0; list < nlist; list++) assert.deepEqual(ours.list(list), theirs.list(list));
  assert.throws(() => ours.list(nlist), RangeError);
  assert.throws(() => ours.gather(BigInt64Array.of(1000n), new Float32Array(d)), RangeError);
  await assert.rejects(
    ours.add(new Float32Array(d), BigInt64Array.of(5n), BigInt64Array.of(1n)),
    RangeError,
  );
});

Deno.test("gpu k-means rows stay on the device through iterations", async () => {
  const gpu = createGpuBackend(testDevice());
  const [n, d, k] = [500, 7, 12];
  const x = normals(n, d, 30);
  const centroids = normals(k, d, 31);
  using rows = (await gpu.residentRows!(x, d, Metric.L2))!;
  const weights = Float32Array.from({ length: n }, (_, i) => 1 + i % 3);
  using store = reference.createFlat(d);
  for (let round = 0; round < 3; round++) {
    store.clear();
    await store.add(centroids);
    const expected = store.searchSync(x, 1, { metric: Metric.L2, metricArg: 0 });
    const { labels } = await rows.assign(centroids, Metric.L2);
    assert.deepEqual(labels, expected.labels);
    const moved = centroids.slice();
    const totals = await reference.kmeansUpdate(x, labels, weights, moved, d);
    assert.deepEqual(await rows.update(weights, centroids), totals);
    centroids.forEach((value, i) => assert.ok(Math.abs(value - moved[i]!) < 1e-6));
    centroids.set(moved);
  }
  assert.equal(await gpu.residentRows!(x, d, Metric.InnerProduct), undefined);
});

Deno.test("a gpu search is stopped by its signal between command buffers", async () => {
  const gpu = createGpuBackend(testDevice(), { budget: 1 });
  const d = 4;
  using index = new IndexFlatL2(d, { backend: gpu });
  const x = normals(9000, d, 40);
  await index.add(x);
  const controller = new AbortController();
  const searching = index.search(x, 3, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 20);
  await assert.rejects(searching, { message: "enough" });
  assert.equal((await index.search(x.subarray(0, d), 1)).labels[0], 0n);
});

Deno.test("without a GPU, gpu is an error that says how to get one", async () => {
  const root = new URL("../", import.meta.url).pathname;
  const script = `import { backend } from "${root}mod.ts"; console.log(backend().engine);`;
  const run = async (env: Record<string, string>) => {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["eval", script],
      env: { METALFAISS_BACKEND: "auto", METALFAISS_GPU: "", ...env },
    });
    const { code, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout).trim(), err: decoder.decode(stderr) };
  };
  const asked = await run({ METALFAISS_BACKEND: "gpu" });
  if (asked.code === 0) assert.match(asked.out, /^(cuda|metal)$/);
  else assert.match(asked.err, /DeviceError.*METALFAISS_GPU=emulator/);
  assert.equal((await run({ METALFAISS_GPU: "emulator" })).out, "emulator");
  assert.equal(
    (await run({ METALFAISS_GPU: "emulator", METALFAISS_BACKEND: "cpu" })).out,
    "native",
  );
  const wrong = await run({ METALFAISS_GPU: "abacus" });
  assert.match(wrong.err, /RangeError.*METALFAISS_GPU.*abacus/);
  if (Deno.build.os === "linux") assert.equal((await run({})).out, "native");
});
