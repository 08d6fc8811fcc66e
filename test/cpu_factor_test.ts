import assert from "node:assert/strict";
import { invoke } from "../ffi/call.ts";
import { QR_OPTIONS_BYTES, qrRecord, SVD_OPTIONS_BYTES, svdRecord } from "../ffi/factor.ts";
import { library } from "../ffi/library.ts";
import type { Dense, QrOptions, QrParts } from "../lib/backend/linalg.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { describeLibrary, setISA, setThreads } from "../lib/backend/cpu/native.ts";
import type { Matrix } from "../lib/matrix.ts";
import { withVariables } from "./env.ts";
import { parseHeader } from "./header.ts";
import {
  assertAtMost,
  gaussian,
  hilbert,
  lauchli,
  matrixOf,
  orthogonalityError,
  residual,
  withSingularValues,
} from "./linalg.ts";
import { isNative } from "./native.ts";

function test(name: string, run: () => Promise<void> | void): void {
  if (isNative) Deno.test(`cpu ${name}`, run);
}

const linalg = isNative ? createCpuBackend().linalg : undefined!;
const methods = ["mgs", "blocked", "householder"] as const;

function dense({ data, rows, columns }: Matrix): Dense {
  return { data, rows, columns, dtype: "float32" };
}

/** Asserts an orthonormal Q, a triangular R with a diagonal not negative, and A = QR, in float64. */
function assertFactors(a: Matrix, { q, r, rank }: QrParts, what: string): void {
  const { rows: m, columns: n } = a;
  const zeros = [...Array(n).keys()].filter((i) => r[i * n + i] === 0);
  assert.equal(n - zeros.length, rank, `${what}: rank`);
  for (const i of zeros) {
    assert.ok(r.subarray(i * n, (i + 1) * n).every((value) => value === 0), `${what}: row ${i}`);
  }
  r.forEach((value, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    if (i === j) assert.ok(value >= 0, `${what}: diagonal at ${i} is ${value}`);
    if (i > j) assert.equal(value, 0, `${what}: R at ${i}, ${j}`);
  });
  const most = what.startsWith("householder") ? 3e-6 : 1e-6;
  assertAtMost(orthogonalityError({ data: q, rows: m, columns: n }), most, `${what}: QᵀQ − I`);
  const error = residual(a, { data: q, rows: m, columns: n }, { data: r, rows: n, columns: n });
  assertAtMost(error, (n + 24) * 2 ** -22, `${what}: A − QR`);
}

async function factor(a: Matrix, options: QrOptions): Promise<QrParts> {
  return (await linalg.qr(dense(a), options)).value;
}

test("qr is that of float64 at sizes around panels, blocks and items", async () => {
  const sizes = [[1, 1], [2, 2], [17, 16], [64, 64], [65, 64], [66, 65], [129, 128], [300, 130]];
  for (const [m, n] of [...sizes, [1023, 33], [1025, 97], [4097, 5]] as [number, number][]) {
    for (const method of methods) {
      const a = gaussian(m, n, m + n);
      const { value, run } = await linalg.qr(dense(a), { method });
      assertFactors(a, value, `${method} ${m} × ${n}`);
      assert.equal(value.rank, n);
      assert.deepEqual(run.variants[0], `qr_${method}_f32`);
    }
  }
});

test("qr chooses the method by the shape", async () => {
  const ran = async (m: number, n: number) =>
    (await linalg.qr(dense(gaussian(m, n, 1)), { method: "auto" })).run.variants;
  assert.deepEqual(await ran(500, 8), ["qr_mgs_f32"]);
  assert.deepEqual(await ran(500, 100), ["qr_blocked_f32"]);
});

test("qr of ill-conditioned matrices stays orthonormal", async () => {
  const decades = (n: number, fall: number) =>
    withSingularValues(150, n, Array.from({ length: n }, (_, i) => 10 ** (-fall * i / n)), 7);
  const cases: [string, Matrix, rank?: number][] = [
    ["Läuchli 1e-3", lauchli(100, 1e-3), 100],
    ["Läuchli 1e-5", lauchli(70, 1e-5)],
    ["Läuchli 1e-8", lauchli(20, 1e-8), 1],
    ["Hilbert 80", hilbert(80)],
    ["offset 1e3", gaussian(200, 90, 3, 1e3), 90],
    ["offset 1e8", gaussian(200, 90, 3, 1e8)],
    ...[2, 3, 4, 5, 6].map((fall): [string, Matrix] => [`1e-${fall}`, decades(100, fall)]),
  ];
  for (const [name, a, rank] of cases) {
    for (const method of methods) {
      const value = await factor(a, { method });
      assertFactors(a, value, `${method} ${name}`);
      if (rank !== undefined) assert.equal(value.rank, rank, `${method} ${name}`);
    }
  }
  const { run } = await linalg.qr(dense(lauchli(100, 1e-3)), { method: "blocked" });
  assert.deepEqual(run.variants, ["qr_blocked_f32", "qr_panel_mgs_f32"]);
});

