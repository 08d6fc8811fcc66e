import assert from "node:assert/strict";
import { GpuContext } from "../lib/backend/gpu/context.ts";
import { assignBands, splitBands } from "../lib/backend/gpu/linalg/bands.ts";
import { createGpuLinalg } from "../lib/backend/gpu/linalg/mod.ts";
import { smallSvd } from "../lib/backend/gpu/linalg/ritz.ts";
import type { Dense, SvdParts, TopkSvdOptions } from "../lib/backend/linalg.ts";
import { createReferenceLinalg } from "../lib/backend/reference/linalg/mod.ts";
import { Tensor } from "../lib/kernel/mod.ts";
import { encodeNumbers } from "../lib/linalg/numbers.ts";
import { setGemmTiles } from "../lib/linalg/settings.ts";
import { withVariables } from "./env.ts";
import { normals } from "./grid.ts";
import { device } from "./shaders.ts";

const linalg = createGpuLinalg(new GpuContext(device()));
const reference = createReferenceLinalg();

function dense(rows: number, columns: number, seed: number): Dense<Float32Array> {
  return { data: normals(rows, columns, seed), rows, columns, dtype: "float32" };
}

/** max |QᵀQ − I|. */
function orthogonality(q: Float32Array, m: number, n: number): number {
  let most = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? -1 : 0;
      for (let row = 0; row < m; row++) sum += q[row * n + i]! * q[row * n + j]!;
      most = Math.max(most, Number.isNaN(sum) ? Infinity : Math.abs(sum));
    }
  }
  return most;
}

function assertOrthonormal(q: Float32Array, m: number, n: number, what: string): void {
  const error = orthogonality(q, m, n);
  assert.ok(error < 2e-6, `${what}: |QᵀQ − I| is ${error}`);
}

function assertValues(found: ArrayLike<number>, exact: ArrayLike<number>, relative: number): void {
  assert.equal(found.length, exact.length);
  for (let i = 0; i < exact.length; i++) {
    const apart = Math.abs(found[i]! - exact[i]!);
    assert.ok(apart <= relative * exact[0]!, `value ${i}: ${found[i]}, not ${exact[i]}`);
  }
}

const [M, N, K] = [64, 48, 8];
const a = dense(M, N, 1);
const exact = (await reference.topkSvd(a, K)).value;

/** Runs four steps; checks them against the same in float64; says what ran. */
async function ran(options: TopkSvdOptions = {}): Promise<string> {
  const { value, run } = await linalg.topkSvd(a, K, options);
  assertOrthonormal(value.v, N, K, "V");
  if (options.rayleighRitz !== false) {
    assertOrthonormal(value.u, M, K, "U");
    assertValues(value.s, exact.s, 1e-5);
  }
  assert.equal(value.iterations, 4);
  assert.equal(value.converged, false);
  assert.equal(value.rank, K);
  assert.ok(run.threads > 0 && run.gpuSeconds! > 0);
  return run.variants.join(" ");
}

Deno.test("four steps agree with float64's", async () => {
  const text = await ran();
  assert.match(text, /gemm_av_f32_\S+ gemm_at_b_f32_/);
  assert.match(text, /svd_tiled svd_mono svd_workspaces_reused svd_replayed svd_rayleigh_ritz/);
  const { value } = await linalg.topkSvd(a, K);
  // Of vectors as of values, signs apart.
  for (let j = 0; j < K; j++) {
    for (const [found, of, rows] of [[value.u, exact.u, M], [value.v, exact.v, N]] as const) {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += found[i * K + j]! * of[i * K + j]!;
      assert.ok(Math.abs(Math.abs(sum) - 1) < 1e-4, `vector ${j}: ${sum}`);
    }
  }
});

Deno.test("every option changes what runs, and nothing else", async () => {
  const cases: [TopkSvdOptions, RegExp][] = [
    [{ product: "naive" }, /z_naive_f32 .*svd_naive/],
    [{ product: "fused" }, /z_fused_f32_\S+ tall_sum .*svd_fused/],
    [{ product: "vendor" }, /vendor_gemm_nn_f32 vendor_gemm_tn_f32 .*svd_vendor/],
    [{ guards: true }, /gemm_av_f32_tm16_tn16 gemm_at_b_f32_tn16_tk16 /],
    [{ band: 3 }, /svd_band3 /],
    [{ band: 8 }, /svd_mono /],
    [{ band: 2, streams: 2 }, /svd_band2 svd_streams2_round-robin /],
    [{ band: 2, streams: 3, assignment: "block" }, /svd_band2 svd_streams3_block /],
    [{ band: 4, product: "naive", streams: 2 }, /z_naive_f32 .*svd_streams2/],
    [{ band: 4, product: "fused", streams: 2 }, /z_fused_f32_.*svd_streams2/],
    [{ workspaces: "fresh" }, /svd_workspaces_fresh svd_encoded_once/],
    [{ workspaces: "fresh", encodeOnce: false }, /svd_workspaces_fresh svd_submitted_each/],
    [{ encodeOnce: false }, /svd_workspaces_reused svd_submitted_each/],
    [{ encodeOnce: false, band: 4, streams: 2 }, /svd_streams2_round-robin .*svd_submitted_each/],
    [{ rayleighRitz: false }, /svd_lengths/],
  ];
  for (const [options, expected] of cases) assert.match(await ran(options), expected);
  setGemmTiles({ av: [8, 8], atb: [8, 8] });
  try {
    const text = await ran({ guards: false });
    assert.match(text, /gemm_av_f32_tm8_tn8_unguarded gemm_at_b_f32_tn8_tk8_unguarded /);
  } finally {
    setGemmTiles({});
  }
});

