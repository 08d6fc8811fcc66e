import assert from "node:assert/strict";
import { GpuContext } from "../lib/backend/gpu/context.ts";
import type { TileKernel } from "../lib/backend/gpu/linalg/tile.ts";
import { recordGemmAtB, recordGemmAV } from "../lib/backend/gpu/linalg/tall.ts";
import { normals } from "./grid.ts";
import { bufferOf, poisoned } from "./gpu.ts";
import {
  assertClose,
  type Data,
  device,
  type Dtype,
  dtypes,
  float,
  launch,
  params,
  poison,
  stored,
  testAllRan,
} from "./shaders.ts";

interface Case {
  m: number;
  n: number;
  k: number;
  /** Elements more in each line of A, V or B, and the result. */
  more?: number;
  alpha?: number;
  beta?: number;
}

const cases: Case[] = [
  { m: 1, n: 1, k: 1 },
  { m: 5, n: 70, k: 19, more: 2, alpha: -2 },
  { m: 131, n: 68, k: 36, more: 4, alpha: 0.5, beta: 2 },
  { m: 33, n: 65, k: 67, more: 1, beta: -1 },
  { m: 3, n: 8, k: 16 },
  { m: 300, n: 290, k: 8 },
];

/** rows × columns numbers in longer lines, those between NaN. */
function matrix(rows: number, columns: number, more: number, dtype: Dtype, seed: number) {
  const values = normals(rows, columns, seed);
  const padded = new Float32Array(rows * (columns + more)).fill(NaN);
  for (let i = 0; i < rows; i++) {
    padded.set(values.subarray(i * columns, (i + 1) * columns), i * (columns + more));
  }
  return { ...stored(padded, dtype), line: columns + more };
}

type Stored = ReturnType<typeof matrix>;

/** op(A) B of `rows` × k in float64, and a bound on the sums of its rounding. */
function product(
  a: Stored,
  b: Stored,
  [rows, depth, k]: [number, number, number],
  transpose: boolean,
) {
  const sums = new Float64Array(rows * k);
  const sizes = new Float64Array(rows * k);
  for (let i = 0; i < rows; i++) {
    for (let l = 0; l < depth; l++) {
      const left = a.seen[transpose ? l * a.line + i : i * a.line + l]!;
      for (let j = 0; j < k; j++) {
        sums[i * k + j]! += left * b.seen[l * b.line + j]!;
        sizes[i * k + j]! += Math.abs(left * b.seen[l * b.line + j]!);
      }
    }
  }
  return { sums, sizes };
}

/** Compares a result in lines of k + more with alpha · sums + beta · before; what lies between is left. */
function compare(
  found: Float32Array,
  before: Float32Array,
  { sums, sizes }: ReturnType<typeof product>,
  { k, more = 0, alpha = 1, beta = 0 }: Case,
  depth: number,
  what: string,
): void {
  found.forEach((value, at) => {
    const [row, column] = [Math.floor(at / (k + more)), at % (k + more)];
    if (column >= k) return assert.ok(Object.is(value, before[at]!), `${what}: line end at ${at}`);
    const i = row * k + column;
    const old = beta === 0 ? 0 : beta * before[at]!;
    const bound = (depth + 4) * 2 ** -24 * (Math.abs(alpha) * sizes[i]! + Math.abs(old));
    assertClose([value], [alpha * sums[i]! + old], 0, bound, `${what} at ${at}`);
  });
}

/** `TallParams`. */
function tallParams(
  how: Case,
  [a, b, c]: [number, number, number],
  { rows = how.m, apart = 0, chunks = 1 } = {},
): Uint8Array {
  const { m, n, k, alpha = 1, beta = 0 } = how;
  const fours = Number(a % 4 === 0) | Number(b % 4 === 0) << 1;
  return params(m, n, k, a, b, c, float(alpha), float(beta), fours, rows, apart, chunks);
}

