import { additiveCodec } from "../../codec/additive_codes.ts";
import { betterIndices } from "../../codec/additive_search.ts";
import { AdditiveSearchType, isCoded } from "../../codec/additive_type.ts";
import { binaryCodec } from "../../codec/binary_codes.ts";
import type { AdditiveSpec, CodecSpec } from "../../codec/codec.ts";
import { productCodec } from "../../codec/product_codes.ts";
import { scalarCodeSize } from "../../codec/quantizer_type.ts";
import { decodeRaBitQ, encodeRaBitQ, rabitqLayout } from "../../codec/rabitq_codes.ts";
import { compareRaBitQ, unpackRounding } from "../../codec/rabitq_query.ts";
import { decodeScalar, encodeScalar } from "../../codec/scalar_codes.ts";
import { compareSigns, decodeSigns, encodeSigns, signCodeSize } from "../../codec/sign_codes.ts";
import type { BackendCodec, StoreSearch } from "../backend.ts";
import { Metric } from "../../metric.ts";
import { checkRows } from "./scan.ts";

/** What a specification does, on this thread. */
export interface PlainCodec {
  /** Bytes of a code. */
  codeSize: number;
  /** Codes of whole rows. */
  encode(x: Float32Array, about?: Float32Array): Uint8Array;
  /** The vectors of whole codes, into `out`. */
  decode(codes: Uint8Array, out: Float32Array): void;
  /**
   * Of codecs whose codes are not compared as the vectors they stand for: the distance of a query
   * and the code that starts at a byte.
   */
  compare?: Compare;
}

/** See {@linkcode PlainCodec.compare}. */
export type Compare = (
  codes: Uint8Array,
  query: Float32Array,
  how: StoreSearch,
  about?: Float32Array,
) => (at: number) => number;

/** The codec of a specification. */
export function plainCodec(spec: CodecSpec): PlainCodec {
  switch (spec.kind) {
    case "sq":
      return {
        codeSize: scalarCodeSize(spec.qtype, spec.d),
        encode: (x) => encodeScalar(spec, x),
        decode: (codes, out) => decodeScalar(spec, codes, out),
      };
    case "pq":
      return productCodec(spec);
    case "rabitq":
      return {
        codeSize: rabitqLayout(spec.d, spec.nbits).codeSize,
        encode: (x, about) => encodeRaBitQ(spec, x, about ?? spec.center),
        decode: (codes, out) => decodeRaBitQ(spec, codes, out),
        compare: (codes, query, { metric, metricArg }, about) => {
          if ((metric === Metric.InnerProduct) !== spec.inner) {
            throw new RangeError("Cannot search: codes were made for the other metric");
          }
          const rounding = unpackRounding(metricArg);
          return compareRaBitQ(spec, codes, query, about ?? spec.center, rounding);
        },
      };
    case "signs":
      return {
        codeSize: signCodeSize(spec.d),
        encode: (x) => encodeSigns(spec, x),
        decode: (codes, out) => decodeSigns(spec, codes, out),
        compare: (codes, query) => compareSigns(spec, codes, query),
      };
    case "binary":
      return binaryCodec(spec.d);
    case "aq":
      return plainAdditive(spec);
  }
}

function plainAdditive(spec: AdditiveSpec): PlainCodec {
  const { norm, ...codec } = additiveCodec(spec);
  if (!isCoded(spec.searchType)) return codec;
  const isNormed = spec.searchType !== AdditiveSearchType.LUTNonorm;
  const { d } = spec;
  const compare: Compare = (codes, query, { metric }, about) => {
    const row = new Float32Array(d);
    return (at) => {
      const code = codes.subarray(at, at + codec.codeSize);
      codec.decode(code, row);
      let [square, product] = [0, 0];
      for (let j = 0; j < d; j++) {
        const center = about?.[j] ?? 0;
        if (metric === Metric.L2) {
          const value = query[j]! - center;
          square += value * value;
          product += value * row[j]!;
        } else {
          product += query[j]! * Math.fround(row[j]! + center);
        }
      }
      if (metric !== Metric.L2) return product;
      return isNormed ? square + norm(code) - 2 * product : square - product;
    };
  };
  return { ...codec, compare };
}

/** Whole codes in an array, or an error. */
export function countCodes(codes: Uint8Array, codeSize: number): number {
  const n = codes.length / codeSize;
  if (Number.isInteger(n)) return n;
  throw new TypeError(`Cannot read codes: ${codes.length} bytes are no codes of ${codeSize}`);
}

/** A codec in plain TypeScript. */
export class ReferenceCodec implements BackendCodec {
  readonly #codec: PlainCodec;
  readonly #d: number;
  readonly #spec: CodecSpec;

  constructor(spec: CodecSpec) {
    this.#codec = plainCodec(spec);
    this.#d = spec.d;
    this.#spec = spec;
  }

  // deno-lint-ignore require-await
  async better(
    x: Float32Array,
    indices: Uint32Array,
    signal?: AbortSignal,
  ): Promise<Uint32Array> {
    signal?.throwIfAborted();
    const spec = this.#spec;
    if (spec.kind !== "aq" || "beam" in spec.encoding) {
      throw new TypeError("Cannot train: the codec finds no codes by local search");
    }
    return betterIndices(spec, spec.encoding, x, indices, false);
  }

  // deno-lint-ignore require-await
  async encode(x: Float32Array, about?: Float32Array): Promise<Uint8Array> {
    checkRows("add", x, this.#d, false);
    return this.#codec.encode(x, about);
  }

  // deno-lint-ignore require-await
  async decode(codes: Uint8Array): Promise<Float32Array> {
    const out = new Float32Array(countCodes(codes, this.#codec.codeSize) * this.#d);
    this.#codec.decode(codes, out);
    return out;
  }

  [Symbol.dispose](): void {}
}
