import assert from "node:assert/strict";
import { invoke } from "../ffi/call.ts";
import type { MultiplyOptions } from "../lib/kernel/mod.ts";
import { adopt, native } from "../lib/kernel/native.ts";
import { ProgramWriter } from "../lib/kernel/program_writer.ts";
import { Submission } from "../lib/kernel/submission.ts";
import { bufferOf, device, onGpu, poisoned } from "./gpu.ts";

type Case = Required<
  Pick<MultiplyOptions, "m" | "n" | "k" | "transposeA" | "transposeB" | "alpha" | "beta">
>;

/** Values on a grid that float16 holds and whose products are exact in float32. */
function grid(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, i) => ((i * 37 + seed * 11) % 17 - 8) / 8);
}

/** The product in float64, with lines and offsets in elements. */
function plain(
  { m, n, k, transposeA, transposeB, alpha, beta }: Case,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  c: ArrayLike<number>,
  lines: readonly [number, number, number],
  starts: readonly [number, number, number],
): number[] {
  const out = Array.from(c);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) {
        const left = a[starts[0] + (transposeA ? p * lines[0] + i : i * lines[0] + p)]!;
        const right = b[starts[1] + (transposeB ? j * lines[1] + p : p * lines[1] + j)]!;
        sum += left * right;
      }
      const at = starts[2] + i * lines[2] + j;
      out[at] = alpha * sum + (beta === 0 ? 0 : beta * c[at]!);
    }
  }
  return out;
}

const sizes = [[1, 1, 1], [1, 5, 3], [7, 1, 9], [3, 5, 1], [17, 31, 33], [65, 70, 129]] as const;

Deno.test("multiply() makes every product as float64 has it", onGpu, async () => {
  for (const [m, n, k] of sizes) {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        for (const [alpha, beta] of [[1, 0], [0.5, 0], [1, 1], [-2, 0.25]] as const) {
          for (
            const dtypes of [["float32", "float32"], ["float16", "float16"], [
              "float16",
              "float32",
            ]] as const
          ) {
            const one: Case = { m, n, k, transposeA, transposeB, alpha, beta };
            const [dtype, dtypeC] = dtypes;
            const values = dtype === "float32" ? Float32Array : Float16Array;
            const results = dtypeC === "float32" ? Float32Array : Float16Array;
            const [a, b] = [values.from(grid(m * k, 1)), values.from(grid(k * n, 2))];
            const before = beta === 0 ? new results(m * n).fill(NaN) : results.from(grid(m * n, 3));
            using bufferA = bufferOf(a, "private");
            using bufferB = bufferOf(b, "private");
            using bufferC = bufferOf(before, "private");
            const { threads, dispatches } = await device().stream.commands("product").multiply({
              ...one,
              a: bufferA,
              b: bufferB,
              c: bufferC,
              dtype,
              dtypeC,
            }).commit().completed;
            assert.equal(threads, m * n);
            assert.equal(dispatches, 1);
            const lines = [transposeA ? m : k, transposeB ? k : n, n] as const;
            const wanted = results.from(plain(one, a, b, before, lines, [0, 0, 0]));
            const got = bufferC.readSync(new results(m * n));
            const close = dtypeC === "float32" ? 1e-5 : 2e-3;
            for (let i = 0; i < m * n; i++) {
              const error = Math.abs(got[i]! - wanted[i]!);
              assert.ok(
                error <= close * (1 + Math.abs(wanted[i]!)),
                `${JSON.stringify(one)} ${dtypes} at ${i}: ${got[i]} for ${wanted[i]}`,
              );
            }
          }
        }
      }
    }
  }
});

Deno.test("multiply() leaves what is between lines and before offsets alone", onGpu, async () => {
  for (const [m, n] of [[4, 6], [1, 6], [4, 1]] as const) {
    const one: Case = { m, n, k: 3, transposeA: false, transposeB: true, alpha: 1, beta: 2 };
    const lines = [5, 7, 9] as const;
    const starts = [2, 3, 4] as const;
    const a = Float32Array.from(grid(64, 4));
    const b = Float32Array.from(grid(64, 5));
    const c = Float32Array.from(grid(64, 6));
    using bufferA = bufferOf(a);
    using bufferB = bufferOf(b);
    using bufferC = bufferOf(c);
    await device().stream.commands().multiply({
      ...one,
      a: bufferA,
      b: bufferB,
      c: bufferC,
      lineA: 5,
      lineB: 7,
      lineC: 9,
      offsetA: 8,
      offsetB: 12,
      offsetC: 16,
    }).commit().completed;
    const wanted = Float32Array.from(plain(one, a, b, c, lines, starts));
    assert.deepEqual(bufferC.readSync(new Float32Array(64)), wanted, `${m} × ${n}`);
  }
});

