/**
 * Additive quantizers for tests.
 *
 * @module
 */

import { AdditiveQuantizer } from "../lib/codec/additive_quantizer.ts";
import { LocalSearchQuantizer } from "../lib/codec/local_search_quantizer.ts";
import { ProductAdditiveQuantizer } from "../lib/codec/product_additive_quantizer.ts";
import { ResidualQuantizer } from "../lib/codec/residual_quantizer.ts";
import { IndexFlatCodes } from "../lib/index/flat_codes.ts";
import { IndexIDMap } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexIVFCodes } from "../lib/index/ivf_codes.ts";

/** Makes training short, and silent about few vectors. */
export function quicken(index: Index): void {
  if (index instanceof IndexIDMap) quicken(index.index);
  if (index instanceof IndexIVFCodes) Object.assign(index.cp, { minPointsPerCentroid: 1 });
  if (!(index instanceof IndexFlatCodes || index instanceof IndexIVFCodes)) return;
  if (index.codec instanceof AdditiveQuantizer) quickenQuantizer(index.codec);
}

/** {@linkcode quicken} of a quantizer. */
export function quickenQuantizer(aq: AdditiveQuantizer): void {
  if (aq instanceof ProductAdditiveQuantizer) aq.quantizers.forEach(quickenQuantizer);
  if (aq instanceof ResidualQuantizer) {
    Object.assign(aq.cp, { niter: 3, minPointsPerCentroid: 1 });
  }
  if (aq instanceof LocalSearchQuantizer) {
    Object.assign(aq, { trainIters: 3, trainIlsIters: 3, encodeIlsIters: 4 });
  }
}
