import assert from "node:assert/strict";
import { createCpuBackend, describeLibrary, setThreads } from "../lib/backend/cpu/mod.ts";
import { QuantizerType } from "../lib/codec/quantizer_type.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import type { IndexGraph } from "../lib/index/graph.ts";
import { IndexHNSWSQ } from "../lib/index/hnsw_codes.ts";
import type { Index, SearchParameters } from "../lib/index/index.ts";
import { IndexNNDescentFlat } from "../lib/index/nn_descent.ts";
import { IndexNSGFlat, IndexNSGSQ } from "../lib/index/nsg.ts";
import { Metric } from "../lib/metric.ts";
import { gaussian, manifold } from "../lib/profile/datasets.ts";
import { isNative } from "./native.ts";

const [N, D, NQ, K] = [3000, 24, 200, 10];

/** The share of the nearest that a search finds. */
async function recall(
  index: Index,
  flat: Index,
  queries: Float32Array,
  params: SearchParameters = {},
): Promise<number> {
  const found = await index.search(queries, K, params);
  const { labels } = await flat.search(queries, K, params);
  let [hits, all] = [0, 0];
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

const native = { ignore: !isNative };

Deno.test("graphs made at once do not depend on the number of threads", native, async () => {
  const x = manifold(N, D);
  const before = describeLibrary().threads;
  const graphs: unknown[][] = [];
  try {
    for (const threads of [1, 2, 5]) {
      setThreads(threads);
      const backend = createCpuBackend();
      using spread = new IndexNSGFlat(D, 16, Metric.Cosine, { backend });
      using neighbors = new IndexNNDescentFlat(D, 24, Metric.L2, { backend });
      for (const index of [spread, neighbors]) await index.add(x);
      await spread.removeIds((id) => id % 9n === 1n);
      graphs.push([spread.store.graph(), neighbors.store.graph()]);
    }
  } finally {
    setThreads(before);
  }
  assert.deepEqual(graphs[1], graphs[0]);
  assert.deepEqual(graphs[2], graphs[0]);
});

Deno.test("neighbors of neighbors are found, all but a few", native, async () => {
  const backend = createCpuBackend();
  for (const [x, least] of [[manifold(N, D), 0.98], [gaussian(N, D), 0.9]] as const) {
    for (const metric of [Metric.L2, Metric.Cosine]) {
      using index = new IndexNNDescentFlat(D, 20, metric, { backend });
      await index.add(x);
      using flat = new IndexFlat(D, metric, { backend });
      await flat.add(x);
      // Each row's first neighbor is the row itself.
      const { labels } = await flat.search(x.subarray(0, 500 * D), 21);
      const { links } = index.store.graph();
      let hits = 0;
      for (let row = 0; row < 500; row++) {
        const own = new Set(links.subarray(row * 20, (row + 1) * 20));
        assert(!own.has(row) && !own.has(-1) && own.size === 20);
        for (const label of labels.subarray(row * 21, (row + 1) * 21)) {
          hits += own.has(Number(label)) ? 1 : 0;
        }
      }
      assert(hits / 10_000 > least, `metric ${metric}: ${hits / 10_000}`);
      // Vectors that come later are among the neighbors.
      await index.add(x.subarray(0, 10 * D));
      assert.equal(index.ntotal, N + 10);
      assert(index.store.graph().links.subarray(0, 20).includes(N));
    }
  }
});

Deno.test("a spreading-out graph is found through, and reaches every vector", native, async () => {
  const backend = createCpuBackend();
  const cases: [Float32Array<ArrayBuffer>, Metric, number][] = [
    [manifold(N + NQ, D), Metric.L2, 0.97],
    [manifold(N + NQ, D), Metric.Cosine, 0.97],
    [gaussian(N + NQ, D), Metric.L2, 0.85],
    [gaussian(N + NQ, D), Metric.InnerProduct, 0.8],
  ];
  for (const [all, metric, least] of cases) {
    const [x, queries] = [all.slice(0, N * D), all.slice(N * D)];
    using flat = new IndexFlat(D, metric, { backend });
    await flat.add(x);
    const qtype = QuantizerType.QT8bit;
    const graphs: IndexGraph[] = [
      new IndexNSGFlat(D, 32, metric, { backend }),
      new IndexNSGSQ(D, qtype, 32, metric, { backend }),
    ];
    for (const index of graphs) {
      if (!index.isTrained) await index.train(x);
      await index.add(x);
      const what = `${index.constructor.name} metric ${metric}`;
      const found = await recall(index, flat, queries, { searchL: 64 });
      assert(found > least, `${what}: ${found}`);
      assert.deepEqual(index.lastRun!.variants, ["hnsw_walk"]);
      const { links, entry } = index.store.graph();
      const reached = new Set([entry]);
      for (const node of reached) {
        for (const other of links.subarray(node * 32, (node + 1) * 32)) {
          if (other !== -1) reached.add(other);
        }
      }
      assert.equal(reached.size, N, what);
      const filter = (id: bigint) => id % 4n === 1n;
      const some = await recall(index, flat, queries, { searchL: 64, filter });
      assert(some > least - 0.02, `${what} of a quarter: ${some}`);
      index.dispose();
    }
  }
});

Deno.test("30 % of a graph over codes removed and added again", native, async () => {
  const backend = createCpuBackend();
  const all = manifold(N + NQ, D);
  const [x, queries] = [all.slice(0, N * D), all.slice(N * D)];
  for (
    const index of [
      new IndexHNSWSQ(D, QuantizerType.QT8bit, 16, Metric.L2, { backend }),
      new IndexNSGFlat(D, 32, Metric.L2, { backend }),
    ]
  ) {
    using flat = new IndexFlat(D, Metric.L2, { backend });
    await index.train(x);
    for (const each of [index, flat]) await each.add(x);
    const params = { efSearch: 48, searchL: 48 };
    const [fresh, memory] = [await recall(index, flat, queries, params), index.memoryUsage()];
    // Those of one side, so that whole regions lose all.
    const gone = Array.from({ length: N }, (_, i) => i).filter((i) => x[i * D]! < -0.3);
    assert(gone.length > N / 10 && gone.length < N / 2);
    const again = new Float32Array(gone.length * D);
    gone.forEach((row, i) => again.set(x.subarray(row * D, (row + 1) * D), i * D));
    for (const each of [index, flat]) assert.equal(await each.removeIds(gone), gone.length);
    const fewer = await recall(index, flat, queries, params);
    assert(fewer > fresh - 0.005, `${index.constructor.name} of fewer: ${fewer}, was ${fresh}`);
    for (const each of [index, flat]) await each.add(again);
    const after = await recall(index, flat, queries, params);
    assert(after > fresh - 0.005, `${index.constructor.name}: ${after}, was ${fresh}`);
    assert(Math.abs(index.memoryUsage() / memory - 1) < 0.05);
    index.dispose();
  }
});
