import { additiveCodec } from "../../codec/additive_codes.ts";
import { betterIndices } from "../../codec/additive_search.ts";
import { AdditiveSearchType, isCoded } from "../../codec/additive_type.ts";
import type { AdditiveSpec, CodecSpec } from "../../codec/codec.ts";
import { productCodec } from "../../codec/product_codes.ts";
import { scalarCodeSize } from "../../codec/quantizer_type.ts";
import { decodeScalar, encodeScalar } from "../../codec/scalar_codes.ts";
import type { BackendCodec } from "../backend.ts";
import { checkRows } from "./scan.ts";

/** What a specification does, on this thread. */
export interface PlainCodec {
  /** Bytes of a code. */
  codeSize: number;
  /** Codes of whole rows. */
  encode(x: Float32Array): Uint8Array;
  /** The vectors of whole codes, into `out`. */
  decode(codes: Uint8Array, out: Float32Array): void;
  /** What codes are compared by, by L2, where it is not what they stand for. */
  key?(code: Uint8Array, query: Float32Array | Float64Array): number;
}

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
    case "aq":
      return plainAdditive(spec);
  }
}

function plainAdditive(spec: AdditiveSpec): PlainCodec {
  const { norm, ...codec } = additiveCodec(spec);
  if (!isCoded(spec.searchType)) return codec;
  const row = new Float32Array(spec.d);
  const key = (code: Uint8Array, query: Float32Array | Float64Array) => {
    codec.decode(code, row);
    let [square, product] = [0, 0];
    query.forEach((value, j) => {
      square += value * value;
      product += value * row[j]!;
    });
    const isNormed = spec.searchType !== AdditiveSearchType.LUTNonorm;
    return isNormed ? square + norm(code) - 2 * product : square - product;
  };
  return { ...codec, key };
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
  async encode(x: Float32Array): Promise<Uint8Array> {
    checkRows("add", x, this.#d, false);
    return this.#codec.encode(x);
  }

  // deno-lint-ignore require-await
  async decode(codes: Uint8Array): Promise<Float32Array> {
    const out = new Float32Array(countCodes(codes, this.#codec.codeSize) * this.#d);
    this.#codec.decode(codes, out);
    return out;
  }

  [Symbol.dispose](): void {}
}
