import { normals } from "./grid.ts";
import { assertClose, dtypes, launch, params, poison, stored, testAllRan } from "./shaders.ts";

/** The place of the first NaN, else of the first best; −1 as an unsigned number for none. */
function extreme(row: readonly number[], better: (a: number, b: number) => boolean): number {
  const nan = row.findIndex(Number.isNaN);
  if (nan >= 0) return nan;
  return row.length === 0 ? 0xffffffff : row.reduce((at, x, i) => better(x, row[at]!) ? i : at, 0);
}

const below = (a: number, b: number) => a < b;
const above = (a: number, b: number) => a > b;

const sum = (row: readonly number[]) => row.reduce((total, value) => total + value, 0);

const operations: Record<string, (row: readonly number[]) => number> = {
  sum,
  mean: (row) => sum(row) / row.length,
  min: (row) => row[extreme(row, below)] ?? Infinity,
  max: (row) => row[extreme(row, above)] ?? -Infinity,
  argmin: (row) => extreme(row, below),
  argmax: (row) => extreme(row, above),
};

const kinds: Record<string, (value: number, i: number) => number> = {
  "numbers": (value) => value,
  "few values": (value) => Math.round(value),
  "far from zero": (value) => value + 300,
  "a NaN": (value, i) => i % 50 === 40 ? NaN : value,
  "infinities": (value, i) => i % 9 === 4 ? Infinity : value,
};

for (const dtype of dtypes) {
  for (const [name, operation] of Object.entries(operations)) {
    Deno.test(`row_${name} [${dtype}]`, async () => {
      for (const [n, d] of [[3, 0], [1, 1], [40, 5], [3, 256], [2, 257], [1, 3000]] as const) {
        for (const [kind, make] of Object.entries(kinds)) {
          const { data, seen } = stored(normals(n, d, 1).map(make), dtype);
          const out = poison(name.startsWith("arg") ? new Uint32Array(n) : new Float32Array(n));
          await launch({
            file: "reduce.metal",
            kernel: `row_${name}_${dtype}`,
            args: [data, out],
            params: params(n, d),
            threadgroups: n,
            threadgroup: 256,
          });
          const expected = Array.from(
            { length: n },
            (_, row) => operation([...seen.subarray(row * d, (row + 1) * d)]),
          );
          const exact = name !== "sum" && name !== "mean";
          assertClose(out, expected, exact ? 0 : 2e-7, exact ? 0 : 1e-10, `${kind} ${n} × ${d}`);
        }
      }
    });
  }
}

testAllRan("reduce.metal");
