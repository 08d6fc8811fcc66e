import assert from "node:assert/strict";
import { GpuContext } from "../lib/backend/gpu/context.ts";
import { createGpuLinalg } from "../lib/backend/gpu/linalg/mod.ts";
import type { Dense, Element, GemmOptions, QrOptions, QrParts } from "../lib/backend/linalg.ts";
import { gpu, Tensor } from "../lib/kernel/mod.ts";
import { decodeNumbers, encodeNumbers } from "../lib/linalg/numbers.ts";
import { setGemmTiles } from "../lib/linalg/settings.ts";
import { withVariables } from "./env.ts";
import { normals } from "./grid.ts";
import { device } from "./shaders.ts";

const linalg = createGpuLinalg(new GpuContext(device()));

function dense(rows: number, columns: number, seed: number, dtype: Element = "float32"): Dense {
  return { data: encodeNumbers(normals(rows, columns, seed), dtype), rows, columns, dtype };
}

function resident(matrix: Dense): Dense<Tensor> {
  const { data, rows, columns, dtype } = matrix;
  const numbers = decodeNumbers(data as Float32Array, dtype);
  return { ...matrix, data: Tensor.from(numbers, [rows, columns], dtype, device()) };
}

function numbers({ data, dtype }: Dense): Float32Array {
  if (!(data instanceof Tensor)) return decodeNumbers(data, dtype);
  const found = data.dataSync<Float32Array>();
  data.dispose();
  return found;
}

/** op(A) op(B) in float64. */
function product(a: Dense, b: Dense, ta = false, tb = false): Float64Array {
  const [x, y] = [decodeNumbers(a.data as Float32Array, a.dtype), numbers(b)];
  const [m, depth] = ta ? [a.columns, a.rows] : [a.rows, a.columns];
  const n = tb ? b.rows : b.columns;
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let l = 0; l < depth; l++) {
      const left = x[ta ? l * m + i : i * depth + l]!;
      for (let j = 0; j < n; j++) out[i * n + j]! += left * y[tb ? j * depth + l : l * n + j]!;
    }
  }
  return out;
}

function assertNear(found: ArrayLike<number>, exact: ArrayLike<number>, bound: number): void {
  assert.equal(found.length, exact.length);
  for (let i = 0; i < exact.length; i++) {
    assert.ok(Math.abs(found[i]! - exact[i]!) <= bound, `at ${i}: ${found[i]}, not ${exact[i]}`);
  }
}

const ops = [[false, false], [false, true], [true, false], [true, true]] as const;

for (const dtype of ["float32", "float16", "bfloat16"] as const) {
  Deno.test(`products of matrices, transposed or not [${dtype}]`, async () => {
    for (const [m, n, k] of [[1, 1, 1], [33, 70, 19], [40, 5, 64], [3, 4, 0], [0, 4, 3]] as const) {
      for (const [transposeA, transposeB] of ops) {
        const a = transposeA ? dense(k, m, 1, dtype) : dense(m, k, 1, dtype);
        const b = transposeB ? dense(n, k, 2, dtype) : dense(k, n, 2, dtype);
        const c = dense(m, n, 3, dtype);
        const options = { transposeA, transposeB, alpha: -2, beta: 0.5, c };
        const { value, run } = await linalg.gemm(a, b, options);
        assert.deepEqual([value.rows, value.columns, value.dtype], [m, n, "float32"]);
        const before = decodeNumbers(c.data as Float32Array, dtype);
        const exact = product(a, b, transposeA, transposeB)
          .map((sum, i) => -2 * sum + 0.5 * before[i]!);
        assertNear(value.data as Float32Array, exact, 1e-4);
        assert.equal(run.variants.length > 0, m * n > 0);
        assert.equal(run.threads > 0, m * n > 0);
      }
    }
  });
}

Deno.test("products of tensors stay on the device", async () => {
  const [a, b, c] = [dense(40, 30, 1), dense(30, 20, 2), dense(40, 20, 3)];
  const [ta, tb, tc] = [resident(a), resident(b), resident(c)];
  for (const options of [{}, { beta: 2, c: tc }]) {
    const { value } = await linalg.gemm(ta, tb, options);
    assert.ok(value.data instanceof Tensor);
    assert.deepEqual(value.data.shape, [40, 20]);
    const exact = product(a, b)
      .map((sum, i) => sum + ("beta" in options ? 2 * (c.data as Float32Array)[i]! : 0));
    assertNear(numbers(value), exact, 1e-4);
  }
  // Some rows of a tensor, and columns of a wider one.
  const rows: Dense = { data: ta.data.slice(7, 17), rows: 10, columns: 30, dtype: "float32" };
  const part = { ...a, data: (a.data as Float32Array).subarray(7 * 30, 17 * 30), rows: 10 };
  const { value } = await linalg.gemmAV(rows, tb);
  assertNear(numbers(value), product(part, b), 1e-4);
  const turned: Dense = { data: ta.data.transpose(), rows: 30, columns: 40, dtype: "float32" };
  await assert.rejects(linalg.gemm(turned, tc), /holds no rows/);
  await assert.rejects(linalg.gemm({ ...ta, dtype: "float16" }, { ...tb, dtype: "float16" }), {
    name: "TypeError",
    message: /the tensor is of float32, not float16/,
  });
  for (const { data } of [ta, tb, tc]) data.dispose();
  (rows.data as Tensor).dispose();
  (turned.data as Tensor).dispose();
});

