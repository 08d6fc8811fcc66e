import assert from "node:assert/strict";
import { crossovers, type CurvePoint } from "../lib/notebook/charts/crossover.ts";

const close = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual / expected - 1) < 1e-12, `${actual} is not ${expected}`);

function curve(points: readonly (readonly [x: number, y: number])[]): CurvePoint[] {
  return points.map(([x, y]) => ({ x, y }));
}

Deno.test("crossovers() finds where power laws cross", () => {
  // y = x² / 8 and y = 2x cross at x = 16, y = 32.
  const square = curve([[1, 1 / 8], [64, 512]]);
  const linear = curve([[1, 2], [4, 8], [64, 128]]);
  const [cross, ...more] = crossovers(square, linear);
  close(cross!.x, 16);
  close(cross!.y, 32);
  assert.deepEqual(more, []);
  assert.deepEqual(crossovers(linear, square).map(({ x }) => Math.round(x)), [16]);
});

Deno.test("crossovers() of points in any order, and of points at one x, which are averaged", () => {
  const a = curve([[100, 100], [1, 0.5], [1, 2]]);
  const b = curve([[1, 10], [100, 10]]);
  const [cross] = crossovers(a, b);
  close(cross!.x, 10);
  close(cross!.y, 10);
});

Deno.test("crossovers() finds every crossing, from left to right", () => {
  // In logarithms: a is 0, b goes 1, -1, 1 over 0, 2, 4: it crosses at 1 and at 3.
  const a = curve([[1, 1], [1e4, 1]]);
  const b = curve([[1, 10], [100, 0.1], [1e4, 10]]);
  assert.deepEqual(crossovers(a, b).map(({ x }) => Number(x.toPrecision(9))), [10, 1000]);
});

Deno.test("crossovers() at a point of both, once", () => {
  const a = curve([[1, 1], [10, 10], [100, 100]]);
  const b = curve([[1, 100], [10, 10], [100, 1]]);
  assert.deepEqual(crossovers(a, b).map(({ x, y }) => [Math.round(x), Math.round(y)]), [[10, 10]]);
});

Deno.test("crossovers() of lines that touch, but stay on their sides, is none", () => {
  const a = curve([[1, 1], [10, 10], [100, 1]]);
  const b = curve([[1, 10], [10, 10], [100, 10]]);
  assert.deepEqual(crossovers(a, b), []);
});

Deno.test("crossovers() looks only where both lines were measured", () => {
  const a = curve([[1, 1], [10, 10]]);
  assert.deepEqual(crossovers(a, curve([[100, 1], [1000, 5000]])), []);
  assert.deepEqual(crossovers(a, curve([[1, 100], [10, 50]])), []);
  assert.deepEqual(crossovers(a, []), []);
  assert.deepEqual(crossovers(a, a), []);
});

Deno.test("crossovers() takes no account of what has no logarithm", () => {
  const a = curve([[1, 1], [2, NaN], [3, 0], [-5, 5], [Infinity, 1], [100, 100]]);
  const [cross] = crossovers(a, curve([[0, 4], [1, 10], [100, 10]]));
  close(cross!.x, 10);
});
