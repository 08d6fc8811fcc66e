import assert from "node:assert/strict";
import manifest from "../data/variants/gemv.json" with { type: "json" };
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { recordGemvEpilogue } from "../lib/backend/gpu/linalg/gemv.ts";
import { GpuContext } from "../lib/backend/gpu/context.ts";
import type { Dense, GemvOptions } from "../lib/backend/linalg.ts";
import { createReferenceBackend } from "../lib/backend/reference/mod.ts";
import { Tensor } from "../lib/kernel/mod.ts";
import { normals } from "./grid.ts";
import { bufferOf } from "./gpu.ts";
import {
  assertClose,
  device,
  type Dtype,
  float,
  launch,
  params,
  poison,
  seen,
  stored,
  testAllRan,
} from "./shaders.ts";

const files = ["gemv.metal", "gemv_probes.metal", "gemv_tiled.metal"];
const short: Record<string, Dtype> = { float16: "f16", float32: "f32", bfloat16: "bf16" };
/** Units in the last place of a result, relative. */
const rounding: Record<Dtype, number> = { f32: 2 ** -23, f16: 2 ** -11, bf16: 2 ** -8 };

interface Product {
  n: number;
  k: number;
  batch: number;
  /** Elements more in each line of W, which are NaN. */
  more: number;
  alpha: number;
  beta: number;
  /** Biases: none, one for all, or one a matrix. */
  biases: 0 | 1 | 2;
  /** Whether rows start at multiples of 16 bytes. */
  aligned?: boolean;
  /** Put into W[0, 0] and x[0]. */
  odd?: [w: number, x: number];
}

type Variant = typeof manifest.variants[number];

/** Runs a kernel and compares all of y with float64. */
async function check(variant: Variant, how: Product): Promise<void> {
  const { n, k, batch, more, alpha, beta, biases, aligned = false, odd } = how;
  const isNN = variant.supports.layouts[0] === "nn";
  const [rows, columns] = isNN ? [k, n] : [n, k];
  const line = columns + more;
  const [typeW, typeX] = [short[variant.dtype]!, short[variant.io]!];
  const weights = new Float32Array(batch * rows * line).fill(NaN);
  const values = normals(batch * rows, columns, 1);
  for (let i = 0; i < batch * rows; i++) {
    weights.set(values.subarray(i * columns, (i + 1) * columns), i * line);
  }
  const numbers = normals(batch, k, 2);
  if (odd) [weights[0], numbers[0]] = odd;
  const w = stored(weights, typeW);
  const x = stored(numbers, typeX);
  const bias = stored(normals(Math.max(1, biases === 2 ? batch : 1), n, 3), typeX);
  const c = stored(normals(batch, n, 4), typeX);
  const y = poison(stored(new Float32Array(batch * n), typeX).data);
  const expected: number[] = [];
  const bounds: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let j = 0; j < n; j++) {
      let [sum, size] = [0, 0];
      for (let l = 0; l < k; l++) {
        const at = b * rows * line + (isNN ? l * line + j : j * line + l);
        const product = w.seen[at]! * x.seen[b * k + l]!;
        sum += product;
        size += Math.abs(product);
      }
      const own = bias.seen[(biases === 2 ? b * n : 0) + j]!;
      const result = alpha * sum + (beta === 0 ? 0 : beta * c.seen[b * n + j]!) +
        (biases === 0 ? 0 : own);
      expected.push(result);
      const magnitude = Math.abs(alpha) * size + Math.abs(beta) * 4 + 4;
      bounds.push((k + 4) * 2 ** -24 * magnitude + rounding[typeX] * Math.abs(result));
    }
  }
  if (beta === 0) poison(c.data);
  if (biases === 0) poison(bias.data);
  const { bn, tg } = variant.geometry as { bn: number; tg: number };
  await launch({
    file: variant.file!,
    kernel: variant.kernel!,
    args: [w.data, x.data, bias.data, c.data, y],
    params: params(
      n,
      k,
      line,
      biases === 2 ? n : 0,
      Number(biases > 0) + 2 * Number(aligned),
      float(alpha),
      float(beta),
    ),
    threadgroups: [Math.ceil(n / bn), batch],
    threadgroup: tg,
  });
  const got = seen(y, typeX);
  for (let i = 0; i < expected.length; i++) {
    const what = `${variant.kernel} ${JSON.stringify(how)} element ${i}`;
    if (Number.isFinite(expected[i])) assertClose([got[i]!], [expected[i]!], 0, bounds[i]!, what);
    else assert.equal(got[i], expected[i], what);
  }
}

