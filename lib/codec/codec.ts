/**
 * What turns vectors into codes of a few bytes and back.
 *
 * @module
 */

import type { AdditiveSearchType } from "./additive_type.ts";
import type { QuantizerType } from "./quantizer_type.ts";

/** A scalar quantizer as plain data. */
export interface ScalarSpec {
  /** Which codec this is. */
  kind: "sq";
  /** Dimension. */
  d: number;
  /** How a number is kept. */
  qtype: QuantizerType;
  /** Least value and range: `d` of each, of uniform types one of each, of others none. */
  trained: Float32Array;
}

/** A product quantizer as plain data. */
export interface ProductSpec {
  /** Which codec this is. */
  kind: "pq";
  /** Dimension. */
  d: number;
  /** Parts of a vector; divides `d`. */
  m: number;
  /** Bits that a part's number takes. */
  nbits: number;
  /** `m × 2^nbits × d / m`. */
  centroids: Float32Array;
  /** Whether stores keep the codes in blocks, of which a search looks at 32 codes at once; of 4 bits. */
  inBlocks?: boolean;
}

/** A RaBitQ codec as plain data. */
export interface RaBitQSpec {
  /** Which codec this is. */
  kind: "rabitq";
  /** Dimension. */
  d: number;
  /** Bits a number, 1 to 9. */
  nbits: number;
  /** Whether distances are inner products, not squared L2. */
  inner: boolean;
  /** What vectors are coded about: `d` numbers; none where each list has its own. */
  center: Float32Array;
}

/** A codec that keeps signs alone, as plain data. */
export interface SignSpec {
  /** Which codec this is. */
  kind: "signs";
  /** Numbers of a vector, each a bit of a code: whether it is not below its threshold. */
  d: number;
  /** `d` numbers, or none where they are zeros. */
  thresholds: Float32Array;
}

/** What makes bits of numbers, as plain data. */
export interface BinarySpec {
  /** Which codec this is. */
  kind: "binary";
  /** Dimension, which is the number of bits. */
  d: number;
}

/** An additive quantizer as plain data. */
export interface AdditiveSpec {
  /** Which codec this is. */
  kind: "aq";
  /** Dimension. */
  d: number;
  /** Parts of a vector, each with as many codebooks of its own; divides `d`. */
  splits: number;
  /** Bits of an index of each codebook. */
  nbits: Uint8Array;
  /** Every codebook's `2 ** nbits` rows of `d / splits` numbers. */
  codebooks: Float32Array;
  /** What codes hold beside indices, and how they are compared. */
  searchType: AdditiveSearchType;
  /** The least norm that training met. */
  normMin: number;
  /** The greatest norm that training met. */
  normMax: number;
  /** What norms of 4 or 8 bits stand for; none of others. */
  norms: Float32Array;
  /** How codes are found: among so many sums a codebook, or by local search. */
  encoding: { beam: number } | LocalSearch;
}

/** How codes are found by local search. */
export interface LocalSearch {
  /** Times that some indices are changed at random. */
  rounds: number;
  /** Times after each that every index is set to the best beside the others. */
  sweeps: number;
  /** Indices that are changed at random. */
  changes: number;
  /** Vectors that draw their random numbers together. */
  chunk: number;
  /** Seed of the random numbers. */
  seed: number;
}

/** A trained codec as plain data: backends make theirs of it, and files hold it. */
export type CodecSpec =
  | ScalarSpec
  | ProductSpec
  | AdditiveSpec
  | RaBitQSpec
  | SignSpec
  | BinarySpec;

/** Turns vectors into codes and back, after training. */
export interface Codec extends Disposable {
  /** Dimension. */
  readonly d: number;
  /** Bytes of a code. */
  readonly codeSize: number;
  /** Whether vectors can be encoded. */
  readonly isTrained: boolean;
  /** All there is to know of it once it is trained. */
  readonly spec: CodecSpec;
  /** Learns from `n × d` vectors. */
  train(x: Float32Array, signal?: AbortSignal): Promise<void>;
  /** Codes of `n × d` vectors, one after the other. */
  encode(x: Float32Array): Promise<Uint8Array>;
  /** The vectors that codes stand for. */
  decode(codes: Uint8Array): Promise<Float32Array>;
}
