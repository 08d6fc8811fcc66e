/**
 * Search over the signs of vectors' numbers.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { LSHQuantizer, type LSHQuantizerOptions } from "../codec/lsh.ts";
import { Metric } from "../metric.ts";
import { IndexFlatCodes } from "./flat_codes.ts";
import type { Index, IndexOptions } from "./index.ts";

/**
 * Vectors of which the signs are kept, perhaps of a rotation and past thresholds. A distance is
 * the number of bits that differ.
 *
 * @example
 * ```ts
 * import { IndexLSH } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexLSH(4, 4);
 * await index.add([[1, 1, 1, 1], [1, 1, -1, -1]]);
 * const found = await index.search([[2, 3, 4, -1]], 2);
 * assert.deepEqual(found.row(0).map(({ distance }) => distance), [1, 1]);
 * ```
 */
export class IndexLSH extends IndexFlatCodes {
  /** The quantizer. */
  readonly lsh: LSHQuantizer;

  /**
   * An index; one with thresholds has to be trained.
   *
   * @param d Dimension.
   * @param nbits Bits of a code, at most `d` unless vectors are rotated.
   * @param options Backend, whether to rotate, and whether to train thresholds.
   * @throws {RangeError} If a number is out of range.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    d: number,
    nbits: number = d,
    options: IndexOptions & Omit<LSHQuantizerOptions, "backend"> = {},
  ) {
    const lsh = new LSHQuantizer(d, nbits, options);
    super(lsh, Metric.L2, options);
    this.lsh = lsh;
  }

  /** @internal */
  override factoryString(): string | undefined {
    const { nbits, rotateData, trainThresholds } = this.lsh;
    return `LSH${nbits}${rotateData ? "r" : ""}${trainThresholds ? "t" : ""}`;
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    const { nbits, rotateData, trainThresholds } = this.lsh;
    return { nbits, rotateData, trainThresholds };
  }

  /** Bytes that the codes and the rotation take. */
  override memoryUsage(): number {
    return super.memoryUsage() + this.lsh.rotation.memoryUsage();
  }

  /** @internal */
  protected override async prepareQueries(queries: Float32Array): Promise<Float32Array> {
    return await this.lsh.project(queries);
  }

  /** @internal */
  protected override prepareQueriesSync(queries: Float32Array): Float32Array {
    return this.lsh.projectSync(queries);
  }

  /** @internal */
  protected override gather(rows: BigInt64Array, out: Float32Array): void {
    const { nbits } = this.lsh;
    const signs = new Float32Array(rows.length * nbits);
    this.store.gather(rows, signs);
    this.lsh.unproject(signs, out);
  }

  /**
   * Adds vectors that are codes already.
   *
   * @param codes `n × saCodeSize` bytes.
   * @throws {NotTrainedError} If the index has to be trained first.
   * @throws {TypeError} If there are no whole codes.
   */
  override async addSaCodes(codes: Uint8Array): Promise<void> {
    await this.lsh.prepare();
    await super.addSaCodes(codes);
  }

  /** @internal */
  override checkMergeable(other: Index): void {
    super.checkMergeable(other);
    const { lsh } = other as IndexLSH;
    if (lsh.d !== this.d || lsh.rotateData !== this.lsh.rotateData) {
      throw new TypeError("Cannot mergeFrom: one of the indexes rotates its vectors");
    }
  }

  /** @internal */
  protected override async doMerge(other: Index, addId: number): Promise<void> {
    const { lsh } = other as IndexLSH;
    if (this.lsh.rotateData) {
      await lsh.prepare();
      if (!this.lsh.rotation.isTrained) this.lsh.restore(undefined, lsh.rotation.a);
      this.lsh.rotation.checkIdentical(lsh.rotation);
    }
    await super.doMerge(other, addId);
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexLSH {
    const { d, lsh: { nbits, rotateData, trainThresholds, thresholds, rotation } } = this;
    const copy = new IndexLSH(d, nbits, { rotateData, trainThresholds, backend });
    const known = trainThresholds && this.isTrained ? thresholds : undefined;
    copy.lsh.restore(known, rotation.isTrained ? rotation.a : undefined);
    return copy;
  }
}