const kernels = manifest.variants.filter((v) => v.kind === "gpu" && v.epilogue !== "separate");
const families = Map.groupBy(kernels, ({ file, family }) => `${file} ${family}`);
for (const [family, variants] of families) {
  Deno.test(`kernels of ${family}: y = alpha W x + beta c + bias`, async () => {
    const plain = { batch: 1, more: 0, alpha: 1, beta: 0, biases: 0 } as const;
    for (const variant of variants) {
      // Odd sizes and lines; more than a tile; one of each; nothing to sum up; NaN and infinity.
      await check(variant, { n: 67, k: 149, batch: 2, more: 3, alpha: 0.75, beta: -2, biases: 2 });
      await check(variant, { ...plain, n: 40, k: 272, aligned: true, alpha: -1.5, biases: 1 });
      const even = variant.supports.layouts[0] === "nn" ? [33, 21, 7] : [21, 33, 7];
      const [n, k, more] = even as [number, number, number];
      await check(variant, { ...plain, n, k, more, aligned: true, beta: 0.5 });
      await check(variant, { ...plain, n: 1, k: 1, batch: 3 });
      await check(variant, { ...plain, n: 3, k: 0, beta: 2, biases: 1 });
      await check(variant, { ...plain, n: 9, k: 16, odd: [Infinity, 1] });
      await check(variant, { ...plain, n: 9, k: 16, odd: [1, NaN] });
    }
  });
}

Deno.test("gemv_epilogue_f16 puts alpha, beta and bias onto what is there", async () => {
  const context = new GpuContext(device());
  const half = (...values: number[]) => bufferOf(Float16Array.from(values));
  using bias = half(10, 20, 30);
  using c = half(1, 2, 3, 4, 5, 6);
  using y = half(1, 1, 1, 2, 2, 2);
  const commands = device().stream.commands();
  const args = [bias, c, y].map((buffer) => ({ buffer, offset: 0 }));
  const words = Uint32Array.of(3, 0, 0, 0, 1, 0x40000000, 0xbf800000); // alpha 2, beta -1
  recordGemvEpilogue(context, commands, args, { params: words, threads: [3, 2] });
  assert.equal((await commands.commit().completed).threads, 6);
  assert.deepEqual([...y.readSync(new Float16Array(6))], [11, 20, 29, 10, 19, 28]);
});

const dense = (rows: number, columns: number, seed: number): Dense<Float32Array> => ({
  data: normals(rows, columns, seed),
  rows,
  columns,
  dtype: "float32",
});

/** The same numbers in another type, of the host. */
function as(from: Dense<Float32Array>, dtype: Dense["dtype"]): Dense {
  if (dtype === "float32") return from;
  const { data } = stored(from.data, short[dtype]!);
  return {
    ...from,
    dtype,
    data: dtype === "float16" ? new Float16Array(data.buffer as ArrayBuffer) : data as Uint16Array,
  };
}

Deno.test("gemv agrees with the reference, whatever the types and shapes", async () => {
  const { linalg } = createGpuBackend(device());
  const oracle = createReferenceBackend().linalg;
  const types = ["float32", "float16", "bfloat16"] as const;
  for (const typeW of types) {
    for (const typeX of types) {
      for (const layout of ["nt", "nn"] as const) {
        for (const [n, k, batch] of [[5, 3, 1], [33, 300, 1], [9, 64, 3], [1, 0, 2], [0, 4, 1]]) {
          const w = as(
            layout === "nt" ? dense(n! * batch!, k!, 1) : dense(k! * batch!, n!, 1),
            typeW,
          );
          const x = as(dense(batch!, k!, 2), typeX);
          const how: GemvOptions = {
            layout,
            batch,
            alpha: -0.5,
            beta: 2,
            y: as(dense(batch!, n!, 3), typeX),
            bias: dense(1, n!, 4),
          };
          const { value, run } = await linalg.gemv(w, x, how);
          const wanted = (await oracle.gemv(w, x, how)).value;
          assert.equal(value.dtype, typeX);
          assert.deepEqual([value.rows, value.columns], [batch, n]);
          const [a, b] = [value, wanted].map(({ data }) =>
            seen(
              new Uint8Array((data as Float32Array).buffer).slice() && asData(data),
              short[typeX]!,
            )
          );
          const tolerance = { f32: 2e-6, f16: 2 ** -10, bf16: 2 ** -7 }[short[typeX]!];
          assertClose(a!, b!, tolerance, tolerance * 16, `${typeW} ${typeX} ${layout} ${n} ${k}`);
          assert.equal(run.variants.length, n === 0 ? 0 : 1);
          if (n! > 0) assert.ok(run.threads >= n! * batch!);
        }
      }
    }
  }
});

