/**
 * What indexes of additive codes have in common.
 *
 * @module
 */

import type { AdditiveQuantizer } from "../codec/additive_quantizer.ts";
import { AdditiveSearchType, normSuffix } from "../codec/additive_type.ts";
import { LocalSearchQuantizer } from "../codec/local_search_quantizer.ts";
import {
  ProductAdditiveQuantizer,
  ProductLocalSearchQuantizer,
  ProductResidualQuantizer,
} from "../codec/product_additive_quantizer.ts";
import { ResidualQuantizer } from "../codec/residual_quantizer.ts";
import { Metric } from "../metric.ts";

/** What codes hold of norms where the factory's token does not say. */
export function usualSearchType(metric: Metric): AdditiveSearchType {
  return metric === Metric.L2 ? AdditiveSearchType.Decompress : AdditiveSearchType.LUTNonorm;
}

/** Codebooks of the same bits together: `2x8_1x6`. */
function stages(nbits: readonly number[]): string {
  const runs: { count: number; bits: number }[] = [];
  for (const bits of nbits) {
    const last = runs.at(-1);
    if (last?.bits === bits) last.count++;
    else runs.push({ count: 1, bits });
  }
  return runs.map(({ count, bits }) => `${count}x${bits}`).join("_");
}

/** FAISS's token of an additive quantizer. */
export function additiveToken(aq: AdditiveQuantizer, metric: Metric): string | undefined {
  const { searchType, nbits } = aq;
  const isUsual = searchType === usualSearchType(metric);
  const suffix = isUsual ? "" : normSuffix(searchType);
  if (!isUsual && suffix === "") return undefined;
  if (aq instanceof ResidualQuantizer) return `RQ${stages(nbits)}${suffix}`;
  if (aq instanceof LocalSearchQuantizer) return `LSQ${stages(nbits)}${suffix}`;
  if (!(aq instanceof ProductAdditiveQuantizer)) return undefined;
  const name = aq instanceof ProductResidualQuantizer ? "PRQ" : "PLSQ";
  return `${name}${aq.nsplits}x${aq.M / aq.nsplits}x${nbits[0]}${suffix}`;
}

/** What is shown of an additive quantizer. */
export function additiveParameters(aq: AdditiveQuantizer): Record<string, unknown> {
  const name = Object.entries(AdditiveSearchType).find(([, value]) => value === aq.searchType)![0];
  const splits = aq instanceof ProductAdditiveQuantizer ? { nsplits: aq.nsplits } : {};
  return { M: aq.M, nbits: [...new Set(aq.nbits)].join(), ...splits, searchType: name };
}

/** Makes a quantizer of the same kind like another, training and all. */
export function copyAdditive(from: AdditiveQuantizer, to: AdditiveQuantizer): void {
  if (from instanceof ResidualQuantizer && to instanceof ResidualQuantizer) {
    const { trainType, maxBeamSize } = from;
    Object.assign(to, { trainType, maxBeamSize });
    Object.assign(to.cp, from.cp);
  }
  if (from instanceof LocalSearchQuantizer && to instanceof LocalSearchQuantizer) {
    const { trainIters, encodeIlsIters, trainIlsIters, icmIters, p, lambd } = from;
    const { chunkSize, randomSeed, nperts, updateCodebooksWithDouble } = from;
    Object.assign(to, { trainIters, encodeIlsIters, trainIlsIters, icmIters, p, lambd });
    Object.assign(to, { chunkSize, randomSeed, nperts, updateCodebooksWithDouble });
  }
  const isProduct = from instanceof ProductLocalSearchQuantizer ||
    from instanceof ProductResidualQuantizer;
  if (isProduct && to instanceof ProductAdditiveQuantizer) {
    from.quantizers.forEach((quantizer, s) => copyAdditive(quantizer, to.quantizers[s]!));
  }
  if (from.trained !== undefined) to.restore(from.trained);
}