Deno.test("variables count where an option is not given", async () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ METALFAISS_SVD_BAND: "4" }, /svd_band4 svd_workspaces/],
    [{ METALFAISS_SVD_BAND: "4", METALFAISS_SVD_STREAMS: "2" }, /svd_band4 svd_streams2/],
    [{ METALFAISS_FORCE_SVD: "naive" }, /svd_naive/],
    [{ METALFAISS_FORCE_SVD: "mono", METALFAISS_SVD_BAND: "4" }, /svd_mono/],
    [{ METALFAISS_FORCE_SVD: "banded", METALFAISS_SVD_BAND: "2" }, /svd_band2 /],
    [{ METALFAISS_USE_COMPILE: "0" }, /svd_submitted_each/],
    [{ METALFAISS_USE_GEMM_KERNEL: "0" }, /vendor_gemm_nn_f32 .*svd_vendor/],
    [{ METALFAISS_GEMM_TILE_AV: "8x8" }, /gemm_av_f32_tm8_tn8 gemm_at_b_f32_bn8/],
  ];
  for (const [variables, expected] of cases) {
    assert.match(await withVariables(variables, () => ran()), expected);
  }
  const both = withVariables({ METALFAISS_SVD_BAND: "4" }, () => ran({ band: 2 }));
  assert.match(await both, /svd_band2 /);
});

Deno.test("without Rayleigh–Ritz values are lengths, largest first, and U is only rough", async () => {
  const { value } = await linalg.topkSvd(a, K, { rayleighRitz: false });
  const same = (await reference.topkSvd(a, K, { rayleighRitz: false })).value;
  assertValues(value.s, same.s, 1e-5);
  assert.deepEqual([...value.s], [...value.s].sort((x, y) => y - x));
  assert.ok(orthogonality(value.u, M, K) > 1e-3);
});

Deno.test("steps end when values stand still", async () => {
  const options = { tolerance: 1e-4, iterations: 200 };
  const { value } = await linalg.topkSvd(a, K, options);
  const same = (await reference.topkSvd(a, K, options)).value;
  assert.ok(value.converged);
  assert.ok(Math.abs(value.iterations - same.iterations) <= 1);
  assertValues(value.s, same.s, 1e-4);
  const { value: few } = await linalg.topkSvd(a, K, { tolerance: 1e-9, iterations: 2 });
  assert.deepEqual([few.iterations, few.converged], [2, false]);
});

/** A matrix of given singular values. */
async function withValues(m: number, n: number, values: readonly number[]): Promise<Dense> {
  const k = values.length;
  const [u, v] = [
    (await reference.qr(dense(m, k, 2))).value.q,
    (await reference.qr(dense(n, k, 3))).value.q,
  ];
  const data = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += u[i * k + l]! * values[l]! * v[j * k + l]!;
      data[i * n + j] = sum;
    }
  }
  return { data, rows: m, columns: n, dtype: "float32" };
}

Deno.test("values converge to 1e-4 of themselves, wide or tall, near 1 or far from it", async () => {
  for (const [m, n] of [[90, 40], [40, 90]] as const) {
    for (const scale of [1, 1e25, 1e-25]) {
      const values = [9, 5, 3, 2, 1, 0.5, 0.25, 0.1].map((value) => value * scale);
      const matrix = await withValues(m, n, values);
      const { value } = await linalg.topkSvd(matrix, 6, { iterations: 30 });
      for (let i = 0; i < 6; i++) {
        assert.ok(Math.abs(value.s[i]! / values[i]! - 1) < 1e-4, `${value.s[i]} of ${values[i]}`);
      }
      assertOrthonormal(value.u, m, 6, "U");
      assertOrthonormal(value.v, n, 6, "V");
    }
  }
});

function assertSound(value: SvdParts, [m, n, k]: readonly number[], rank: number): void {
  assertOrthonormal(value.u, m!, k!, "U");
  assertOrthonormal(value.v, n!, k!, "V");
  assert.equal(value.rank, rank);
}

