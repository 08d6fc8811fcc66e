/**
 * Small indexes of fast scans, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { IndexIVFPQFastScan, IndexPQFastScan } from "../lib/index/fast_scan.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import type { Index } from "../lib/index/index.ts";
import { Metric } from "../lib/metric.ts";
import { numbers } from "./indexes.ts";

/** Those with lists and without: trained and not, in blocks of 32 and of more. */
export async function fastScanKinds(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const flat = new IndexPQFastScan(d, 3, 4, Metric.L2, { backend });
  flat.pq.restore(numbers(16 * d, 5));
  await flat.add(x);
  flat.qbs = 0x33;
  const lists = async (byResidual: boolean) => {
    const quantizer = new IndexFlat(d, Metric.InnerProduct, { backend });
    await quantizer.add(x.subarray(0, 4 * d));
    const options = { byResidual, bbs: 64 };
    const index = new IndexIVFPQFastScan(quantizer, d, 4, 1, 4, Metric.InnerProduct, options);
    index.ownFields = true;
    return index;
  };
  const full = await lists(true);
  full.pq.restore(numbers(16 * d, 6));
  await full.add(x);
  full.nprobe = 2;
  return new Map<string, Index>([
    ["PQ3x4fs", flat],
    ["PQ1x4fs untrained", new IndexPQFastScan(d, 1, 4, Metric.Cosine, { backend, bbs: 96 })],
    ["IVF PQ1x4fsr_64", full],
    ["IVF PQ1x4fs untrained", await lists(false)],
  ]);
}