Deno.test("multiply() makes columns beside its factor's in the same rows", onGpu, async () => {
  // [A | C] in rows of 5: A is 4 × 2, C 4 × 3.
  const all = Float32Array.from(grid(20, 7));
  const b = Float32Array.from(grid(6, 8));
  using rows = bufferOf(all);
  using right = bufferOf(b);
  await device().stream.commands().multiply({
    a: rows,
    b: right,
    c: rows,
    m: 4,
    n: 3,
    k: 2,
    lineA: 5,
    lineC: 5,
    offsetC: 8,
  }).commit().completed;
  const one: Case = { m: 4, n: 3, k: 2, transposeA: false, transposeB: false, alpha: 1, beta: 0 };
  const wanted = Float32Array.from(plain(one, all, b, all, [5, 3, 5], [0, 0, 2]));
  assert.deepEqual(rows.readSync(new Float32Array(20)), wanted);
});

Deno.test("multiply() runs between dispatches in their order", onGpu, async () => {
  const add = device().library(`#include <metal_stdlib>
    kernel void add(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] += 1.0f; }
  `).pipeline("add");
  using a = bufferOf(new Float32Array([1, 2, 3, 4]));
  using b = bufferOf(new Float32Array([1, 0, 0, 1]));
  using c = poisoned(16);
  const run = { threads: 4, threadgroup: 4 };
  const { dispatches } = await device().stream.commands()
    .dispatch(add, [a], run)
    .multiply({ a, b, c, m: 2, n: 2, k: 2 })
    .dispatch(add, [c], run)
    .commit().completed;
  assert.equal(dispatches, 3);
  assert.deepEqual([...c.readSync(new Float32Array(4))], [3, 4, 5, 6]);
});

Deno.test("multiply() refuses what is no product", onGpu, () => {
  using a = device().createBuffer(64);
  using b = device().createBuffer(64);
  using c = device().createBuffer(64);
  const good: MultiplyOptions = { a, b, c, m: 4, n: 4, k: 4 };
  const bad: [Partial<Record<keyof MultiplyOptions, unknown>>, ErrorConstructor][] = [
    [{ m: 0 }, RangeError],
    [{ n: -1 }, RangeError],
    [{ k: 1.5 }, RangeError],
    [{ m: NaN }, RangeError],
    [{ k: Infinity }, RangeError],
    [{ m: 5 }, RangeError],
    [{ n: 5 }, RangeError],
    [{ k: 5 }, RangeError],
    [{ lineA: 3 }, RangeError],
    [{ lineB: 5 }, RangeError],
    [{ lineC: 0 }, RangeError],
    [{ offsetA: 2, m: 1, n: 1, k: 1 }, RangeError],
    [{ offsetC: 4 }, RangeError],
    [{ offsetB: -4 }, RangeError],
    [{ offsetB: NaN }, RangeError],
    [{ dtype: "bfloat16" }, TypeError],
    [{ dtypeC: "float16" }, TypeError],
    [{ dtypeC: "int8" }, TypeError],
    [{ a: new Float32Array(16) }, TypeError],
    [{ c: undefined }, TypeError],
    [{ alpha: "1" }, TypeError],
  ];
  for (const [change, type] of bad) {
    const commands = device().stream.commands();
    const options = { ...good, ...change } as MultiplyOptions;
    assert.throws(() => commands.multiply(options), type, JSON.stringify(change));
  }
  for (const alias of [{ c: a }, { c: b }, { m: 2, c: a, offsetC: 16 }]) {
    const commands = device().stream.commands().multiply({ ...good, ...alias });
    assert.throws(() => commands.commit(), /c overlaps/, JSON.stringify(alias));
  }
});

Deno.test("commit() survives any change of any word of a product", onGpu, () => {
  using a = bufferOf(new Float32Array(16));
  using b = bufferOf(new Float32Array(16));
  using c = bufferOf(new Float32Array(16));
  const writer = new ProgramWriter();
  writer.multiply({
    a: 0,
    b: 1,
    c: 2,
    flags: 0,
    offsets: [0, 0, 0],
    lines: [4, 4, 4],
    sizes: [4, 4, 4],
    alpha: 1,
    beta: 0,
  });
  const buffers = [a.object, b.object, c.object];
  const bytes = writer.finish({ buffers, pipelines: [], events: [] }).slice();
  const tooMuch = [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7ff8_0000, 0x7ff0_0000, 0x4340_0000];
  let refused = 0;
  for (let word = 0; word < bytes.length / 4; word++) {
    for (const value of [0, 1, 2, 5, 15, ...tooMuch]) {
      const changed = bytes.slice();
      new DataView(changed.buffer).setUint32(word * 4, value, true);
      const out = new Uint32Array(1);
      try {
        const { object } = device().stream;
        invoke((call) => native().mf_gpu_commit(object, changed, changed.length, out, call));
        new Submission(adopt("command buffer", out[0]!)).waitSync();
      } catch (error) {
        const { name, message } = error as Error;
        assert.ok(["TypeError", "RangeError", "DisposedError"].includes(name), `${error}`);
        assert.match(message, /^Cannot /);
        refused++;
      }
    }
  }
  assert.ok(refused > bytes.length, `${refused}`);
});
