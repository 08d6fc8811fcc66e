import assert from "node:assert/strict";
import { normals } from "./grid.ts";
import {
  assertClose,
  type Dtype,
  dtypes,
  launch,
  params,
  poison,
  seen,
  stored,
  testAllRan,
} from "./shaders.ts";

const file = "norms.metal";

function rowOf(x: Float32Array, row: number, d: number): number[] {
  return [...x.subarray(row * d, (row + 1) * d)];
}

function squared(row: readonly number[]): number {
  return row.reduce((total, value) => total + value * value, 0);
}

/** Rows with a zero row, and a large and a small one. */
function rows(n: number, d: number, dtype: Dtype) {
  const x = normals(n, d, n + d);
  const large = dtype === "f16" ? 100 : 1e25;
  for (let i = 0; i < x.length; i++) {
    const row = Math.floor(i / d);
    if (row % 7 === 2) x[i] = 0;
    if (row % 7 === 4) x[i]! *= large;
    if (row % 7 === 5) x[i]! /= large;
  }
  return stored(x, dtype);
}

const shapes = [[1, 1], [7, 33], [20, 100], [300, 3]] as const;

for (const dtype of dtypes) {
  Deno.test(`row norms and normalised rows [${dtype}]`, async () => {
    for (const [n, d] of shapes) {
      const { data, seen: x } = rows(n, d, dtype);
      const squares = poison(new Float32Array(n));
      const norms = poison(new Float32Array(n));
      const units = poison(data.slice() as typeof data);
      const inPlace = data.slice() as typeof data;
      const of = (kernel: string, args: (typeof data)[]) => ({
        file,
        kernel: `${kernel}_${dtype}`,
        args,
        params: params(n, d, 0),
        threadgroups: Math.ceil(n / 8),
        threadgroup: 256,
      });
      await launch(
        of("row_squared_norms", [data, squares]),
        of("row_norms", [data, norms]),
        of("normalize_rows", [data, units]),
        of("normalize_rows", [inPlace, inPlace]),
      );
      const truth = Array.from({ length: n }, (_, row) => squared(rowOf(x, row, d)));
      assertClose(squares, truth.map(Math.fround), 2e-7, 1e-44, "squares");
      assertClose(norms, truth.map(Math.sqrt), 2e-7, 1e-44, "norms");
      const unit = x.map((value, i) => {
        const norm = Math.sqrt(truth[Math.floor(i / d)]!);
        return norm > 0 ? value / norm : value;
      });
      const step = dtype === "f32" ? 1e-7 : dtype === "f16" ? 2 ** -11 : 2 ** -8;
      assertClose(seen(units, dtype), unit, step, dtype === "f16" ? 2 ** -24 : 1e-44, "units");
      assert.deepEqual(inPlace, units);
    }
  });

  Deno.test(`column means [${dtype}]`, async () => {
    for (const [n, d] of [...shapes, [2500, 5], [1024, 40], [0, 3]] as const) {
      const { data, seen: x } = stored(normals(n, d, 3).map((value) => value + 1000), dtype);
      const partial = poison(new Float32Array(Math.ceil(n / 1024) * d * 2));
      const mean = poison(new Float32Array(d));
      const repeated = poison(new Float32Array(d));
      const sums = {
        file,
        kernel: `column_sums_${dtype}`,
        args: [data, partial],
        params: params(n, d, 0),
        threadgroups: Math.ceil(n / 1024) * Math.ceil(d / 32),
        threadgroup: 256,
      };
      const means = (out: Float32Array) => ({
        file,
        kernel: "column_means",
        args: [partial, out],
        params: params(n, d, 0),
        threads: d,
        threadgroup: 256,
      });
      await launch(sums, means(mean));
      await launch(sums, means(repeated));
      const truth = Array.from({ length: d }, (_, j) => {
        let total = 0;
        for (let i = 0; i < n; i++) total += x[i * d + j]!;
        return Math.fround(total / Math.max(n, 1));
      });
      assertClose(mean, truth, 6e-8, 0, `means of ${n} × ${d}`);
      assert.deepEqual(repeated, mean);
    }
  });

  Deno.test(`largest deviations and rows that are not finite [${dtype}]`, async () => {
    for (const [n, d] of [...shapes, [700, 40]] as const) {
      const center = normals(1, d, 9);
      const x = normals(n, d, 4);
      const { data, seen: values } = stored(x, dtype);
      const largest = new Uint32Array(1);
      const first = new Uint32Array(1).fill(0xffffffff);
      const of = (kernel: string, args: Parameters<typeof launch>[0]["args"], allowNaN = 0) => ({
        file,
        kernel: `${kernel}_${dtype}`,
        args,
        params: params(n, d, allowNaN),
        threadgroups: Math.ceil(n / 256),
        threadgroup: 256,
      });
      await launch(
        of("max_deviation", [data, center, largest]),
        of("find_not_finite", [data, first]),
      );
      const truth = Math.max(...values.map((value, i) => Math.abs(value - center[i % d]!)));
      assert.equal(new Float32Array(largest.buffer)[0], Math.fround(truth));
      assert.equal(first[0], 0xffffffff);

      const bad = x.slice();
      const [nan, infinite] = [Math.floor(n / 2), n - 1];
      bad[nan * d] = NaN;
      bad[infinite * d + d - 1] = -Infinity;
      const { data: badData } = stored(bad, dtype);
      const firstInfinite = new Uint32Array(1).fill(0xffffffff);
      await launch(
        of("find_not_finite", [badData, first]),
        of("find_not_finite", [badData, firstInfinite], 1),
      );
      assert.equal(first[0], bad[nan * d] === -Infinity ? infinite : nan);
      assert.equal(firstInfinite[0], infinite);
    }
  });
}

testAllRan(file);
