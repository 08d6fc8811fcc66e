/**
 * Codecs in native memory.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../../ffi/call.ts";
import { NativeHandle } from "../../../ffi/handle.ts";
import { library } from "../../../ffi/library.ts";
import { additiveRecord, type CodecRecord, codecRecord } from "../../../ffi/record.ts";
import { additiveCodeSize, isCoded } from "../../codec/additive_type.ts";
import { binaryCodeSize, pairCost } from "../../codec/binary_codes.ts";
import type { AdditiveSpec, CodecSpec } from "../../codec/codec.ts";
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
    case "binary":
      return binaryCodeSize(spec.d);
    case "aq":
      return additiveCodeSize(spec.nbits, spec.searchType);
  }
}

/** Multiply-adds, or what takes as long, of a query and one code, and of a query and one list. */
export function scanCost(spec: CodecSpec): { code: number; list: number } {
  if (spec.kind === "binary") return { code: pairCost(binaryCodeSize(spec.d)), list: 0 };
  if (spec.kind === "sq") return { code: spec.d, list: 0 };
  if (spec.kind === "aq") {
    // Where codes are decoded, that is most of it.
    const code = isCoded(spec.searchType) ? spec.nbits.length : spec.d * spec.nbits.length;
    return { code, list: spec.codebooks.length };
  }
  if (spec.kind === "signs") return { code: spec.d / 16, list: spec.d };
  // Bits are counted, or bytes multiplied.
  if (spec.kind === "rabitq") {
    return { code: spec.nbits === 1 ? spec.d / 8 : spec.d / 2, list: 4 * spec.d };
  }
  // A look-up a part, in tables that take as long as comparing the centroids; of blocks, 32 at once.
  return { code: spec.inBlocks ? spec.m / 32 : spec.m, list: spec.centroids.length };
}

/** The record of a specification, but for what all have, and the numbers that go with it. */
function describe(
  spec: Exclude<CodecSpec, AdditiveSpec>,
): [Omit<CodecRecord, "d" | "trained">, Float32Array] {
  switch (spec.kind) {
    case "sq":
      return [{ kind: 0, type: spec.qtype }, spec.trained];
    case "pq":
      return [
        { kind: 1, type: spec.inBlocks ? 1 : 0, m: spec.m, nbits: spec.nbits },
        spec.centroids,
      ];
    case "rabitq":
      return [{ kind: 8, type: spec.inner ? 1 : 0, nbits: spec.nbits }, spec.center];
    case "signs":
      return [{ kind: 9 }, spec.thresholds];
    case "binary":
      return [{ kind: 16 }, new Float32Array(0)];
  }
}

/** The native codec of a specification. */
export function createCodec(spec: CodecSpec): NativeHandle {
  if (spec.kind === "aq") return createAdditive(spec);
  const [fields, trained] = describe(spec);
  const record = codecRecord({ d: spec.d, ...fields, trained: trained.length });
  return new NativeHandle("codec", (out, call) => {
    return library().symbols.mf_codec_create(record, trained, out, call);
  });
}

function createAdditive(spec: AdditiveSpec): NativeHandle {
  const { d, splits, codebooks, norms, encoding, searchType } = spec;
  const nbits = Uint32Array.from(spec.nbits);
  const { beam, rounds, sweeps, changes, chunk, seed } = {
    beam: 1,
    rounds: 0,
    sweeps: 0,
    changes: 0,
    chunk: 1,
    seed: 0,
    ...encoding,
  };
  const record = additiveRecord({
    d,
    m: nbits.length,
    splits,
    method: "beam" in encoding ? 0 : 1,
    norm: searchType,
    beam,
    rounds,
    sweeps,
    changes,
    chunk,
    seed,
    norms: norms.length,
    normMin: spec.normMin,
    normMax: spec.normMax,
    codebooks: codebooks.length,
  });
  return new NativeHandle("codec", (out, call) => {
    return library().symbols.mf_additive_create(record, nbits, codebooks, norms, out, call);
  });
}

/** {@linkcode BackendCodec} of the cpu backend. */
export class CpuCodec implements BackendCodec {
  readonly #handle: NativeHandle;
  readonly #d: number;
  readonly #codeSize: number;
  readonly #books: number;

  constructor(spec: CodecSpec) {
    this.#books = spec.kind === "aq" ? spec.nbits.length : 0;
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

  async better(
    x: Float32Array,
    indices: Uint32Array,
    signal?: AbortSignal,
  ): Promise<Uint32Array> {
    const n = countRows(x, this.#d, "x");
    checkLength(indices, n * this.#books, "indices");
    const { object } = this.#handle;
    const found = indices.slice();
    await invokeAsync((call) => {
      return library().symbols.mf_additive_search_async(object, n, x, found, call);
    }, signal);
    return found;
  }

  [Symbol.dispose](): void {
    this.#handle.dispose();
  }
}
