import assert from "node:assert/strict";
import { CompileError, DeviceError } from "../lib/errors.ts";
import {
  type DType,
  gpu,
  type KernelCall,
  metalKernel,
  type MetalKernelOptions,
  Tensor,
} from "../lib/kernel/mod.ts";
import { Random } from "../lib/random.ts";
import { device, hasCompiler, onGpu } from "./gpu.ts";

const from = (
  values: Parameters<typeof Tensor.from>[0],
  shape?: readonly number[],
  dtype?: DType,
) => Tensor.from(values, shape, dtype, device());

const exp = metalKernel({
  name: "myexp",
  inputNames: ["inp"],
  outputNames: ["out"],
  source: `
    uint elem = thread_position_in_grid.x;
    T tmp = inp[elem];
    out[elem] = metal::exp(tmp);
  `,
});

async function run(
  kernel: (call: KernelCall) => Promise<Tensor[]>,
  call: KernelCall,
): Promise<number[]> {
  const [out, ...others] = await kernel(call);
  const values = [...await out!.data()].map(Number);
  for (const tensor of [out!, ...others]) tensor.dispose();
  return values;
}

Deno.test("metalKernel() runs MLX's elementwise exp, for each type", onGpu, async () => {
  const values = Array.from({ length: 4 * 16 }, (_, i) => Math.sin(i) * 2);
  for (
    const [dtype, error] of [["float32", 1e-6], ["float16", 2e-3], ["bfloat16", 2e-2]] as const
  ) {
    using x = from(values, [4, 16], dtype);
    const y = await run(exp, {
      inputs: [x],
      template: { T: dtype },
      grid: [x.size, 1, 1],
      threadgroup: [256, 1, 1],
      outputShapes: [x.shape],
      outputDtypes: [x.dtype],
    });
    const inputs = [...await x.data()].map(Number);
    for (const [i, value] of y.entries()) {
      assert.ok(Math.abs(value / Math.exp(inputs[i]!) - 1) < error, `${dtype} ${i}: ${value}`);
    }
    assert.equal(exp.lastRun!.kernel, `custom_kernel_myexp_${dtype}_${dtype}_${dtype}`);
    assert.equal(exp.lastRun!.threads, 64);
  }
});

Deno.test("metalKernel() runs MLX's strided exp without a copy", onGpu, async () => {
  const strided = metalKernel({
    name: "myexp_strided",
    inputNames: ["inp"],
    outputNames: ["out"],
    source: `
      uint elem = thread_position_in_grid.x;
      // Utils from mlx are included automatically
      uint loc = elem_to_loc(elem, inp_shape, inp_strides, inp_ndim);
      T tmp = inp[loc];
      // Output arrays are always row contiguous
      out[elem] = metal::exp(tmp);
    `,
    ensureRowContiguous: false,
  });
  using x = from(Float32Array.from({ length: 24 }, (_, i) => i / 10), [2, 3, 4]);
  using t = x.transpose(2, 0, 1);
  const y = await run(strided, {
    inputs: [t],
    template: [["T", "float32"]],
    grid: [24, 1, 1],
    threadgroup: [256, 1, 1],
    outputShapes: [t.shape],
    outputDtypes: ["float32"],
  });
  const expected = [...t.dataSync()].map((value) => Math.exp(Number(value)));
  assert.ok(y.every((value, i) => Math.abs(value / expected[i]! - 1) < 1e-6), `${y}`);
});

Deno.test("metalKernel() copies inputs whose rows do not follow each other", onGpu, async () => {
  const copy = metalKernel({
    name: "plain_copy",
    inputNames: ["inp"],
    outputNames: ["out"],
    source: "uint i = thread_position_in_grid.x; out[i] = inp[i];",
  });
  const random = new Random(3);
  for (const dtype of ["float32", "uint8", "float16", "int64"] as const) {
    for (const shape of [[5, 7], [2, 3, 4], [1, 9, 1, 3], [3, 1]]) {
      const size = shape.reduce((a, b) => a * b, 1);
      using x = from(Array.from({ length: size }, (_, i) => i), shape, dtype);
      using t = x.transpose(...random.permutation(shape.length));
      using view = t.slice(t.shape[0]! > 1 ? 1 : 0);
      const y = await run(copy, {
        inputs: [view],
        grid: [view.size, 1, 1],
        threadgroup: [64, 1, 1],
        outputShapes: [view.shape],
        outputDtypes: [dtype],
      });
      assert.deepEqual(y, [...view.dataSync()].map(Number), `${dtype} ${shape}`);
    }
  }
});

