/**
 * The additive codec whose codebooks are found together, and codes by local search.
 *
 * @module
 */

import { Random } from "../random.ts";
import {
  AdditiveQuantizer,
  type AdditiveQuantizerOptions,
  bitsOfEach,
  type TrainedAdditive,
} from "./additive_quantizer.ts";
import { squaredLengths, trainNorms } from "./additive_training.ts";
import { AdditiveSearchType } from "./additive_type.ts";
import type { AdditiveSpec, LocalSearch } from "./codec.ts";

/**
 * Keeps a vector as one row each of several codebooks, which are found together: by turns the
 * codebooks that fit codes best, and codes that fit vectors better, by local search (LSQ++).
 *
 * @example
 * ```ts
 * import { LocalSearchQuantizer, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 200 * 8 }, () => random.normal());
 * using lsq = new LocalSearchQuantizer(8, 2, 4);
 * lsq.trainIters = 3;
 * await lsq.train(x);
 * const codes = await lsq.encode(x);
 * assert.equal(codes.length, 200);
 * assert.equal((await lsq.decode(codes)).length, x.length);
 * ```
 */
export class LocalSearchQuantizer extends AdditiveQuantizer {
  /** Times that codebooks are fitted. */
  trainIters = 25;
  /** Times that encoding changes some indices at random and betters them all. */
  encodeIlsIters = 16;
  /** The same each time that training looks for codes. */
  trainIlsIters = 8;
  /** Times that each index is then set to the best beside the others. */
  icmIters = 4;
  /** How fast noise on codebooks fades: the power of what is left of training. */
  p = 0.5;
  /** Added to how often each row of a codebook is met. */
  lambd = 1e-2;
  /** Vectors that draw their random numbers together. */
  chunkSize = 10_000;
  /** Seed of all random numbers. */
  randomSeed = 0x12345;
  /** Indices that are changed at random. */
  nperts = 4;
  /** What FAISS solves for codebooks with; here always in double precision. */
  updateCodebooksWithDouble = true;

  /**
   * A quantizer that has to be trained.
   *
   * @param d Dimension.
   * @param M Codebooks.
   * @param nbits Bits of an index, 1 to 16.
   * @param options Norms and backend.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(d: number, M: number, nbits: number, options: AdditiveQuantizerOptions = {}) {
    super(d, bitsOfEach(M, nbits), options);
  }

  /** Rows of a codebook. */
  get K(): number {
    return 2 ** this.nbits[0]!;
  }

  /** @internal */
  protected override encoding(): LocalSearch {
    return this.#search(this.encodeIlsIters, this.randomSeed);
  }

  #search(rounds: number, seed: number): LocalSearch {
    const { icmIters: sweeps, nperts, chunkSize: chunk, M } = this;
    const limits = { rounds, icmIters: sweeps, nperts };
    for (const [name, value] of Object.entries({ ...limits, chunkSize: chunk - 1 })) {
      if (Number.isInteger(value) && value >= 0 && value < 2 ** 31) continue;
      throw new RangeError(`Cannot encode: ${name} ${value} is out of range`);
    }
    return { rounds, sweeps, changes: Math.min(nperts, M), chunk, seed: seed >>> 0 };
  }

  /** @internal */
  protected override async doTrain(
    x: Float32Array,
    signal?: AbortSignal,
  ): Promise<TrainedAdditive> {
    const { d, M, K, backend, trainIters, randomSeed } = this;
    const n = x.length / d;
    const random = new Random(randomSeed);
    let indices = Uint32Array.from({ length: n * M }, () => random.integer(K));
    let codebooks = new Float32Array(M * K * d);
    const deviations = deviationsOf(x, d);
    for (let iteration = 1; iteration <= trainIters; iteration++) {
      codebooks = await backend.fitCodebooks(
        x,
        indices,
        { d, m: M, ksub: K, lambda: this.lambd },
        signal,
      ) as Float32Array<ArrayBuffer>;
      const noise = (1 - iteration / trainIters) ** this.p / M;
      if (noise > 0) {
        for (let i = 0; i < codebooks.length; i++) {
          codebooks[i]! += noise * deviations[i % d]! * random.normal();
        }
      }
      using codec = backend.createCodec({
        ...this.#plain(codebooks),
        encoding: this.#search(this.trainIlsIters, randomSeed + iteration),
      });
      indices = await codec.better!(x, indices, signal) as Uint32Array<ArrayBuffer>;
    }
    const sums = new Float32Array(n * d);
    for (let row = 0; row < n; row++) {
      for (let m = 0; m < M; m++) {
        const from = (m * K + indices[row * M + m]!) * d;
        for (let j = 0; j < d; j++) sums[row * d + j]! += codebooks[from + j]!;
      }
    }
    const norms = squaredLengths(sums, d);
    return { codebooks, ...await trainNorms(this.searchType, norms, { backend }, signal) };
  }

  /** Codebooks without norms. */
  #plain(codebooks: Float32Array): Omit<AdditiveSpec, "encoding"> {
    return {
      kind: "aq",
      d: this.d,
      splits: 1,
      nbits: Uint8Array.from(this.nbits),
      codebooks,
      searchType: AdditiveSearchType.Decompress,
      normMin: 0,
      normMax: 0,
      norms: new Float32Array(),
    };
  }
}

/** Standard deviations of columns. */
function deviationsOf(x: Float32Array, d: number): Float64Array {
  const n = x.length / d;
  const [means, squares] = [new Float64Array(d), new Float64Array(d)];
  for (let i = 0; i < x.length; i++) means[i % d]! += x[i]! / n;
  for (let i = 0; i < x.length; i++) squares[i % d]! += (x[i]! - means[i % d]!) ** 2 / n;
  return squares.map(Math.sqrt);
}
