import assert from "node:assert/strict";
import { normals } from "./grid.ts";
import {
  assertClose,
  type Data,
  dtypes,
  float,
  launch,
  params,
  poison,
  seen,
  stored,
  testAllRan,
} from "./shaders.ts";

const steps = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 };

for (const dtype of dtypes) {
  Deno.test(`layer_norm kernels [${dtype}]`, async () => {
    for (const [rows, columns] of [[1, 1], [5, 33], [9, 64], [7, 100], [6, 256], [3, 300]]) {
      for (const [period, factors] of [[1, false], [1, true], [rows!, true]] as const) {
        const [n, d] = [rows!, columns!];
        const { data, seen: x } = stored(normals(n, d, 1).map((value) => value + 3), dtype);
        const [weight, bias] = [normals(period, d, 2), normals(period, d, 3)];
        const truth = new Float64Array(n * d);
        for (let row = 0; row < n; row++) {
          const from = Array.from(x.subarray(row * d, (row + 1) * d));
          const mean = from.reduce((sum, a) => sum + a, 0) / d;
          const variance = from.reduce((sum, a) => sum + (a - mean) ** 2, 0) / d;
          from.forEach((a, j) => {
            const at = (row % period) * d + j;
            const unit = (a - mean) / Math.sqrt(variance + 1e-6);
            truth[row * d + j] = factors ? unit * weight[at]! + bias[at]! : unit;
          });
        }
        for (const [name, most] of [["v2", 64], ["v4", 128], ["v8", 256], ["long", 300]] as const) {
          if (d > most) continue;
          const out = poison(data.slice() as Data);
          await launch({
            file: "layer_norm.metal",
            kernel: `layer_norm_${dtype}_${name}`,
            args: [data, weight, bias, out],
            params: params(n, d, period, factors, factors, float(1e-6)),
            threadgroups: Math.ceil(n / 4),
            threadgroup: 128,
          });
          const what = `${name} ${n} × ${d} period ${period}`;
          assertClose(seen(out, dtype), truth, steps[dtype], 2e-5, what);
        }
      }
    }
  });

  Deno.test(`soft_cap kernel [${dtype}]`, async () => {
    for (const n of [1, 255, 1024, 1025, 3000]) {
      const special = [0, -0, NaN, Infinity, -Infinity, 0.625, 9.0109, 1e-40, 65504];
      const values = normals(1, n, 1).map((value, i) => special[i] ?? value * 4 ** (i % 9));
      const { data, seen: x } = stored(values, dtype);
      const out = poison(data.slice() as Data);
      await launch({
        file: "soft_cap.metal",
        kernel: `soft_cap_${dtype}`,
        args: [data, out],
        params: params(n, float(15)),
        threadgroups: Math.ceil(n / 1024),
        threadgroup: 256,
      });
      const truth = Array.from(x, (a) => 15 * Math.tanh(a / 15));
      assertClose(seen(out, dtype), truth, steps[dtype] + 8 * steps.f32, 2 ** -25, `${n} numbers`);
    }
  });

  Deno.test(`head_linear kernel [${dtype}]`, async () => {
    for (const [batch, heads, d, outputs] of [[3, 2, 5, 4], [17, 3, 33, 18], [16, 1, 64, 16]]) {
      const [b, h, k, m] = [batch!, heads!, d!, outputs!];
      const x = stored(normals(b * h, k, 1), dtype);
      const w = stored(normals(h * m, k, 2), dtype);
      const { data: out } = stored(new Float32Array(b * h * m), dtype);
      poison(out);
      await launch({
        file: "head_linear.metal",
        kernel: `head_linear_${dtype}_tm16_tn16`,
        args: [x.data, w.data, out],
        params: params(b, h, k, m),
        threadgroups: h * Math.ceil(b / 16) * Math.ceil(m / 16),
        threadgroup: 256,
      });
      const truth = Array.from({ length: b * h * m }, (_, at) => {
        const [row, i] = [Math.floor(at / m), at % m];
        let sum = 0;
        for (let j = 0; j < k; j++) {
          sum += x.seen[row * k + j]! * w.seen[((row % h) * m + i) * k + j]!;
        }
        return sum;
      });
      assertClose(seen(out, dtype), truth, steps[dtype], 1e-5, `${b} ${h} ${k} ${m}`);
    }
  });
}