async function checkKernel(kernel: string, dtype: Dtype, how: Case, transpose: boolean) {
  const { m, n, k, more = 0, beta = 0 } = how;
  const a = matrix(m, n, more, dtype, 1);
  const b = matrix(transpose ? m : n, k, more, dtype, 2);
  const rows = transpose ? n : m;
  const depth = transpose ? m : n;
  const line = k + more;
  const c = beta === 0 ? poison(new Float32Array(rows * line)) : normals(rows, line, 3);
  const before = c.slice();
  const tile = /_b[mn](\d+)_b[nk](\d+)$/.exec(kernel)!;
  const [height, width] = [Number(tile[1]), Number(tile[2])];
  await launch({
    file: "gemm_tall.metal",
    kernel,
    args: [a.data, b.data, c],
    params: tallParams(how, [a.line, b.line, line]),
    threadgroups: Math.ceil(rows / height) * Math.ceil(k / width),
    threadgroup: tile[0] === "_bm32_bn64" ? 512 : 256,
  });
  const exact = product(a, b, [rows, depth, k], transpose);
  compare(c, before, exact, how, depth, `${kernel} ${JSON.stringify(how)}`);
}

for (const dtype of dtypes) {
  for (const tile of ["bm8_bn16", "bm16_bn16", "bm16_bn32", "bm32_bn64"]) {
    Deno.test(`A·V, ${tile} [${dtype}]`, async () => {
      for (const how of cases) await checkKernel(`gemm_av_${dtype}_${tile}`, dtype, how, false);
    });
  }
  for (const tile of ["bn8_bk16", "bn16_bk32", "bn64_bk16", "bn64_bk64"]) {
    Deno.test(`Aᵀ·B, ${tile} [${dtype}]`, async () => {
      for (const how of cases) await checkKernel(`gemm_at_b_${dtype}_${tile}`, dtype, how, true);
    });
  }

  Deno.test(`naive products [${dtype}]`, async () => {
    for (const how of cases) {
      const { m, n, k, more = 0, beta = 0 } = how;
      for (const transpose of [false, true]) {
        const a = matrix(m, n, more, dtype, 1);
        const b = matrix(transpose ? m : n, k, more, dtype, 2);
        const [rows, depth] = transpose ? [n, m] : [m, n];
        const line = k + more;
        const c = beta === 0 ? poison(new Float32Array(rows * line)) : normals(rows, line, 3);
        const before = c.slice();
        await launch({
          file: "gemm_naive.metal",
          kernel: `gemm_naive_${transpose ? "tn" : "nn"}_${dtype}`,
          args: [a.data, b.data, c],
          params: tallParams(how, [a.line, b.line, line]),
          threads: rows * k,
          threadgroup: 256,
        });
        compare(c, before, product(a, b, [rows, depth, k], transpose), how, depth, "naive");
      }
    }
  });

  Deno.test(`products with both transposed [${dtype}]`, async () => {
    const [m, n, k] = [70, 5, 19];
    const a = matrix(k, m, 0, dtype, 1);
    const b = matrix(n, k, 0, dtype, 2);
    const c = poison(new Float32Array(m * n));
    await launch({
      file: "gemm_tt.metal",
      kernel: `gemm_tt_${dtype}_bm64_bn64`,
      args: [a.data, b.data, c],
      params: params(m, n, k, m, k, n, float(1), float(0), false),
      threadgroups: Math.ceil(m / 64) * Math.ceil(n / 64),
      threadgroup: 256,
    });
    const expected = Float64Array.from({ length: m * n }, (_, at) => {
      let sum = 0;
      for (let l = 0; l < k; l++) {
        sum += a.seen[l * m + Math.floor(at / n)]! * b.seen[at % n * k + l]!;
      }
      return sum;
    });
    assertClose(c, expected, 1e-5, 1e-5, "both transposed");
  });
}