/** Halves as the bits that `seen` takes. */
function asData(data: Dense["data"]): Float32Array | Uint16Array {
  return data instanceof Float16Array ? new Uint16Array(data.buffer) : data as Float32Array;
}

Deno.test("gemv of tensors stays on the device, also where they begin between 16 bytes", async () => {
  const on = device();
  const { linalg } = createGpuBackend(on);
  const all = normals(20, 24, 5);
  using weights = Tensor.from(all, [20, 24], "float16", on);
  using x = Tensor.from(normals(1, 25, 6), [1, 25], "float16", on);
  for (const first of [0, 1]) {
    using rows = weights.slice(first, 20);
    using odd = Tensor.from(normals(1, 24, 7), [1, 24], "float16", on);
    const w: Dense = { data: rows, rows: 20 - first, columns: 24, dtype: "float16" };
    const { value, run } = await linalg.gemv(w, {
      data: odd,
      rows: 1,
      columns: 24,
      dtype: "float16",
    }, {
      variant: "gemv_nt_f16_bn8_tg128_l16_u7",
    });
    assert.ok(value.data instanceof Tensor);
    using result = value.data;
    assert.deepEqual(result.shape, [1, 20 - first]);
    const [ws, xs] = [await rows.data(), await odd.data()] as Float16Array[];
    const wanted = Array.from({ length: 20 - first }, (_, j) => {
      let sum = 0;
      for (let l = 0; l < 24; l++) sum += ws![j * 24 + l]! * xs![l]!;
      return sum;
    });
    assertClose(Float32Array.from(await result.data<Float16Array>()), wanted, 1e-3, 1e-2, "y");
    assert.deepEqual(run.variants, ["gemv_nt_f16_bn8_tg128_l16_u7"]);
    assert.equal(run.threads, Math.ceil((20 - first) / 8) * 128);
  }
  // A row that begins at byte 2.
  using flat = x.reshape([25, 1]);
  using late = flat.slice(1);
  const one: Dense = { data: late.reshape([1, 24]), rows: 1, columns: 24, dtype: "float16" };
  const w: Dense = { data: weights, rows: 20, columns: 24, dtype: "float16" };
  const { value } = await linalg.gemv(w, one);
  using result = value.data as Tensor;
  const [ws, xs] = [await weights.data(), await late.data()] as Float16Array[];
  let first = 0;
  for (let l = 0; l < 24; l++) first += ws![l]! * xs![l]!;
  assertClose([(await result.data())[0] as number], [first], 1e-3, 1e-2, "y");
  (one.data as Tensor).dispose();
});

Deno.test("gemv refuses what it cannot do, by name", async () => {
  const on = device();
  const { linalg } = createGpuBackend(on);
  const w = dense(4, 6, 1);
  const refused = (kind: ErrorConstructor, message: RegExp, body: Promise<unknown>) =>
    assert.rejects(body, (error: Error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  await refused(
    RangeError,
    /no variant "fast"/,
    linalg.gemv(w, dense(1, 6, 2), { variant: "fast" }),
  );
  await refused(
    RangeError,
    /it multiplies float16 by float16, not float32 by float32/,
    linalg.gemv(w, dense(1, 6, 2), { variant: "gemv_nt_f16_bn8_tg128_l16_u7" }),
  );
  await refused(
    RangeError,
    /layout nn is not among nt/,
    linalg.gemv(dense(6, 4, 1), dense(1, 6, 2), {
      layout: "nn",
      variant: "gemv_nt_f32_bn8_tg128_l16_u7",
    }),
  );
  await refused(TypeError, /W is 4 × 6/, linalg.gemv(w, dense(1, 5, 2)));
  await refused(TypeError, /there is no y/, linalg.gemv(w, dense(1, 6, 2), { beta: 1 }));
  using half = Tensor.from(normals(1, 6, 3), [1, 6], "float16", on);
  const x: Dense = { data: half, rows: 1, columns: 6, dtype: "float16" };
  await refused(TypeError, /must be of one type/, linalg.gemv(w, x));
});

for (const file of files) testAllRanBut(file);

/** The epilogue has a test of its own. */
function testAllRanBut(file: string): void {
  if (file !== "gemv.metal") return testAllRan(file);
  Deno.test(`every kernel of ${file} is in the manifest, or the epilogue`, () => {
    const names = [...device().shader(file).functionNames].sort();
    const known = kernels.filter((v) => v.file === file).map(({ kernel }) => kernel!);
    assert.deepEqual([...known, "gemv_epilogue_f16"].sort(), names);
  });
}