Deno.test(
  "metalKernel() copies more rows than a grid has room for, and scalars",
  onGpu,
  async () => {
    const scale = metalKernel({
      name: "scale_all",
      inputNames: ["inp", "factor"],
      outputNames: ["out"],
      source: "uint i = thread_position_in_grid.x; out[i] = inp[i] * factor;",
    });
    const rows = 40_000;
    using x = from(Float32Array.from({ length: rows * 2 }, (_, i) => i), [2, rows]);
    using view = x.transpose();
    using factors = from([1, 2, 4], [3]);
    using row = factors.slice(2);
    // No multiple of 256 bytes into its buffer.
    using factor = row.reshape([]);
    const y = await run(scale, {
      inputs: [view, factor],
      grid: [view.size, 1, 1],
      threadgroup: [256, 1, 1],
      outputShapes: [view.shape],
      outputDtypes: ["float32"],
    });
    assert.deepEqual(y, [...view.dataSync()].map((value) => Number(value) * 4));
  },
);

Deno.test("metalKernel() makes outputs atomic, and fills them first", onGpu, async () => {
  const histogram = metalKernel({
    name: "histogram",
    inputNames: ["x"],
    outputNames: ["counts"],
    source: `
      uint i = thread_position_in_grid.x;
      atomic_fetch_add_explicit(&counts[x[i]], 1, memory_order_relaxed);`,
    atomicOutputs: true,
  });
  using x = from(Uint32Array.from({ length: 1000 }, (_, i) => i * i % 8));
  const expected = new Array<number>(8).fill(0);
  for (const value of x.dataSync()) expected[Number(value)]!++;
  for (const initValue of [0, 5, -1]) {
    const counts = await run(histogram, {
      inputs: [x],
      grid: [1000, 1, 1],
      threadgroup: [100, 1, 1],
      outputShapes: [[8]],
      outputDtypes: ["int32"],
      initValue,
    });
    assert.deepEqual(counts, expected.map((count) => count + initValue));
  }
});

Deno.test("metalKernel() adds floats atomically", onGpu, async () => {
  const sum = metalKernel({
    name: "atomic_sum",
    inputNames: ["x"],
    outputNames: ["total"],
    source:
      `atomic_fetch_add_explicit(&total[0], x[thread_position_in_grid.x], memory_order_relaxed);`,
    atomicOutputs: true,
  });
  using x = from(Float32Array.from({ length: 500 }, (_, i) => i));
  const call: KernelCall = {
    inputs: [x],
    grid: [500, 1, 1],
    threadgroup: [64, 1, 1],
    outputShapes: [[1]],
    outputDtypes: ["float32"],
    initValue: 0,
  };
  assert.deepEqual(await run(sum, call), [124750]);
});

Deno.test("metalKernel() reduces over simdgroups and threadgroups", onGpu, async () => {
  const rowSum = metalKernel({
    name: "row_sum",
    inputNames: ["x", "columns"],
    outputNames: ["sums"],
    header: "#include <metal_simdgroup>\n#define ROW threadgroup_position_in_grid.y\n",
    source: `
      threadgroup float partial[32];
      float sum = 0;
      for (uint j = thread_index_in_threadgroup; j < columns; j += threads_per_threadgroup.x)
        sum += x[ROW * columns + j];
      sum = simd_sum(sum);
      if (thread_index_in_simdgroup == 0) partial[simdgroup_index_in_threadgroup] = sum;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (thread_index_in_threadgroup == 0) {
        float all = 0;
        for (uint i = 0; i < simdgroups_per_threadgroup; i++) all += partial[i];
        sums[ROW] = all;
      }`,
  });
  using x = from(Float32Array.from({ length: 3 * 500 }, (_, i) => i % 11), [3, 500]);
  const sums = await run(rowSum, {
    inputs: [x, { value: 500, dtype: "uint32" }],
    grid: [128, 3, 1],
    threadgroup: [128, 1, 1],
    outputShapes: [[3]],
    outputDtypes: ["float32"],
  });
  const data = [...x.dataSync()].map(Number);
  assert.deepEqual(
    sums,
    [0, 1, 2].map((row) => data.slice(row * 500, row * 500 + 500).reduce((a, b) => a + b)),
  );
});

