import assert from "node:assert/strict";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import type { SearchParameters } from "../lib/index/index.ts";
import { Metric } from "../lib/metric.ts";
import { gaussian, manifold } from "../lib/profile/datasets.ts";
import { isNative } from "./native.ts";

const K = 10;
const [N, D, NQ] = [6000, 32, 200];

interface Case {
  index: IndexHNSWFlat;
  flat: IndexFlat;
  x: Float32Array<ArrayBuffer>;
  queries: Float32Array;
}

async function make(all: Float32Array<ArrayBuffer>, metric: Metric): Promise<Case & Disposable> {
  const [x, queries] = [all.slice(0, N * D), all.subarray(N * D)];
  const backend = createCpuBackend();
  const flat = new IndexFlat(D, metric, { backend });
  const index = new IndexHNSWFlat(D, 16, metric, { backend });
  for (const each of [flat, index]) await each.add(x);
  const dispose = () => [flat, index].forEach((each) => each.dispose());
  return { index, flat, x, queries, [Symbol.dispose]: dispose };
}

/** The share of the nearest that a search finds. */
async function recall({ index, flat, queries }: Case, params: SearchParameters): Promise<number> {
  const found = await index.search(queries, K, params);
  const { labels } = await flat.search(queries, K, params);
  let hits = 0;
  let all = 0;
  for (let q = 0; q < NQ; q++) {
    const wanted = new Set(labels.subarray(q * K, (q + 1) * K));
    wanted.delete(-1n);
    all += wanted.size;
    for (const label of found.labels.subarray(q * K, (q + 1) * K)) {
      hits += wanted.has(label) ? 1 : 0;
    }
  }
  return hits / all;
}

const surface = () => manifold(N + NQ, D);
const cloud = () => gaussian(N + NQ, D);

Deno.test(
  "a graph finds more of the nearest the more it keeps",
  { ignore: !isNative },
  async () => {
    const cases: [string, Float32Array<ArrayBuffer>, Metric, number[]][] = [
      ["surface", surface(), Metric.L2, [0.9, 0.98, 0.995]],
      ["surface", surface(), Metric.Cosine, [0.9, 0.98, 0.995]],
      // Nothing is near anything in 32 dimensions: the least that can be asked.
      ["cloud", cloud(), Metric.L2, [0.4, 0.75, 0.95]],
      ["cloud", cloud(), Metric.InnerProduct, [0.5, 0.8, 0.95]],
    ];
    for (const [name, all, metric, least] of cases) {
      using made = await make(all, metric);
      let before = 0;
      for (const [i, efSearch] of [16, 64, 256].entries()) {
        const found = await recall(made, { efSearch });
        assert(found >= least[i]! && found >= before, `${name} ${metric} ef ${efSearch}: ${found}`);
        before = found;
        assert.deepEqual(made.index.lastRun!.variants, ["hnsw_walk"]);
        assert(made.index.lastRun!.scanned < NQ * N / 2);
      }
    }
  },
);

Deno.test("a filter keeps recall however few it lets pass", { ignore: !isNative }, async () => {
  for (const all of [surface(), cloud()]) {
    using made = await make(all, Metric.L2);
    const variants = new Set<string>();
    for (const every of [2n, 3n, 10n, 30n, 100n, 1000n, 10_000n]) {
      const filter = (id: bigint) => id % every === 1n;
      const plain = await recall(made, { efSearch: 100 });
      const found = await recall(made, { efSearch: 100, filter });
      assert(found >= Math.min(0.99, plain), `1 of ${every}: ${found}, and ${plain} of all`);
      variants.add(made.index.lastRun!.variants[0]!);
      const { labels } = await made.index.search(made.queries, K, { filter });
      assert(labels.every((label) => label === -1n || filter(label)), `1 of ${every}`);
    }
    assert(variants.has("hnsw_scan"), "few rows are looked at one by one");
  }
});

Deno.test("a filter that lets most pass walks the graph", { ignore: !isNative }, async () => {
  using made = await make(surface(), Metric.L2);
  const filter = (id: bigint) => id % 8n !== 0n;
  assert(await recall(made, { efSearch: 32, filter }) > 0.97);
  assert.deepEqual(made.index.lastRun!.variants, ["hnsw_walk", "hnsw_filtered"]);
});

Deno.test(
  "30 % removed and added again: recall and memory of a new graph",
  { ignore: !isNative },
  async () => {
    for (const all of [surface(), cloud()]) {
      using made = await make(all, Metric.L2);
      const { index, flat, x } = made;
      const efs = [16, 64, 256];
      const fresh: number[] = [];
      for (const efSearch of efs) fresh.push(await recall(made, { efSearch }));
      const memory = index.memoryUsage();
      const isGone = (id: bigint) => (id * 7n) % 10n < 3n;
      for (const each of [index, flat]) assert.equal(await each.removeIds(isGone), 0.3 * N);
      for (const [i, efSearch] of efs.entries()) {
        const found = await recall(made, { efSearch });
        assert(found > fresh[i]! - 0.005, `ef ${efSearch} of 70 %: ${found}, was ${fresh[i]}`);
      }
      const gone = Array.from({ length: N }, (_, i) => i).filter((i) => isGone(BigInt(i)));
      const again = new Float32Array(gone.length * D);
      gone.forEach((row, i) => again.set(x.subarray(row * D, (row + 1) * D), i * D));
      for (const each of [index, flat]) await each.add(again);
      for (const [i, efSearch] of efs.entries()) {
        const found = await recall(made, { efSearch });
        assert(found > fresh[i]! - 0.005, `ef ${efSearch} again: ${found}, was ${fresh[i]}`);
      }
      assert(Math.abs(index.memoryUsage() / memory - 1) < 0.05);
    }
  },
);

Deno.test(
  "vectors replaced again and again are found as well as new ones",
  { ignore: !isNative },
  async () => {
    using made = await make(surface(), Metric.L2);
    const { index, flat, x } = made;
    const before = await recall(made, { efSearch: 32 });
    // All rows move to the place of another one, a third at a time.
    for (let part = 0; part < 3; part++) {
      const rows = Array.from({ length: N / 3 }, (_, i) => 3 * i + part);
      const moved = new Float32Array(rows.length * D);
      rows.forEach((row, i) => {
        const from = (row + 1) % N;
        moved.set(x.subarray(from * D, (from + 1) * D), i * D);
      });
      await index.updateVectors(rows, moved);
    }
    await flat.reset();
    await flat.add(x.subarray(D));
    await flat.add(x.subarray(0, D));
    assert.deepEqual(index.reconstructN(0, N), flat.reconstructN(0, N));
    const after = await recall(made, { efSearch: 32 });
    assert(after > before - 0.005, `${after}, was ${before}`);
  },
);

Deno.test("of vectors that are all the same any are found", { ignore: !isNative }, async () => {
  const d = 4;
  using index = new IndexHNSWFlat(d, 8, Metric.L2, { backend: createCpuBackend() });
  const x = gaussian(2000, d);
  for (let i = 0; i < 1000; i++) x.fill(7, i * 2 * d, (i * 2 + 1) * d);
  await index.add(x);
  const found = await index.search([[7, 7, 7, 7], [6, 7, 7, 8]], 20, { efSearch: 64 });
  assert.deepEqual([...found.distances], [...new Array(20).fill(0), ...new Array(20).fill(2)]);
  for (const hits of found) assert.equal(new Set(hits.map(({ id }) => id)).size, 20);
});
