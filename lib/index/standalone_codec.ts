/**
 * Indexes as codecs: codes of vectors that are not added.
 *
 * @module
 */

import { UnsupportedError } from "../errors.ts";
import type { VectorInput } from "../matrix.ts";
import type { Index } from "./index.ts";

/** What indexes with `saEncode` have in common. */
export interface StandaloneCodec {
  /** Bytes of a code. */
  readonly saCodeSize: number;
  /** Codes of vectors, which are not added. */
  saEncode(x: VectorInput): Promise<Uint8Array>;
  /** The vectors that codes stand for. */
  saDecode(codes: Uint8Array): Promise<Float32Array>;
}

/**
 * An index as the codec that it is.
 *
 * @throws {UnsupportedError} If it is none.
 */
export function codecOf<T extends Index>(name: string, index: T): T & StandaloneCodec {
  if ("saEncode" in index && "saDecode" in index) return index as T & StandaloneCodec;
  throw new UnsupportedError(
    `Cannot ${name}: a ${index.constructor.name} has no codes of vectors outside it`,
  );
}

/** Vectors as the bytes that they are. */
export function rowBytes(x: Float32Array): Uint8Array {
  return new Uint8Array(x.buffer, x.byteOffset, x.byteLength).slice();
}

/** Vectors of bytes, wherever these begin: a slice of a `Buffer` would be no copy. */
export function bytesRows(bytes: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}

/** Number of codes in bytes. */
export function countCodes(codes: Uint8Array, codeSize: number): number {
  const n = codes.length / codeSize;
  if (Number.isInteger(n)) return n;
  throw new TypeError(`Cannot saDecode: ${codes.length} bytes are no codes of ${codeSize}`);
}