Deno.test("variants of a product, by name", async () => {
  const [a, b] = [dense(40, 36, 1), dense(36, 44, 2)];
  const exact = product(a, b);
  const names = new Set<string>();
  for (const variant of ["vendor", "naive", "bm64_bn64", "bm128_bn128", "simd", "av"]) {
    const { value, run } = await linalg.gemm(a, b, { variant });
    assertNear(value.data as Float32Array, exact, 1e-4);
    assert.equal(run.variants.length, 1);
    if (variant !== "av") assert.match(run.variants[0]!, new RegExp(variant));
    names.add(run.variants[0]!);
  }
  assert.equal(names.size, 6);
  const refused: [GemmOptions, RegExp][] = [
    [{ variant: "magic" }, /there is no variant magic; there are vendor, naive/],
    [{ variant: "at_b" }, /does not transpose so/],
  ];
  for (const [options, message] of refused) {
    await assert.rejects(linalg.gemm(a, b, options), { name: "RangeError", message });
  }
  const both = { transposeA: true, transposeB: true, variant: "simd" };
  await assert.rejects(linalg.gemm(a, dense(44, 40, 2), both), /does not transpose both/);
  await assert.rejects(linalg.gemm(a, a), TypeError);
  await assert.rejects(linalg.gemm(a, dense(36, 44, 2, "float16")), TypeError);
  await assert.rejects(linalg.gemm({ ...a, rows: 41 }, b), TypeError);
});

Deno.test("A·V and Aᵀ·B, long sums in chunks", async () => {
  for (const [m, n, k] of [[2000, 70, 20], [1200, 20, 64], [65, 67, 70], [1, 3, 1]] as const) {
    const [a, v, b] = [dense(m, n, 1), dense(n, k, 2), dense(m, k, 3)];
    const av = await linalg.gemmAV(a, v);
    assertNear(av.value.data as Float32Array, product(a, v), 1e-4);
    const atb = await linalg.gemmAtB(a, b);
    assertNear(atb.value.data as Float32Array, product(a, b, true), 1e-3);
    assert.equal(atb.run.variants.includes("tall_sum"), m > 1000);
  }
});

Deno.test("tiles and variables change the kernels of A·V and Aᵀ·B", async () => {
  const [a, v, b] = [dense(40, 36, 1), dense(36, 20, 2), dense(40, 20, 3)];
  const kernels = async () => {
    const [av, atb] = [await linalg.gemmAV(a, v), await linalg.gemmAtB(a, b)];
    assertNear(av.value.data as Float32Array, product(a, v), 1e-4);
    assertNear(atb.value.data as Float32Array, product(a, b, true), 1e-4);
    return [...av.run.variants, ...atb.run.variants];
  };
  const fast = await kernels();
  assert.deepEqual(fast, ["gemm_av_f32_bm8_bn16", "gemm_at_b_f32_bn8_bk16"]);
  const tile = "gemm_av_f32_tm16_tn16";
  const other = "gemm_at_b_f32_tn16_tk16";
  const settings: [Record<string, string>, string[]][] = [
    [{ METALFAISS_GEMM_TILE_AV: "32x8" }, ["gemm_av_f32_tm32_tn8", fast[1]!]],
    [{ METALFAISS_GEMM_TILE_ATB: "8x32" }, [fast[0]!, "gemm_at_b_f32_tn8_tk32"]],
    [{ METALFAISS_GEMM_TILE_SQ: "16" }, [tile, other]],
    [{ METALFAISS_GEMM_DB: "1" }, [`${tile}_db`, `${other}_db`]],
    [{ METALFAISS_GEMM_V4: "1" }, [`${tile}_v4`, `${other}_v4`]],
    [{ METALFAISS_GEMM_PAD_ATB: "1" }, [fast[0]!, `${other}_pad`]],
  ];
  for (const [variables, expected] of settings) {
    assert.deepEqual(await withVariables(variables, kernels), expected);
  }
  setGemmTiles({ av: [8, 32] });
  try {
    assert.deepEqual(await kernels(), ["gemm_av_f32_tm8_tn32", fast[1]]);
  } finally {
    setGemmTiles({});
  }
  const large = { METALFAISS_GEMM_TILE_AV: "64x32" };
  await assert.rejects(withVariables(large, kernels), { name: "RangeError" });
});

