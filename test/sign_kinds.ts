/**
 * Small indexes of signs, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexLSH } from "../lib/index/lsh.ts";
import { IndexIVFRaBitQ, IndexRaBitQ } from "../lib/index/rabitq.ts";
import { Metric } from "../lib/metric.ts";
import { numbers } from "./indexes.ts";

/** One of RaBitQ with one bit and with more, flat and in lists, trained and not. */
export async function signKinds(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const kinds = new Map<string, Index>();
  for (const [bits, metric] of [[1, Metric.L2], [4, Metric.InnerProduct]] as const) {
    const flat = new IndexRaBitQ(d, metric, bits, { backend });
    const quantizer = new IndexFlat(d, metric, { backend });
    await quantizer.add(x.subarray(0, 4 * d));
    const lists = new IndexIVFRaBitQ(quantizer, d, 4, metric, bits);
    lists.ownFields = true;
    lists.nprobe = 2;
    await flat.train(x);
    for (const index of [flat, lists]) await index.add(x);
    flat.qb = 6;
    kinds.set(`RaBitQ${bits}`, flat).set(`IVF RaBitQ${bits}`, lists);
  }
  const untrained = new IndexIVFRaBitQ(new IndexFlat(d, Metric.L2, { backend }), d, 4);
  untrained.ownFields = true;
  kinds.set("IVF RaBitQ1 untrained", untrained);
  kinds.set("RaBitQ2 untrained", new IndexRaBitQ(d, Metric.Cosine, 2, { backend }));
  const signs = new IndexLSH(d, 9, { rotateData: true, trainThresholds: true, backend });
  await signs.train(x);
  for (const index of [signs, new IndexLSH(d, 2, { backend })]) {
    await index.add(x);
    kinds.set(index.factoryString()!, index);
  }
  kinds.set("LSH untrained", new IndexLSH(d, 3, { trainThresholds: true, backend }));
  return kinds;
}