Deno.test("matrices that lack rank leave U and V orthonormal, and say so", async () => {
  const low = await withValues(50, 30, [4, 2, 1]);
  const { value } = await linalg.topkSvd(low, 7);
  assertSound(value, [50, 30, 7], 3);
  assertValues(value.s.subarray(0, 3), [4, 2, 1], 1e-5);
  assert.ok(value.s[3]! < 1e-5);
  for (const tolerance of [0, 1e-3]) {
    const zero: Dense = { ...dense(20, 12, 1), data: new Float32Array(240) };
    const none = (await linalg.topkSvd(zero, 5, { tolerance })).value;
    assertSound(none, [20, 12, 5], 0);
    assert.deepEqual([...none.s], [0, 0, 0, 0, 0]);
  }
  const one = (await linalg.topkSvd(dense(1, 1, 4), 1)).value;
  assertSound(one, [1, 1, 1], 1);
  const all = (await linalg.topkSvd(dense(37, 35, 5), 35)).value;
  assertSound(all, [37, 35, 35], 35);
  const zeroStart = { start: new Float32Array(12 * 2) };
  const blind = (await linalg.topkSvd(dense(20, 12, 1), 2, zeroStart)).value;
  assertOrthonormal(blind.v, 12, 2, "V from a start of 0");
});

Deno.test("tensors and other element types", async () => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    const matrix: Dense = { ...a, data: encodeNumbers(a.data, dtype), dtype };
    const { value } = await linalg.topkSvd(matrix, K);
    const same = (await reference.topkSvd(matrix, K)).value;
    assertValues(value.s, same.s, 1e-5);
  }
  using data = Tensor.from(a.data, [M, N], "float32", device());
  const { value } = await linalg.topkSvd({ ...a, data }, K);
  assertValues(value.s, exact.s, 1e-5);
  assert.deepEqual([...data.dataSync<Float32Array>()], [...a.data]);
});

Deno.test("what cannot be iterated is refused", async () => {
  const refused: [TopkSvdOptions, RegExp][] = [
    [{ iterations: 0 }, /iterations 0 is not/],
    [{ tolerance: NaN }, /tolerance NaN/],
    [{ band: -1 }, /band -1/],
    [{ streams: 0 }, /streams 0/],
    [{ product: "magic" as "naive" }, /there is no product magic/],
    [{ assignment: "magic" as "block" }, /there is no assignment magic/],
    [{ workspaces: "magic" as "fresh" }, /there is no workspaces magic/],
    [{ product: "vendor", guards: true }, /guards are of tiled products/],
    [{ guards: false, band: 3 }, /without guards sizes are multiples/],
    [{ start: new Float32Array(N * K).fill(NaN) }, /row 0 holds NaN/],
  ];
  for (const [options, message] of refused) {
    await assert.rejects(linalg.topkSvd(a, K, options), { name: "RangeError", message });
  }
  for (const k of [0, 49, 1.5]) await assert.rejects(linalg.topkSvd(a, k), RangeError);
  await assert.rejects(linalg.topkSvd(a, K, { start: new Float32Array(3) }), TypeError);
  const bad = { ...a, data: a.data.slice() };
  bad.data[5 * N] = Infinity;
  await assert.rejects(linalg.topkSvd(bad, K), { name: "RangeError", message: /row 5 holds/ });
  const stopped = linalg.topkSvd(a, K, { signal: AbortSignal.abort() });
  await assert.rejects(stopped, { name: "AbortError" });
});

Deno.test("bands and their streams", () => {
  const widths = (k: number, band: number) => splitBands(k, band).map(({ width }) => width);
  assert.deepEqual(widths(10, 4), [4, 4, 2]);
  assert.deepEqual(widths(10, 0), [10]);
  assert.deepEqual(widths(3, 9), [3]);
  const from = (streams: number, how: "round-robin" | "block") =>
    assignBands(splitBands(5, 1), streams, how).map((part) => part.map((band) => band.from));
  assert.deepEqual(from(2, "round-robin"), [[0, 2, 4], [1, 3]]);
  assert.deepEqual(from(2, "block"), [[0, 1, 2], [3, 4]]);
  assert.deepEqual(from(9, "block"), [[0], [1], [2], [3], [4]]);
});

Deno.test("the small SVD of Rayleigh–Ritz, also where rank lacks", () => {
  for (const k of [1, 2, 9, 33]) {
    for (const zeros of [0, 1, k]) {
      const r = normals(k, k, 6).map((value, at) => {
        const [row, column] = [Math.floor(at / k), at % k];
        return column < row || row >= k - zeros ? 0 : value;
      });
      const { s, x, y } = smallSvd(r, k);
      assertOrthonormal(x, k, k, "X");
      assertOrthonormal(y, k, k, "Y");
      for (let i = 0; i < k; i++) {
        for (let j = 0; j < k; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) sum += x[i * k + l]! * s[l]! * y[j * k + l]!;
          assert.ok(Math.abs(sum - r[i * k + j]!) < 1e-5 * (1 + s[0]!), `at ${i}, ${j}`);
        }
        assert.ok(i === 0 || s[i]! <= s[i - 1]!);
      }
    }
  }
});
