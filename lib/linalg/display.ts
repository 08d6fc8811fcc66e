/**
 * How results of linear algebra look in notebooks and terminals.
 *
 * @module
 */

import type { Execution } from "../backend/linalg.ts";
import { type MimeBundle, propertiesBundle, ranText } from "../display.ts";
import { formatList, formatNumber } from "../display_cells.ts";
import type { Matrix } from "../matrix.ts";
import type { Eigen } from "./eigen.ts";
import type { Pca } from "./pca.ts";
import type { Procrustes } from "./procrustes.ts";
import type { QrDecomposition } from "./qr.ts";
import type { Sum } from "./sums.ts";
import type { SubspaceSvd, Svd } from "./svd.ts";

function shape({ rows, columns }: Matrix): string {
  return `${rows} × ${columns}`;
}

function ran(run: Execution): [string, unknown][] {
  const { gpuSeconds } = run;
  return [
    ["ran", ranText(run)],
    ["threads", run.threads],
    ["GPU time", gpuSeconds === undefined ? null : `${formatNumber(gpuSeconds * 1e3)} ms`],
  ];
}

/** Shapes, first values, rank and steps. */
export function svdBundle(svd: Svd & Partial<SubspaceSvd>): MimeBundle {
  return propertiesBundle([
    ["U", shape(svd.u)],
    ["s", formatList(svd.s)],
    ["V", shape(svd.v)],
    ["rank", svd.rank],
    ["iterations", svd.iterations],
    ["converged", svd.converged],
    ...ran(svd.run),
  ], "A ≈ U diag(s) Vᵀ");
}

/** Shapes, the diagonal's begin and the rank. */
export function qrBundle({ q, r, rank, run }: QrDecomposition): MimeBundle {
  const diagonal = Array.from({ length: r.rows }, (_, i) => r.data[i * r.columns + i]!);
  return propertiesBundle([
    ["Q", shape(q)],
    ["R", shape(r)],
    ["diagonal of R", formatList(diagonal)],
    ["rank", rank],
    ...ran(run),
  ], "A = QR");
}

/** Components, and what part of the variance they explain. */
export function pcaBundle({ components, explainedVarianceRatio, run }: Pca): MimeBundle {
  const all = explainedVarianceRatio.reduce((sum, part) => sum + part, 0);
  return propertiesBundle([
    ["components", shape(components)],
    ["parts of the variance", formatList(explainedVarianceRatio)],
    ["all of them", all],
    ...ran(run),
  ], "Principal components");
}

/** The rotation's size, and the scale. */
export function procrustesBundle({ rotation, scale, run }: Procrustes): MimeBundle {
  return propertiesBundle(
    [["rotation", shape(rotation)], ["scale", scale], ...ran(run)],
    "scale · A R ≈ B",
  );
}

/** The first eigenvalues. */
export function eigenBundle({ values }: Eigen): MimeBundle {
  const n = values.length;
  return propertiesBundle(
    [["values", formatList(values)], ["vectors", `${n} × ${n}`]],
    "A = vectors diag(values) vectorsᵀ",
  );
}

/** The sum in full, and how well it is known. */
export function sumBundle({ value, summation, condition, run }: Sum): MimeBundle {
  return propertiesBundle([
    ["value", String(value)],
    ["summation", summation],
    ["condition", condition],
    ...ran(run),
  ], "Sum");
}
