import assert from "node:assert/strict";
import { invoke, invokeAsync } from "../ffi/call.ts";
import { GemmVariant, type ProductRecord, productRecord, vectorsRecord } from "../ffi/gemm.ts";
import { library } from "../ffi/library.ts";
import { createCpuBackend, describeLibrary, setISA, setThreads } from "../lib/backend/cpu/mod.ts";
import type { Dense, Element, HostNumbers } from "../lib/backend/linalg.ts";
import { decodeNumbers, encodeNumbers } from "../lib/linalg/numbers.ts";
import { Random } from "../lib/random.ts";
import { parseHeader } from "./header.ts";
import { isNative } from "./native.ts";

const native = { ignore: !isNative };
const dtypes: Element[] = ["float32", "float16", "bfloat16"];

/** Runs a test on every instruction set of this machine, and puts back what was in force. */
async function onEachISA(run: (isa: string) => Promise<void> | void): Promise<void> {
  const { isa, isas, threads } = describeLibrary();
  try {
    for (const name of isas) {
      setISA(name);
      setThreads(2);
      await run(name);
    }
  } finally {
    setISA(isa);
    setThreads(threads);
  }
}

/** A matrix with lines longer than its rows; what is between them is NaN. */
interface Lines {
  stored: HostNumbers;
  line: number;
  type: number;
  at(row: number, column: number): number;
}

function lines(
  rows: number,
  columns: number,
  gap: number,
  dtype: Element,
  transposed: boolean,
  seed: number,
): Lines {
  const random = new Random(seed);
  const [tall, wide] = transposed ? [columns, rows] : [rows, columns];
  const line = wide + gap;
  const values = Float32Array.from(
    { length: Math.max(0, tall * line - gap) },
    (_, i) => i % line < wide ? random.normal() : NaN,
  );
  const stored = encodeNumbers(values, dtype);
  const numbers = decodeNumbers(stored, dtype);
  const at = (i: number, j: number) => numbers[transposed ? j * line + i : i * line + j]!;
  return { stored, line, type: dtypes.indexOf(dtype), at };
}

interface Case {
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
  typeA?: Element;
  typeB?: Element;
  alpha?: number;
  beta?: number;
  gap?: number;
}

/** Multiplies into poisoned memory and compares every number with float64. Returns what ran. */
function assertGemm(isa: string, given: Case): number {
  const { m, n, k, transposeA = false, transposeB = false, alpha = 1, beta = 0, gap = 0 } = given;
  const a = lines(m, k, gap, given.typeA ?? "float32", transposeA, 1);
  const b = lines(k, n, gap, given.typeB ?? "float32", transposeB, 2);
  const lineC = n + gap;
  const before = new Float32Array(Math.max(0, m * lineC - gap)).fill(NaN);
  const random = new Random(3);
  if (beta !== 0) { for (let i = 0; i < before.length; i++) before[i] = random.normal(); }
  const c = before.slice();
  const record = productRecord({
    ...{ m, n, k, alpha, beta, transposeA, transposeB },
    ...{ lineA: a.line, lineB: b.line, lineC, typeA: a.type, typeB: b.type },
  });
  const { variants } = invoke((call) =>
    library().symbols.mf_linalg_gemm(record, a.stored, b.stored, c, call)
  );
  for (let i = 0; i < c.length; i++) {
    const [row, column] = [Math.floor(i / lineC), i % lineC];
    if (column >= n) {
      assert.ok(Object.is(c[i], before[i]), `${isa} wrote beside C: ${JSON.stringify(given)}`);
      continue;
    }
    let [sum, size] = [0, 0];
    for (let p = 0; p < k; p++) {
      const term = a.at(row, p) * b.at(p, column);
      sum += term;
      size += Math.abs(term);
    }
    const added = beta === 0 ? 0 : beta * before[i]!;
    const error = Math.abs(c[i]! - (alpha * sum + added));
    const most = (k + 8) * 2 ** -24 * (Math.abs(alpha) * size + Math.abs(added));
    assert.ok(
      error <= most,
      `${isa} at ${row}, ${column}: off by ${error}, ${JSON.stringify(given)}`,
    );
  }
  return variants;
}

