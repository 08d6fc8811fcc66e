/**
 * Finding the settings of an index that are best.
 *
 * @module
 */

import { type MimeBundle, plainText, tableBundle } from "../display.ts";
import { toRows, type VectorInput } from "../matrix.ts";
import { Random } from "../random.ts";
import type { AutoTuneCriterion } from "./criteria.ts";
import type { Index } from "./index.ts";
import { type OperatingPoint, OperatingPoints } from "./operating_points.ts";
import { type ParameterRange, rangesOf, setParameter } from "./parameters.ts";

/** How {@linkcode ParameterSpace.explore} goes on. */
export interface ExploreOptions {
  /** Stops it. */
  signal?: AbortSignal | undefined;
  /** Called for each combination: with what was measured, or nothing where it could not be better. */
  onProgress?: ((progress: ExploreProgress) => void) | undefined;
}

/** What {@linkcode ExploreOptions.onProgress} is told. */
export interface ExploreProgress {
  /** Combinations done. */
  done: number;
  /** Combinations to do. */
  of: number;
  /** The combination's settings. */
  key: string;
  /** What was measured; undefined where the combination was left out. */
  point: OperatingPoint | undefined;
}

/**
 * The parameters of an index with the values to try, by FAISS's names: `nprobe`, `max_codes`,
 * `efSearch`, `efConstruction`, `k_factor_rf`, `ht`, and `quantizer_…` of what finds the lists.
 *
 * @example
 * ```ts
 * import { indexFactory, IndexFlatL2, IntersectionCriterion, ParameterSpace, Random } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const random = new Random(1);
 * const x = Float32Array.from({ length: 2000 * 8 }, () => random.normal());
 * const queries = x.subarray(0, 50 * 8);
 * using flat = new IndexFlatL2(8);
 * using index = indexFactory(8, "IVF32,Flat");
 * await flat.add(x);
 * await index.train(x);
 * await index.add(x);
 *
 * const truth = await flat.search(queries, 10);
 * const criterion = new IntersectionCriterion(50, 10).setGroundtruth(truth.labels);
 * const space = new ParameterSpace(index);
 * const points = await space.explore(index, queries, criterion);
 * const best = points.optimal.at(-1)!;
 * space.setIndexParameters(index, best.key);
 * assert.ok(best.perf > 0.5);
 * ```
 */
export class ParameterSpace {
  /** The parameters, in the order of {@linkcode combinationName}. */
  readonly parameterRanges: ParameterRange[] = [];
  /** Combinations that are tried at most; 0 is all of them, even those that cannot be better. */
  nExperiments = 500;
  /** Queries of a search. */
  batchSize = 2 ** 30;
  /** Seconds that a combination is measured at least: shorter ones run several times. */
  minTestDuration = 0;

  /**
   * The parameters of an index.
   *
   * @param index The index; without it there are none until {@linkcode initialize} or
   * {@linkcode addRange}.
   */
  constructor(index?: Index) {
    if (index !== undefined) this.initialize(index);
  }

  /**
   * Adds the parameters of an index, with sensible values.
   *
   * @param index The index.
   */
  initialize(index: Index): void {
    for (const { name, values } of rangesOf(index)) this.addRange(name).values = [...values];
  }

  /**
   * A parameter; a new one has no values yet.
   *
   * @param name Its name.
   */
  addRange(name: string): ParameterRange {
    const found = this.parameterRanges.find((range) => range.name === name);
    if (found !== undefined) return found;
    const range: ParameterRange = { name, values: [] };
    this.parameterRanges.push(range);
    return range;
  }

  /** Number of combinations. */
  get nCombinations(): number {
    return this.parameterRanges.reduce((product, { values }) => product * values.length, 1);
  }

