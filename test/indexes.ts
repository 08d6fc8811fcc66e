/**
 * Small indexes of every kind, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import { IndexIDMap, IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { Metric } from "../lib/metric.ts";

/** Numbers above 0 and below 1, the same ones each time. */
export function numbers(n: number, seed = 1): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  });
}

/** An IVF index of its own centroids: the first `nlist` rows of `x`. */
export async function ivf(
  backend: Backend,
  x: Float32Array,
  d: number,
  nlist: number,
  metric: Metric = Metric.L2,
): Promise<IndexIVFFlat> {
  const quantizer = new IndexFlat(d, metric, { backend });
  await quantizer.add(x.subarray(0, nlist * d));
  const index = new IndexIVFFlat(quantizer, d, nlist, metric, { backend });
  index.ownFields = true;
  return index;
}

/** Whether a backend has a kind of index: a GPU has no graphs. */
export function isThere(kind: string, { name }: Backend): boolean {
  return name !== "gpu" || !kind.includes("graph");
}

async function addGraphs(
  kinds: Map<string, Index>,
  backend: Backend,
  x: Float32Array,
  d: number,
): Promise<void> {
  const graph = new IndexHNSWFlat(d, 2, Metric.L2, { backend });
  const graphIP = new IndexHNSWFlat(d, 4, Metric.InnerProduct, { backend });
  const quantizer = new IndexHNSWFlat(d, 2, Metric.L2, { backend });
  for (const index of [graph, graphIP]) await index.add(x);
  await quantizer.add(x.subarray(0, 4 * d));
  const lists = new IndexIVFFlat(quantizer, d, 4);
  lists.ownFields = true;
  await lists.add(x);
  graph.hnsw.efSearch = 7;
  kinds.set("graph", graph).set("graph IP", graphIP).set("IVF graph", lists);
  kinds.set("graph empty", new IndexHNSWFlat(d, 3, Metric.Cosine, { backend }));
}

/** One index of each kind that files can hold, by name. The caller disposes of them. */
export async function everyKind(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const ids = [40, 0, 7, 7, 2 ** 40, 3, 9, 8, 1, 2, 5, 6];
  const kinds = new Map<string, Index>([
    ["flat L2", new IndexFlatL2(d, { backend })],
    ["flat IP", new IndexFlatIP(d, { backend })],
    ["flat Lp", new IndexFlat(d, Metric.Lp, { backend, metricArg: 3 })],
    ["flat NaN", new IndexFlat(d, Metric.NaNEuclidean, { backend })],
    ["flat cosine", new IndexFlat(d, Metric.Cosine, { backend })],
  ]);
  for (const index of kinds.values()) await index.add(x);
  kinds.set("flat empty", new IndexFlatL2(d, { backend }));

  const full = await ivf(backend, x, d, 4);
  await full.add(x);
  full.nprobe = 3;
  const sparse = await ivf(backend, x, d, 5, Metric.InnerProduct);
  await sparse.addWithIds(x.subarray(0, d), [2 ** 52]);
  const untrained = new IndexIVFFlat(new IndexFlatL2(d, { backend }), d, 4);
  untrained.ownFields = true;
  kinds.set("IVF full", full).set("IVF sparse", sparse).set("IVF untrained", untrained);

  if (isThere("graph", backend)) await addGraphs(kinds, backend, x, d);

  const map = new IndexIDMap(new IndexFlatL2(d, { backend }));
  const map2 = new IndexIDMap2(await ivf(backend, x, d, 4));
  for (const index of [map, map2]) {
    index.ownFields = true;
    await index.addWithIds(x, ids);
  }
  return kinds.set("map", map).set("map2 of IVF", map2);
}
