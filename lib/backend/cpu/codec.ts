/**
 * Codecs in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { type CodecRecord, codecRecord } from "../../../ffi/record.ts";
import type { CodecSpec } from "../../codec/codec.ts";
import { productCodeSize } from "../../codec/product_codes.ts";
import { scalarCodeSize } from "../../codec/quantizer_type.ts";
import { rabitqLayout } from "../../codec/rabitq_codes.ts";
import { signCodeSize } from "../../codec/sign_codes.ts";
import type { BackendCodec } from "../backend.ts";
import { checkLength, countRows, isShortCopy } from "./work.ts";

/** Bytes of a code of a specification. */
export function specCodeSize(spec: CodecSpec): number {
  switch (spec.kind) {
    case "sq":
      return scalarCodeSize(spec.qtype, spec.d);
    case "pq":
      return productCodeSize(spec.m, spec.nbits);
    case "rabitq":
      return rabitqLayout(spec.d, spec.nbits).codeSize;
    case "signs":
      return signCodeSize(spec.d);
  }
}

/** Multiply-adds, or what takes as long, of a query and one code, and of a query and one list. */
export function scanCost(spec: CodecSpec): { code: number; list: number } {
  if (spec.kind === "sq") return { code: spec.d, list: 0 };
  if (spec.kind === "signs") return { code: spec.d / 16, list: spec.d };
  // Bits are counted, or bytes multiplied.
  if (spec.kind === "rabitq") {
    return { code: spec.nbits === 1 ? spec.d / 8 : spec.d / 2, list: 4 * spec.d };
  }
  // A look-up a part, in tables that take as long as comparing the centroids; of blocks, 32 at once.
  return { code: spec.inBlocks ? spec.m / 32 : spec.m, list: spec.centroids.length };
}

/** The record of a specification, but for what all have, and the numbers that go with it. */
function describe(spec: CodecSpec): [Omit<CodecRecord, "d" | "trained">, Float32Array] {
  switch (spec.kind) {
    case "sq":
      return [{ kind: 0, type: spec.qtype }, spec.trained];
    case "pq":
      return [{ kind: 1, m: spec.m, nbits: spec.nbits }, spec.centroids];
    case "rabitq":
      return [{ kind: 8, type: spec.inner ? 1 : 0, nbits: spec.nbits }, spec.center];
    case "signs":
      return [{ kind: 9 }, spec.thresholds];
  }
}

/** The native codec of a specification. */
export function createCodec(spec: CodecSpec): NativeHandle {
  const [fields, trained] = describe(spec);
  const record = codecRecord({ d: spec.d, ...fields, trained: trained.length });
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

  async encode(x: Float32Array, about?: Float32Array): Promise<Uint8Array> {
    const n = countRows(x, this.#d, "x");
    const codes = new Uint8Array(n * this.#codeSize);
    const { object } = this.#handle;
    const { symbols } = library();
    if (about !== undefined) {
      checkLength(about, x.length, "about");
      await invokeAsync((call) => {
        return symbols.mf_codec_encode_about_async(object, n, x, about, codes, call);
      });
    } else if (isShortCopy(x.byteLength)) {
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