const flags = [[false, false], [false, true], [true, false], [true, true]] as const;

Deno.test("mf_linalg_gemm is the product of float64, whatever the shape", native, async () => {
  const shapes = [
    [1, 1, 1],
    [1, 40, 9],
    [40, 1, 9],
    [2, 3, 130],
    [13, 15, 7],
    [14, 32, 16],
    [15, 33, 17],
    [6, 16, 5],
    [29, 64, 31],
    [65, 17, 33],
    [66, 129, 3],
    [130, 67, 20],
  ] as const;
  await onEachISA((isa) => {
    for (const [m, n, k] of shapes) {
      for (const [transposeA, transposeB] of flags) {
        assertGemm(isa, { m, n, k, transposeA, transposeB });
        assertGemm(isa, { m, n, k, transposeA, transposeB, alpha: -1.5, beta: 0.5, gap: 3 });
      }
    }
  });
});

Deno.test("mf_linalg_gemm goes through every cache block", native, async () => {
  // More than one chunk of k, of rows, of columns; A^T B with much to sum; odd ends everywhere.
  const shapes = [[70, 41, 1100], [3, 5, 5000], [600, 20, 130], [20, 700, 130]] as const;
  await onEachISA((isa) => {
    for (const [m, n, k] of shapes) {
      const scale = isa === "scalar" ? 0.3 : 1;
      const [rows, columns, depth] = [m, n, k].map((size) => Math.ceil(size * scale)) as [
        number,
        number,
        number,
      ];
      for (const [transposeA, transposeB] of flags) {
        assertGemm(isa, { m: rows, n: columns, k: depth, transposeA, transposeB, beta: 1 });
      }
    }
  });
});

Deno.test("mf_linalg_gemm widens float16 and bfloat16", native, async () => {
  await onEachISA((isa) => {
    for (const typeA of dtypes) {
      for (const typeB of dtypes) {
        for (const [transposeA, transposeB] of flags) {
          assertGemm(isa, { m: 31, n: 35, k: 18, transposeA, transposeB, typeA, typeB, gap: 1 });
          assertGemm(isa, { m: 5, n: 70, k: 33, transposeA, transposeB, typeA, typeB });
        }
      }
    }
  });
});

Deno.test("mf_linalg_gemm of nothing leaves beta * C", native, async () => {
  await onEachISA((isa) => {
    assertGemm(isa, { m: 0, n: 5, k: 3 });
    assertGemm(isa, { m: 5, n: 0, k: 3 });
    assertGemm(isa, { m: 5, n: 17, k: 0 });
    assertGemm(isa, { m: 5, n: 17, k: 0, beta: 0.25, gap: 2 });
  });
});

Deno.test("mf_linalg_gemm says how it ran", native, async () => {
  await onEachISA((isa) => {
    assert.equal(assertGemm(isa, { m: 40, n: 3, k: 9 }), GemmVariant.GEMM_PLACED);
    const half: Case = { m: 40, n: 3, k: 9, typeA: "float16", typeB: "float16" };
    assert.equal(assertGemm(isa, half), GemmVariant.GEMM_PACKED);
    const long: Case = { m: 2, n: 2, k: 300_000, transposeA: true };
    assert.equal(assertGemm(isa, long), GemmVariant.GEMM_SPLIT);
  });
});