Deno.test("Aᵀ·B of chunks of rows, and their sum", async () => {
  const how = { m: 300, n: 70, k: 20, alpha: -2, beta: 0.5 };
  const { m, n, k } = how;
  const [a, b] = [matrix(m, n, 0, "f32", 1), matrix(m, k, 0, "f32", 2)];
  const z = normals(n, k, 3);
  const before = z.slice();
  const partial = poison(new Float32Array(3 * n * k));
  await launch({
    file: "gemm_tall.metal",
    kernel: "gemm_at_b_f32_bn64_bk64",
    args: [a.data, b.data, partial],
    params: tallParams({ m, n, k }, [n, k, k], { rows: 128, apart: n * k }),
    threadgroups: 3 * 2,
    threadgroup: 256,
  }, {
    file: "gemm_tall.metal",
    kernel: "tall_sum",
    args: [partial, z],
    params: tallParams(how, [n, k, k], { apart: n * k, chunks: 3 }),
    threads: n * k,
    threadgroup: 256,
  });
  compare(z, before, product(a, b, [n, m, k], true), how, m, "chunks");
});

Deno.test("Z = Aᵀ(AV) by one naive kernel and by one fused pass", async () => {
  for (const [m, n, k] of [[1, 1, 1], [37, 70, 5], [40, 20, 33], [65, 130, 70]] as const) {
    const [a, v] = [matrix(m, n, 0, "f32", 1), matrix(n, k, 0, "f32", 2)];
    const b = product(a, v, [m, n, k], false);
    const image = { data: a.data, seen: Float32Array.from(b.sums), line: k };
    const { sums } = product(a, image, [n, m, k], true);
    const largest = sums.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const naive = poison(new Float32Array(n * k));
    await launch({
      file: "gemm_naive.metal",
      kernel: "z_naive_f32",
      args: [a.data, v.data, naive],
      params: tallParams({ m, n, k }, [n, k, k]),
      threads: n * k,
      threadgroup: 256,
    });
    assertClose(naive, sums, 0, (m + n) * 2 ** -23 * largest, `naive ${m} × ${n} × ${k}`);
    for (const [rows, columns] of [[16, 16], [16, 32], [32, 64]] as const) {
      const chunks = Math.ceil(m / rows);
      const partial = poison(new Float32Array(chunks * n * k));
      const z = poison(new Float32Array(n * k));
      await launch({
        file: "gemm_tall.metal",
        kernel: `z_fused_f32_bm${rows}_bn${columns}`,
        args: [a.data, v.data, partial],
        params: tallParams({ m, n, k }, [n, k, k], { apart: n * k }),
        threadgroups: chunks * Math.ceil(k / columns),
        threadgroup: 256,
      }, {
        file: "gemm_tall.metal",
        kernel: "tall_sum",
        args: [partial, z],
        params: tallParams({ m, n, k }, [n, k, k], { apart: n * k, chunks }),
        threads: n * k,
        threadgroup: 256,
      });
      const what = `fused ${rows} × ${columns}: ${m} × ${n} × ${k}`;
      assertClose(z, sums, 0, (m + n) * 2 ** -23 * largest, what);
    }
  }
});

/** Runs a tiled kernel, with its threads counted; the result, and the kernel's name. */
async function runTile(
  side: "av" | "atb",
  kernel: TileKernel,
  { m, n, k, more = 0, alpha = 1, beta = 0 }: Case,
): Promise<string> {
  const context = new GpuContext(device());
  const isAv = side === "av";
  const a = matrix(m, n, more, "f32", 1);
  const b = matrix(isAv ? n : m, k, more, "f32", 2);
  const [rows, depth] = isAv ? [m, n] : [n, m];
  const line = k + more;
  const before = normals(rows, line, 3);
  using left = bufferOf(a.data);
  using right = bufferOf(b.data);
  using result = beta === 0 ? poisoned(rows * line * 4) : bufferOf(before);
  if (beta === 0) result.readSync(before);
  const commands = device().stream.commands("tile");
  const record = isAv ? recordGemmAV : recordGemmAtB;
  const [name] = record(
    context,
    commands,
    {
      a: { buffer: left, line: a.line },
      b: { buffer: right, line: b.line },
      c: { buffer: result, line },
    },
    { m, n, k },
    { kernel, alpha, beta },
  );
  const { threads, dispatches } = await commands.commit().completed;
  const [height, width] = kernel.tile;
  const groups = Math.ceil(rows / height) * Math.ceil(k / width);
  assert.deepEqual([threads, dispatches], [groups * height * width, 1]);
  const found = result.readSync(new Float32Array(rows * line));
  const exact = product(a, b, [rows, depth, k], !isAv);
  compare(found, before, exact, { m, n, k, more, alpha, beta }, depth, name!);
  return name!;
}

