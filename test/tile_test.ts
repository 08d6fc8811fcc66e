import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA } from "../lib/backend/cpu/mod.ts";
import { isSimilarity, Metric, metricName } from "../lib/metric.ts";
import { normals } from "./grid.ts";
import { isNative } from "./native.ts";

/** Data that a rounded distance would rank wrongly. */
const kinds: Record<string, (n: number, d: number, seed: number) => Float32Array> = {
  "centred": normals,
  "at a mean of 100": (n, d, seed) => normals(n, d, seed).map((value) => value + 100),
  "far from the origin": (n, d, seed) => normals(n, d, seed).map((value) => value + 1e4),
  "near-duplicates": (n, d, seed) => {
    const base = normals(20, d, 99);
    return normals(n, d, seed).map((value, i) => base[i % base.length]! + value * 1e-3);
  },
  "duplicates": (n, d, seed) => {
    const few = normals(5, d, seed % 2 + 7);
    return Float32Array.from({ length: n * d }, (_, i) => few[i % few.length]!);
  },
  "one far outlier": (n, d, seed) => normals(n, d, seed).map((value, i) => i < d ? 1e6 : value),
  "huge": (n, d, seed) => normals(n, d, seed).map((value) => value * 1e17),
  "vanishing rows": (n, d, seed) =>
    normals(n, d, seed).map((v) => seed === 1 ? v * 1e-21 : Math.round(v * 4)),
  "vanishing queries": (n, d, seed) => normals(n, d, seed).map((v) => seed === 2 ? v * 1e-23 : v),
  "tiny": (n, d, seed) => normals(n, d, seed).map((value) => value * 1e-17),
};

/** The k best ids of a query in double precision, by float32 distance and then id. */
function exact(x: Float32Array, query: Float32Array, metric: Metric, k: number) {
  const d = query.length;
  const found = [];
  for (let row = 0; row * d < x.length; row++) {
    let [dot, squares, lengthX, lengthQ] = [0, 0, 0, 0];
    for (let j = 0; j < d; j++) {
      const [a, b] = [query[j]!, x[row * d + j]!];
      dot += a * b;
      squares += (a - b) * (a - b);
      lengthX += b * b;
      lengthQ += a * a;
    }
    const cosine = dot / Math.sqrt(lengthX) / Math.sqrt(lengthQ);
    const value = metric === Metric.L2 ? squares : metric === Metric.Cosine ? cosine : dot;
    found.push({ id: row, value });
  }
  const sign = isSimilarity(metric) ? -1 : 1;
  found.sort((a, b) => sign * (Math.fround(a.value) - Math.fround(b.value)) || a.id - b.id);
  return found.slice(0, k);
}

async function onEveryISA(body: (cpu: Backend, isa: string) => Promise<void>): Promise<void> {
  const { isa, isas } = describeLibrary();
  try {
    for (const name of isas) {
      setISA(name);
      await body(createCpuBackend(), name);
    }
  } finally {
    setISA(isa);
  }
}

for (const metric of [Metric.L2, Metric.InnerProduct, Metric.Cosine]) {
  for (const [kind, make] of Object.entries(kinds)) {
    Deno.test(
      `tiles and panels rank ${kind} by ${
        metricName(metric)
      } as double precision does, in any batch`,
      { ignore: !isNative },
      async () => {
        for (const [n, d, nq, k] of [[700, 19, 37, 10], [1500, 64, 41, 1], [300, 130, 50, 100]]) {
          const x = make(n!, d!, 1);
          const queries = make(nq!, d!, 2);
          const how = { metric, metricArg: 0 };
          const truth = Array.from(
            { length: nq! },
            (_, q) => exact(x, queries.subarray(q * d!, (q + 1) * d!), metric, k!),
          );
          await onEveryISA(async (cpu, isa) => {
            using store = cpu.createFlat(d!);
            await store.add(x);
            const together = await store.search(queries, k!, how);
            assert.ok(together.run.variants.some((name) => name.startsWith("tile_")), isa);
            for (const few of [14, 16]) {
              const some = await store.search(queries.subarray(0, few * d!), k!, how);
              assert.equal(some.run.variants.includes("panel_f32"), !kind.startsWith("far"), isa);
              assert.deepEqual(some.labels, together.labels.subarray(0, few * k!), isa);
              assert.deepEqual(some.distances, together.distances.subarray(0, few * k!), isa);
            }
            for (let q = 0; q < nq!; q++) {
              const [from, to] = [q * k!, (q + 1) * k!];
              const alone = store.searchSync(queries.subarray(q * d!, (q + 1) * d!), k!, how);
              assert.deepEqual(alone.run.variants, ["direct_f32"]);
              const labels = together.labels.subarray(from, to);
              assert.deepEqual(alone.labels, labels, isa);
              assert.deepEqual(alone.distances, together.distances.subarray(from, to), isa);
              for (const [at, { value }] of truth[q]!.entries()) {
                const distance = together.distances[from + at]!;
                const error = Math.abs(distance - value);
                assert.ok(error <= 1e-5 * Math.abs(value), `${isa}: ${distance} for ${value}`);
              }
              if (metric === Metric.L2) {
                assert.deepEqual([...labels].map(Number), truth[q]!.map(({ id }) => id), isa);
              }
            }
          });
        }
      },
    );
  }
}

Deno.test("a store of many rows is searched in blocks and shared by threads", {
  ignore: !isNative,
}, async () => {
  // Past the size that is packed once for all queries.
  const [n, d, nq] = [40_000, 64, 150];
  const queries = normals(nq, d, 6);
  const how = { metric: Metric.L2, metricArg: 0 };
  // In no order, in clusters that take turns, and farther and farther away.
  for (const place of [() => 0, (row: number) => row % 20 * 3, (row: number) => row * 1e-3]) {
    const x = normals(n, d, 5).map((value, i) => value + place(Math.floor(i / d)));
    using store = createCpuBackend().createFlat(d);
    await store.add(x);
    for (const k of [3, 40]) {
      const found = await store.search(queries, k, how);
      for (let q = 0; q < nq; q += 25) {
        const best = exact(x, queries.subarray(q * d, (q + 1) * d), Metric.L2, k);
        const labels = found.labels.subarray(q * k, (q + 1) * k);
        assert.deepEqual([...labels].map(Number), best.map(({ id }) => id));
      }
    }
  }
});
