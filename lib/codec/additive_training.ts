/**
 * Training that additive quantizers share.
 *
 * @module
 */

import {
  type AdditiveQuantizer,
  type AdditiveQuantizerOptions,
  rangeOf,
} from "./additive_quantizer.ts";
import { areSums, cluster1D, countNorms, sumsOf, type TrainedNorms } from "./additive_norms.ts";
import { AdditiveSearchType } from "./additive_type.ts";
import { LocalSearchQuantizer } from "./local_search_quantizer.ts";
import { ResidualQuantizer } from "./residual_quantizer.ts";

/**
 * Finds the norms that codes choose among.
 *
 * @param searchType What codes hold of norms.
 * @param norms Those of the vectors that training met.
 */
export async function trainNorms(
  searchType: AdditiveSearchType,
  norms: Float32Array,
  options: AdditiveQuantizerOptions,
  signal?: AbortSignal,
): Promise<TrainedNorms> {
  const range = rangeOf(norms);
  if (areSums(searchType)) {
    using quantizer = sumsQuantizer(searchType, options);
    await quantizer.train(norms, signal);
    const normTabs = quantizer.codebooks;
    return { ...range, qnorm: sumsOf(normTabs), normTabs };
  }
  const count = countNorms(searchType);
  const qnorm = count === 0 ? new Float32Array() : cluster1D(norms, count);
  return { ...range, qnorm, normTabs: new Float32Array() };
}

function sumsQuantizer(
  searchType: AdditiveSearchType,
  { backend }: AdditiveQuantizerOptions,
): AdditiveQuantizer {
  return searchType === AdditiveSearchType.NormLSQ2x4
    ? new LocalSearchQuantizer(1, 2, 4, { backend })
    : new ResidualQuantizer(1, 2, 4, { backend });
}

/** Squared lengths of rows. */
export function squaredLengths(x: Float32Array, d: number): Float32Array {
  const norms = new Float32Array(x.length / d);
  for (let row = 0; row < norms.length; row++) {
    let sum = 0;
    for (let i = row * d; i < (row + 1) * d; i++) sum += x[i]! * x[i]!;
    norms[row] = sum;
  }
  return norms;
}