Deno.test("metalKernel() passes integers, booleans and types to templates", onGpu, async () => {
  const kernel = metalKernel({
    name: "templated",
    inputNames: ["x"],
    outputNames: ["y"],
    source: `
      uint i = thread_position_in_grid.x;
      T value = T(x[i]) * N;
      y[i] = NEGATE ? -value : value;`,
  });
  using x = from([1, 2, 3]);
  const call = (template: KernelCall["template"]): KernelCall => ({
    inputs: [x],
    template: template!,
    grid: [3, 1, 1],
    threadgroup: [3, 1, 1],
    outputShapes: [[3]],
    outputDtypes: ["float32"],
  });
  assert.deepEqual(await run(kernel, call({ T: "float32", N: 4, NEGATE: true })), [-4, -8, -12]);
  assert.deepEqual(await run(kernel, call([["T", "int32"], ["N", -2], ["NEGATE", false]])), [
    -2,
    -4,
    -6,
  ]);
  for (
    const template of [{ T: "float64" }, { N: 1.5 }, { N: 2 ** 40 }, { "a b": 1 }, { N: null }]
  ) {
    await assert.rejects(kernel(call(template as unknown as { N: number })), TypeError);
  }
  await assert.rejects(kernel(call({ T: "float32" })), CompileError);
});

Deno.test("metalKernel() takes scalars, and inputs and outputs of any number", onGpu, async () => {
  const kernel = metalKernel({
    name: "many",
    inputNames: ["a", "b", "c", "d", "few"],
    outputNames: ["sum", "flags", "size"],
    source: `
      uint i = thread_position_in_grid.x;
      sum[i] = a + float(b) + float(d) + few[i];
      flags[i] = c;
      if (i == 0) size[0] = few_shape[0] * 10 + few_ndim;`,
  });
  using few = from([10, 20, 30]);
  using d = from(5, [], "int32");
  const outputs = await kernel({
    inputs: [1.5, 2n, true, d, few],
    grid: [3, 1, 1],
    threadgroup: [32, 1, 1],
    outputShapes: [[3], [3], []],
    outputDtypes: ["float32", "bool", "int32"],
  });
  assert.deepEqual(outputs.map((t) => [...t.dataSync()]), [[18.5, 28.5, 38.5], [1, 1, 1], [31]]);
  assert.equal(outputs[2]!.item(), 31);
  assert.match(
    kernel.lastRun!.kernel,
    /_float32s_int64s_bools_int32s_float32c_float32_bool_int32$/,
  );
  for (const output of outputs) output.dispose();
});

Deno.test(
  "metalKernel() finds attributes by token, not in comments, strings or names",
  onGpu,
  async () => {
    const kernel = metalKernel({
      name: "tokens",
      inputNames: ["x"],
      outputNames: ["y"],
      header: `struct Sizes { uint grid_size; };
      // thread_position_in_threadgroup is not used
      inline float twice(float v) { return 2 * v; }`,
      source: `
      /* threads_per_grid */
      uint my_x_shape = 1, x_stridesy = 2, thread_position_in_grid2 = 3;
      Sizes sizes; sizes.grid_size = 4;
      uint i = thread_position_in_grid.x;
      y[i] = twice(x[i]) + my_x_shape + x_stridesy + thread_position_in_grid2 + sizes.grid_size;`,
    });
    using x = from([1, 2]);
    const call: KernelCall = {
      inputs: [x],
      grid: [2, 1, 1],
      threadgroup: [2, 1, 1],
      outputShapes: [[2]],
      outputDtypes: ["float32"],
    };
    const logged = await capture(() =>
      run(kernel, { ...call, verbose: true }).then((y) => assert.deepEqual(y, [12, 14]))
    );
    assert.equal(kernel.source(call), logged);
    const signature = logged.slice(logged.indexOf("[[kernel]]"), logged.indexOf(") {\n#line"));
    assert.match(signature, /const constant float\* x \[\[buffer\(0\)\]\]/);
    assert.match(signature, /device float\* y \[\[buffer\(1\)\]\]/);
    assert.match(signature, /uint3 thread_position_in_grid \[\[thread_position_in_grid\]\]$/);
    assert.doesNotMatch(signature, /x_shape|x_strides|threads_per_grid|grid_size|in_threadgroup/);
  },
);

