/** What launches cost on the GPU; the playbook's recipes R1, R2 and R3 are experiments of the journal. @module */

import type { RunInfo } from "../mod.ts";
import { gpu, type GpuDevice } from "../lib/kernel/mod.ts";
import { compare, repeat } from "../lib/profile/mod.ts";
import { OURS, type Row, toRow } from "./rows.ts";
import type { Context } from "./suite.ts";

/** Time a dispatch from TypeScript to completion, of 100 in a command buffer. */
export async function* recipesSuite(context: Context): AsyncGenerator<Row> {
  const device = gpu();
  const name = "100 dispatches a command buffer";
  if (!context.filter.test(name)) return;
  const count = 100;
  const kernel = device.library(
    `kernel void step(device float* x, uint i [[thread_position_in_grid]]) { x[i] += 1.0f; }`,
  ).pipeline("step");
  using buffer = device.createBuffer(1024 * 4, { storage: "private" });
  const submit = async () => {
    const commands = device.stream.commands();
    for (let i = 0; i < count; i++) {
      commands.dispatch(kernel, [buffer], { threads: 1024, threadgroup: 256 });
    }
    await commands.commit().completed;
  };
  await submit();
  const each = async (samples: number) => (await repeat(submit)(samples)).map((ms) => ms / count);
  const timings = await compare([{ name: OURS, run: each }], context.measure);
  const run = runOf(device, ["step"]);
  const sizes = { n: 1024, d: 1, nq: 1, k: 1, params: { dispatches: count } };
  yield toRow({ suite: "recipes", case: `${name}, each`, run, ...sizes, timings }, undefined);
}

function runOf({ engine, name }: GpuDevice, variants: string[]): RunInfo {
  const counts = { threads: 0, scanned: 0, recomputed: 0 };
  return { backend: "gpu", engine, isa: name, variants, ...counts };
}