interface Scan {
  batch: number;
  steps: number;
  d: number;
  from: number;
  to: number;
  precomputed: boolean;
  hasInitial: boolean;
}

/** Runs a scan kernel; the states before `from` are there, those from `to` on stay poisoned. */
async function checkScan(kernel: string, how: Scan): Promise<void> {
  const { batch, steps, d, from, to, precomputed, hasInitial } = how;
  const scale = 0.7 / Math.sqrt(d);
  const x = normals(batch * steps, d, 1);
  const [w, r] = [2, 3].map((seed) => normals(d, d, seed).map((value) => value * scale));
  const [bias, initial] = [normals(1, d, 4), normals(batch, d, 5)];
  const out = poison(new Float32Array(batch * steps * d));
  const truth = new Float64Array(out.length);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < to; t++) {
      const at = (b * steps + t) * d;
      for (let i = 0; i < d; i++) {
        let [input, sum] = [0, bias[i]!];
        for (let j = 0; j < d; j++) {
          input += w![i * d + j]! * x[at + j]!;
          const first = hasInitial ? initial[b * d + j]! : 0;
          sum += r![i * d + j]! * (t > 0 ? truth[at - d + j]! : first);
        }
        truth[at + i] = Math.tanh(sum + input);
        if (t < from) out[at + i] = truth[at + i]!;
        else if (precomputed) out[at + i] = input;
      }
    }
  }
  const start = out.slice();
  const isResident = kernel.includes("d256");
  const common = isResident ? [r!, bias, initial, out] : [x, w!, r!, bias, initial, out];
  const one = (first: number, end: number) => ({
    file: "recurrent.metal",
    kernel,
    args: common,
    params: params(batch, steps, d, first, end, precomputed, hasInitial),
    ...(kernel === "recurrent_step_f32"
      ? { threadgroups: Math.ceil(d / 8) * Math.ceil(batch / 4), threadgroup: 256 }
      : { threadgroups: batch, threadgroup: isResident ? 512 : 1024 }),
  });
  const count = to - from;
  const each = kernel === "recurrent_step_f32"
    ? Array.from({ length: count }, (_, i) => one(from + i, from + i + 1))
    : [one(from, to)];
  await launch(...each);
  for (let b = 0; b < batch; b++) {
    const [first, end, last] = [from, to, steps].map((t) => (b * steps + t) * d);
    const what = `${kernel} ${JSON.stringify(how)}`;
    assertClose(out.subarray(first, end), truth.subarray(first, end), 0, 3e-6, what);
    const after = [end, last] as const;
    assert.deepEqual(out.slice(...after), start.slice(...after), what);
  }
}

Deno.test("recurrent kernels", async () => {
  const whole = { batch: 2, steps: 5, from: 0, to: 5 };
  for (const kernel of ["recurrent_step_f32", "recurrent_scan_f32"]) {
    for (const precomputed of [false, true]) {
      for (const hasInitial of [false, true]) {
        await checkScan(kernel, { ...whole, d: 33, precomputed, hasInitial });
      }
      const part = { batch: 5, steps: 6, from: 2, to: 4, hasInitial: true };
      await checkScan(kernel, { ...part, d: 40, precomputed });
    }
    await checkScan(kernel, { ...whole, d: 1, precomputed: true, hasInitial: false });
  }
  const kernel = "recurrent_scan_f32_d256_r96";
  const how = { ...whole, d: 256, precomputed: true };
  await checkScan(kernel, { ...how, hasInitial: true });
  await checkScan(kernel, { ...how, from: 1, to: 4, hasInitial: false });
  // More numbers than a pass of all simdgroups takes.
  const wide = { ...whole, batch: 1, steps: 2, to: 2, d: 257, hasInitial: true };
  await checkScan("recurrent_scan_f32", { ...wide, precomputed: true });
});