test("qr replaces dependent columns, and reports the rank", async () => {
  const basis = gaussian(200, 50, 5);
  const cases: [string, Matrix, rank: number][] = [
    ["zeros", matrixOf(100, 70, () => 0), 0],
    ["square zeros", matrixOf(66, 66, () => 0), 0],
    ["one zero", matrixOf(1, 1, () => 0), 0],
    ["ones", matrixOf(130, 129, () => 1), 1],
    ["each column thrice", matrixOf(200, 150, (i, j) => basis.row(i)[Math.floor(j / 3)]!), 50],
    ["columns again", matrixOf(200, 100, (i, j) => basis.row(i)[j % 50]!), 50],
    ["a zero column", matrixOf(90, 80, (i, j) => j === 70 ? 0 : basis.row(i)[j % 50]! * j), 50],
    ["rank 20", withSingularValues(140, 100, Array(20).fill(3), 2), 20],
  ];
  for (const [name, a, rank] of cases) {
    for (const method of methods) {
      const { value, run } = await linalg.qr(dense(a), { method });
      assertFactors(a, value, `${method} ${name}`);
      assert.equal(value.rank, rank, `${method} ${name}`);
      assert.ok(run.variants.includes("qr_complete_f32"), `${method} ${name}`);
    }
  }
});

test("qr of columns from 1e-30 to 1e30 is scaled on the way", async () => {
  const plain = gaussian(120, 61, 9);
  const sizes = Float32Array.from({ length: 61 }, (_, j) => 10 ** (j - 30));
  const a = matrixOf(120, 61, (i, j) => plain.row(i)[j]! * sizes[j]!);
  for (const method of methods) {
    const { q, r, rank } = await factor(a, { method });
    assert.equal(rank, 61);
    const unscaled = r.map((value, at) => value / sizes[at % 61]!);
    assertFactors(plain, { q, r: unscaled, rank }, method);
  }
  const denormal = matrixOf(40, 9, (i, j) => plain.row(i)[j]! * 1e-40);
  const { q } = await factor(denormal, {});
  assertAtMost(orthogonalityError({ data: q, rows: 40, columns: 9 }), 2e-6, "denormal");
});

test("qr takes more columns for dependent at a larger tolerance", async () => {
  const a = lauchli(30, 1e-3);
  for (const method of methods) {
    assert.equal((await factor(a, { method, tolerance: 1e-4 })).rank, 30);
    assert.equal((await factor(a, { method, tolerance: 0.1 })).rank, 1);
  }
});

test("qr and topkSvd give the same bits on any number of threads", async () => {
  const a = dense(gaussian(1500, 130, 4));
  const { threads } = describeLibrary();
  const results = [];
  try {
    for (const count of [1, 3]) {
      setThreads(count);
      const [{ value, run }, svd] = [await linalg.qr(a), await linalg.topkSvd(a, 20)];
      assert.ok(run.threads <= count);
      results.push([value.q, value.r, svd.value.u, svd.value.s, svd.value.v]);
    }
  } finally {
    setThreads(threads);
  }
  assert.deepEqual(results[0], results[1]);
});

test("kernels of every instruction set agree with the plain ones", async () => {
  const { isa, isas } = describeLibrary();
  const a = gaussian(333, 101, 8);
  const start = gaussian(101, 37, 2).data;
  const svd = () => linalg.topkSvd(dense(a), 37, { start });
  try {
    setISA("scalar");
    const [plain, values] = [await factor(a, {}), (await svd()).value.s];
    for (const name of isas) {
      setISA(name);
      const { value, run } = await linalg.qr(dense(a));
      assert.equal(run.isa, name);
      value.r.forEach((r, i) => assertAtMost(Math.abs(r - plain.r[i]!), 2e-5, `${name} R at ${i}`));
      assertFactors(a, value, name);
      const { s } = (await svd()).value;
      s.forEach((x, i) => assertAtMost(Math.abs(x - values[i]!), 1e-4, `${name} value ${i}`));
    }
  } finally {
    setISA(isa);
  }
});

test("qr writes all of its outputs", () => {
  const [m, n] = [70, 66];
  const a = gaussian(m, n, 1).data;
  const { symbols } = library();
  for (const method of [0, 1, 2, 3]) {
    const [q, r] = [new Float32Array(m * n).fill(NaN), new Float32Array(n * n).fill(NaN)];
    const record = qrRecord({ m, n, tolerance: -1, method });
    invoke((call) => symbols.mf_linalg_qr(record, a, q, r, new Uint32Array(1), call));
    assert.ok(q.every(Number.isFinite) && r.every(Number.isFinite), `method ${method}`);
  }
});

