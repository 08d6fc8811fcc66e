/**
 * What turns vectors into codes of a few bytes and back.
 *
 * @module
 */

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

/** A trained codec as plain data: backends make theirs of it, and files hold it. */
export type CodecSpec = ScalarSpec | ProductSpec | RaBitQSpec | SignSpec;

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
