import { normals } from "./grid.ts";
import {
  assertClose,
  type Data,
  type Dtype,
  dtypes,
  float,
  launch,
  params,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";

const tiles: [name: string, rows: number, columns: number, threads: number][] = [
  ["bm64_bn64", 64, 64, 256],
  ["bm128_bn128", 128, 128, 256],
  ["simd_bm64_bn64", 64, 64, 128],
];

interface Product {
  m: number;
  n: number;
  k: number;
  /** Elements more in each line of A, B and C. */
  more: number;
  alpha: number;
  beta: number;
}

/** rows × columns numbers in lines that are longer, those between NaN. */
function matrix(rows: number, columns: number, more: number, dtype: Dtype, seed: number) {
  const values = normals(rows, columns, seed);
  const padded = new Float32Array(rows * (columns + more)).fill(NaN);
  for (let i = 0; i < rows; i++) {
    padded.set(values.subarray(i * columns, (i + 1) * columns), i * (columns + more));
  }
  return stored(padded, dtype);
}

async function check(op: string, dtype: Dtype, tile: typeof tiles[number], how: Product) {
  const { m, n, k, more, alpha, beta } = how;
  const [ta, tb] = [op[0] === "t", op[1] === "t"];
  const [lineA, lineB, lineC] = [(ta ? m : k) + more, (tb ? k : n) + more, n + more];
  const a = matrix(ta ? k : m, ta ? m : k, more, dtype, 1);
  const b = matrix(tb ? n : k, tb ? k : n, more, dtype, 2);
  const c = beta === 0 ? poison(new Float32Array(m * lineC)) : normals(m, lineC, 3);
  const expected = c.slice();
  const bounds = new Float32Array(c.length);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let [sum, size] = [0, 0];
      for (let l = 0; l < k; l++) {
        const product = a.seen[ta ? l * lineA + i : i * lineA + l]! *
          b.seen[tb ? j * lineB + l : l * lineB + j]!;
        sum += product;
        size += Math.abs(product);
      }
      const at = i * lineC + j;
      expected[at] = alpha * sum + (beta === 0 ? 0 : beta * expected[at]!);
      bounds[at] = Math.abs(alpha) * size + Math.abs(expected[at]!);
    }
  }
  const [name, rows, columns, threadgroup] = tile;
  const kernel = `gemm_${op}_${dtype}_${name}`;
  const byFours = lineA % 4 === 0 && lineB % 4 === 0;
  const args: Data[] = [a.data, b.data, c];
  await launch({
    file: "gemm.metal",
    kernel,
    args,
    params: params(m, n, k, lineA, lineB, lineC, float(alpha), float(beta), byFours),
    threadgroups: Math.ceil(m / rows) * Math.ceil(n / columns),
    threadgroup,
  });
  for (let i = 0; i < c.length; i++) {
    const what = `${kernel} ${JSON.stringify(how)} element ${i}`;
    assertClose([c[i]!], [expected[i]!], 0, (k + 2) * 2 ** -24 * bounds[i]!, what);
  }
}

for (const dtype of dtypes) {
  for (const tile of tiles) {
    Deno.test(`products of matrices, ${tile[0]} [${dtype}]`, async () => {
      for (const op of ["nn", "nt", "tn"]) {
        const small = { m: 1, n: 1, k: 1, more: 0, alpha: 1, beta: 0 };
        await check(op, dtype, tile, small);
        await check(op, dtype, tile, { ...small, m: 5, n: 70, k: 19, more: 2, alpha: -2 });
        await check(op, dtype, tile, { m: 131, n: 68, k: 36, more: 4, alpha: 0.5, beta: 2 });
        await check(op, dtype, tile, { ...small, m: 3, n: 4, k: 0, more: 4, beta: -1 });
      }
    });
  }
}

testAllRan("gemm.metal");