test("projectCoeffs and updateVector are those of float64", async () => {
  for (const [m, n] of [[1, 1], [3, 0], [0, 3], [1025, 7], [4097, 130]] as [number, number][]) {
    const q: Dense = { ...dense(gaussian(m || 1, n || 1, m)), rows: m, columns: n };
    const data = (q.data as Float32Array).subarray(0, m * n);
    const v = gaussian(1, m || 1, 3).data.subarray(0, m);
    const c = gaussian(1, n || 1, 4).data.subarray(0, n);
    const { value: parts, run } = await linalg.projectCoeffs({ ...q, data }, v);
    const { value: rest } = await linalg.updateVector({ ...q, data }, c, v);
    const exact = new Float64Array(n);
    for (let i = 0; i < m; i++) {
      let sum = v[i]!;
      for (let j = 0; j < n; j++) {
        exact[j]! += data[i * n + j]! * v[i]!;
        sum -= data[i * n + j]! * c[j]!;
      }
      assertAtMost(Math.abs(rest[i]! - sum), 1e-5 * Math.sqrt(n), `${m} × ${n}: rest ${i}`);
    }
    parts.forEach((part, j) => assertAtMost(Math.abs(part - exact[j]!), 1e-4, `part ${j}`));
    assert.deepEqual([parts.length, rest.length], [n, m]);
    if (n > 0) assert.deepEqual(run.variants, ["project_coeffs_f32"]);
  }
});

test("factorizations refuse what does not fit", async () => {
  const a = dense(gaussian(6, 4, 1));
  const bad = gaussian(6, 4, 1);
  bad.data[4 * 4 + 3] = NaN;
  for (const method of methods) {
    await assert.rejects(linalg.qr(dense(bad), { method }), {
      name: "RangeError",
      message: "Cannot decompose: row 4 holds NaN in column 3",
    });
  }
  bad.data[4 * 4 + 3] = -Infinity;
  await assert.rejects(linalg.qr(dense(bad)), /row 4 holds -Infinity in column 3/);
  await assert.rejects(linalg.qr(dense(gaussian(3, 4, 1))), TypeError);
  await assert.rejects(linalg.qr({ ...a, rows: 7 }), TypeError);
  await assert.rejects(linalg.qr(a, { tolerance: NaN }), RangeError);
  await assert.rejects(linalg.qr(a, { method: "lapack" as "mgs" }), RangeError);
  const long = matrixOf(4, 2, (_, j) => j === 1 ? 3e38 : 1);
  for (const method of methods) {
    await assert.rejects(linalg.qr(dense(long), { method }), {
      name: "RangeError",
      message: "Cannot decompose: column 1 is longer than a float32 holds",
    });
  }
  await assert.rejects(linalg.qr(a, { dot: "simd" }), RangeError);
  await assert.rejects(linalg.projectCoeffs(a, new Float32Array(6), "simple"), RangeError);
  await assert.rejects(linalg.projectCoeffs(a, new Float32Array(5)), TypeError);
  await assert.rejects(linalg.updateVector(a, new Float32Array(3), new Float32Array(6)), TypeError);
});

test("qr is stopped by a signal", async () => {
  const signal = AbortSignal.timeout(5);
  const a = dense(gaussian(2000, 500, 1));
  await assert.rejects(linalg.qr(a, { method: "householder", signal }), { name: "TimeoutError" });
});

test("METALFAISS_FORCE_QR counts where no method is given", async () => {
  const a = dense(gaussian(20, 4, 1));
  await withVariables({ METALFAISS_FORCE_QR: "householder" }, async () => {
    assert.deepEqual((await linalg.qr(a)).run.variants, ["qr_householder_f32"]);
    assert.deepEqual((await linalg.qr(a, { method: "mgs" })).run.variants, ["qr_mgs_f32"]);
  });
});

test("records have the header's layout", async () => {
  const path = new URL("../swift/Sources/CMetalFaiss/include/metalfaiss.h", import.meta.url);
  const { structs } = parseHeader(await Deno.readTextFile(path));
  const records: [string, number, Uint8Array, Record<string, number>][] = [
    ["mf_linalg_qr_options", QR_OPTIONS_BYTES, qrRecord({ m: 1, n: 2, tolerance: 3, method: 4 }), {
      m: 1,
      n: 2,
      tolerance: 3,
      method: 4,
      reserved: 0,
    }],
    [
      "mf_linalg_svd_options",
      SVD_OPTIONS_BYTES,
      svdRecord({
        m: 1,
        n: 2,
        k: 3,
        tolerance: 4,
        iterations: 5,
        band: 6,
        product: 7,
        rayleighRitz: true,
      }),
      { m: 1, n: 2, k: 3, tolerance: 4, iterations: 5, band: 6, product: 7, rayleigh_ritz: 1 },
    ],
  ];
  for (const [name, bytes, record, expected] of records) {
    const struct = structs[name]!;
    assert.equal(record.length, bytes);
    assert.equal(struct.bytes, bytes);
    const view = new DataView(record.buffer);
    const values = Object.entries(struct.fields).map(([field, { type, offset }]) => [
      field,
      type === "double" ? view.getFloat64(offset, true) : view.getUint32(offset, true),
    ]);
    assert.deepEqual(Object.fromEntries(values), expected);
  }
});
