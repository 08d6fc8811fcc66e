/**
 * Small indexes of additive codes, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { AdditiveSearchType } from "../lib/codec/additive_type.ts";
import {
  IndexLocalSearchQuantizer,
  IndexProductLocalSearchQuantizer,
  IndexProductResidualQuantizer,
  IndexResidualQuantizer,
} from "../lib/index/additive_quantizer.ts";
import { IndexFlat } from "../lib/index/flat.ts";
import type { Index } from "../lib/index/index.ts";
import {
  type IndexIVFAdditiveQuantizer,
  IndexIVFProductResidualQuantizer,
  IndexIVFResidualQuantizer,
} from "../lib/index/ivf_additive_quantizer.ts";
import { Metric } from "../lib/metric.ts";
import { quicken } from "./additive.ts";
import { numbers } from "./indexes.ts";

/** One index of each kind of additive quantizer, of each kind of norm that files have, and untrained. */
export async function additiveKinds(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const { InnerProduct, L2 } = Metric;
  const { NormFloat, NormQint4, NormCqint4 } = AdditiveSearchType;
  const lists = async (make: (quantizer: IndexFlat) => IndexIVFAdditiveQuantizer) => {
    const quantizer = new IndexFlat(d, InnerProduct, { backend });
    await quantizer.add(x.subarray(0, 4 * d));
    const index = make(quantizer);
    index.ownFields = true;
    index.nprobe = 2;
    return index;
  };
  const cqint4 = { backend, searchType: NormCqint4 };
  const kinds = new Map<string, Index>([
    ["AQ RQ", new IndexResidualQuantizer(d, 2, [2, 3], L2, { backend, searchType: NormQint4 })],
    ["AQ LSQ", new IndexLocalSearchQuantizer(d, 2, 2, InnerProduct, { backend })],
    ["AQ PRQ", new IndexProductResidualQuantizer(d, 3, 1, 1, L2, { backend })],
    ["AQ PLSQ", new IndexProductLocalSearchQuantizer(d, 1, 2, 1, L2, { backend })],
    [
      "AQ IVF RQ",
      await lists((quantizer) => {
        return new IndexIVFResidualQuantizer(quantizer, d, 4, 1, 2, InnerProduct, {
          searchType: NormFloat,
        });
      }),
    ],
    [
      "AQ IVF PRQ",
      await lists((quantizer) => {
        return new IndexIVFProductResidualQuantizer(quantizer, d, 4, 3, 1, 1, InnerProduct, {
          byResidual: false,
        });
      }),
    ],
  ]);
  for (const index of kinds.values()) {
    quicken(index);
    await index.train(x);
    await index.add(x);
  }
  const many = new IndexResidualQuantizer(d, 1, 1, L2, cqint4);
  quicken(many);
  await many.train(numbers(20 * d, 3));
  await many.add(x);
  kinds.set("AQ norms", many).set("AQ untrained", new IndexResidualQuantizer(d, 2, 2, L2, cqint4));
  return kinds;
}
