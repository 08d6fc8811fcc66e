/**
 * Codecs in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { codecRecord } from "../../../ffi/record.ts";
import type { CodecSpec } from "../../codec/codec.ts";
import { productCodeSize } from "../../codec/product_codes.ts";
import { scalarCodeSize } from "../../codec/quantizer_type.ts";
import type { BackendCodec } from "../backend.ts";
import { countRows, isShortCopy } from "./work.ts";

/** Bytes of a code of a specification. */
export function specCodeSize(spec: CodecSpec): number {
  return spec.kind === "sq"
    ? scalarCodeSize(spec.qtype, spec.d)
    : productCodeSize(spec.m, spec.nbits);
}

/** Multiply-adds, or what takes as long, of a query and one code, and of a query and one list. */
export function scanCost(spec: CodecSpec): { code: number; list: number } {
  if (spec.kind === "sq") return { code: spec.d, list: 0 };
  // A look-up a part, in tables that take as long as comparing the centroids; of blocks, 32 at once.
  return { code: spec.inBlocks ? spec.m / 32 : spec.m, list: spec.centroids.length };
}

/** The native codec of a specification. */
export function createCodec(spec: CodecSpec): NativeHandle {
  const { d } = spec;
  const trained = spec.kind === "sq" ? spec.trained : spec.centroids;
  const record = codecRecord(
    spec.kind === "sq" ? { kind: 0, d, type: spec.qtype, trained: trained.length } : {
      kind: 1,
      d,
      type: spec.inBlocks ? 1 : 0,
      m: spec.m,
      nbits: spec.nbits,
      trained: trained.length,
    },
  );
  return new NativeHandle("codec", (out, call) => {
    return library().symbols.mf_codec_create(record, trained, out, call);
  });
}

/** {@linkcode BackendCodec} of the cpu backend. */
export class CpuCodec implements BackendCodec {
  readonly #handle: NativeHandle;
  readonly #d: number;
  readonly #codeSize: number;

  constructor(spec: CodecSpec) {
    this.#handle = createCodec(spec);
    this.#d = spec.d;
    this.#codeSize = specCodeSize(spec);
  }

  async encode(x: Float32Array): Promise<Uint8Array> {
    const n = countRows(x, this.#d, "x");
    const codes = new Uint8Array(n * this.#codeSize);
    const { object } = this.#handle;
    const { symbols } = library();
    if (isShortCopy(x.byteLength)) {
      invoke((call) => symbols.mf_codec_encode(object, n, x, codes, call));
    } else {
      await invokeAsync((call) => symbols.mf_codec_encode_async(object, n, x, codes, call));
    }
    return codes;
  }

  async decode(codes: Uint8Array): Promise<Float32Array> {
    const n = countRows(codes, this.#codeSize, "codes");
    const x = new Float32Array(n * this.#d);
    const { object } = this.#handle;
    const { symbols } = library();
    if (isShortCopy(x.byteLength)) {
      invoke((call) => symbols.mf_codec_decode(object, n, codes, x, call));
    } else {
      await invokeAsync((call) => symbols.mf_codec_decode_async(object, n, codes, x, call));
    }
    return x;
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }
}
