/**
 * The packed little-endian records of the C ABI. Offsets are held against the
 * header by `test/abi_test.ts`.
 *
 * @module
 */

/** `sizeof(mf_call)`. */
export const CALL_BYTES = 1024;
/** `sizeof(mf_search)`. */
export const SEARCH_BYTES = 48;
/** `sizeof(mf_sizes)`. */
export const SIZES_BYTES = 40;

/** `sizeof(mf_additive)`. */
export const ADDITIVE_BYTES = 64;
/** `sizeof(mf_codec)`. */
export const CODEC_BYTES = 32;

/** What a finished call reports: the out fields of `mf_call`. */
export interface Report {
  /** Bits of `mf_variant`. */
  variants: number;
  /** Workers that took part. */
  threads: number;
  /** Query-row pairs looked at. */
  scanned: number;
  /** Pairs computed again in double. */
  recomputed: number;
}

/** Fields of `mf_search`. */
export interface SearchRecord {
  /** Handle of the store. */
  object: number;
  /** `mf_metric`. */
  metric: number;
  /** `p` of Lp. */
  metricArg: number;
  /** Radius of a range search. */
  radius: number;
  /** Handle of the selector, or 0. */
  selector: number;
  /** Lists a query; of an HNSW graph, ef. */
  nprobe: number;
  /** Queries. */
  nq: number;
  /** Neighbors a query. */
  k: number;
  /** Rows of lists that a query looks at; all of them if left out. */
  maxCodes?: number;
  /** `mf_search_flag` bits. */
  flags?: number;
}

/** Fields of `mf_sizes`; what an operation does not use may be left out. */
export interface SizesRecord {
  /** Rows of `x`. */
  nx: number;
  /** Rows of `y`. */
  ny: number;
  /** Floats a row, or bytes a code. */
  d: number;
  /** Neighbors a row. */
  k?: number;
  /** `mf_metric`. */
  metric?: number;
  /** `p` of Lp. */
  metricArg?: number;
}

/** An `mf_search`. */
export function searchRecord(search: SearchRecord): Uint8Array {
  const bytes = new Uint8Array(SEARCH_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, search.object, true);
  view.setUint32(4, search.metric, true);
  view.setFloat32(8, search.metricArg, true);
  view.setFloat32(12, search.radius, true);
  view.setUint32(16, search.selector, true);
  view.setUint32(20, search.nprobe, true);
  view.setFloat64(24, search.nq, true);
  view.setFloat64(32, search.k, true);
  view.setUint32(40, search.maxCodes ?? 0, true);
  view.setUint32(44, search.flags ?? 0, true);
  return bytes;
}

/** Fields of `mf_codec`; what a kind does not use may be left out. */
export interface CodecRecord {
  /** `mf_codec_kind`. */
  kind: number;
  /** Floats a row. */
  d: number;
  /** Of scalar ones, FAISS's QuantizerType; of product ones, `mf_code_layout`. */
  type?: number;
  /** Of product ones, parts of a row. */
  m?: number;
  /** Of product ones, bits of a part. */
  nbits?: number;
  /** Floats that training found. */
  trained: number;
}

/** An `mf_codec`. */
export function codecRecord(codec: CodecRecord): Uint8Array {
  const bytes = new Uint8Array(CODEC_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, codec.kind, true);
  view.setUint32(4, codec.d, true);
  view.setUint32(8, codec.type ?? 0, true);
  view.setUint32(12, codec.m ?? 0, true);
  view.setUint32(16, codec.nbits ?? 0, true);
  view.setFloat64(24, codec.trained, true);
  return bytes;
}

/** Fields of `mf_additive`. */
export interface AdditiveRecord {
  /** Floats a row. */
  d: number;
  /** Codebooks. */
  m: number;
  /** Parts of a row, each with as many codebooks of its own. */
  splits: number;
  /** How codes are found: 0 by beam search, 1 by local search. */
  method: number;
  /** FAISS's Search_type_t. */
  norm: number;
  /** Sums that a beam keeps. */
  beam: number;
  /** Of local search, encode_ils_iters. */
  rounds: number;
  /** Of local search, icm_iters. */
  sweeps: number;
  /** Of local search, nperts. */
  changes: number;
  /** Of local search, chunk_size. */
  chunk: number;
  /** Of local search, random_seed. */
  seed: number;
  /** Floats that norms of 4 or 8 bits stand for. */
  norms: number;
  /** The least norm. */
  normMin: number;
  /** The greatest norm. */
  normMax: number;
  /** Floats of all codebooks. */
  codebooks: number;
}

/** An `mf_additive`. */
export function additiveRecord(additive: AdditiveRecord): Uint8Array {
  const bytes = new Uint8Array(ADDITIVE_BYTES);
  const view = new DataView(bytes.buffer);
  const { d, m, splits, method, norm, beam, rounds, sweeps, changes, chunk, seed, norms } =
    additive;
  [d, m, splits, method, norm, beam, rounds, sweeps, changes, chunk, seed, norms]
    .forEach((value, i) => view.setUint32(4 * i, value, true));
  view.setFloat32(48, additive.normMin, true);
  view.setFloat32(52, additive.normMax, true);
  view.setFloat64(56, additive.codebooks, true);
  return bytes;
}

/** An `mf_sizes`. */
export function sizesRecord(sizes: SizesRecord): Uint8Array {
  const bytes = new Uint8Array(SIZES_BYTES);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, sizes.nx, true);
  view.setFloat64(8, sizes.ny, true);
  view.setFloat64(16, sizes.d, true);
  view.setFloat64(24, sizes.k ?? 0, true);
  view.setUint32(32, sizes.metric ?? 0, true);
  view.setFloat32(36, sizes.metricArg ?? 0, true);
  return bytes;
}

/** An `mf_call`: the private record of one call. */
export class CallRecord {
  /** The memory that C reads and writes. */
  readonly bytes: Uint8Array = new Uint8Array(CALL_BYTES);
  readonly #words = new Uint32Array(this.bytes.buffer, 0, 4);
  readonly #counts = new Float64Array(this.bytes.buffer, 16, 2);

  /** Makes the record ready for another call. */
  reset(): this {
    this.#words.fill(0);
    this.#counts.fill(0);
    this.bytes[32] = 0;
    return this;
  }

  /** Asks the call to stop. */
  cancel(): void {
    Atomics.store(this.#words, 0, 1);
  }

  /** The out fields. */
  report(): Report {
    return {
      variants: this.#words[1]!,
      threads: this.#words[2]!,
      scanned: this.#counts[0]!,
      recomputed: this.#counts[1]!,
    };
  }

  /** The error message. */
  message(): string {
    const text = this.bytes.subarray(32);
    const end = text.indexOf(0);
    return new TextDecoder().decode(end < 0 ? text : text.subarray(0, end));
  }
}
