/** Orthonormal bases: X7. @module */

import type { Computed } from "../backend/linalg.ts";
import {
  completeBasis,
  orthogonal,
  orthogonalizeBlocked,
  orthonormalColumns,
  orthonormalRows,
} from "../linalg/orthogonal.ts";
import { Matrix } from "../matrix.ts";
import { gaussian } from "../profile/datasets.ts";
import type { Experiment, JournalContext } from "./experiment.ts";
import { orthogonalityError, productRow } from "./operands.ts";
import { runTrial } from "./trial.ts";
import { judge, meanRatio } from "./verdict.ts";

/** Columns that are made orthogonal to a basis. */
const ADDED = 32;

async function computed(matrix: Promise<Matrix>): Promise<Computed<Matrix>> {
  const value = await matrix;
  return { value, run: value.run! };
}

/** max |AᵀB| by the longest column of B. */
function overlap(a: Matrix, b: Matrix): number {
  let most = 0;
  for (let i = 0; i < a.columns; i++) {
    const row = productRow(a.data, b.data, i, [a.columns, a.rows, b.columns], true);
    for (const value of row) {
      most = Math.max(most, Number.isNaN(value) ? Infinity : Math.abs(value));
    }
  }
  return most / Math.sqrt(a.rows);
}

function transposed({ data, rows, columns }: Matrix): Matrix {
  const out = data.map((_, at) => data[at % rows * columns + Math.floor(at / rows)]!);
  return new Matrix(out, rows);
}

async function* bases(context: JournalContext, a: Matrix) {
  const { backend } = context;
  const { rows: m, columns: n } = a;
  const shape = `${m}×${n}`;
  const wide = transposed(a);
  const ways: [name: string, run: () => Promise<Matrix>, columns: (q: Matrix) => Matrix][] = [
    ["columns", () => orthonormalColumns(a, { backend }), (q) => q],
    ["rows", () => orthonormalRows(wide, { backend }), transposed],
    ["completed basis", () => completeBasis(a, { backend }), (q) => q],
    ["orthogonal(shape)", () => orthogonal([m, n], 1, { backend }), (q) => q],
  ];
  for (const [name, run, columns] of ways) {
    yield* runTrial<Matrix>("X7", {
      shape: `${name}, ${shape}`,
      variants: [{ name, run: () => computed(run()) }],
      error: (found) => {
        const q = columns(found);
        return orthogonalityError(q.data, q.rows, q.columns);
      },
      tolerance: 2e-5,
      clock: "host",
    }, context);
  }
}

/** X7. */
export const orthogonalization: Experiment = {
  id: "X7",
  published: [],
  title: "Orthogonalisation: rows, columns, basis completion, by blocks",
  conclusion: "By blocks is faster",
  async *run(context) {
    const { backend } = context;
    const shapes = context.quick ? [[64, 24]] : [[512, 128], [1024, 256]];
    for (const [m, n] of shapes as [number, number][]) {
      const a = new Matrix(gaussian(m, n, 71), n);
      const basis = await orthonormalColumns(a, { backend });
      const added = new Matrix(gaussian(m, ADDED, 72), ADDED);
      yield* runTrial<Matrix>("X7", {
        shape: `A ${m}×${n}, B ${m}×${ADDED}`,
        variants: [1, 32].map((block) => ({
          name: block === 1 ? "a column at a time" : `blocks of ${block}`,
          run: () =>
            computed(orthogonalizeBlocked(basis, added, { backend, block, orthonormal: true })),
          baseline: block === 1,
        })),
        error: (rest) => overlap(basis, rest),
        tolerance: 1e-5,
        // Two passes of QᵀB and QP.
        flops: 8 * m * n * ADDED,
        clock: "host",
      }, context);
      yield* bases(context, a);
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /^blocks/), 1.1, "Blocks against columns"),
};
