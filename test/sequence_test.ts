import assert from "node:assert/strict";
import type { Backend } from "../lib/backend/backend.ts";
import { createCpuBackend, describeLibrary, setISA, setThreads } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import type { Element, RecurrentInput, RecurrentOptions } from "../lib/backend/linalg.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Tensor } from "../lib/kernel/tensor.ts";
import { decodeNumbers, encodeNumbers } from "../lib/linalg/numbers.ts";
import { type HostMatrix, runOf } from "../lib/linalg/operands.ts";
import {
  headLinear,
  layerNorm,
  mhLayerNorm,
  mhLayernormSimd,
  recurrentScan,
  softCap,
} from "../lib/linalg/sequence.ts";
import { Matrix } from "../lib/matrix.ts";
import { Random } from "../lib/random.ts";
import { testDevice, testEach } from "./grid.ts";
import { onGpu } from "./gpu.ts";
import { isNative } from "./native.ts";

const dtypes: readonly Element[] = ["float32", "float16", "bfloat16"];
/** Half a unit in the last place, relative. */
const half: Record<Element, number> = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 };
/** Half of the least number. */
const least: Record<Element, number> = {
  float32: 2 ** -150,
  float16: 2 ** -25,
  bfloat16: 2 ** -134,
};
const shortNames: Record<Element, string> = { float32: "f32", float16: "f16", bfloat16: "bf16" };

/** rows × columns numbers of a type, and what they stand for. */
function stored(
  rows: number,
  columns: number,
  dtype: Element,
  value: (i: number) => number,
): HostMatrix & { seen: Float32Array } {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => value(i));
  const data = encodeNumbers(values, dtype);
  return { data, rows, columns, dtype, seen: decodeNumbers(data, dtype) };
}

function gaussian(seed: number, scale = 1, offset = 0): () => number {
  const random = new Random(seed);
  return () => offset + scale * random.normal();
}

/** Asserts |actual − expected| ≤ bound everywhere, NaN with NaN. */
function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: (i: number) => number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (Object.is(a, e) || a === e) continue;
    if (!(Math.abs(a - e) <= bound(i))) assert.fail(`${what}: at ${i} ${a}, expected ${e}`);
  }
}

function normalized(
  { seen: x, rows, columns }: HostMatrix & { seen: Float32Array },
  eps: number,
  weight?: Float32Array,
  bias?: Float32Array,
): { value: Float64Array; size: Float64Array } {
  const value = new Float64Array(x.length);
  const size = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    const from = Array.from(x.subarray(row * columns, (row + 1) * columns));
    const mean = from.reduce((sum, a) => sum + a, 0) / columns;
    const variance = from.reduce((sum, a) => sum + (a - mean) ** 2, 0) / columns;
    from.forEach((a, j) => {
      const at = weight ? (row * columns + j) % weight.length : 0;
      const [factor, added] = [weight?.[at] ?? 1, bias?.[at] ?? 0];
      const unit = (a - mean) / Math.sqrt(variance + eps);
      value[row * columns + j] = unit * factor + added;
      size[row * columns + j] = (Math.abs(unit) + 1) * Math.abs(factor) + Math.abs(added);
    });
  }
  return { value, size };
}

/** Rows and columns: nothing, one, odd, those of the published experiment, past registers. */
const shapes = [[0, 5], [1, 1], [3, 1], [5, 31], [7, 33], [16, 64], [9, 96], [4, 128], [5, 192], [
  6,
  257,
], [2, 1500]] as const;

testEach("layerNorm() is near float64's", async (backend) => {
  for (const dtype of dtypes) {
    for (const [rows, columns] of shapes) {
      for (const offset of [0, dtype === "float32" ? 1e5 : 3]) {
        const x = stored(rows, columns, dtype, gaussian(rows + columns, 1, offset));
        const what = `${dtype} ${rows} × ${columns} + ${offset}`;
        const { value: { data }, run } = await backend.linalg.layerNorm(x, 1e-6);
        const truth = normalized(x, 1e-6);
        const bound = (i: number) =>
          truth.size[i]! * 2 ** -20 + Math.abs(truth.value[i]!) * half[dtype] + least[dtype];
        assertNear(decodeNumbers(data as typeof x.data, dtype), truth.value, bound, what);
        assert.equal(run.backend, backend.name);
        if (backend.name !== "reference" && rows > 0) {
          assert.match(run.variants.join(), new RegExp(`^layer_norm_${shortNames[dtype]}`));
        }
      }
    }
  }
});

