import assert from "node:assert/strict";
import { OutOfMemoryError } from "../lib/errors.ts";
import type { KernelArgument } from "../lib/kernel/command_buffer.ts";
import { device, params } from "./shaders.ts";

/** Rows of halves that end past 2^32 elements; where there is no memory for them, none. */
function createRows(n: number, d: number) {
  try {
    // Memory that is never touched costs nothing on the emulator.
    return device().createBuffer(n * d * 2);
  } catch (error) {
    assert.ok(error instanceof OutOfMemoryError, String(error));
    return undefined;
  }
}

Deno.test("kernels reach rows past 2^32 elements", async () => {
  const [n, d] = [2 ** 20 + 1, 4100];
  using x = createRows(n, d);
  if (x === undefined) return;
  const last = (n - 1) * d * 2;
  const row = Float16Array.from({ length: d }, (_, i) => i % 100);
  x.writeSync(row, last);
  const run = async (file: string, kernel: string, args: KernelArgument[]) => {
    const pipeline = device().shader(file).pipeline(kernel);
    const how = { threadgroups: 1, threadgroup: 256 };
    await device().stream.commands().dispatch(pipeline, args, how).commit().completed;
  };
  const one = (value: number) => Uint32Array.of(value);

  using out = device().createBuffer(d * 2);
  await run("filter.metal", "gather_rows_b16", [x, one(n - 1), out, params(1, n, d)]);
  assert.deepEqual(out.readSync(new Float16Array(d)), row);

  row.reverse();
  out.writeSync(row);
  await run("filter.metal", "scatter_rows_b16", [out, one(n - 1), x, params(1, n, d)]);
  assert.deepEqual(x.readSync(new Float16Array(d), last), row);

  using partial = device().createBuffer(3 * (d + 1) * 4);
  const lists = [Float32Array.of(1), one(1), one(1), Uint32Array.of(0, 1), one(n - 1)];
  await run("kmeans.metal", "kmeans_sum_f16", [x, ...lists, partial, params(n, 1, d, 0)]);
  assert.deepEqual(partial.readSync(new Float32Array(d)), Float32Array.from(row));
});
