/**
 * How good the results of a search are.
 *
 * @module
 */

/** Compares labels that a search found with the true ones. */
export abstract class AutoTuneCriterion {
  /** Number of queries. */
  readonly nq: number;
  /** Results a query that are asked for. */
  readonly R: number;
  /** `nq × gtNnn` true labels, nearest first. */
  #truth: BigInt64Array | undefined;

  /**
   * A criterion that has to be told the truth.
   *
   * @param nq Number of queries.
   * @param R Results a query that count.
   * @throws {RangeError} If a number is not an integer above 0.
   */
  constructor(nq: number, R: number) {
    for (const [name, value] of Object.entries({ nq, R })) {
      if (Number.isInteger(value) && value > 0) continue;
      throw new RangeError(`Cannot make a criterion: ${name} ${value} is no integer above 0`);
    }
    this.nq = nq;
    this.R = R;
  }

  /** True labels that are needed for each query. @internal */
  protected abstract get needed(): number;

  /** Part of what was to be found. @internal */
  protected abstract compare(truth: BigInt64Array, found: BigInt64Array): number;

  /**
   * Sets what a perfect search finds.
   *
   * @param labels `nq × n` labels, nearest first; `n` is at least what the criterion looks at.
   * @returns This criterion.
   * @throws {RangeError} If there are too few labels, or they are in no rows.
   */
  setGroundtruth(labels: BigInt64Array): this {
    const width = labels.length / this.nq;
    if (!Number.isInteger(width) || width < this.needed) {
      throw new RangeError(
        `Cannot setGroundtruth: ${labels.length} labels are no ${this.nq} rows of ` +
          `${this.needed} or more`,
      );
    }
    this.#truth = labels;
    return this;
  }

  /**
   * How good labels are.
   *
   * @param labels `nq × R` labels that a search found, nearest first, or more a row.
   * @returns From 0 to 1.
   * @throws {RangeError} If no truth was set, or there are too few labels.
   */
  evaluate(labels: BigInt64Array): number {
    const { nq, R } = this;
    const truth = this.#truth;
    if (truth === undefined) throw new RangeError("Cannot evaluate: call setGroundtruth() first");
    const width = labels.length / nq;
    if (!Number.isInteger(width) || width < R) {
      throw new RangeError(`Cannot evaluate: ${labels.length} labels are no ${nq} rows of ${R}`);
    }
    const wide = truth.length / nq;
    let sum = 0;
    for (let query = 0; query < nq; query++) {
      sum += this.compare(
        truth.subarray(query * wide, query * wide + this.needed),
        labels.subarray(query * width, query * width + R),
      );
    }
    return sum / nq;
  }
}

/** Part of the queries whose nearest vector is among the first `R` results. */
export class OneRecallAtRCriterion extends AutoTuneCriterion {
  /** @internal */
  protected override get needed(): number {
    return 1;
  }

  /** @internal */
  protected override compare(truth: BigInt64Array, found: BigInt64Array): number {
    return found.includes(truth[0]!) ? 1 : 0;
  }
}

/** Part of the `R` nearest vectors that is among the first `R` results. */
export class IntersectionCriterion extends AutoTuneCriterion {
  /** @internal */
  protected override get needed(): number {
    return this.R;
  }

  /** @internal */
  protected override compare(truth: BigInt64Array, found: BigInt64Array): number {
    const wanted = new Set(truth);
    wanted.delete(-1n);
    return new Set(found).intersection(wanted).size / this.R;
  }
}
