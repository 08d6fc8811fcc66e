/** How work reaches a GPU: J0, D1, R6, R7, X5. @module */

import type { Computed } from "../backend/linalg.ts";
import type { GpuDevice } from "../kernel/device.ts";
import { metalKernel } from "../kernel/metal_kernel.ts";
import type { Stream } from "../kernel/stream.ts";
import { Tensor } from "../kernel/tensor.ts";
import { gaussian } from "../profile/datasets.ts";
import type { Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { rowsError, sampledRows } from "./operands.ts";
import { runTrial } from "./trial.ts";
import { byResult, judge, meanRatio } from "./verdict.ts";

/** Fills buffers with NaN. */
async function poison(device: GpuDevice, outputs: readonly Tensor[]): Promise<void> {
  const commands = device.stream.commands("poison");
  for (const { buffer } of outputs) commands.fill(buffer, 0, buffer.byteLength, 0xff);
  await commands.commit().completed;
}

const BODY = "uint i = thread_position_in_grid.x; out[i] = 2 * x[i];";

/** The journal's missteps: body, header, input, and what is said to them. */
const MISSTEPS: [name: string, source: string, mock: boolean, says: RegExp | undefined][] = [
  [
    "full signature in the body",
    "kernel void twice(device const float* x, device float* out) { out[0] = 2 * x[0]; }",
    false,
    /signature of its own/,
  ],
  [
    "include in the body",
    `#include <metal_stdlib>\n${BODY}`,
    false,
    /move it from source to header/,
  ],
  ["an array of the host for a tensor", BODY, true, /no tensor and no number/],
  ["body alone, include in the header", BODY, false, undefined],
];

/** J0. */
export const missteps: Experiment = {
  id: "J0",
  published: [],
  title: "The kernel contract and the ways to miss it",
  conclusion: "A kernel is a body; includes go to the header; inputs are arrays of the device",
  needsGpu: true,
  async *run(context) {
    for (const [name, source, mock, says] of MISSTEPS) {
      yield await misstep(context, name, source, mock, says);
    }
  },
  verdict: (rows) => {
    const held = rows.every((row) => row.valid);
    return byResult(
      held,
      held ? "Each misstep is a typed error that says what to do" : "A misstep passes unnoticed",
    );
  },
};

async function misstep(
  context: JournalContext,
  name: string,
  source: string,
  mock: boolean,
  says: RegExp | undefined,
): Promise<JournalRow> {
  using x = Tensor.from([1, 2, 3], [3], "float32", context.device!);
  const row = emptyRow("J0", "3 numbers", name, context);
  try {
    const header = says ? "" : "#include <metal_stdlib>\nusing namespace metal;";
    const twice = metalKernel({
      ...{ name: "twice", inputNames: ["x"], outputNames: ["out"], source, header },
    });
    const [out] = await twice({
      inputs: [mock ? [1, 2, 3] as unknown as Tensor : x],
      grid: [3, 1, 1],
      threadgroup: [3, 1, 1],
      outputShapes: [[3]],
      outputDtypes: ["float32"],
    });
    const found = [...await out!.data()].map(Number);
    out!.dispose();
    row.error = rowsError(Float32Array.from(found), 3, [0], () => [2, 4, 6]);
    row.kernels = [twice.lastRun!.kernel];
    row.threads = twice.lastRun!.threads;
    row.valid = says === undefined && row.error === 0;
    row.note = row.valid ? "" : "no error";
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    row.note = `${error.name}: ${error.message}`;
    row.valid = says !== undefined && says.test(error.message);
  }
  return row;
}

function emptyRow(
  experiment: string,
  shape: string,
  variant: string,
  { backend: { name: backend, engine, isa } }: JournalContext,
): JournalRow {
  return {
    ...{ experiment, shape, variant, backend, engine, isa, kernels: [], threads: 0, error: null },
    ...{
      valid: false,
      note: "",
      findings: {},
      time: null,
      gpuTime: null,
      gflops: null,
      gbps: null,
    },
    ...{ clock: "host", baseline: false, ratio: null },
  };
}

/** D1. */
export const parameterPacking: Experiment = {
  id: "D1",
  published: [],
  title: "Pipelines and parameters made for each call, or kept",
  conclusion: "Nothing, it was only planned; judged here: pipelines that are kept are faster",
  needsGpu: true,
  async *run(context) {
    const device = context.device!;
    const n = 4096;
    const x = gaussian(1, n, 61);
    using input = Tensor.from(x, [n], "float32", device);
    using output = Tensor.empty([n], "float32", device);
    using kept = device.createBuffer(4, { storage: "shared" });
    kept.writeSync(Float32Array.of(3));
    const source = (name: string) => `
      kernel void ${name}(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
          constant float& by [[buffer(2)]], uint i [[thread_position_in_grid]]) { out[i] = by * x[i]; }`;
    const cached = device.library(source("scale_kept")).pipeline("scale_kept");
    let turn = 0;
    const scale = async (way: "new" | "buffer" | "value"): Promise<Computed<Float32Array>> => {
      const name = way === "new" ? `scale_${turn++ % 2}` : "scale_kept";
      // A library of its own, which is thrown away: what a program does that keeps none.
      using library = way === "new" ? device.library(source(name)) : undefined;
      const pipeline = library ? library.pipeline(name) : cached;
      using fresh = way === "buffer" ? device.createBuffer(4, { storage: "shared" }) : undefined;
      fresh?.writeSync(Float32Array.of(3));
      const by = fresh ?? (way === "value" ? Float32Array.of(3) : kept);
      const commands = device.stream.commands("D1");
      commands.dispatch(pipeline, [input.buffer, output.buffer, by], {
        threads: n,
        threadgroup: 256,
      });
      const { gpuSeconds, threads } = await commands.commit().completed;
      const { name: backend, engine, isa } = context.backend;
      const run = { backend, engine, isa, variants: [name], threads, gpuSeconds };
      return { value: new Float32Array(0), run };
    };
    yield* runTrial("D1", {
      shape: `n=${n}`,
      variants: [
        { name: "library and pipeline made each call", run: () => scale("new"), baseline: true },
        { name: "pipeline kept, parameters in a new buffer", run: () => scale("buffer") },
        { name: "pipeline kept, parameters by value", run: () => scale("value") },
      ].map((variant, i) => ({ ...variant, expects: i === 0 ? /^scale_[01]$/ : /^scale_kept$/ })),
      poison: () => poison(device, [output]),
      error: async () =>
        rowsError(await output.data<Float32Array>(), n, [0], () => x.map((value) => 3 * value)),
      tolerance: 1e-6,
      bytes: 8 * n,
      clock: "host",
    }, context);
  },
  verdict: (rows) => judge(meanRatio(rows, /by value/), 1.1, "Kept pipelines against new ones"),
};

/** R6. */
export const gridShape: Experiment = {
  id: "R6",
  published: [],
  title: "A two-dimensional grid against division and modulus",
  conclusion: "The two-dimensional grid is faster",
  needsGpu: true,
  async *run(context) {
    const n = context.quick ? 128 : 2048;
    const device = context.device!;
    const x = gaussian(n, n, 62);
    using input = Tensor.from(x, [n, n], "float32", device);
    using output = Tensor.empty([n, n], "float32", device);
    const library = device.library(`
      kernel void grid_2d(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
          constant uint& n [[buffer(2)]], uint2 at [[thread_position_in_grid]]) {
        out[at.x * n + at.y] = x[at.y * n + at.x];
      }
      kernel void grid_1d(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
          constant uint& n [[buffer(2)]], uint at [[thread_position_in_grid]]) {
        out[at % n * n + at / n] = x[at];
      }`);
    // The same numbers a threadgroup as on one axis, unless asked otherwise: their order alone matters much.
    const transpose = async (
      name: "grid_1d" | "grid_2d",
      threadgroup: [number, number] = [Math.min(n, 256), 1],
    ): Promise<Computed<Float32Array>> => {
      const commands = device.stream.commands("R6");
      commands.dispatch(
        library.pipeline(name),
        [input.buffer, output.buffer, Uint32Array.of(n)],
        name === "grid_1d"
          ? { threads: n * n, threadgroup: threadgroup[0] }
          : { threads: [n, n], threadgroup },
      );
      const { gpuSeconds, threads } = await commands.commit().completed;
      const { name: backend, engine, isa } = context.backend;
      const run = { backend, engine, isa, variants: [name], threads, gpuSeconds };
      return { value: new Float32Array(0), run };
    };
    yield* runTrial("R6", {
      shape: `n=k=${n}`,
      variants: [
        {
          name: "division and modulus",
          run: () => transpose("grid_1d"),
          expects: /^grid_1d$/,
          baseline: true,
        },
        { name: "two dimensions", run: () => transpose("grid_2d"), expects: /^grid_2d$/ },
        {
          name: "two dimensions, 32×8 a threadgroup",
          run: () => transpose("grid_2d", [32, 8]),
          expects: /^grid_2d$/,
        },
      ],
      poison: () => poison(device, [output]),
      error: async () => {
        const rows = sampledRows(n, n);
        const exact = (i: number) => Float32Array.from({ length: n }, (_, j) => x[j * n + i]!);
        return rowsError(await output.data<Float32Array>(), n, rows, exact);
      },
      tolerance: 0,
      bytes: 8 * n * n,
    }, context);
  },
  verdict: (rows) => judge(meanRatio(rows, /^two dimensions$/), 1.02, "Two dimensions against one"),
};

const BATCHES = 8;
/** Milliseconds that a callback may take. */
const PATIENCE = 10_000;

/** Whether the callback of one stream comes while another stream is held up. */
async function callbacksStayApart(device: GpuDevice): Promise<boolean> {
  const event = device.createEvent();
  using held = device.createStream();
  using free = device.createStream();
  using buffer = device.createBuffer(16);
  const order: string[] = [];
  const callback = (stream: Stream, name: string) =>
    new Promise<void>((resolve) =>
      stream.onComplete(() => {
        order.push(name);
        resolve();
      })
    );
  held.commands("held").wait(event, 1).commit();
  const last = callback(held, "held");
  free.commands("free").fill(buffer, 0, 16, 0).commit();
  let timer;
  const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, PATIENCE));
  await Promise.race([callback(free, "free"), patience]);
  clearTimeout(timer);
  event.value = 1;
  await last;
  event.dispose();
  return order.join() === "free,held";
}

