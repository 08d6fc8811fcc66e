/**
 * Small indexes of every kind, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { QuantizerType } from "../lib/codec/quantizer_type.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexFlat, IndexFlatIP, IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexHNSWFlat } from "../lib/index/hnsw.ts";
import { IndexIDMap, IndexIDMap2 } from "../lib/index/id_map.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { IndexIVFPQ, IndexPQ } from "../lib/index/product_quantizer.ts";
import { IndexIVFScalarQuantizer, IndexScalarQuantizer } from "../lib/index/scalar_quantizer.ts";
import { Metric } from "../lib/metric.ts";
import { additiveKinds } from "./additive_kinds.ts";
import { compositeKinds } from "./composite_kinds.ts";
import { fastScanKinds } from "./fast_scan_kinds.ts";
import { signKinds } from "./sign_kinds.ts";
import { ivfKinds } from "./ivf_kinds.ts";
import { graphKinds } from "./graph_kinds.ts";

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

/** Whether a backend has a kind of index: a GPU has no graphs and no codes. */
export function isThere(kind: string, { name }: Backend): boolean {
  return name !== "gpu" || !/graph|\b[APS]Q|RaBitQ|LSH/.test(kind);
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

  if (isThere("graph", backend)) {
    await addGraphs(kinds, backend, x, d);
    for (const [name, index] of await graphKinds(backend)) kinds.set(name, index);
  }

  const map = new IndexIDMap(new IndexFlatL2(d, { backend }));
  const map2 = new IndexIDMap2(await ivf(backend, x, d, 4));
  for (const index of [map, map2]) {
    index.ownFields = true;
    await index.addWithIds(x, ids);
  }
  if (isThere("SQ", backend)) {
    await addScalar(kinds, x, d, backend);
    await addProduct(kinds, x, d, backend);
    for (const [name, index] of await fastScanKinds(backend)) kinds.set(name, index);
    for (const [name, index] of await signKinds(backend)) kinds.set(name, index);
    for (const [name, index] of await additiveKinds(backend)) kinds.set(name, index);
  }
  kinds.set("map", map).set("map2 of IVF", map2);
  for (const [name, index] of await compositeKinds(backend)) kinds.set(name, index);
  for (const [name, index] of await ivfKinds(backend)) kinds.set(name, index);
  return kinds;
}

/** Those of scalar quantizers: with ranges and without, trained and not. */
async function addScalar(
  kinds: Map<string, Index>,
  x: Float32Array,
  d: number,
  backend: Backend,
): Promise<void> {
  const flat = new IndexScalarQuantizer(d, QuantizerType.QT6bit, Metric.L2, { backend });
  await flat.train(x);
  await flat.add(x);
  const halves = new IndexScalarQuantizer(d, QuantizerType.QTfp16, Metric.Cosine, { backend });
  await halves.add(x);
  const lists = async (qtype: QuantizerType, metric: Metric) => {
    const quantizer = new IndexFlat(d, metric, { backend });
    await quantizer.add(x.subarray(0, 4 * d));
    const index = new IndexIVFScalarQuantizer(quantizer, d, 4, qtype, metric);
    index.ownFields = true;
    return index;
  };
  const full = await lists(QuantizerType.QT8bit, Metric.L2);
  await full.train(x);
  await full.add(x);
  full.nprobe = 3;
  const sparse = await lists(QuantizerType.QTbf16, Metric.InnerProduct);
  await sparse.addWithIds(x.subarray(0, d), [2 ** 52]);
  kinds.set("SQ6", flat).set("SQfp16 cosine", halves);
  kinds.set("IVF SQ8", full).set("IVF SQbf16", sparse);
  kinds.set("IVF SQ4 untrained", await lists(QuantizerType.QT4bit, Metric.L2));
}

/** Those of product quantizers: trained and not. */
async function addProduct(
  kinds: Map<string, Index>,
  x: Float32Array,
  d: number,
  backend: Backend,
): Promise<void> {
  const flat = new IndexPQ(d, 3, 3, Metric.L2, { backend });
  flat.pq.restore(numbers(8 * d, 5));
  await flat.add(x);
  const lists = async (byResidual: boolean) => {
    const quantizer = new IndexFlat(d, Metric.InnerProduct, { backend });
    await quantizer.add(x.subarray(0, 4 * d));
    const options = { byResidual };
    const index = new IndexIVFPQ(quantizer, d, 4, 1, 2, Metric.InnerProduct, options);
    index.ownFields = true;
    return index;
  };
  const full = await lists(true);
  full.pq.restore(numbers(4 * d, 6));
  await full.add(x);
  full.nprobe = 2;
  kinds.set("PQ3x3", flat).set("PQ1x1 untrained", new IndexPQ(d, 1, 1, Metric.L2, { backend }));
  kinds.set("IVF PQ1x2", full).set("IVF PQ1x2 untrained", await lists(false));
}