const tiles = [[16, 16], [32, 8], [8, 32], [32, 32], [5, 7]] as const;

Deno.test("tiles of any size, for A·V and Aᵀ·B", async () => {
  for (const tile of tiles) {
    const how = { m: 37, n: 41, k: 19, more: 1, alpha: 2, beta: -1 };
    assert.equal(await runTile("av", { tile }, how), `gemm_av_f32_tm${tile[0]}_tn${tile[1]}`);
    assert.equal(await runTile("atb", { tile }, how), `gemm_at_b_f32_tn${tile[0]}_tk${tile[1]}`);
  }
});

Deno.test("double buffers, loads of four, padding, no guards", async () => {
  const even = { m: 64, n: 32, k: 32 };
  const ragged = { m: 37, n: 44, k: 20, beta: 3 };
  const tile = [16, 16] as const;
  for (const flags of ["_db", "_v4", "_pad", "_db_v4_pad", "_unguarded", "_db_v4_pad_unguarded"]) {
    const [doubleBuffer, vectorLoads, pad, unguarded] = ["_db", "_v4", "_pad", "_unguarded"]
      .map((flag) => flags.includes(flag));
    const kernel = { tile, doubleBuffer, vectorLoads, pad, guards: !unguarded };
    const how = unguarded ? even : ragged;
    const av = await runTile("av", kernel, how);
    assert.equal(av, `gemm_av_f32_tm16_tn16${flags.replace("_pad", "")}`);
    assert.equal(await runTile("atb", kernel, how), `gemm_at_b_f32_tn16_tk16${flags}`);
  }
  await runTile("av", { tile, vectorLoads: true }, { m: 20, n: 21, k: 22, more: 1 });
  await runTile("atb", { tile, vectorLoads: true, pad: true }, { m: 20, n: 21, k: 22, more: 1 });
});

Deno.test("tiles that do not fit are refused", async () => {
  const how = { m: 64, n: 64, k: 64 };
  await assert.rejects(runTile("av", { tile: [33, 32] }, how), RangeError);
  await assert.rejects(runTile("atb", { tile: [0, 32] }, how), RangeError);
  await assert.rejects(runTile("av", { tile: [1, 96] }, how), /threadgroup memory/);
  await assert.rejects(runTile("atb", { tile: [1, 512] }, how), /threadgroup memory/);
  await assert.rejects(runTile("av", { tile: [8, 6], vectorLoads: true }, how), /multiples of 4/);
  await assert.rejects(
    runTile("av", { tile: [16, 16], guards: false }, { ...how, n: 63 }),
    /without guards sizes are multiples/,
  );
  await assert.rejects(
    runTile("atb", { tile: [16, 16], guards: false }, { ...how, m: 63 }),
    RangeError,
  );
});

Deno.test("NaN and infinities pass through products", async () => {
  const a: Data = Float32Array.of(NaN, 1, Infinity, 2);
  const v: Data = Float32Array.of(1, 0, 0, 1);
  const c = poison(new Float32Array(4));
  await launch({
    file: "gemm_tall.metal",
    kernel: "gemm_av_f32_bm16_bn16",
    args: [a, v, c],
    params: tallParams({ m: 2, n: 2, k: 2 }, [2, 2, 2]),
    threadgroups: 1,
    threadgroup: 256,
  });
  assert.deepEqual([...c], [NaN, NaN, Infinity, NaN]);
});

for (const file of ["gemm_tall.metal", "gemm_naive.metal", "gemm_tt.metal"]) testAllRan(file);
