/**
 * Which variants of the harness the published m = 1 probes are. @module
 */

import type { JournalRow } from "./experiment.ts";
import type { Published } from "./published.ts";

/** Shapes as they were published, where ours are written otherwise. */
const SHAPES: Readonly<Record<string, string>> = { "n~10k k=896 NT": "n=9728 k=896 NT" };

/** Which rows a published variant is: by name, or by the family that a row's note begins with. */
const VARIANTS: readonly [published: RegExp, ours: (match: RegExpExecArray) => RegExp][] = [
  [/^(mps|production \(mps\))/, () => /^vendor_f16(_unfused)?$/],
  [/^mlx variants/, () => /^tiled/],
  [/^mlx(\/| )bk64/, () => /_tiled_\w*bk64$/],
  [/^gemm_tiled/, () => /^tiled/],
  [
    /^v\d (nt_bn\d+)_(col\w*)_(bk\d+_tg\d+)/,
    ([, bn, kind, rest]) => new RegExp(`^gemv_${bn!.replace("bn", `f16_${kind}_bn`)}_${rest}$`),
  ],
  [
    /^v4 nt_(bn\d+(?:\/bn\d+)*)_(largek_smalln)_(tg\d+)$/,
    ([, bn, kind, tg]) => new RegExp(`^gemv_nt_f16_${kind}_(${bn!.replaceAll("/", "|")})_${tg}$`),
  ],
  [/^tg256 \(reference\)/, () => /_largek_smalln_bn\d+_tg256$/],
  [/^v2 (best|\(reference\))|^all v2/, () => /^v2/],
  [/^v2\/v3/, () => /^v[23] /],
  [/^all v3|^v3 best/, () => /^v3/],
  [/^v3 sgbr/, () => /^v3 sgbr/],
  [/^v3 tgread/, () => /^v3 tgread\b/],
  [/^v3 (tg\d+)/, ([, tg]) => new RegExp(`_(sgbr|tgread|tgread_vA|unroll16)_\\w*_${tg}$`)],
  [/^v4 tiny/, () => /^v4 tiny/],
  [/^v4 bn256 tgread/, () => /^v4 tgread/],
];

/**
 * What here corresponds to a published figure of the probes.
 *
 * @param figure The figure.
 * @param rows Rows of experiment M.
 * @returns Milliseconds, or an error; null where there is no such variant, or nothing was measured.
 */
export function reproduceProbe(figure: Published, rows: readonly JournalRow[]): number | null {
  const { variant, metric } = figure;
  const valid = rows.filter((row) => row.valid);
  const found = variantsOf(variant, valid);
  if (metric === "maxRel") {
    return found.length === 0 ? null : Math.max(...found.map(({ error }) => error ?? Infinity));
  }
  const shape = (SHAPES[figure.shape] ?? figure.shape).toLowerCase();
  const here = valid.filter((row) => row.shape.toLowerCase() === shape);
  const own = time(figure, found.filter((row) => here.includes(row)));
  if (metric !== "gpu_time gap" || own === null) return own;
  const vendor = time(figure, variantsOf("mps", here));
  return vendor === null ? null : own - vendor;
}

/** Rows of a published variant. */
function variantsOf(published: string, rows: readonly JournalRow[]): JournalRow[] {
  for (const [pattern, ours] of VARIANTS) {
    const match = pattern.exec(published);
    if (match === null) continue;
    const wanted = ours(match);
    return rows.filter((row) => wanted.test(row.variant) || wanted.test(row.note));
  }
  return [];
}

/** The least time of the rows, or, where the figure is the end of a range, the most. */
function time({ variant, metric }: Published, rows: readonly JournalRow[]): number | null {
  const times = rows.flatMap((row) => {
    return (metric === "cpu_time" ? row.time : row.gpuTime)?.median ?? [];
  });
  if (times.length === 0) return null;
  return variant.endsWith("(max)") ? Math.max(...times) : Math.min(...times);
}