Deno.test("mf_linalg_gemm passes NaN and infinities on as IEEE has them", native, async () => {
  await onEachISA((isa) => {
    for (const [transposeA, transposeB] of flags) {
      const [m, n, k] = [17, 35, 19];
      const a = new Float32Array(m * k).fill(1);
      const b = new Float32Array(k * n).fill(1);
      a[transposeA ? 4 * m + 3 : 3 * k + 4] = NaN;
      b[transposeB ? 20 * k + 5 : 5 * n + 20] = Infinity;
      const c = new Float32Array(m * n).fill(NaN);
      const record = productRecord({
        ...{ m, n, k, lineA: transposeA ? m : k, lineB: transposeB ? k : n, lineC: n },
        ...{ alpha: 1, beta: 0, typeA: 0, typeB: 0, transposeA, transposeB },
      });
      invoke((call) => library().symbols.mf_linalg_gemm(record, a, b, c, call));
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          const expected = i === 3 ? NaN : j === 20 ? Infinity : k;
          assert.ok(Object.is(c[i * n + j], expected), `${isa} at ${i}, ${j}: ${c[i * n + j]}`);
        }
      }
    }
  });
});

const square: ProductRecord = {
  ...{ m: 4, n: 4, k: 4, lineA: 4, lineB: 4, lineC: 4, alpha: 1, beta: 0 },
  ...{ typeA: 0, typeB: 0, transposeA: false, transposeB: false },
};

Deno.test("mf_linalg_gemm refuses operands that C overlaps, and what cannot be", native, () => {
  const memory = new Float32Array(64);
  const gemm = (record: Partial<ProductRecord>, b = memory.subarray(16, 32), at = 32) => () =>
    invoke((call) =>
      library().symbols.mf_linalg_gemm(
        productRecord({ ...square, ...record }),
        memory.subarray(0, 16),
        b,
        memory.subarray(at, at + 16),
        call,
      )
    );
  gemm({})();
  assert.throws(gemm({}, undefined, 15), { name: "RangeError", message: /c overlaps a/ });
  assert.throws(gemm({}, undefined, 31), { name: "RangeError", message: /c overlaps b/ });
  assert.throws(gemm({ m: 1.5 }), { name: "RangeError", message: /m must be a whole number/ });
  assert.throws(gemm({ lineA: 3 }), { name: "RangeError", message: /line_a/ });
  assert.throws(gemm({ lineC: 3 }), { name: "RangeError", message: /line_c/ });
  assert.throws(gemm({ typeB: 3 }), { name: "TypeError", message: /type_b/ });
});

Deno.test("mf_linalg_gemm stops when it is told to", native, async () => {
  const n = 1600;
  const numbers = new Float32Array(n * n);
  const c = new Float32Array(n * n);
  const record = productRecord({ ...square, m: n, n, k: n, lineA: n, lineB: n, lineC: n });
  const stop = new AbortController();
  const done = invokeAsync(
    (call) => library().symbols.mf_linalg_gemm_async(record, numbers, numbers, c, call),
    stop.signal,
  );
  stop.abort();
  await assert.rejects(done, { name: "AbortError" });
});