/** Bits that limbs stand for, in units of the sum. */
function unitsOf(limbs: BigInt64Array): bigint {
  return limbs.reduce((sum, limb, i) => sum + (limb << BigInt(16 * i)), 0n);
}

Deno.test("kernels of sums", async () => {
  for (const n of [1, 31, 257, 5000]) {
    const groups = Math.ceil(n / 2048);
    const [x, y] = [normals(1, n, 1), normals(1, n, 2)];
    x[0] = 1000;
    const largest = new Uint32Array(1);
    const on = (kernel: string, args: Data[]) => ({
      file: "compensated.metal",
      kernel,
      args,
      params: params(n, groups),
      threadgroups: groups,
      threadgroup: 256,
    });
    await launch(on("largest_f32", [x, largest]));
    assert.equal(new Float32Array(largest.buffer)[0], 1000);
    // 1,000 is 2^9 times what is in [1, 2).
    const terms = {
      sum: Float64Array.from(x),
      dot: Float64Array.from(x, (a, i) => a * y[i]!),
      norm2: Float64Array.from(x, (a) => (a / 512) ** 2),
    };
    for (const op of ["sum", "dot", "norm2"] as const) {
      const truth = terms[op].reduce((sum, term) => sum + term, 0);
      const size = terms[op].reduce((sum, term) => sum + Math.abs(term), 0);
      for (const [how, error] of [["plain", -18], ["kahan", -21], ["two_float", -42]] as const) {
        const parts = poison(new Float32Array(groups * 5));
        await launch(on(`${op}_${how}_f32`, [x, y, largest, parts]));
        const column = (at: number) => {
          let sum = 0;
          for (let group = 0; group < groups; group++) sum += parts[group * 5 + at]!;
          return sum;
        };
        const what = `${op} ${how} of ${n}`;
        assertClose([column(0) + column(1)], [truth], 0, size * 2 ** error, what);
        assertClose([column(2)], [truth], 0, size * 2 ** -18, `${what}, plain`);
        assertClose([column(3) * 2 ** 64 + column(4)], [size], 1e-5, 0, `${what}, sizes`);
      }
    }
    for (const [kernel, unit] of [["sum_limbs_f32", 149], ["dot_limbs_f32", 298]] as const) {
      const specials = new Uint32Array(1);
      const parts = poison(new BigInt64Array(groups * 40));
      const total = poison(new BigInt64Array(40));
      await launch(on(kernel, [x, y, specials, parts]), {
        ...on("merge_limbs", [parts, total]),
        threadgroups: 1,
        threadgroup: 64,
      });
      const exact = terms[unit === 149 ? "sum" : "dot"].reduce(
        (sum, term) => sum + BigInt(term * 2 ** unit),
        0n,
      );
      assert.equal(unitsOf(total), exact, kernel);
      assert.equal(specials[0], 0);
    }
  }
});

Deno.test("exact sums tell what is not finite", async () => {
  for (const [value, bit] of [[NaN, 1], [Infinity, 2], [-Infinity, 4]] as const) {
    const specials = new Uint32Array(1);
    const parts = poison(new BigInt64Array(40));
    const x = new Float32Array([1, value, 2 ** -149, -(2 ** 127)]);
    await launch({
      file: "compensated.metal",
      kernel: "sum_limbs_f32",
      args: [x, x, specials, parts],
      params: params(4, 1),
      threadgroups: 1,
      threadgroup: 256,
    });
    assert.equal(specials[0], bit);
    assert.equal(unitsOf(parts), (1n << 149n) + 1n - (1n << 276n));
  }
});

for (const file of ["layer_norm", "soft_cap", "head_linear", "recurrent", "compensated"]) {
  testAllRan(`${file}.metal`);
}
