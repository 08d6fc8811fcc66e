/**
 * Small indexes over graphs of every kind, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { QuantizerType } from "../lib/codec/quantizer_type.ts";
import { IndexHNSWPQ, IndexHNSWSQ } from "../lib/index/hnsw_codes.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFFlat } from "../lib/index/ivf_flat.ts";
import { IndexNNDescentFlat } from "../lib/index/nn_descent.ts";
import { IndexNSGFlat, IndexNSGPQ, IndexNSGSQ } from "../lib/index/nsg.ts";
import { Metric } from "../lib/metric.ts";
import { numbers } from "./indexes.ts";

/** Graphs over codes, and those that are made at once. */
export async function graphKinds(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const options = { backend };
  const product = new IndexHNSWPQ(d, 3, 2, 3, Metric.L2, options);
  product.pq.restore(numbers(8 * d, 5));
  const spreadProduct = new IndexNSGPQ(d, 1, 3, 2, Metric.InnerProduct, options);
  spreadProduct.pq.restore(numbers(4 * d, 6));
  const spread = new IndexNSGFlat(d, 3, Metric.L2, options);
  spread.nsg.searchL = 7;
  const quantizer = new IndexNSGFlat(d, 2, Metric.L2, options);
  await quantizer.add(x.subarray(0, 4 * d));
  const lists = new IndexIVFFlat(quantizer, d, 4);
  lists.ownFields = true;
  const kinds = new Map<string, Index>([
    ["graph SQ6", new IndexHNSWSQ(d, QuantizerType.QT6bit, 2, Metric.L2, options)],
    ["graph SQfp16", new IndexHNSWSQ(d, QuantizerType.QTfp16, 2, Metric.Cosine, options)],
    ["graph PQ3x3", product],
    ["graph NSG", spread],
    ["graph NSG SQ8", new IndexNSGSQ(d, QuantizerType.QT8bit, 2, Metric.L2, options)],
    ["graph NSG PQ1x2", spreadProduct],
    ["graph NNDescent", new IndexNNDescentFlat(d, 4, Metric.InnerProduct, options)],
    ["IVF graph NSG", lists],
  ]);
  for (const index of kinds.values()) {
    if (!index.isTrained) await index.train(x);
    await index.add(x);
  }
  return kinds
    .set("graph NSG empty", new IndexNSGFlat(d, 3, Metric.L1, options))
    .set("graph NNDescent empty", new IndexNNDescentFlat(d, 3, Metric.L2, options))
    .set("graph PQ untrained", new IndexHNSWPQ(d, 1, 2, 1, Metric.L2, options))
    .set("graph SQ4 untrained", new IndexHNSWSQ(d, QuantizerType.QT4bit, 2, Metric.L2, options))
    .set("graph NSG PQ untrained", new IndexNSGPQ(d, 1, 2, 1, Metric.L2, options));
}
