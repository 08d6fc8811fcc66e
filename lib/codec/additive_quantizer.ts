/**
 * Codecs that keep a vector as a sum of rows of codebooks.
 *
 * @module
 */

import type { Backend, BackendCodec } from "../backend/backend.ts";
import { backend as defaultBackend } from "../backend/select.ts";
import { DisposedError, NotTrainedError } from "../errors.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { decodedNorms, type TrainedNorms } from "./additive_norms.ts";
import {
  additiveCodeSize,
  AdditiveSearchType,
  isAdditiveSearchType,
  rowOffsets,
} from "./additive_type.ts";
import type { AdditiveSpec, Codec } from "./codec.ts";

/** Options of an {@linkcode AdditiveQuantizer}. */
export interface AdditiveQuantizerOptions {
  /** What codes hold of norms, and how they are compared; nothing by default. */
  searchType?: AdditiveSearchType | undefined;
  /** What trains, encodes and decodes; by default what `backend()` returns. */
  backend?: Backend | undefined;
}

/** What training finds. @internal */
export interface TrainedAdditive extends TrainedNorms {
  /** Every codebook's rows. */
  codebooks: Float32Array;
}

/** Most bits of an index. */
export const MAX_ADDITIVE_NBITS = 16;
/** Most codebooks. */
export const MAX_CODEBOOKS = 1024;

/** Bits of an index of each of `M` codebooks. */
export function bitsOfEach(M: number, nbits: number | readonly number[]): readonly number[] {
  if (typeof nbits !== "number") return nbits;
  if (!Number.isInteger(M) || M < 1 || M > MAX_CODEBOOKS) {
    throw new RangeError(
      `Cannot make an additive quantizer: M ${M} is no integer from 1 to ${MAX_CODEBOOKS}`,
    );
  }
  return Array.from({ length: M }, () => nbits);
}

/**
 * Keeps a vector as one row each of several codebooks, whose sum it is about, and perhaps the
 * squared length of that sum.
 */
export abstract class AdditiveQuantizer implements Codec {
  /** Dimension. */
  readonly d: number;
  /** Bits of an index of each codebook. */
  readonly nbits: readonly number[];
  /** What codes hold of norms, and how they are compared. */
  readonly searchType: AdditiveSearchType;
  /** What trains, encodes and decodes. @internal */
  protected readonly backend: Backend;
  #trained: TrainedAdditive | undefined;
  #codec: BackendCodec | undefined;
  #encoding = "";
  #disposed = false;

  /** A quantizer that has to be trained. */
  constructor(d: number, nbits: readonly number[], options: AdditiveQuantizerOptions = {}) {
    const fail = (reason: string) => new RangeError(`Cannot make an additive quantizer: ${reason}`);
    if (!Number.isInteger(d) || d < 1 || d > 2 ** 20) {
      throw fail(`d ${d} is no integer from 1 to 2^20`);
    }
    if (nbits.length < 1 || nbits.length > MAX_CODEBOOKS) {
      throw fail(`M ${nbits.length} is no integer from 1 to ${MAX_CODEBOOKS}`);
    }
    for (const bits of nbits) {
      if (Number.isInteger(bits) && bits >= 1 && bits <= MAX_ADDITIVE_NBITS) continue;
      throw fail(`nbits ${bits} is no integer from 1 to ${MAX_ADDITIVE_NBITS}`);
    }
    const { searchType = AdditiveSearchType.Decompress } = options;
    if (!isAdditiveSearchType(searchType)) throw fail(`there is no search type ${searchType}`);
    this.d = d;
    this.nbits = [...nbits];
    this.searchType = searchType;
    this.backend = options.backend ?? defaultBackend();
  }

  /** Codebooks. */
  get M(): number {
    return this.nbits.length;
  }

  /** Parts of a vector, each with as many codebooks of its own. @internal */
  get splits(): number {
    return 1;
  }

  /** Rows of all codebooks. */
  get totalCodebookSize(): number {
    return rowOffsets(this.nbits).at(-1)!;
  }

  /** Bytes of a code. */
  get codeSize(): number {
    return additiveCodeSize(this.nbits, this.searchType);
  }

  /** Whether vectors can be encoded. */
  get isTrained(): boolean {
    return this.#trained !== undefined;
  }

  /** Every codebook's rows, one after the other; none before training. */
  get codebooks(): Float32Array {
    return this.#trained?.codebooks.slice() ?? new Float32Array();
  }

  /** The least squared length that training met; NaN before. */
  get normMin(): number {
    return this.#trained?.normMin ?? NaN;
  }

  /** The greatest squared length that training met; NaN before. */
  get normMax(): number {
    return this.#trained?.normMax ?? NaN;
  }

  /** What training found; undefined before. @internal */
  get trained(): TrainedAdditive | undefined {
    return this.#trained;
  }

