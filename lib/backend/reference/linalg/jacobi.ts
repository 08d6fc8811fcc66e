import { eigenSteps } from "../../../linalg/eigen.ts";
import type { Steps } from "../steps.ts";
import {
  addScaled,
  anotherDirection,
  type Columns,
  dot,
  norm,
  scale,
  toColumns,
} from "./columns.ts";

/** Sweeps of rotations that are always enough: five to ten are usual. */
const MOST_SWEEPS = 60;
/** Cosines below this are rounding: dot products of thousands of numbers have as much. */
const ORTHOGONAL = 2 ** -44;

/**
 * Rotates columns of B, and those of V with them, until those of B are orthogonal (Hestenes'
 * one-sided Jacobi method): where B = AV, this is the Rayleigh–Ritz step.
 */
export function* rotate(b: Columns, v: Columns): Steps<void> {
  for (let sweep = 0, isDone = false; !isDone && sweep < MOST_SWEEPS; sweep++) {
    isDone = true;
    for (let i = 0; i < b.length; i++) {
      for (let j = i + 1; j < b.length; j++) {
        const [x, y] = [b[i]!, b[j]!];
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(xy) <= ORTHOGONAL * Math.sqrt(xx) * Math.sqrt(yy)) continue;
        isDone = false;
        const ratio = (yy - xx) / (2 * xy);
        const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(1, ratio));
        const cosine = 1 / Math.hypot(1, tangent);
        turn(x, y, cosine, cosine * tangent);
        turn(v[i]!, v[j]!, cosine, cosine * tangent);
      }
      yield;
    }
  }
}

/** (x, y) ← (cosine · x − sine · y, sine · x + cosine · y). */
function turn(x: Float64Array, y: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i]!, y[i]!];
    x[i] = cosine * a - sine * b;
    y[i] = sine * a + cosine * b;
  }
}

/** U, s and V, by falling s. */
export interface Triplets {
  u: Columns;
  s: Float64Array;
  v: Columns;
}

/** Lengths of the columns of B as s, largest first; U is B with columns of length 1. */
export function sortTriplets(b: Columns, v: Columns): Triplets {
  const lengths = b.map(norm);
  const order = [...b.keys()].sort((i, j) => lengths[j]! - lengths[i]! || i - j);
  const u: Columns = [];
  for (const i of order) {
    const column = b[i]!;
    if (lengths[i]! > 0) scale(column, 1 / lengths[i]!);
    // In place of a zero, any direction that is orthogonal to those before.
    u.push(lengths[i]! > 0 ? column : anotherDirection(u, column.length, u.length));
  }
  return { u, s: Float64Array.from(order, (i) => lengths[i]!), v: order.map((i) => v[i]!) };
}

/**
 * B = U diag(s) Vᵀ. The eigenvectors of BᵀB come first: with them the columns are orthogonal but for
 * those of small values, and rotations have little left to do: half the time at 256 columns.
 *
 * @param b Columns, at most as many as they have numbers; left as they are.
 */
export function* smallSvd(b: Columns): Steps<Triplets> {
  const n = b.length;
  const gram = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) gram[i * n + j] = dot(b[i]!, b[j]!);
    yield;
  }
  const v = toColumns((yield* eigenSteps(gram, n)).vectors, n, n);
  const turned = v.map((column) => {
    const sum = new Float64Array(b[0]!.length);
    column.forEach((factor, j) => addScaled(sum, factor, b[j]!));
    return sum;
  });
  yield* rotate(turned, v);
  return sortTriplets(turned, v);
}
