import assert from "node:assert/strict";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Metric, metricName } from "../lib/metric.ts";
import { Random } from "../lib/random.ts";
import { IDSelectorRange } from "../lib/selector.ts";
import { normals, testDevice } from "./grid.ts";
import { onGpu } from "./gpu.ts";

const D = 7;
const NLIST = 9;

/** The same lists on the GPU and in the reference backend; list 4 is empty, list 8 has one row. */
async function stores(x: Float32Array) {
  const random = new Random(3);
  const n = x.length / D;
  const lists = BigInt64Array.from({ length: n }, (_, i) => {
    const list = i === 0 ? 8 : random.integer(7);
    return BigInt(list >= 4 && list < 8 ? list + 1 : list);
  });
  // Ids in no order: ties go to the lower one, wherever it lies.
  const ids = BigInt64Array.from({ length: n }, (_, i) => BigInt((i * 7919) % n) + 2n ** 40n);
  const ours = createGpuBackend(testDevice()).createIVF(D, NLIST);
  const theirs = createReferenceBackend().createIVF(D, NLIST);
  for (const store of [ours, theirs]) await store.add(x, lists, ids);
  return { ours, theirs, n };
}

/** Some lists a query, some of them −1. */
function probesOf(nq: number, nprobe: number, seed: number): BigInt64Array {
  const random = new Random(seed);
  return BigInt64Array.from({ length: nq * nprobe }, (_, i) => {
    const list = (Math.floor(i / nprobe) + i % nprobe) % NLIST;
    return random.integer(10) === 0 ? -1n : BigInt(list);
  });
}

Deno.test(
  "gpu search of long lists takes bounds from samples, and finds the same",
  onGpu,
  async () => {
    const x = normals(5000, D, 1);
    // Copies, so that there are ties.
    x.copyWithin(1000 * D, 0, 200 * D);
    const { ours, theirs, n } = await stores(x);
    for (
      const [nq, nprobe, k, kernel] of [[3, 9, 10, "ivf_scan_"], [160, 9, 5, "_grouped_"]] as const
    ) {
      const queries = normals(nq, D, 2);
      const probes = probesOf(nq, nprobe, 5);
      for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
        for (
          const selector of [undefined, new IDSelectorRange(2 ** 40, 2 ** 40 + Math.floor(n / 3))]
        ) {
          const how = { metric, metricArg: 0, selector };
          const found = await ours.search(queries, probes, k, how);
          const expected = theirs.searchSync(queries, probes, k, how);
          const what = `${metricName(metric)}, ${nq} queries${selector ? ", filtered" : ""}`;
          assert.deepEqual(found.labels, expected.labels, what);
          found.distances.forEach((distance, i) => {
            const error = Math.abs(distance - expected.distances[i]!);
            assert.ok(error <= 1.2e-7 * Math.abs(expected.distances[i]!) + 1e-43, what);
          });
          const ran = found.run.variants.join(" ");
          assert.match(ran, /ivf_bound_/, what);
          assert.ok(ran.includes(kernel), `${what}: ${ran}`);
        }
      }
    }
    ours[Symbol.dispose]();
    theirs[Symbol.dispose]();
  },
);

Deno.test("gpu search of lists tries again with more room, then exactly", onGpu, async () => {
  // Every row is as far as every other: no bound leaves any out.
  const { ours, theirs } = await stores(new Float32Array(5000 * D).fill(0.25));
  const queries = normals(2, D, 4);
  const probes = probesOf(2, 9, 6);
  const how = { metric: Metric.L2, metricArg: 0 };
  const found = await ours.search(queries, probes, 20, how);
  const expected = theirs.searchSync(queries, probes, 20, how);
  assert.deepEqual(found.labels, expected.labels);
  assert.ok(found.run.variants.some((name) => name.startsWith("exhaust_parts_")));
  ours[Symbol.dispose]();
  theirs[Symbol.dispose]();
});