testEach("layerNorm() takes a weight and a bias, of a row or of heads", async (backend) => {
  for (const [rows, columns, heads] of [[8, 33, 1], [8, 64, 4], [6, 300, 3]] as const) {
    const x = stored(rows, columns, "float32", gaussian(1));
    const weight = stored(heads, columns, "float32", gaussian(2)).seen;
    const bias = stored(heads, columns, "float32", gaussian(3)).seen;
    for (const how of [{ weight, bias }, { weight }, { bias }]) {
      const zeros = { weight: weight.map(() => 1), bias: bias.map(() => 0), ...how };
      const truth = normalized(x, 0.5, zeros.weight, zeros.bias);
      const found = await layerNorm(x, { eps: 0.5, backend, ...how });
      const bound = (i: number) => truth.size[i]! * 2 ** -20;
      assertNear(found.data, truth.value, bound, `${Object.keys(how)}`);
      assert.equal(found.run!.backend, backend.name);
    }
    const wide = new Matrix(x.seen, columns * heads);
    const both = await mhLayerNorm(wide, heads, { eps: 0.5, weight, bias, backend });
    const truth = normalized(x, 0.5, weight, bias);
    assertNear(both.data, truth.value, (i) => truth.size[i]! * 2 ** -20, "mhLayerNorm");
    assert.equal(both.columns, columns * heads);
  }
  const row = await mhLayernormSimd([[1, 3]], undefined, { backend });
  assertNear(row.data, [-1, 1], () => 1e-6, "mhLayernormSimd");
});

testEach("layerNorm() keeps NaN to its row, and makes NaN of infinities", async (backend) => {
  for (const columns of [40, 400]) {
    const x = stored(4, columns, "float32", gaussian(1));
    x.seen[1 * columns + 7] = NaN;
    x.seen[3 * columns + 9] = -Infinity;
    const { data } = await layerNorm(x, { backend });
    for (let i = 0; i < data.length; i++) {
      assert.equal(Number.isNaN(data[i]), Math.floor(i / columns) % 2 === 1, `${i}`);
    }
    // No variance: nothing but eps to divide by.
    const flat = await layerNorm(stored(2, columns, "float32", () => 7), { backend });
    assertNear(flat.data, new Float32Array(2 * columns), () => 1e-3, "constant rows");
  }
});

/** Numbers from tiny to huge of both signs, with what is special. */
function capped(n: number): Float32Array {
  const random = new Random(5);
  const special = [0, -0, Infinity, -Infinity, NaN, 2 ** -149, -(2 ** -149), 3.4e38, 0.625, 9.0109];
  return Float32Array.from({ length: n }, (_, i) => {
    return special[i] ?? random.normal() * 2 ** (random.integer(24) - 16);
  });
}

testEach(
  "softCap() errs by 4 units in the last place, is odd, and stays below the cap",
  async (backend) => {
    for (const dtype of dtypes) {
      for (const cap of [15, 1, 30.5]) {
        for (const n of [0, 1, 5, 1023, 5003]) {
          const values = capped(n);
          const x = stored(1, n, dtype, (i) => values[i]!);
          const { value: { data } } = await backend.linalg.softCap(x, cap);
          const found = decodeNumbers(data as typeof x.data, dtype);
          const truth = Array.from(x.seen, (a) => cap * Math.tanh(a / cap));
          const bound = (i: number) =>
            Math.abs(truth[i]!) * (8 * half.float32 + half[dtype]) + 8 * least.float32 +
            least[dtype];
          const what = `${dtype} ${n} by ${cap}`;
          assertNear(found, truth, bound, what);
          const most = decodeNumbers(encodeNumbers([cap], dtype), dtype)[0]!;
          found.forEach((a, i) => {
            assert.ok(!(Math.abs(a) > most), `${what}: ${a}`);
            assert.equal(Object.is(a, -0), Object.is(x.seen[i], -0) || (a === 0 && x.seen[i]! < 0));
          });
          const negative = stored(1, n, dtype, (i) => -values[i]!);
          const other = (await backend.linalg.softCap(negative, cap)).value.data;
          const mirrored = decodeNumbers(other as typeof x.data, dtype);
          // Without the signs of zeros and of NaN.
          assert.deepEqual(Array.from(mirrored, (a) => -a + 0), Array.from(found, (a) => a + 0));
        }
      }
    }
  },
);

