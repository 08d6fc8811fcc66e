import { binaryCodec } from "../../codec/binary_codes.ts";
import type { CodecSpec } from "../../codec/codec.ts";
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
  }
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

  constructor(spec: CodecSpec) {
    this.#codec = plainCodec(spec);
    this.#d = spec.d;
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