/** max |QᵀQ − I|. */
function orthogonality(q: Float32Array, m: number, n: number): number {
  const matrix: Dense = { data: q, rows: m, columns: n, dtype: "float32" };
  const squares = product(matrix, matrix, true);
  return squares.reduce((most, value, at) => {
    const apart = Math.abs(value - (at % (n + 1) === 0 ? 1 : 0));
    return Number.isNaN(apart) ? Infinity : Math.max(most, apart);
  }, 0);
}

function checkQr(a: Dense, { q, r }: QrParts, what: string): void {
  const { rows: m, columns: n } = a;
  const error = orthogonality(q, m, n);
  assert.ok(error < 2e-6, `${what}: |QᵀQ − I| is ${error}`);
  const factor = (data: Float32Array, rows: number): Dense => ({
    ...{ data, rows, columns: n, dtype: "float32" },
  });
  const back = product(factor(q, m), factor(r, n));
  const data = numbers(a);
  for (let j = 0; j < n; j++) {
    let [length, apart] = [0, 0];
    for (let i = 0; i < m; i++) {
      length = Math.hypot(length, data[i * n + j]!);
      apart = Math.hypot(apart, data[i * n + j]! - back[i * n + j]!);
    }
    assert.ok(apart <= 1e-5 * length, `${what}: column ${j} is ${apart} of ${length} off`);
    assert.ok(r[j * n + j]! >= 0, `${what}: R at ${j}`);
    for (let i = j + 1; i < n; i++) assert.equal(r[i * n + j], 0);
  }
}

const methods: QrOptions[] = [
  { method: "mgs", dot: "simple" },
  { method: "mgs", dot: "simd" },
  { method: "mgs", dot: "library" },
  { method: "blocked" },
  { method: "householder" },
];

for (const options of methods) {
  const name = Object.values(options).join(", ");
  Deno.test(`QR: Q is orthonormal and QR is A [${name}]`, async () => {
    for (const [m, n] of [[1, 1], [5, 5], [64, 20], [130, 45], [70, 70], [300, 3]] as const) {
      const a = dense(m, n, 5);
      const { value, run } = await linalg.qr(a, options);
      checkQr(a, value, `${m} × ${n}`);
      assert.equal(value.rank, n);
      assert.ok(run.variants.includes(`qr_${options.method}`));
      assert.equal(run.engine, device().engine);
    }
  });

  Deno.test(`QR of matrices that lack rank, and of ill-conditioned ones [${name}]`, async () => {
    const [m, n] = [60, 37];
    const spoiled = dense(m, n, 6);
    const data = spoiled.data as Float32Array;
    for (let i = 0; i < m; i++) {
      data[i * n + 3] = 0;
      data[i * n + 35] = data[i * n]! - 2 * data[i * n + 1]!;
      data[i * n + 36] = data[i * n + 2]!;
      // Far from 1, beyond what squares of floats hold.
      data[i * n + 5]! *= 1e30;
      data[i * n + 6]! *= 1e-30;
    }
    const { value } = await linalg.qr(spoiled, options);
    checkQr(spoiled, value, "spoiled");
    assert.equal(value.rank, n - 3);

    const zero: Dense = { ...spoiled, data: new Float32Array(m * n) };
    const none = await linalg.qr(zero, options);
    checkQr(zero, none.value, "zero");
    assert.equal(none.value.rank, 0);

    const laeuchli: Dense = {
      data: new Float32Array(9 * 8),
      rows: 9,
      columns: 8,
      dtype: "float32",
    };
    for (let j = 0; j < 8; j++) {
      (laeuchli.data as Float32Array)[j] = 1;
      (laeuchli.data as Float32Array)[(j + 1) * 8 + j] = 2 ** -12;
    }
    checkQr(laeuchli, (await linalg.qr(laeuchli, options)).value, "Läuchli");
    const hilbert = Float32Array.from(
      { length: 12 * 12 },
      (_, at) => 1 / (Math.floor(at / 12) + at % 12 + 1),
    );
    const matrix: Dense = { data: hilbert, rows: 12, columns: 12, dtype: "float32" };
    const found = await linalg.qr(matrix, options);
    checkQr(matrix, found.value, "Hilbert");
    assert.ok(found.value.rank < 12);
  });
}