  /** Which value of each parameter a combination has. */
  #positions(cno: number): number[] {
    if (!Number.isInteger(cno) || cno < 0 || cno >= this.nCombinations) {
      throw new RangeError(`Cannot read combination ${cno}: there are ${this.nCombinations}`);
    }
    let rest = cno;
    return this.parameterRanges.map(({ values }) => {
      const at = rest % values.length;
      rest = Math.floor(rest / values.length);
      return at;
    });
  }

  /**
   * A combination as {@linkcode setIndexParameters} reads it.
   *
   * @param cno Its number.
   * @throws {RangeError} If there is no such combination.
   */
  combinationName(cno: number): string {
    const at = this.#positions(cno);
    return this.parameterRanges.map(({ name, values }, i) => `${name}=${values[at[i]!]}`).join();
  }

  /**
   * Whether a combination has no smaller value than another: then it is as good at least, and as slow.
   *
   * @param c1 A combination.
   * @param c2 The other.
   * @throws {RangeError} If there is no such combination.
   */
  combinationGe(c1: number, c2: number): boolean {
    const [a, b] = [this.#positions(c1), this.#positions(c2)];
    return a.every((at, i) => at >= b[i]!);
  }

  /**
   * Sets parameters of an index.
   *
   * @param index The index.
   * @param settings A combination's number, or names and values as in `nprobe=16,efSearch=64`.
   * @throws {RangeError} If they cannot be read, the index has no such parameter, or a value is out of
   * range; those before are set then.
   */
  setIndexParameters(index: Index, settings: number | string): void {
    const text = typeof settings === "number" ? this.combinationName(settings) : settings;
    for (const part of text.split(/[ ,]+/).filter((part) => part !== "")) {
      const [, name, value] = /^([^=]+)=(.+)$/.exec(part) ?? [];
      const number = /^[+]?inf(inity)?$/i.test(value ?? "") ? Infinity : Number(value);
      if (name === undefined || Number.isNaN(number)) {
        throw new RangeError(`Cannot set parameters: "${part}" is no name=number`);
      }
      this.setIndexParameter(index, name, number);
    }
  }

  /**
   * Sets one parameter of an index, or of an index in it that has one of that name.
   *
   * @param index The index.
   * @param name The parameter.
   * @param value Its value.
   * @throws {RangeError} If the index has no such parameter, or the value is out of range.
   */
  setIndexParameter(index: Index, name: string, value: number): void {
    setParameter(index, name, value);
  }

  /**
   * Measures combinations. The quickest and the best come first; one that cannot be better than what was
   * measured, as fewer lists find no more, is left out. The index keeps the last one's settings.
   *
   * @param index The index.
   * @param queries `nq × d` queries.
   * @param criterion What is good; it knows the truth, and how many results a query count.
   * @param options Progress and abort.
   * @throws {RangeError} If the criterion is of another number of queries, or a parameter has no values.
   */
  async explore(
    index: Index,
    queries: VectorInput,
    criterion: AutoTuneCriterion,
    { signal, onProgress }: ExploreOptions = {},
  ): Promise<OperatingPoints> {
    const rows = toRows(queries, index.d, "queries");
    const nq = rows.length / index.d;
    if (nq !== criterion.nq) {
      throw new RangeError(
        `Cannot explore: the criterion is of ${criterion.nq} queries, not ${nq}`,
      );
    }
    const all = this.nCombinations;
    if (all === 0) throw new RangeError("Cannot explore: a parameter has no values");
    const points = new OperatingPoints(nq);
    const order = this.#order(all);
    // What runs first is loaded, and caches are filled.
    this.setIndexParameters(index, order[0]!);
    await this.#search(index, rows, criterion.R, signal);
    for (const [done, cno] of order.entries()) {
      const key = this.combinationName(cno);
      let point: OperatingPoint | undefined;
      if (this.nExperiments === 0 || this.#mayBeBetter(cno, points)) {
        this.setIndexParameters(index, cno);
        const { labels, seconds } = await this.#measure(index, rows, criterion.R, signal);
        points.add(criterion.evaluate(labels), seconds, key, cno);
        point = points.all.at(-1);
      }
      onProgress?.({ done: done + 1, of: order.length, key, point });
    }
    return points;
  }

  /** The first and the last combination, then others by chance. */
  #order(all: number): number[] {
    if (this.nExperiments === 0) return Array.from({ length: all }, (_, cno) => cno);
    const [first, last] = all === 1 ? [[0], []] : [[0, all - 1], [...Array(all - 2).keys()]];
    const chance = last.length === 0 ? [] : new Random(1234).permutation(last.length, last.length);
    const others = Array.from(chance, (at) => at + 1);
    return [...first, ...others].slice(0, Math.max(this.nExperiments, first.length));
  }

  #mayBeBetter(cno: number, points: OperatingPoints): boolean {
    let [least, best] = [0, 1];
    for (const { cno: other, perf, t } of points.all) {
      if (this.combinationGe(cno, other)) least = Math.max(least, t);
      if (this.combinationGe(other, cno)) best = Math.min(best, perf);
    }
    return points.tForPerf(best) > least;
  }

  async #measure(index: Index, rows: Float32Array, k: number, signal: AbortSignal | undefined) {
    const start = performance.now();
    for (let runs = 1;; runs++) {
      const labels = await this.#search(index, rows, k, signal);
      const seconds = (performance.now() - start) / 1000;
      if (seconds >= this.minTestDuration) return { labels, seconds: seconds / runs };
    }
  }

  async #search(index: Index, rows: Float32Array, k: number, signal: AbortSignal | undefined) {
    const step = this.batchSize * index.d;
    if (rows.length <= step) return (await index.search(rows, k, { signal })).labels;
    const labels = new BigInt64Array(rows.length / index.d * k);
    for (let from = 0; from < rows.length; from += step) {
      const found = await index.search(rows.subarray(from, from + step), k, { signal });
      labels.set(found.labels, from / index.d * k);
    }
    return labels;
  }

  #table(): MimeBundle {
    const rows = this.parameterRanges.map(({ name, values }) => [name, values.join(", ")]);
    return tableBundle(["parameter", "values"], rows, `${this.nCombinations} combinations`);
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return this.#table();
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return `ParameterSpace ${plainText(this.#table())}`;
  }
}