/** Multiplies and compares every number with float64, then rounded to x's type. */
function assertGemv(isa: string, given: {
  n: number;
  k: number;
  batch?: number;
  columns: boolean;
  typeW: Element;
  typeX?: Element;
  alpha?: number;
  beta?: number;
  bias?: "one" | "each";
}): void {
  const { n, k, batch = 1, columns, alpha = 1, beta = 0, typeX = "float32", bias } = given;
  const w = lines(columns ? batch * k : batch * n, columns ? n : k, 0, given.typeW, false, 4);
  const x = lines(batch, k, 0, typeX, false, 5);
  const biases = lines(bias === "each" ? batch : 1, n, 0, "float16", false, 6);
  const before = lines(batch, n, 0, typeX, false, 7);
  const y = beta === 0
    ? encodeNumbers(new Float32Array(batch * n).fill(NaN), typeX)
    : before.stored.slice();
  const record = vectorsRecord({
    ...{ n, k, batch, columns, alpha, beta, line: columns ? n : k },
    ...{ lineBias: bias === "each" ? n : 0, typeW: w.type, typeX: x.type, typeBias: 1 },
  });
  const inBias = bias === undefined ? null : biases.stored;
  invoke((call) => library().symbols.mf_linalg_gemv(record, w.stored, x.stored, inBias, y, call));
  const result = decodeNumbers(y, typeX);
  const rounding = typeX === "float32" ? 0 : typeX === "float16" ? 2 ** -11 : 2 ** -8;
  for (let i = 0; i < batch * n; i++) {
    const [matrix, j] = [Math.floor(i / n), i % n];
    let [sum, size] = [0, 0];
    for (let p = 0; p < k; p++) {
      const weight = columns ? w.at(matrix * k + p, j) : w.at(i, p);
      sum += weight * x.at(matrix, p);
      size += Math.abs(weight * x.at(matrix, p));
    }
    const added = bias === undefined ? 0 : biases.at(bias === "each" ? matrix : 0, j);
    const kept = beta === 0 ? 0 : beta * before.at(matrix, j);
    const expected = alpha * sum + kept + added;
    const error = Math.abs(result[i]! - expected);
    const most = (k + 8) * 2 ** -24 * (Math.abs(alpha) * size + Math.abs(kept) + Math.abs(added)) +
      rounding * Math.abs(expected) + (rounding && 2 ** -24);
    assert.ok(error <= most, `${isa} at ${i}: off by ${error}, ${JSON.stringify(given)}`);
  }
}

Deno.test("mf_linalg_gemv is the product of float64, whatever the shape", native, async () => {
  await onEachISA((isa) => {
    for (const columns of [false, true]) {
      for (const typeW of dtypes) {
        for (const [n, k] of [[1, 1], [1, 77], [5, 3], [90, 64], [64, 95], [17, 0], [1030, 33]]) {
          assertGemv(isa, { n: n!, k: k!, columns, typeW });
        }
        for (const typeX of dtypes) {
          const more = { columns, typeW, typeX, alpha: 0.5, beta: -2 };
          assertGemv(isa, { n: 64, k: 67, batch: 14, ...more, bias: "each" });
          assertGemv(isa, { n: 51, k: 64, batch: 14, ...more, bias: "one" });
        }
      }
      // Threads share rows, columns, or what is summed.
      assertGemv(isa, { n: 700, k: 500, columns, typeW: "float16" });
      assertGemv(isa, { n: 3, k: 90_001, columns, typeW: "float32", beta: 1, bias: "one" });
    }
  });
});

Deno.test("mf_linalg_gemv refuses a y that overlaps, and what cannot be", native, () => {
  const memory = new Float32Array(32);
  const record = { n: 4, k: 4, batch: 1, line: 4, lineBias: 0, alpha: 1, beta: 0 };
  const gemv = (more: Partial<Parameters<typeof vectorsRecord>[0]>, at = 28) => () =>
    invoke((call) =>
      library().symbols.mf_linalg_gemv(
        vectorsRecord({ ...record, typeW: 0, typeX: 0, typeBias: 0, columns: false, ...more }),
        memory.subarray(0, 16),
        memory.subarray(16, 20),
        memory.subarray(20, 24),
        memory.subarray(at, at + 4),
        call,
      )
    );
  gemv({})();
  assert.throws(gemv({}, 13), { name: "RangeError", message: /y overlaps w/ });
  assert.throws(gemv({}, 17), { name: "RangeError", message: /y overlaps x/ });
  assert.throws(gemv({}, 21), { name: "RangeError", message: /y overlaps bias/ });
  assert.throws(gemv({ line: 3 }), { name: "RangeError", message: /line/ });
  assert.throws(gemv({ typeX: 7 }), { name: "TypeError", message: /type_x/ });
});