testEach("softCap() is monotone", async (backend) => {
  // Neighbours about where tanh changes its formula, its binade, and where it ends.
  for (const middle of [0.1, 0.5, 0.625, 1, 2.42, 9.01]) {
    const x = new Float32Array(2000);
    const bits = new Uint32Array(x.buffer);
    const first = new Uint32Array(new Float32Array([middle]).buffer)[0]! - 1000;
    for (let i = 0; i < bits.length; i++) bits[i] = first + i;
    const { data } = await softCap(x, 1, { backend });
    for (let i = 1; i < data.length; i++) assert.ok(data[i]! >= data[i - 1]!, `${x[i]}`);
  }
});

testEach("headLinear() is near float64's", async (backend) => {
  const cases = [[32, 8, 64, 64], [3, 2, 96, 96], [2, 16, 64, 5], [1, 1, 1, 1], [5, 3, 33, 17], [
    17,
    1,
    70,
    40,
  ], [0, 2, 4, 4]] as const;
  for (const dtype of dtypes) {
    for (const [batch, heads, d, outputs] of cases) {
      const x = stored(batch * heads, d, dtype, gaussian(1));
      const w = stored(heads * outputs, d, dtype, gaussian(2));
      const { value: { data, rows, columns } } = await backend.linalg.headLinear(x, w, heads);
      assert.deepEqual([rows, columns], [batch * heads, outputs]);
      const [truth, size] = [new Float64Array(rows * columns), new Float64Array(rows * columns)];
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < outputs; i++) {
          for (let j = 0; j < d; j++) {
            const product = x.seen[row * d + j]! * w.seen[((row % heads) * outputs + i) * d + j]!;
            truth[row * outputs + i]! += product;
            size[row * outputs + i]! += Math.abs(product);
          }
        }
      }
      const bound = (i: number) =>
        size[i]! * (d + 2) * 2 ** -24 + Math.abs(truth[i]!) * half[dtype] + least[dtype];
      const found = decodeNumbers(data as typeof x.data, dtype);
      assertNear(found, truth, bound, `${dtype} ${batch} ${heads} ${d} ${outputs}`);
    }
  }
});

/** Sequences whose states neither die away nor stick to ±1. */
function sequences(batch: number, steps: number, d: number, first: boolean): RecurrentInput {
  const make = (n: number, seed: number, scale: number) => {
    return Float32Array.from({ length: n }, gaussian(seed, scale));
  };
  const scale = 0.7 / Math.sqrt(d);
  return {
    x: make(batch * steps * d, 1, 1),
    w: make(d * d, 2, scale),
    r: make(d * d, 3, scale),
    bias: make(d, 4, 0.1),
    h0: first ? make(batch * d, 5, 0.5) : undefined,
    batch,
    steps,
    d,
  };
}

const ways: RecurrentOptions[] = [
  {},
  { chunk: 1 },
  { chunk: 7 },
  { chunk: 1000 },
  { precompute: false },
  { chunk: 3, streams: 2 },
  { chunk: 2, streams: 4 },
];

testEach("recurrentScan() comes to float64's states by every way", async (backend) => {
  const reference = createReferenceBackend();
  const cases: [batch: number, steps: number, d: number, first: boolean][] = [
    [4, 17, 40, true],
    [1, 9, 33, false],
    [5, 8, 5, true],
    [2, 1, 1, true],
    [1, 0, 3, false],
    [0, 3, 3, false],
    [2, 12, 256, true],
  ];
  for (const [batch, steps, d, first] of cases) {
    const input = sequences(batch, steps, d, first);
    const { value: truth } = await reference.linalg.recurrentScan(input);
    for (const how of ways) {
      const { value, run } = await backend.linalg.recurrentScan(input, how);
      const what = `${batch} ${steps} ${d} ${JSON.stringify(how)}`;
      assertNear(value, truth, () => 3e-6, what);
      assert.equal(run.backend, backend.name);
      if (backend.name === "gpu" && value.length > 0) {
        assert.equal(run.variants.includes("gemm_nt_f32_bm64_bn64"), how.precompute !== false);
        assert.ok(run.variants.some((name) => name.startsWith("recurrent_scan_f32")), what);
      }
    }
  }
});

testEach("recurrentScan() passes NaN on, to its own sequence", async (backend) => {
  const input = sequences(2, 6, 20, false);
  input.x[(1 * 6 + 2) * 20] = NaN;
  const { value } = await backend.linalg.recurrentScan(input);
  value.forEach((state, i) => {
    assert.equal(Number.isNaN(state), Math.floor(i / 20) >= 6 + 2, `${i}`);
  });
});

