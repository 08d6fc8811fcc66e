/**
 * Vectors on a plane.
 *
 * @module
 */

import { pca } from "../../linalg/pca.ts";
import { Matrix, type VectorInput } from "../../matrix.ts";
import type { Chart, ChartOptions } from "../chart.ts";
import { Axis } from "./axis.ts";
import { encodeSeries, keep, makeChart, namesOf, shorten, thin } from "./frame.ts";

/** Rows of numbers: what indexes take. */
export type MatrixLike = VectorInput;

/** How {@linkcode vectorChart} draws. */
export interface VectorOptions extends ChartOptions {
  /** What each row is, one a row: it gives colour and mark. */
  labels?: readonly (string | number)[] | undefined;
  /** Numbers a row, where rows are not nested. */
  d?: number | undefined;
}

/** Points that are drawn, and rows that components are made of. */
const MOST_POINTS = 800;
const MOST_ROWS = 10_000;
/** Labels that have a colour each; all others have one together. */
const MOST_LABELS = 14;
const OTHERS = "others";

/**
 * Vectors by their first two principal components: the plane on which they differ most. Of many vectors
 * 800 are drawn, spread evenly, and the components are of 10 000.
 *
 * @param x The vectors, one a row.
 * @param options Title, sizes and labels.
 * @throws {TypeError} If there is not a label a row.
 * @throws {RangeError} If there are no vectors, or one has a number that is NaN or infinite.
 *
 * @example
 * ```ts
 * import { vectorChart } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const chart = await vectorChart([[0, 0, 1], [4, 0, 1], [0, 2, 1], [4, 2, 1]], {
 *   title: "A rectangle",
 *   labels: ["left", "right", "left", "right"],
 * });
 * assert.match(await chart.toSvg(), /Component 1, 80 % of the variance/);
 * ```
 */
export async function vectorChart(x: MatrixLike, options: VectorOptions): Promise<Chart> {
  const { labels, d, width = 480, height = 400 } = options;
  if (x instanceof Matrix ? x.rows === 0 : x.length === 0) {
    throw new RangeError("Cannot draw the chart: there are no vectors");
  }
  const matrix = Matrix.from(x, d);
  if (labels !== undefined && labels.length !== matrix.rows) {
    throw new TypeError(
      `Cannot draw the chart: there are ${labels.length} labels for ${matrix.rows} vectors`,
    );
  }
  const every = Array.from({ length: matrix.rows }, (_, i) => i);
  const shown = thin(every, MOST_POINTS);
  const { points, parts } = await place(matrix, thin(every, MOST_ROWS), shown);
  const nameOf = labelNames(labels);
  const values = shown.map((row, i) => ({
    x: keep(points[i]!.x),
    y: keep(points[i]!.y),
    label: nameOf(row),
  }));
  const names = namesOf(values, ({ label }) => label).sort((a, b) =>
    Number(a === OTHERS) - Number(b === OTHERS) || a.localeCompare(b, "en", { numeric: true })
  );
  const axis = (field: "x" | "y", i: number) =>
    new Axis(values.map((value) => value[field]), {
      title: `Component ${i + 1}, ${Math.round(100 * (parts[i] ?? 0))} % of the variance`,
    }).channel(field);
  const encode = encodeSeries("label", names, width);
  const spec = {
    width,
    height,
    data: { values },
    mark: { type: "point", filled: true, size: 28, opacity: 0.8 },
    encoding: { x: axis("x", 0), y: axis("y", 1), color: encode.color, shape: encode.shape },
  };
  return makeChart(options, {
    spec,
    titleWidth: width,
    columns: ["label", "component 1", "component 2"],
    rows: values.map(({ label, x, y }) => [label, x, y]),
    notes: shown.length < matrix.rows ? [`${shown.length} of ${matrix.rows} vectors`] : [],
  });
}

/** Coordinates of some rows, and the parts of the variance that they show. */
async function place(
  matrix: Matrix,
  sampled: readonly number[],
  shown: readonly number[],
): Promise<{ points: { x: number; y: number }[]; parts: readonly number[] }> {
  // One vector has no components, but a place.
  if (matrix.rows < 2) return { points: [{ x: 0, y: 0 }], parts: [] };
  const pick = (rows: readonly number[]) =>
    rows.length === matrix.rows ? matrix : Matrix.from(rows.map((row) => matrix.row(row)));
  const k = Math.min(2, matrix.rows, matrix.columns);
  const found = await pca(pick(sampled), k);
  const { data } = await found.transform(pick(shown));
  return {
    points: shown.map((_, i) => ({ x: data[i * k]!, y: k < 2 ? 0 : data[i * k + 1]! })),
    parts: [...found.explainedVarianceRatio],
  };
}

/** The name of a row's label, where rare ones of many are put together. */
function labelNames(labels: VectorOptions["labels"]): (row: number) => string {
  if (labels === undefined) return () => "";
  const counts = new Map<string, number>();
  for (const label of labels) counts.set(String(label), (counts.get(String(label)) ?? 0) + 1);
  const frequent = [...counts].sort(([, a], [, b]) => b - a).slice(0, MOST_LABELS);
  const named = new Set(frequent.map(([label]) => label));
  return (row) => named.has(String(labels[row])) ? shorten(String(labels[row])) : OTHERS;
}
