/**
 * Additive codecs of parts of vectors.
 *
 * @module
 */

import {
  AdditiveQuantizer,
  type AdditiveQuantizerOptions,
  type TrainedAdditive,
} from "./additive_quantizer.ts";
import { squaredLengths, trainNorms } from "./additive_training.ts";
import { AdditiveSearchType } from "./additive_type.ts";
import type { AdditiveSpec } from "./codec.ts";
import { LocalSearchQuantizer } from "./local_search_quantizer.ts";
import { ResidualQuantizer } from "./residual_quantizer.ts";

/** Cuts vectors into parts of one length and keeps each as an additive quantizer of its own does. */
export abstract class ProductAdditiveQuantizer<
  Q extends AdditiveQuantizer = AdditiveQuantizer,
> extends AdditiveQuantizer {
  /** The quantizers of the parts. */
  readonly quantizers: readonly Q[];

  /** A quantizer that has to be trained. */
  constructor(
    d: number,
    nsplits: number,
    make: (d: number) => Q,
    options: AdditiveQuantizerOptions = {},
  ) {
    if (!Number.isInteger(nsplits) || nsplits < 1 || d % nsplits !== 0) {
      throw new RangeError(
        `Cannot make an additive quantizer: d ${d} is not divisible by nsplits ${nsplits}`,
      );
    }
    const quantizers = Array.from({ length: nsplits }, () => make(d / nsplits));
    super(d, quantizers.flatMap(({ nbits }) => nbits), options);
    this.quantizers = quantizers;
  }

  /** Parts of a vector. */
  get nsplits(): number {
    return this.quantizers.length;
  }

  /** @internal */
  override get splits(): number {
    return this.nsplits;
  }

  /** @internal */
  protected override async doTrain(
    x: Float32Array,
    signal?: AbortSignal,
  ): Promise<TrainedAdditive> {
    const { d, nsplits } = this;
    const [n, dsub] = [x.length / d, d / nsplits];
    const part = new Float32Array(n * dsub);
    const decoded: Float32Array[] = [];
    for (const [s, quantizer] of this.quantizers.entries()) {
      for (let row = 0; row < n; row++) {
        const from = row * d + s * dsub;
        part.set(x.subarray(from, from + dsub), row * dsub);
      }
      if (!quantizer.isTrained) await quantizer.train(part, signal);
      decoded.push(await quantizer.decode(await quantizer.encode(part)));
    }
    const norms = new Float32Array(n);
    for (const rows of decoded) {
      squaredLengths(rows, dsub).forEach((square, row) => norms[row]! += square);
    }
    const options = { backend: this.backend };
    const trained = await trainNorms(this.searchType, norms, options, signal);
    return { ...trained, codebooks: this.joinedCodebooks() };
  }

  /** Codebooks of all parts, one after the other. @internal */
  joinedCodebooks(): Float32Array {
    const codebooks = new Float32Array(this.totalCodebookSize * this.d / this.nsplits);
    let at = 0;
    for (const { codebooks: own } of this.quantizers) {
      codebooks.set(own, at);
      at += own.length;
    }
    return codebooks;
  }

  /** Frees what the backend holds. */
  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    for (const quantizer of this.quantizers) quantizer[Symbol.dispose]();
  }
}

/** Options of a part: norms are of the whole. */
function ofPart({ backend }: AdditiveQuantizerOptions): AdditiveQuantizerOptions {
  return { backend, searchType: AdditiveSearchType.Decompress };
}

/**
 * Cuts vectors into parts, each of which a {@linkcode ResidualQuantizer} keeps.
 *
 * @example
 * ```ts
 * import { ProductResidualQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 640 * 8 }, () => random.normal());
 * using prq = new ProductResidualQuantizer(8, 2, 2, 4);
 * await prq.train(x);
 * assert.equal((await prq.encode(x)).length, 640 * 2);
 * ```
 */
export class ProductResidualQuantizer extends ProductAdditiveQuantizer<ResidualQuantizer> {
  /**
   * A quantizer that has to be trained.
   *
   * @param d Dimension.
   * @param nsplits Parts of a vector; divides `d`.
   * @param Msub Codebooks of a part.
   * @param nbits Bits of an index, 1 to 16.
   * @param options Norms and backend.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(
    d: number,
    nsplits: number,
    Msub: number,
    nbits: number,
    options: AdditiveQuantizerOptions = {},
  ) {
    const make = (dsub: number) => new ResidualQuantizer(dsub, Msub, nbits, ofPart(options));
    super(d, nsplits, make, options);
  }

  /** @internal */
  protected override encoding(): AdditiveSpec["encoding"] {
    return { beam: this.quantizers[0]!.maxBeamSize };
  }
}

/**
 * Cuts vectors into parts, each of which a {@linkcode LocalSearchQuantizer} keeps.
 *
 * @example
 * ```ts
 * import { ProductLocalSearchQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 200 * 8 }, () => random.normal());
 * using plsq = new ProductLocalSearchQuantizer(8, 2, 1, 4);
 * for (const lsq of plsq.quantizers) lsq.trainIters = 3;
 * await plsq.train(x);
 * assert.equal((await plsq.encode(x)).length, 200);
 * ```
 */
export class ProductLocalSearchQuantizer extends ProductAdditiveQuantizer<LocalSearchQuantizer> {
  /**
   * A quantizer that has to be trained.
   *
   * @param d Dimension.
   * @param nsplits Parts of a vector; divides `d`.
   * @param Msub Codebooks of a part.
   * @param nbits Bits of an index, 1 to 16.
   * @param options Norms and backend.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(
    d: number,
    nsplits: number,
    Msub: number,
    nbits: number,
    options: AdditiveQuantizerOptions = {},
  ) {
    const make = (dsub: number) => new LocalSearchQuantizer(dsub, Msub, nbits, ofPart(options));
    super(d, nsplits, make, options);
  }

  /** @internal */
  protected override encoding(): AdditiveSpec["encoding"] {
    const [{ encodeIlsIters, icmIters, nperts, chunkSize, randomSeed, M }] = this.quantizers as [
      LocalSearchQuantizer,
    ];
    return {
      rounds: encodeIlsIters,
      sweeps: icmIters,
      changes: Math.min(nperts, M),
      chunk: chunkSize,
      seed: randomSeed >>> 0,
    };
  }
}
