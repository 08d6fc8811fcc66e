/**
 * An index of floats that searches vectors of bits.
 *
 * @module
 */

import type { Backend, RangeNeighbors } from "../../backend/backend.ts";
import type { BinaryNeighbors } from "../../backend/binary.ts";
import { binaryCodec } from "../../codec/binary_codes.ts";
import { Metric, metricName } from "../../metric.ts";
import type { SearchResult } from "../../result.ts";
import type { IDSelector } from "../../selector.ts";
import type { Index, SearchParameters, TrainOptions } from "../index.ts";
import { checkNesting } from "../nesting.ts";
import { type CheckedBinarySearch, IndexBinary } from "./index_binary.ts";

/** What squared L2 between numbers 1 and −1 is, a bit that differs. */
const A_BIT = 4;

/**
 * Vectors of bits in an index of floats, as 1 and −1; distances are its squared L2 over 4, rounded.
 *
 * @example
 * ```ts
 * import { IndexBinaryFromFloat, IndexFlatL2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexBinaryFromFloat(new IndexFlatL2(8));
 * index.ownFields = true;
 * await index.add(Uint8Array.of(0, 7));
 * assert.deepEqual((await index.search(Uint8Array.of(3), 1)).row(0), [{ id: 1, distance: 1 }]);
 * ```
 */
export class IndexBinaryFromFloat extends IndexBinary {
  /** Whether disposing of this index disposes of the wrapped one too. */
  ownFields = false;
  /** The index of floats. */
  readonly index: Index;
  readonly #codec: ReturnType<typeof binaryCodec>;

  /**
   * Wraps an index.
   *
   * @param index An index by squared L2, whose dimension is the number of bits.
   * @throws {RangeError} If its dimension is not a multiple of 8, or its metric is not L2.
   */
  constructor(index: Index) {
    super(index.d, { backend: index.backend });
    if (index.metric !== Metric.L2) {
      throw new RangeError(
        `Cannot make an index: bits are compared by L2, not by ${metricName(index.metric)}`,
      );
    }
    checkNesting(this, index);
    this.index = index;
    this.#codec = binaryCodec(index.d);
  }

  /** Number of vectors. */
  override get ntotal(): number {
    return this.index.ntotal;
  }

  /** Whether the wrapped index is trained. */
  override get isTrained(): boolean {
    return this.index.isTrained;
  }

  /** Bytes that the wrapped index takes. */
  override memoryUsage(): number {
    return this.index.memoryUsage();
  }

  /** @internal */
  override get keepsIds(): boolean {
    return this.index.keepsIds;
  }

  /** @internal */
  override async renumber(newId: (id: bigint) => bigint): Promise<void> {
    await this.index.renumber(newId);
  }

  #numbers(codes: Uint8Array): Float32Array {
    const numbers = new Float32Array(codes.length * 8);
    this.#codec.decode(codes, numbers);
    return numbers;
  }

  /** @internal */
  protected override doTrain(x: Uint8Array, options: TrainOptions): Promise<void> {
    return this.index.train(this.#numbers(x), options);
  }

  /** @internal */
  protected override doAdd(x: Uint8Array, ids: BigInt64Array | undefined): Promise<void> {
    const numbers = this.#numbers(x);
    return ids === undefined ? this.index.add(numbers) : this.index.addWithIds(numbers, ids);
  }

  #inner({ selector, params }: CheckedBinarySearch): SearchParameters {
    return { ...params, filter: selector };
  }

  /** @internal */
  protected override async doSearch(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): Promise<BinaryNeighbors> {
    return toBits(await this.index.search(this.#numbers(queries), k, this.#inner(how)));
  }

  /** @internal */
  protected override doSearchSync(
    queries: Uint8Array,
    k: number,
    how: CheckedBinarySearch,
  ): BinaryNeighbors {
    return toBits(this.index.searchSync(this.#numbers(queries), k, this.#inner(how)));
  }

  /** @internal */
  protected override async doRangeSearch(
    queries: Uint8Array,
    radius: number,
    how: CheckedBinarySearch,
  ): Promise<RangeNeighbors> {
    const numbers = this.#numbers(queries);
    const found = await this.index.rangeSearch(numbers, radius * A_BIT, this.#inner(how));
    const { lims, labels, run } = found;
    const distances = found.distances.map((distance) => Math.round(distance / A_BIT));
    return { lims, distances, labels, run };
  }

  /** @internal */
  protected override doReconstruct(ids: BigInt64Array): Uint8Array {
    return this.#codec.encode(this.index.reconstructBatch(ids));
  }

  /** @internal */
  protected override doRemove(selector: IDSelector): Promise<number> {
    return this.index.removeIds(selector);
  }

  /** @internal */
  override checkMergeable(other: IndexBinary): void {
    super.checkMergeable(other);
    this.index.checkMergeable((other as IndexBinaryFromFloat).index);
  }

  /** @internal */
  protected override doMerge(other: IndexBinary, addId: number): Promise<void> {
    return this.index.mergeFrom((other as IndexBinaryFromFloat).index, addId);
  }

  /** @internal */
  protected override async doCopy(backend: Backend): Promise<IndexBinary> {
    const copy = new IndexBinaryFromFloat(await this.index.to(backend));
    copy.ownFields = true;
    return copy;
  }

  /** @internal */
  protected override doReset(): Promise<void> {
    return this.index.reset();
  }

  /** @internal */
  protected override doDispose(): void {
    if (this.ownFields) this.index.dispose();
  }

  /** @internal */
  protected override ids(): number {
    return this.ntotal;
  }
}

function toBits({ distances, labels, run }: SearchResult): BinaryNeighbors {
  const bits = Int32Array.from(distances, (distance, i) => {
    return labels[i] === -1n ? 2 ** 31 - 1 : Math.round(distance / A_BIT);
  });
  return { distances: bits, labels, run };
}
