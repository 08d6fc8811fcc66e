/**
 * A kernel that writes far outside of its buffer, and what works after it, as JSON: run by
 * gpu_lost_test.ts in a process of its own, because a real GPU is lost to the process then.
 *
 * @module
 */

import { IndexFlatL2, useBackend } from "../mod.ts";
import { metalKernel, Tensor } from "../lib/kernel/mod.ts";
import { device } from "./gpu.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";

/** What happened to a piece of work: what it gave, or the name of its error. */
async function outcome<T>(work: () => Promise<T>): Promise<T | { error: string; message: string }> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { error: error.name, message: error.message };
  }
}

const wild = metalKernel({
  name: "wild",
  inputNames: ["x"],
  outputNames: ["out"],
  source: "out[size_t(1) << 40] = x[0];",
});

const twice = metalKernel({
  name: "twice",
  inputNames: ["x"],
  outputNames: ["out"],
  source: "out[0] = 2 * x[0];",
});

using index = new IndexFlatL2(2, { backend: useBackend("cpu") });
await index.add([[0, 0], [3, 4], [6, 8]]);
using copy = await index.to(createGpuBackend(device()));
using x = Tensor.from([1], [1], "float32", device());
const nearest = async (of: IndexFlatL2) => Number((await of.search([[3, 3]], 1)).labels[0]);
const call = {
  inputs: [x],
  grid: [1, 1, 1],
  threadgroup: [1, 1, 1],
  outputShapes: [[1]],
  outputDtypes: ["float32"],
} as const;
const report = {
  engine: device().engine,
  before: await nearest(copy),
  fault: await outcome(async () => (await wild(call)).length),
  after: await outcome(() => nearest(copy)),
  again: await outcome(async () => (await twice(call)).length),
  cpu: await nearest(index),
};
console.log(JSON.stringify(report));
