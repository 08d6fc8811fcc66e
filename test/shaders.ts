/**
 * Running kernels of `shaders/` in tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { gpuVariable } from "../lib/env.ts";
import type { GpuBuffer } from "../lib/kernel/buffer.ts";
import { gpu, type GpuDevice } from "../lib/kernel/device.ts";

/** The device under test: that of `METALFAISS_GPU`, or the emulator. */
export function device(): GpuDevice {
  return gpu(gpuVariable() ?? "emulator");
}

/** An array of a kernel. It is written before the kernels run, and read after. */
export type Data = Float32Array | Uint32Array | BigInt64Array | Uint16Array | Uint8Array;

/** One kernel and what it gets; `params` comes last, by value. Nothing runs where the grid is empty. */
export interface Launch {
  file: string;
  kernel: string;
  args: readonly Data[];
  params: Uint8Array;
  /** Parameters after those. */
  more?: readonly Uint8Array[];
  threadgroupMemory?: number;
  threads?: number;
  threadgroups?: number | readonly [x: number, y: number];
  threadgroup: number;
}

/** A float among the numbers of {@linkcode params}. */
export function float(value: number): { float: number } {
  return { float: value };
}

/** A kernel's parameters: 32-bit integers, and floats where marked. */
export function params(...fields: (number | boolean | { float: number })[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(fields.length * 4));
  for (const [i, field] of fields.entries()) {
    if (typeof field === "object") view.setFloat32(i * 4, field.float, true);
    else view.setUint32(i * 4, Number(field), true);
  }
  return new Uint8Array(view.buffer);
}

/** Fills an output with what no kernel writes: NaN as float, half and bfloat. */
export function poison<T extends Data>(out: T): T {
  const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i % 2 === 0 ? 0xed : 0x7f;
  return out;
}

/** Names of the kernels that have run, by file. */
const ran = new Map<string, Set<string>>();

/** Compiles every kernel of a file, some at a time. */
async function compile(file: string): Promise<void> {
  const library = device().shader(file);
  const names = [...library.functionNames];
  const compileSome = async () => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      await library.pipelineAsync(name);
    }
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, compileSome));
}

/** Runs kernels one after the other in one command buffer. */
export async function launch(...launches: Launch[]): Promise<void> {
  const buffers = new Map<Data, GpuBuffer>();
  const commands = device().stream.commands("test");
  let threads = 0;
  let dispatches = 0;
  try {
    for (const { file, kernel, args, params, more = [], threadgroup, ...size } of launches) {
      if (size.threads === 0 || size.threadgroups === 0) continue;
      if (!ran.has(file)) {
        ran.set(file, new Set());
        await compile(file);
      }
      ran.get(file)!.add(kernel);
      for (const data of args) {
        if (buffers.has(data)) continue;
        const buffer = device().createBuffer(Math.max(data.byteLength, 4));
        buffers.set(data, buffer);
        if (data.byteLength > 0) buffer.writeSync(data);
      }
      const pipeline = device().shader(file).pipeline(kernel);
      const bound = [...args.map((data) => buffers.get(data)!), params, ...more];
      commands.dispatch(pipeline, bound, { ...size, threadgroup });
      const groups = [size.threadgroups ?? 0].flat().reduce((product, n) => product * n);
      threads += size.threads ?? groups * threadgroup;
      dispatches++;
    }
    if (dispatches === 0) return;
    const times = await commands.commit().completed;
    assert.deepEqual([times.threads, times.dispatches], [threads, dispatches]);
    for (const [data, buffer] of buffers) {
      if (data.byteLength > 0) buffer.readSync(data);
    }
  } finally {
    for (const buffer of buffers.values()) buffer.dispose();
  }
}

/** A last test of a file: every kernel of a shader file has run. */
export function testAllRan(file: string): void {
  Deno.test(`every kernel of ${file} has run`, () => {
    const names = [...device().shader(file).functionNames].sort();
    assert.ok(names.length > 0);
    assert.deepEqual([...ran.get(file) ?? []].sort(), names);
  });
}

/** Element types of kernels that read vectors. */
export const dtypes = ["f32", "f16", "bf16"] as const;

/** One of {@linkcode dtypes}. */
export type Dtype = typeof dtypes[number];

/** Numbers as stored in an element type, and the same as floats. */
export function stored(x: Float32Array, dtype: Dtype): { data: Data; seen: Float32Array } {
  if (dtype === "f32") return { data: x, seen: x };
  if (dtype === "f16") {
    const half = Float16Array.from(x);
    return { data: new Uint16Array(half.buffer), seen: Float32Array.from(half) };
  }
  const bits = new Uint32Array(Float32Array.from(x).buffer);
  const data = Uint16Array.from(bits, (word) => {
    // A NaN must not round to infinity; the others round to even.
    if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
    return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  });
  return { data, seen: seen(data, dtype) };
}

/** Stored elements as floats. */
export function seen(data: Data, dtype: Dtype): Float32Array {
  if (dtype === "f32") return data as Float32Array;
  if (dtype === "f16") {
    return Float32Array.from(new Float16Array(data.slice().buffer as ArrayBuffer));
  }
  return new Float32Array(Uint32Array.from(data as Uint16Array, (bits) => bits << 16).buffer);
}

/** Asserts that numbers agree within a relative and an absolute tolerance; NaN with NaN, ∞ with ∞. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  absolute: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    const same = Object.is(a, e) || Math.abs(a - e) <= Math.abs(e) * relative + absolute;
    if (!same || (Number.isFinite(e) && !Number.isFinite(a))) {
      assert.fail(`${what}: at ${i} ${a}, expected ${e}`);
    }
  }
}