Deno.test("QR of tensors and of other element types", async () => {
  for (const dtype of ["float32", "float16", "bfloat16"] as const) {
    const a = dense(40, 9, 7, dtype);
    const tensor = resident(a);
    for (const matrix of [a, tensor]) {
      const { value } = await linalg.qr(matrix);
      checkQr(
        { ...a, data: decodeNumbers(a.data as Float32Array, dtype), dtype: "float32" },
        value,
        dtype,
      );
    }
    tensor.data.dispose();
  }
});

Deno.test("QR refuses what it cannot decompose", async () => {
  await assert.rejects(linalg.qr(dense(3, 4, 1)), { name: "TypeError", message: /fewer rows/ });
  for (const bad of [NaN, Infinity]) {
    const a = dense(40, 5, 1);
    (a.data as Float32Array)[17 * 5 + 2] = bad;
    await assert.rejects(linalg.qr(a), { name: "RangeError", message: /row 17 holds/ });
  }
  await assert.rejects(linalg.qr(dense(4, 3, 1), { method: "magic" as "mgs" }), RangeError);
  await assert.rejects(linalg.qr(dense(4, 3, 1), { dot: "magic" as "simd" }), RangeError);
  await assert.rejects(linalg.qr(dense(4, 3, 1), { tolerance: -1 }), RangeError);
  await assert.rejects(linalg.qr(dense(4, 0, 1)), {
    name: "TypeError",
    message: /A is 4 × 0, without columns/,
  });
});

Deno.test("options and variables choose the QR's kernels", async () => {
  const a = dense(40, 9, 8);
  const long = dense(600, 3, 8);
  const ran = async (matrix: Dense, options?: QrOptions) =>
    (await linalg.qr(matrix, options)).run.variants.join(" ");
  assert.match(await ran(a), /qr_blocked .*qr_panel_cholesky/);
  assert.match(await ran(a, { method: "mgs" }), /qr_mgs .*qr_dot_simple_f32/);
  assert.match(await ran(long, { method: "mgs" }), /qr_mgs .*qr_dot_simd_f32/);
  assert.match(await ran(a, { dot: "simd" }), /qr_mgs .*qr_dot_simd_f32/);
  assert.match(await ran(a, { method: "mgs", dot: "library" }), /vendor_gemm_tn_f32/);
  for (const method of ["mgs", "blocked", "householder"]) {
    const forced = withVariables({ METALFAISS_FORCE_QR: method }, () => ran(a));
    assert.match(await forced, new RegExp(`qr_${method} `));
  }
  for (const [dot, matrix] of [["simple", long], ["simd", a]] as const) {
    const forced = withVariables({ METALFAISS_QR_DOT: dot }, () => ran(matrix));
    assert.match(await forced, new RegExp(`qr_dot_${dot}_f32`));
  }
});

Deno.test("c = Qᵀv and v − Qc", async () => {
  for (const dtype of ["float32", "float16"] as const) {
    const q = dense(50, 12, 9, dtype);
    const v = normals(1, 50, 10);
    const c = normals(1, 12, 11);
    const column = (data: Float32Array): Dense => ({
      ...{ data, rows: data.length, columns: 1, dtype: "float32" },
    });
    const exact = product(q, column(v), true);
    for (const dot of ["simple", "simd", "library", "auto"] as const) {
      if (dot === "library" && dtype !== "float32") continue;
      const { value, run } = await linalg.projectCoeffs(q, v, dot);
      assertNear(value, exact, 1e-4);
      assert.match(
        run.variants[0]!,
        { library: /vendor/, auto: /simple/ }[dot as "auto"] ?? RegExp(dot),
      );
    }
    const tensor = resident(q);
    assertNear((await linalg.projectCoeffs(tensor, v)).value, exact, 1e-4);
    tensor.data.dispose();
    const { value } = await linalg.updateVector(q, c, v);
    assertNear(value, product(q, column(c)).map((sum, i) => v[i]! - sum), 1e-4);
  }
  await assert.rejects(linalg.projectCoeffs(dense(5, 2, 1), new Float32Array(4)), TypeError);
  await assert.rejects(
    linalg.updateVector(dense(5, 2, 1), new Float32Array(3), new Float32Array(5)),
    TypeError,
  );
  const half = dense(5, 2, 1, "float16");
  await assert.rejects(linalg.projectCoeffs(half, new Float32Array(5), "library"), TypeError);
});

Deno.test("a tensor of another device is refused", async () => {
  const other = gpu(`${device().engine}:0`);
  if (other === device()) return;
  using data = Tensor.from(new Float32Array(4), [2, 2], "float32", other);
  const a: Dense = { data, rows: 2, columns: 2, dtype: "float32" };
  await assert.rejects(linalg.qr(a), { name: "TypeError", message: /another device/ });
});
