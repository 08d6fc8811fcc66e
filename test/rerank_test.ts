import assert from "node:assert/strict";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { createBackend } from "../lib/backend/select.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import { IndexRefineFlat } from "../lib/index/refine.ts";
import { rerank } from "../lib/index/rerank.ts";
import { Metric, metricName, missingDistance } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";

const reference = createReferenceBackend();
const cpu = createBackend("cpu");

/** Rows above 0, so that all metrics have values; some the same, some zeros, one near FLT_MAX. */
function rows(n: number, d: number, seed: number): Float32Array {
  const random = new Random(seed);
  const x = Float32Array.from({ length: n * d }, () => random.uniform() + 0.01);
  for (let i = 0; i + 1 < n; i += 7) x.copyWithin((i + 1) * d, i * d, (i + 1) * d);
  if (n > 9) x.fill(0, 8 * d, 9 * d).fill(2e38, 9 * d, 10 * d);
  return x;
}

/** Candidates by chance, without repetition, with gaps. */
function candidates(n: number, nq: number, offered: number, seed: number): BigInt64Array {
  const random = new Random(seed);
  const out = new BigInt64Array(nq * offered).fill(-1n);
  for (let query = 0; query < nq; query++) {
    random.permutation(n, Math.min(n, offered)).forEach((row, i) => {
      if (random.uniform() < 0.9) out[query * offered + i] = BigInt(row);
    });
  }
  return out;
}

Deno.test("native reranking is the one in TypeScript, by every metric", async () => {
  for (const metric of Object.values(Metric)) {
    const metricArg = metric === Metric.Lp ? 3 : 0;
    for (const d of [1, 3, 8, 33, 130]) {
      const x = rows(60, d, d);
      using plain = new IndexFlat(d, metric, { backend: reference, metricArg });
      using native = new IndexFlat(d, metric, { backend: cpu, metricArg });
      await plain.add(x);
      await native.add(x);
      for (const [nq, offered, k] of [[1, 1, 1], [1, 40, 5], [9, 60, 60], [30, 7, 12]] as const) {
        const queries = rows(nq, d, 99);
        const labels = candidates(60, nq, offered, nq);
        const wanted = rerank({ index: plain, queries }, { labels, nq, k: offered }, k);
        const how = native.comparison();
        for (
          const found of [
            await native.store.rerank!(queries, labels, k, how),
            native.store.rerankSync!(queries, labels, k, how),
          ]
        ) {
          const what = `${metricName(metric)} d ${d} nq ${nq} offered ${offered} k ${k}`;
          assert.equal(found.run.scanned, wanted.run.scanned, what);
          found.distances.forEach((distance, i) => {
            const off = Math.abs(distance - wanted.distances[i]!);
            assert(off <= 1e-6 * Math.abs(wanted.distances[i]!), `${what}: ${distance} at ${i}`);
            // Sums in another order may part what lies within a digit.
            if (off === 0) assert.equal(found.labels[i], wanted.labels[i], what);
          });
        }
      }
    }
  }
});

Deno.test("reranking of no candidates finds nothing", async () => {
  for (const metric of [Metric.L2, Metric.InnerProduct]) {
    using index = new IndexFlat(2, metric, { backend: cpu });
    await index.add([[1, 2]]);
    const labels = new BigInt64Array(6).fill(-1n);
    const found = await index.store.rerank!(new Float32Array(4), labels, 2, index.comparison());
    assert.deepEqual([...found.labels], [-1n, -1n, -1n, -1n]);
    assert(found.distances.every((distance) => distance === Math.fround(missingDistance(metric))));
    assert.equal(found.run.scanned, 0);
  }
});

Deno.test("a candidate that is no position is an error, not a crash", async () => {
  for (const backend of [reference, cpu]) {
    using base = new IndexFlat(2, Metric.L2, { backend });
    using index = new IndexRefineFlat(base);
    await index.add([[1, 2], [3, 4]]);
    // As a base index that numbers vectors otherwise would have it.
    base.store.search = (_queries, k) => {
      const labels = new BigInt64Array(k).fill(2n ** 40n);
      const run = { ...index.lastRun!, scanned: 0, recomputed: 0, variants: [] };
      return Promise.resolve({ distances: new Float32Array(k), labels, run });
    };
    await assert.rejects(index.search([[1, 2]], 1), {
      name: "RangeError",
      message: /^Cannot refine: candidate 1099511627776 is no position below 2$/,
    });
  }
});
