/**
 * Search over vectors of which each number is a bit, or a few.
 *
 * @module
 */

import type { Backend, StoreSearch } from "../backend/backend.ts";
import { RaBitQuantizer } from "../codec/rabitq.ts";
import { packRounding } from "../codec/rabitq_query.ts";
import { Metric } from "../metric.ts";
import { IndexFlatCodes } from "./flat_codes.ts";
import type { CheckedSearch, Index, IndexOptions } from "./index.ts";
import { IndexIVFCodes } from "./ivf_codes.ts";

/** Bits of a query's number where nobody says. */
const QUERY_BITS = 4;

/** How queries are rounded: as the search says, else as the index does. */
interface Rounds {
  qb: number;
  centered: boolean;
}

/** What a store is told of it. */
function roundingOf(index: Rounds, { params }: CheckedSearch): { metricArg: number } {
  const { qb = index.qb, centered = index.centered } = params;
  if (!Number.isInteger(qb) || qb < 0 || qb > 8) {
    throw new RangeError(`Cannot search: qb ${qb} is no integer from 0 to 8`);
  }
  return { metricArg: packRounding({ qb, centered: Boolean(centered) && qb > 0 }) };
}

/** FAISS's token of a RaBitQ quantizer. */
function tokenOf({ nbBits }: RaBitQuantizer): string {
  return nbBits === 1 ? "RaBitQ" : `RaBitQ${nbBits}`;
}

/**
 * Vectors of which each number is kept as its sign, or in up to nine bits, about the mean, all of
 * which a search looks at. Distances are estimates. A random rotation before it spreads what vectors
 * hold over their numbers: `RR,RaBitQ` in the factory.
 *
 * @example
 * ```ts
 * import { IndexRaBitQ, Metric, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 200 * 64 }, () => random.normal());
 * using index = new IndexRaBitQ(64, Metric.L2, 4);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 64), 3);
 * assert.equal(found.row(0)[0]!.id, 0);
 * ```
 */
export class IndexRaBitQ extends IndexFlatCodes {
  /** The quantizer; training gives it the mean that codes are about. */
  readonly rabitq: RaBitQuantizer;
  /**
   * Bits that numbers of a query are rounded to, 1 to 8, where codes have one bit; 0 leaves
   * them as they are, which takes longer.
   */
  qb: number = QUERY_BITS;
  /** Whether a query's levels lie about zero, instead of between its least and greatest number. */
  centered = false;

  /**
   * An index that has to be trained.
   *
   * @param d Dimension.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param nbBits Bits of a number, 1 to 9.
   * @param options Backend.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(d: number, metric: Metric = Metric.L2, nbBits = 1, options: IndexOptions = {}) {
    const { backend } = options;
    const rabitq = new RaBitQuantizer(d, nbBits, metric, { backend, aboutMean: true });
    super(rabitq, metric, options);
    this.rabitq = rabitq;
  }

  /** @internal */
  override factoryString(): string | undefined {
    return tokenOf(this.rabitq);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { nbBits: this.rabitq.nbBits, qb: this.qb };
  }

  /** @internal */
  protected override storeSearch(how: CheckedSearch): StoreSearch {
    return { ...super.storeSearch(how), ...roundingOf(this, how) };
  }

  /** @internal */
  protected override makeEmpty(backend: Backend): IndexRaBitQ {
    const { d, metric, rabitq, qb, centered } = this;
    const copy = new IndexRaBitQ(d, metric, rabitq.nbBits, { backend });
    if (rabitq.isTrained) copy.rabitq.restore(rabitq.center);
    return Object.assign(copy, { qb, centered });
  }
}

/**
 * Vectors of which each number is kept as its sign, or in up to nine bits, about the centroid of
 * their list. Distances are estimates.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, IndexIVFRaBitQ, Metric, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 500 * 32 }, () => random.normal());
 * using index = new IndexIVFRaBitQ(new IndexFlatL2(32), 32, 4, Metric.L2, 6);
 * await index.train(x);
 * await index.add(x);
 * const found = await index.search(x.subarray(0, 32), 3, { nprobe: 4 });
 * assert.equal(found.row(0)[0]!.id, 0);
 * ```
 */
export class IndexIVFRaBitQ extends IndexIVFCodes {
  /** The quantizer of what is in the lists. */
  readonly rabitq: RaBitQuantizer;
  /**
   * Bits that numbers of a query are rounded to, 1 to 8, where codes have one bit; 0 leaves
   * them as they are, which takes longer.
   */
  qb: number = QUERY_BITS;
  /** Whether a query's levels lie about zero, instead of between its least and greatest number. */
  centered = false;

  /**
   * An index without vectors.
   *
   * @param quantizer Index that holds the centroids; empty until trained.
   * @param d Dimension.
   * @param nlist Number of lists.
   * @param metric {@linkcode Metric.L2}, {@linkcode Metric.InnerProduct} or
   * {@linkcode Metric.Cosine}.
   * @param nbBits Bits of a number, 1 to 9.
   * @param options Backend.
   * @throws {RangeError} If a number is out of range, or there is no such metric.
   * @throws {TypeError} If the quantizer has another dimension.
   * @throws {UnsupportedError} If the backend is the GPU.
   */
  constructor(
    quantizer: Index,
    d: number,
    nlist: number,
    metric: Metric = Metric.L2,
    nbBits = 1,
    options: IndexOptions = {},
  ) {
    const backend = options.backend ?? quantizer.backend;
    const rabitq = new RaBitQuantizer(d, nbBits, metric, { backend });
    super(quantizer, rabitq, nlist, metric, options);
    this.rabitq = rabitq;
  }

  /** @internal */
  protected override codeName(): string | undefined {
    return tokenOf(this.rabitq);
  }

  /** @internal */
  protected override parameters(): Record<string, unknown> {
    return { ...super.parameters(), nbBits: this.rabitq.nbBits, qb: this.qb };
  }

  /** @internal */
  protected override storeSearch(how: CheckedSearch): StoreSearch {
    return { ...super.storeSearch(how), ...roundingOf(this, how) };
  }

  /** @internal */
  protected override async encodeRows(
    x: Float32Array,
    lists: BigInt64Array,
  ): Promise<Uint8Array> {
    return await this.rabitq.encode(x, this.quantizer.reconstructBatch(lists));
  }

  /** @internal */
  protected override makeEmpty(quantizer: Index): IndexIVFRaBitQ {
    const { d, nlist, metric, rabitq, qb, centered } = this;
    const copy = new IndexIVFRaBitQ(quantizer, d, nlist, metric, rabitq.nbBits);
    return Object.assign(copy, { qb, centered });
  }
}
