/**
 * Where two measured lines cross.
 *
 * @module
 */

/** A point of a line. */
export interface CurvePoint {
  /** What varies; positive. */
  x: number;
  /** What was measured; positive. */
  y: number;
}

/**
 * Where two lines cross, both straight between their points on logarithmic axes.
 *
 * @param a The first line, in any order.
 * @param b The second line.
 * @returns Every crossing, from left to right, where both lines have points on both sides.
 *
 * @example
 * ```ts
 * import { crossovers } from "@metalfaiss/metalfaiss/notebook";
 * import assert from "node:assert/strict";
 *
 * const naive = [{ x: 1, y: 1 }, { x: 100, y: 100 }];
 * const tiled = [{ x: 1, y: 10 }, { x: 100, y: 10 }];
 * const [cross] = crossovers(naive, tiled);
 * assert.ok(Math.abs(cross!.x - 10) < 1e-9 && Math.abs(cross!.y - 10) < 1e-9);
 * ```
 */
export function crossovers(
  a: readonly CurvePoint[],
  b: readonly CurvePoint[],
): CurvePoint[] {
  const [first, second] = [logCurve(a), logCurve(b)];
  const low = Math.max(first[0]?.x ?? Infinity, second[0]?.x ?? Infinity);
  const high = Math.min(first.at(-1)?.x ?? -Infinity, second.at(-1)?.x ?? -Infinity);
  const at = [...new Set([...first, ...second].map(({ x }) => x))]
    .filter((x) => x >= low && x <= high).sort((p, q) => p - q);
  const apart = at.map((x) => ({ x, by: valueAt(first, x) - valueAt(second, x) }))
    // Where the lines touch, they have no sign: what is left and right of it decides.
    .filter(({ by }) => by !== 0);
  const found: CurvePoint[] = [];
  for (let i = 1; i < apart.length; i++) {
    const [left, right] = [apart[i - 1]!, apart[i]!];
    if (Math.sign(left.by) === Math.sign(right.by)) continue;
    const x = crossing(first, second, at.filter((x) => x >= left.x && x <= right.x));
    found.push({ x: Math.exp(x), y: Math.exp(valueAt(first, x)) });
  }
  return found;
}

/** The crossing in stretches of which the first and the last end on different sides. */
function crossing(
  first: readonly CurvePoint[],
  second: readonly CurvePoint[],
  at: readonly number[],
): number {
  const by = at.map((x) => valueAt(first, x) - valueAt(second, x));
  const zero = by.indexOf(0);
  if (zero >= 0) return at[zero]!;
  return at[0]! + (at[1]! - at[0]!) * by[0]! / (by[0]! - by[1]!);
}

/** Logarithms by x; of points at one x the geometric mean. */
function logCurve(points: readonly CurvePoint[]): CurvePoint[] {
  const at = new Map<number, number[]>();
  for (const { x, y } of points) {
    if (!(x > 0 && y > 0 && x < Infinity && y < Infinity)) continue;
    at.set(Math.log(x), [...at.get(Math.log(x)) ?? [], Math.log(y)]);
  }
  return [...at].map(([x, ys]) => ({ x, y: ys.reduce((sum, y) => sum + y, 0) / ys.length }))
    .sort((p, q) => p.x - q.x);
}

function valueAt(curve: readonly CurvePoint[], x: number): number {
  const after = curve.findIndex((point) => point.x >= x);
  const right = curve[after]!;
  if (right.x === x) return right.y;
  const left = curve[after - 1]!;
  return left.y + (right.y - left.y) * (x - left.x) / (right.x - left.x);
}