/** X5 and R7. */
export const streamOverlap: Experiment = {
  id: "X5",
  published: [],
  title: "Batches on one stream or on several, with completion callbacks",
  conclusion: "Streams overlap; a callback fires for its own stream only",
  needsGpu: true,
  async *run(context) {
    const device = context.device!;
    const n = context.quick ? 10_000 : 1_000_000;
    const x = gaussian(1, n, 63);
    using input = Tensor.from(x, [n], "float32", device);
    const outputs = Array.from({ length: BATCHES }, () => Tensor.empty([n], "float32", device));
    const library = device.library(`
      #include <metal_stdlib>
      kernel void work(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
          uint i [[thread_position_in_grid]]) {
        float value = x[i];
        for (int step = 0; step < 16; step++) value = metal::tanh(value) + x[i];
        out[i] = value;
      }`);
    const pipeline = library.pipeline("work");
    const streams = Array.from({ length: 4 }, () => device.createStream());
    const spread = async (count: number): Promise<Computed<void>> => {
      const submissions = outputs.map((output, batch) => {
        const commands = streams[batch % count]!.commands("X5");
        commands.dispatch(pipeline, [input.buffer, output.buffer], {
          threads: n,
          threadgroup: 256,
        });
        return commands.commit();
      });
      const callbacks = streams.slice(0, count).map((stream) =>
        new Promise<void>((resolve) => stream.onComplete(() => resolve()))
      );
      const times = await Promise.all(submissions.map(({ completed }) => completed));
      await Promise.all(callbacks);
      const gpuSeconds = times.reduce((sum, time) => sum + time.gpuSeconds, 0);
      const threads = times.reduce((sum, time) => sum + time.threads, 0);
      const { name: backend, engine, isa } = context.backend;
      const run = { backend, engine, isa, variants: ["work"], threads, gpuSeconds };
      return { value: undefined, run };
    };
    const exact = Float64Array.from(x, (own) => {
      let value = own;
      for (let step = 0; step < 16; step++) value = Math.tanh(value) + own;
      return value;
    });
    try {
      const isApart = await callbacksStayApart(device);
      yield* runTrial("X5", {
        shape: `${BATCHES} batches of n=${n}`,
        variants: [1, 2, 4].map((count) => ({
          name: count === 1 ? "one stream" : `${count} streams`,
          run: () => spread(count),
          baseline: count === 1,
        })),
        poison: () => poison(device, outputs),
        error: async () => {
          if (!isApart) return Infinity;
          let most = 0;
          for (const output of outputs) {
            const found = await output.data<Float32Array>();
            most = Math.max(most, rowsError(found, n, [0], () => exact));
          }
          return most;
        },
        findings: () => ({ callbackOfOwnStreamOnly: Number(isApart) }),
        tolerance: 1e-4,
        bytes: 8 * n * BATCHES,
        clock: "host",
      }, context);
    } finally {
      for (const owned of [...outputs, ...streams]) owned.dispose();
    }
  },
  verdict: (rows) => judge(meanRatio(rows, /streams/), 1.05, "Several streams against one"),
};