  /** Takes over what another training found. @internal */
  restore(trained: TrainedAdditive): void {
    const wanted = this.totalCodebookSize * this.d / this.splits;
    if (trained.codebooks.length !== wanted) {
      throw new TypeError(
        `Cannot restore: ${trained.codebooks.length} numbers of codebooks where ${wanted} are needed`,
      );
    }
    this.#trained = trained;
    this.#drop();
  }

  /** The quantizer as plain data. @internal */
  get spec(): AdditiveSpec {
    const trained = this.#check("describe");
    const { d, splits, searchType } = this;
    return {
      kind: "aq",
      d,
      splits,
      nbits: Uint8Array.from(this.nbits),
      codebooks: trained.codebooks,
      searchType,
      normMin: trained.normMin,
      normMax: trained.normMax,
      norms: decodedNorms(searchType, trained),
      encoding: this.encoding(),
    };
  }

  /** How codes are found. @internal */
  protected abstract encoding(): AdditiveSpec["encoding"];

  /** Finds codebooks and norms. @internal */
  protected abstract doTrain(x: Float32Array, signal?: AbortSignal): Promise<TrainedAdditive>;

  /**
   * Finds the codebooks.
   *
   * @param x `n × d` numbers.
   * @param signal Stops the training; the quantizer stays as it was.
   * @throws {RangeError} If there are fewer vectors than rows of a codebook.
   * @throws {TypeError} If `x` is empty or not in rows of `d`.
   */
  async train(x: Float32Array, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#disposed) throw new DisposedError("Cannot train: the quantizer was disposed");
    if (x.length === 0 || x.length % this.d !== 0) {
      throw new TypeError(`Cannot train: ${x.length} numbers are no rows of ${this.d}`);
    }
    const [n, ksub] = [x.length / this.d, 2 ** Math.max(...this.nbits)];
    if (n < ksub) {
      throw new RangeError(`Cannot train: ${n} vectors are fewer than ${ksub} rows of a codebook`);
    }
    this.restore(await this.doTrain(x, signal));
  }

  /**
   * Codes of vectors.
   *
   * @param x `n × d` numbers.
   * @returns `n × codeSize` bytes: indices and norm from the lowest bit up, without gaps.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async encode(x: Float32Array): Promise<Uint8Array> {
    return await this.#native("encode").encode(x);
  }

  /**
   * What codes stand for.
   *
   * @param codes `n × codeSize` bytes.
   * @returns `n × d` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  async decode(codes: Uint8Array): Promise<Float32Array> {
    return await this.#native("decode").decode(codes);
  }

  /**
   * Inner products of vectors and all rows of codebooks.
   *
   * @param x `n × d` vectors.
   * @returns `n × totalCodebookSize` numbers.
   * @throws {NotTrainedError} If the quantizer has to be trained first.
   */
  computeLUT(x: VectorInput): Float32Array {
    const { codebooks } = this.#check("computeLUT");
    const { d, splits, M } = this;
    const dsub = d / splits;
    const rows = toRows(x, d, "x");
    const offsets = rowOffsets(this.nbits);
    const total = offsets.at(-1)!;
    const lut = new Float32Array(rows.length / d * total);
    for (let row = 0; row < rows.length / d; row++) {
      for (let m = 0; m < M; m++) {
        const part = row * d + Math.floor(m * splits / M) * dsub;
        for (let k = offsets[m]!; k < offsets[m + 1]!; k++) {
          let sum = 0;
          for (let j = 0; j < dsub; j++) sum += rows[part + j]! * codebooks[k * dsub + j]!;
          lut[row * total + k] = sum;
        }
      }
    }
    return lut;
  }

  /** Frees what the backend holds. */
  [Symbol.dispose](): void {
    this.#drop();
    this.#disposed = true;
  }

  #drop(): void {
    this.#codec?.[Symbol.dispose]();
    this.#codec = undefined;
  }

  #check(name: string): TrainedAdditive {
    if (this.#disposed) throw new DisposedError(`Cannot ${name}: the quantizer was disposed`);
    if (this.#trained !== undefined) return this.#trained;
    throw new NotTrainedError(`Cannot ${name}: call train() first`);
  }

  #native(name: string): BackendCodec {
    this.#check(name);
    const encoding = JSON.stringify(this.encoding());
    if (encoding !== this.#encoding) this.#drop();
    this.#encoding = encoding;
    return this.#codec ??= this.backend.createCodec(this.spec);
  }
}

/** Least, greatest. */
export function rangeOf(norms: Float32Array): { normMin: number; normMax: number } {
  let [normMin, normMax] = [Infinity, -Infinity];
  for (const norm of norms) {
    normMin = Math.min(normMin, norm);
    normMax = Math.max(normMax, norm);
  }
  return { normMin, normMax };
}
