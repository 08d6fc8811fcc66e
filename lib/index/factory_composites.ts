/**
 * Transforms before an index, and what refines it, in factory strings.
 *
 * @module
 */

import { NormalizationTransform, RemapDimensionsTransform } from "../transform/elementwise.ts";
import { HadamardRotation } from "../transform/hadamard.ts";
import { ITQTransform } from "../transform/itq.ts";
import { OPQMatrix } from "../transform/opq.ts";
import { PCAMatrix } from "../transform/pca_matrix.ts";
import { RandomRotationMatrix } from "../transform/random_rotation.ts";
import type { VectorTransform } from "../transform/transform.ts";
import type { Index } from "./index.ts";
import { IndexPreTransform } from "./pre_transform.ts";
import { IndexRefine, IndexRefineFlat } from "./refine.ts";

/** What makes each transform, of its token and a dimension. */
const transforms: readonly [RegExp, (match: RegExpExecArray, d: number) => VectorTransform][] = [
  [/^PCA(W?)(R?)(\d+)$/, ([, white, rotated, n], d) => {
    const eigenPower = white === "" ? 0 : -0.5;
    return new PCAMatrix(d, Number(n), { eigenPower, randomRotation: rotated !== "" });
  }],
  [/^L2[nN]orm$/, (_, d) => new NormalizationTransform(d)],
  [/^RR(\d*)$/, ([, n], d) => new RandomRotationMatrix(d, n ? Number(n) : d)],
  [/^HR(\d*)$/, ([, seed], d) => new HadamardRotation(d, seed ? Number(seed) : undefined)],
  [/^ITQ(\d*)$/, ([, n], d) => new ITQTransform(d, n ? Number(n) : undefined)],
  [/^OPQ(\d+)(?:_(\d+))?$/, ([, m, n], d) => new OPQMatrix(d, Number(m), n ? Number(n) : d)],
  [/^Pad(\d+)$/, ([, n], d) => RemapDimensionsTransform.pad(d, Math.max(Number(n), d))],
];

/** Tokens that are read here, whatever their place. */
export function isComposite(token: string): boolean {
  return /^(RFlat|Refine\(.*\))$/.test(token) ||
    transforms.some(([pattern]) => pattern.test(token));
}

/** The transform that a token stands for. */
function makeTransform(token: string, d: number): VectorTransform | undefined {
  for (const [pattern, make] of transforms) {
    const match = pattern.exec(token);
    if (match !== null) return make(match, d);
  }
  return undefined;
}

/**
 * An index of a string that ends in a refinement, or else begins with transforms.
 *
 * @param tokens Parts of the string between commas.
 * @param d Dimension.
 * @param make Makes an index of other tokens and a dimension; `nested` splits a string first.
 * @returns Undefined where the string is neither.
 */
export function makeComposite(
  tokens: readonly string[],
  d: number,
  make: { tokens: (tokens: string[], d: number) => Index; nested: (text: string) => Index },
): Index | undefined {
  const refine = /^(?:RFlat|Refine\((.*)\))$/.exec(tokens.at(-1)!);
  if (refine && tokens.length > 1) {
    using stack = new DisposableStack();
    const base = stack.use(make.tokens(tokens.slice(0, -1), d));
    const index = refine[1] === undefined
      ? new IndexRefineFlat(base)
      : new IndexRefine(base, stack.use(make.nested(refine[1])));
    index.ownFields = index.ownRefineIndex = true;
    stack.move();
    return index;
  }
  const chain: VectorTransform[] = [];
  let dOut = d;
  for (const token of tokens) {
    const transform = makeTransform(token, dOut);
    if (transform === undefined) break;
    dOut = transform.dOut;
    chain.push(transform);
  }
  if (chain.length === 0 || chain.length === tokens.length) return undefined;
  const inner = make.tokens(tokens.slice(chain.length), dOut);
  try {
    const index = new IndexPreTransform(chain, inner);
    index.ownFields = true;
    return index;
  } catch (error) {
    inner.dispose();
    throw error;
  }
}