/** What `body` prints. */
async function capture(body: () => Promise<void>): Promise<string> {
  const { log } = console;
  const lines: string[] = [];
  console.log = (...args: unknown[]) => void lines.push(args.join(" "));
  try {
    await body();
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

Deno.test("metalKernel() cuts threadgroups down to the grid", onGpu, async () => {
  const kernel = metalKernel({
    name: "groups",
    inputNames: [],
    outputNames: ["y"],
    source: `
      uint3 at = thread_position_in_grid;
      y[(at.z * threads_per_grid.y + at.y) * threads_per_grid.x + at.x] =
        dispatch_threads_per_threadgroup.x * 10000 + dispatch_threads_per_threadgroup.y * 100 + threads_per_threadgroup.y;`,
  });
  const y = await run(kernel, {
    inputs: [],
    stream: device().stream,
    grid: [5, 3, 1],
    threadgroup: [64, 2, 16],
    outputShapes: [[3, 5]],
    outputDtypes: ["uint32"],
  });
  assert.deepEqual(y, [...new Array(10).fill(50202), ...new Array(5).fill(50201)]);
});

Deno.test("compile errors count the lines of source and header", onGpu, async () => {
  const call: KernelCall = {
    inputs: [],
    stream: device().stream,
    grid: [1, 1, 1],
    threadgroup: [1, 1, 1],
    outputShapes: [[1]],
    outputDtypes: ["float32"],
  };
  const cases: [Partial<MetalKernelOptions>, RegExp][] = [
    [{ source: "\n\ny[0] = wrong;" }, /lines:3:\d+: error:.*wrong/],
    [
      { source: "y[0] = f();", header: "// one\nfloat f() { return bad; }" },
      /lines header:2:\d+: error:.*bad/,
    ],
  ];
  for (const [options, message] of cases) {
    const kernel = metalKernel({
      name: "lines",
      inputNames: [],
      outputNames: ["y"],
      source: "",
      ...options,
    });
    await assert.rejects(kernel(call), (error: Error) => {
      assert.ok(error instanceof CompileError, `${error}`);
      assert.match(error.log, message);
      return true;
    });
  }
});

const fine: MetalKernelOptions = {
  name: "fine",
  inputNames: ["x"],
  outputNames: ["y"],
  source: "uint i = thread_position_in_grid.x; y[i] = x[i];",
};

Deno.test("metalKernel() refuses what no kernel can be made of", () => {
  const bad: [Partial<MetalKernelOptions>, RegExp][] = [
    [{ name: "a b" }, /name must be an identifier/],
    [{ name: "kernel" }, /name must be an identifier/],
    [{ source: "" }, /source must be the body/],
    [{ source: "// nothing" }, /source must be the body/],
    [{ outputNames: [] }, /at least one name/],
    [{ outputNames: ["x"] }, /"x" is named twice/],
    [{ inputNames: ["float"] }, /"float" cannot name/],
    [{ inputNames: ["grid_size"] }, /one of Metal's attributes/],
    [{ inputNames: ["x", "x_shape"] }, /stands for a property of x/],
    [{ compileOptions: { fast: true } as object }, /compileOptions has only mathMode, not fast/],
    [
      { source: "kernel void f(device float* x [[buffer(0)]]) { x[0] = 1; }" },
      /between the braces.*generated/,
    ],
    [{ source: "[[kernel]] void f() {}" }, /between the braces/],
    [
      { source: "\n  # include <metal_atomic>\ny[0] = x[0];" },
      /#include.*move it from source to header/,
    ],
  ];
  for (const [options, message] of bad) {
    assert.throws(() => metalKernel({ ...fine, ...options }), (error: Error) => {
      assert.ok(error instanceof TypeError, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
  metalKernel({ ...fine, source: '// kernel void f\n/* #include "a" */ y[0] = x[0];' });
});

Deno.test("a kernel refuses calls that do not fit", onGpu, async () => {
  const kernel = metalKernel(fine);
  using x = from([1, 2]);
  const call: KernelCall = {
    inputs: [x],
    grid: [2, 1, 1],
    threadgroup: [2, 1, 1],
    outputShapes: [[2]],
    outputDtypes: ["float32"],
  };
  const bad: [Partial<Record<keyof KernelCall, unknown>>, ErrorConstructor, RegExp][] = [
    [{ inputs: [] }, TypeError, /inputs must have 1 entries \(x\), got 0/],
    [{ inputs: [[1, 2]] }, TypeError, /input x is no tensor.*Tensor\.from/],
    [{ outputShapes: [] }, TypeError, /outputShapes must have 1/],
    [{ outputShapes: [[-1]] }, RangeError, /shape \[-1\]/],
    [{ outputDtypes: ["float64"] }, TypeError, /dtype must be one of/],
    [{ grid: [0, 1, 1] }, RangeError, /grid \[0, 1, 1\]/],
    [{ grid: [2, 1] }, TypeError, /grid must be 3 integers/],
    [{ grid: [1.5, 1, 1] }, RangeError, /grid/],
    [{ threadgroup: [0, 1, 1] }, RangeError, /threadgroup \[0/],
    [{ grid: [2000, 1, 1], threadgroup: [2000, 1, 1] }, RangeError, /2000 threads/],
    [{ initValue: "0" }, TypeError, /initValue/],
    [{ initValue: 1.5, outputDtypes: ["int32"] }, RangeError, /is no int32/],
  ];
  for (const [change, kind, message] of bad) {
    await assert.rejects(kernel({ ...call, ...change } as KernelCall), (error: Error) => {
      assert.ok(error instanceof kind, `${message}: ${error}`);
      assert.match(error.message, message);
      return true;
    });
  }
  const many = metalKernel({
    ...fine,
    inputNames: Array.from({ length: 31 }, (_, i) => `x${i}`),
    source: "y[0] = x0;",
  });
  await assert.rejects(many({ ...call, inputs: new Array(31).fill(x) }), (error: Error) => {
    assert.match(error.message, /31/);
    return true;
  });
});

Deno.test("check() finds faults on the emulator, and leaves inputs alone", onGpu, async () => {
  if (!hasCompiler()) return;
  const kernel = metalKernel(fine);
  using x = from([1, 2, 3, 4, 5, 6, 7, 8]);
  const call: KernelCall = {
    inputs: [x],
    grid: [8, 1, 1],
    threadgroup: [4, 1, 1],
    outputShapes: [[8]],
    outputDtypes: ["float32"],
  };
  const [y] = await kernel.check(call);
  assert.equal(y!.device, gpu("emulator"));
  assert.deepEqual([...y!.dataSync()], [1, 2, 3, 4, 5, 6, 7, 8]);
  y!.dispose();
  await assert.rejects(kernel.check({ ...call, grid: [9, 1, 1] }), (error: Error) => {
    assert.ok(error instanceof DeviceError, `${error}`);
    assert.match(error.message, /fine/);
    return true;
  });
  const [partial] = await kernel.check({ ...call, grid: [4, 1, 1] });
  assert.deepEqual([...partial!.dataSync()].slice(3), [4, NaN, NaN, NaN, NaN]);
  partial!.dispose();
});

Deno.test("kernels run on a stream of one's own", onGpu, async () => {
  const kernel = metalKernel(fine);
  using stream = device().createStream({ label: "own" });
  using x = from([1, 2]);
  const y = await run(kernel, {
    inputs: [x],
    grid: [2, 1, 1],
    threadgroup: [2, 1, 1],
    outputShapes: [[2]],
    outputDtypes: ["float32"],
    stream,
  });
  assert.deepEqual(y, [1, 2]);
  assert.equal(kernel.name, "fine");
});

Deno.test("kernels free what they make where they fail", onGpu, async () => {
  const kernel = metalKernel(fine);
  using x = from([1, 2]);
  const before = device().memory().active;
  await assert.rejects(
    kernel({
      inputs: [x],
      grid: [2, 1, 1],
      threadgroup: [2, 1, 1],
      outputShapes: [[2 ** 45]],
      outputDtypes: ["float32"],
    }),
    { name: "OutOfMemoryError" },
  );
  assert.equal(device().memory().active, before);
});
