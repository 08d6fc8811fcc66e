/**
 * Settings of indexes that were measured, and the best of them.
 *
 * @module
 */

import { type Column, type MimeBundle, plainText, tableBundle } from "../display.ts";
import type { Chart, ChartOptions } from "../notebook/chart.ts";

/** A setting that was measured. */
export interface OperatingPoint {
  /** How good its results are, from 0 to 1. */
  perf: number;
  /** Seconds that a search of all queries took. */
  t: number;
  /** The setting. */
  key: string;
  /** Its number among all combinations; −1 of none. */
  cno: number;
  /** The index that it is of, where there are several. */
  series: string;
}

/**
 * Settings that were measured, and those of them that no other beats: none is as good and quicker, or as
 * quick and better.
 *
 * @example
 * ```ts
 * import { OperatingPoints } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * const points = new OperatingPoints(100);
 * points.add(0.5, 0.1, "nprobe=1", 0);
 * points.add(0.4, 0.2, "nprobe=2", 1);
 * points.add(0.9, 0.4, "nprobe=4", 2);
 * assert.deepEqual(points.optimal.map(({ key }) => key), ["nprobe=1", "nprobe=4"]);
 * assert.equal(points.tForPerf(0.8), 0.4);
 * ```
 */
export class OperatingPoints {
  /** Queries of the searches that were measured. */
  readonly nq: number;
  readonly #all: OperatingPoint[] = [];
  #optimal: OperatingPoint[] = [];

  /**
   * No points yet.
   *
   * @param nq Queries that each search has.
   */
  constructor(nq = 1) {
    this.nq = nq;
  }

  /** Every point, in the order of measuring. */
  get all(): readonly OperatingPoint[] {
    return this.#all;
  }

  /** Points that no other beats, from the quickest to the best. */
  get optimal(): readonly OperatingPoint[] {
    return this.#optimal;
  }

  /** Forgets all points. */
  clear(): void {
    this.#all.length = 0;
    this.#optimal = [];
  }

  /**
   * Adds a point.
   *
   * @param perf How good its results are.
   * @param t Seconds that it took.
   * @param key The setting.
   * @param cno Its number.
   * @param series The index that it is of.
   * @returns Whether no other point beats it; a perf of 0 is beaten by not searching.
   */
  add(perf: number, t: number, key: string, cno = -1, series = ""): boolean {
    const point = { perf, t, key, cno, series };
    this.#all.push(point);
    if (!(perf > 0)) return false;
    if (this.#optimal.some((other) => other.perf >= perf && other.t <= t)) return false;
    const kept = this.#optimal.filter((other) => other.perf > perf || other.t < t);
    this.#optimal = [...kept, point].sort((a, b) => a.perf - b.perf);
    return true;
  }

  /**
   * Adds the points of another index.
   *
   * @param other Its points, of as many queries.
   * @param prefix Put before their settings; the name of the index in charts.
   * @returns How many of them no other beats.
   * @throws {RangeError} If the others are of another number of queries.
   */
  mergeWith(other: OperatingPoints, prefix = ""): number {
    if (other.nq !== this.nq) {
      throw new RangeError(`Cannot mergeWith: points of ${other.nq} queries, not ${this.nq}`);
    }
    const added = other.#all.filter(({ perf, t, key, cno, series }) => {
      return this.add(perf, t, prefix + key, cno, prefix.trim() || series);
    });
    return added.length;
  }

  /**
   * The least time in which a search is so good.
   *
   * @param perf How good it has to be.
   * @returns Seconds; infinite where no point is.
   */
  tForPerf(perf: number): number {
    return this.#optimal.find((point) => point.perf >= perf)?.t ?? Infinity;
  }

  /**
   * The points as a chart of recall and queries a second, a line an index.
   *
   * @param options Title and sizes.
   * @throws {RangeError} If there are no points.
   */
  async chart(options: Partial<ChartOptions> & { recallLabel?: string } = {}): Promise<Chart> {
    // Loaded here because charts are above indexes.
    const { paretoChart } = await import("../notebook/charts/pareto.ts");
    const points = this.#all.map(({ perf, t, key, series }) => {
      const label = key.startsWith(series) ? key.slice(series.length).trim() : key;
      return { series: series || "index", recall: perf, qps: this.nq / t, label };
    });
    return paretoChart(points, { title: this.#title(), recallLabel: "Performance", ...options });
  }

  #title(): string {
    const [all, best] = [this.#all.length, this.#optimal.length];
    return `${all} operating points, ${best} of them Pareto-optimal`;
  }

  #table(): MimeBundle {
    const columns: Column[] = [
      { name: "index", optional: true },
      { name: "setting" },
      { name: "perf" },
      { name: "time, s" },
      { name: "optimal" },
    ];
    const rows = this.#all.map((point) => {
      const isBest = this.#optimal.includes(point);
      return [point.series, point.key, point.perf, point.t, isBest ? "yes" : ""];
    });
    return tableBundle(columns, rows, this.#title());
  }

  /** What a notebook shows: the chart, or a table where nothing can be drawn. */
  async [Symbol.for("Jupyter.display")](): Promise<MimeBundle> {
    if (this.#optimal.length === 0) return this.#table();
    const chart = await this.chart();
    const show: () => Promise<MimeBundle> = Reflect.get(chart, Symbol.for("Jupyter.display"));
    return await show.call(chart);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return `OperatingPoints ${plainText(this.#table())}`;
  }
}