testEach("recurrentScan() stops where it is aborted", async (backend) => {
  const signal = AbortSignal.abort();
  const input = sequences(1, 4, 4, false);
  await assert.rejects(backend.linalg.recurrentScan(input, { signal }), { name: "AbortError" });
});

testEach("recurrentScan() of public arguments", async (backend) => {
  const { x, w, r } = sequences(1, 4, 3, false);
  const matrices = { w: new Matrix(w, 3), r: new Matrix(r, 3) };
  const found = await recurrentScan({ x, ...matrices }, { backend, chunk: 2 });
  assert.deepEqual([found.rows, found.columns], [4, 3]);
  assert.equal(found.run!.backend, backend.name);
  const row = await recurrentScan({ x: new Matrix(x, 3), ...matrices, batch: 2 }, { backend });
  assert.equal(row.rows, 4);
});

async function assertRefused(name: string, message: RegExp, call: () => Promise<unknown>) {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, name, `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

testEach("sequence operations refuse what does not fit", async (backend) => {
  const x = new Matrix(new Float32Array(24), 4);
  for (const eps of [0, -1, NaN, Infinity]) {
    await assertRefused("RangeError", /eps/, () => layerNorm(x, { eps, backend }));
    const dense = { data: x.data, rows: 6, columns: 4, dtype: "float32" } as const;
    await assertRefused("RangeError", /eps/, () => backend.linalg.layerNorm(dense, eps));
  }
  const five = new Float32Array(5);
  await assertRefused("TypeError", /weight has 5/, () => layerNorm(x, { weight: five, backend }));
  await assertRefused("TypeError", /bias has 5/, () => layerNorm(x, { bias: five, backend }));
  const [four, eight] = [new Float32Array(4), new Float32Array(8)];
  await assertRefused(
    "TypeError",
    /weight has 4 numbers, bias has 8/,
    () => layerNorm(x, { weight: four, bias: eight, backend }),
  );
  // Four rows of weights for six rows.
  const sixteen = new Float32Array(16);
  await assertRefused("TypeError", /16 numbers/, () => layerNorm(x, { weight: sixteen, backend }));
  await assertRefused("TypeError", /3 heads do not divide/, () => mhLayerNorm(x, 3, { backend }));
  await assertRefused("RangeError", /heads 0/, () => mhLayerNorm(x, 0, { backend }));
  for (const cap of [0, -15, NaN, Infinity, 1e-60]) {
    await assertRefused("RangeError", /cap/, () => softCap(x, cap, { backend }));
  }
  const w = new Matrix(new Float32Array(32), 4);
  await assertRefused("TypeError", /4 heads do not divide/, () => headLinear(x, w, 4, { backend }));
  await assertRefused("RangeError", /heads 1.5/, () => headLinear(x, w, 1.5, { backend }));
  const wide = new Matrix(new Float32Array(30), 5);
  await assertRefused(
    "TypeError",
    /x is 6 × 4, w is 6 × 5/,
    () => headLinear(x, wide, 2, { backend }),
  );
  const small = { data: new Float16Array(32), rows: 8, columns: 4, dtype: "float16" } as const;
  await assertRefused(
    "TypeError",
    /x is float32, w is float16/,
    () => headLinear(x, small, 2, { backend }),
  );
  const short = { data: new Float32Array(23), rows: 6, columns: 4, dtype: "float32" } as const;
  await assertRefused("TypeError", /23 numbers/, () => backend.linalg.softCap(short, 1));
  await assertRefused("TypeError", /23 numbers/, () => backend.linalg.layerNorm(short, 1));
  const wrong = { ...short, data: new Uint16Array(24) };
  await assertRefused("TypeError", /float32/, () => backend.linalg.softCap(wrong, 1));
});

testEach("recurrentScan() refuses what does not fit", async (backend) => {
  const input = sequences(2, 3, 4, true);
  const { linalg } = backend;
  for (const chunk of [0, -1, 1.5, NaN]) {
    await assertRefused("RangeError", /chunk/, () => linalg.recurrentScan(input, { chunk }));
  }
  await assertRefused("RangeError", /streams 0/, () => linalg.recurrentScan(input, { streams: 0 }));
  for (const what of ["x", "w", "r", "bias", "h0"] as const) {
    const wrong = { ...input, [what]: new Float32Array(3) };
    await assertRefused(
      "TypeError",
      new RegExp(`${what} has 3 numbers`),
      () => linalg.recurrentScan(wrong),
    );
  }
  const square = new Matrix(input.w, 4);
  const { x } = input;
  await assertRefused(
    "TypeError",
    /r is 2 × 8/,
    () => recurrentScan({ x, w: square, r: new Matrix(input.r, 8) }, { backend }),
  );
  await assertRefused(
    "TypeError",
    /no multiple of 7 sequences/,
    () => recurrentScan({ x, w: square, r: square, batch: 7 }, { backend }),
  );
});

Deno.test("tensors stay on their device", onGpu, async () => {
  const device = testDevice();
  for (const dtype of dtypes) {
    const values = Array.from({ length: 3 * 2 * 40 }, gaussian(1));
    using x = Tensor.from(new Float32Array(values), [3, 2, 40], dtype, device);
    const weights = new Float32Array(2 * 5 * 40).map(gaussian(2));
    using w = Tensor.from(weights, [2, 5, 40], dtype, device);
    using norms = await mhLayernormSimd(x, 1e-6);
    using caps = await softCap(x, 2);
    using heads = await headLinear(x, w, 2);
    assert.deepEqual([norms.shape, caps.shape], [x.shape, x.shape]);
    assert.deepEqual([heads.shape, heads.dtype, norms.dtype], [[3, 2, 5], dtype, dtype]);
    assert.equal(runOf(norms)!.backend, "gpu");
    assert.equal(runOf(heads)!.variants.length, 1);
    const host = {
      data: encodeNumbers(await x.data<Float32Array>(), dtype),
      rows: 6,
      columns: 40,
      dtype,
    };
    const backend = createGpuBackend(device);
    const same = await backend.linalg.layerNorm(host, 1e-6);
    assert.deepEqual(
      Array.from(await norms.data<Float32Array>()),
      Array.from(decodeNumbers(same.value.data as Float32Array, dtype)),
    );
    // Rows from the middle of a tensor.
    using some = x.slice(1, 3);
    using someNorms = await layerNorm(some);
    assert.deepEqual(
      Array.from(await someNorms.data<Float32Array>()),
      Array.from(await norms.data<Float32Array>()).slice(80),
    );
    using turned = x.transpose();
    await assertRefused("TypeError", /follow each other/, () => layerNorm(turned));
    await assertRefused(
      "TypeError",
      /one of x and w is a Tensor/,
      () => headLinear(x, host as unknown as Tensor, 2),
    );
  }
  using whole = Tensor.from(new Int32Array(8), [2, 4], "int32", device);
  await assertRefused("TypeError", /int32/, () => layerNorm(whole));
});

Deno.test("other backends take no tensors", onGpu, async () => {
  using x = Tensor.zeros([2, 4], "float32", testDevice());
  for (const backend of [createReferenceBackend(), createCpuBackend()]) {
    await assertRefused("TypeError", /no Tensor/, () => layerNorm(x, { backend }));
    await assertRefused("TypeError", /no Tensor/, () => softCap(x, 1, { backend }));
  }
});

Deno.test("sequence kernels of the cpu agree on every instruction set and number of threads", {
  ignore: !isNative,
}, async () => {
  const { linalg } = createCpuBackend();
  const { isas, isa, threads } = describeLibrary();
  const reference = createReferenceBackend().linalg;
  const input = sequences(6, 30, 50, true);
  const check = async (backend: Backend["linalg"], name: string) => {
    for (const dtype of dtypes) {
      const [x, w] = [stored(600, 130, dtype, gaussian(1)), stored(44, 130, dtype, gaussian(2))];
      const values = capped(78_000);
      const c = stored(600, 130, dtype, (i) => values[i]!);
      for (
        const run of [
          (of: Backend["linalg"]) => of.layerNorm(x, 1e-6),
          (of: Backend["linalg"]) => of.softCap(c, 15),
          (of: Backend["linalg"]) => of.headLinear(x, w, 4),
        ]
      ) {
        const [found, truth] = [await run(backend), await run(reference)];
        const read = ({ value }: typeof found) => decodeNumbers(value.data as typeof x.data, dtype);
        const expected = read(truth);
        const bound = (i: number) => Math.abs(expected[i]!) * 3 * half[dtype] + 2e-5;
        assertNear(read(found), expected, bound, `${name} ${found.run.variants}`);
      }
    }
    const { value } = await backend.recurrentScan(input, { chunk: 8 });
    const { value: truth } = await reference.recurrentScan(input);
    assertNear(value, truth, () => 3e-6, `${name} recurrent scan`);
  };
  try {
    for (const name of isas) {
      setISA(name);
      for (const count of [1, 3]) {
        setThreads(count);
        await check(linalg, `${name} ${count}`);
      }
    }
  } finally {
    setISA(isa);
    setThreads(threads);
  }
});