Deno.test("products of the cpu backend say which kernels ran", native, async () => {
  const { linalg, isa } = createCpuBackend();
  const dense = (rows: number, columns: number, dtype: Element = "float32"): Dense => {
    const data = encodeNumbers(new Float32Array(rows * columns).fill(1), dtype);
    return { data, rows, columns, dtype };
  };
  const variants = async (done: Promise<{ run: { variants: string[] } }>) =>
    (await done).run.variants;
  assert.deepEqual(await variants(linalg.gemm(dense(100, 90), dense(90, 80))), [
    `gemm_nn_f32_${isa}`,
  ]);
  const how = { transposeA: true, transposeB: true };
  assert.deepEqual(
    await variants(linalg.gemm(dense(90, 100, "float16"), dense(80, 90, "bfloat16"), how)),
    [`gemm_tt_f16_bf16_${isa}`],
  );
  assert.deepEqual(await variants(linalg.gemmAV(dense(100, 90), dense(90, 4))), [
    `gemm_av_f32_${isa}_placed`,
  ]);
  assert.deepEqual(await variants(linalg.gemmAtB(dense(90, 100), dense(90, 4))), [
    `gemm_at_b_f32_${isa}_placed`,
  ]);
  const w = dense(9, 7, "float16");
  assert.deepEqual(await variants(linalg.gemv(w, dense(1, 7))), ["gemv_nt_f16"]);
  assert.deepEqual(await variants(linalg.gemv(w, dense(1, 9), { layout: "nn" })), ["gemv_nn_f16"]);
  await assert.rejects(linalg.gemv(w, dense(1, 7), { variant: "col_vec4" }), {
    name: "RangeError",
    message: /no variant "col_vec4".*"gemv_nt_f16"/,
  });
});

Deno.test("gemm of the cpu backend leaves C as it is, and stops by signal", native, async () => {
  const { linalg } = createCpuBackend();
  const one = (data: HostNumbers): Dense => ({ data, rows: 1, columns: 1, dtype: "float32" });
  const c = one(new Float32Array([3]));
  const two = one(new Float32Array([2]));
  const { value } = await linalg.gemm(two, two, { c, beta: 2, alpha: 0.5 });
  assert.deepEqual([...value.data as Float32Array], [8]);
  assert.deepEqual([...c.data as Float32Array], [3]);
  const stopped = AbortSignal.abort(new Error("enough"));
  await assert.rejects(linalg.gemm(two, two, { signal: stopped }), /enough/);
});

Deno.test("records of products have the header's fields in their places", async () => {
  const path = new URL("../swift/Sources/CMetalFaiss/include/metalfaiss.h", import.meta.url);
  const { structs, enums } = parseHeader(await Deno.readTextFile(path));
  const product = productRecord({
    ...{ m: 1, n: 2, k: 3, lineA: 4, lineB: 5, lineC: 6, alpha: 7, beta: 8 },
    ...{ typeA: 9, typeB: 10, transposeA: true, transposeB: false },
  });
  const vectors = vectorsRecord({
    ...{ n: 1, k: 2, batch: 3, line: 4, lineBias: 5, alpha: 6, beta: 7 },
    ...{ typeW: 8, typeX: 9, typeBias: 10, columns: true },
  });
  const read = (bytes: Uint8Array, struct: string) => {
    const { fields, bytes: size } = structs[struct]!;
    assert.equal(bytes.length, size);
    const view = new DataView(bytes.buffer);
    return Object.values(fields).map(({ type, offset }) =>
      type === "double"
        ? view.getFloat64(offset, true)
        : type === "float"
        ? view.getFloat32(offset, true)
        : view.getUint32(offset, true)
    );
  };
  assert.deepEqual(read(product, "mf_linalg_product"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 0]);
  assert.deepEqual(read(vectors, "mf_linalg_vectors"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]);
  assert.deepEqual(
    Object.fromEntries(Object.entries(GemmVariant).map(([name, bit]) => [`MF_${name}`, bit])),
    enums.mf_linalg_variant,
  );
});
