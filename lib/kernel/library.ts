/**
 * Compiled kernels.
 *
 * @module
 */

import type { NativeHandle } from "../../ffi/handle.ts";
import type { GpuDevice } from "./device.ts";
import { compile, compileAsync, describe, native } from "./native.ts";

/** Values of function constants, by name or by index. */
export type Constants = Readonly<Record<string, number | boolean>>;

/** Options of {@linkcode GpuDevice.library} and {@linkcode GpuDevice.shader}. */
export interface LibraryOptions {
  /** Name of the source in errors. */
  name?: string;
  /** What the compiler may do to arithmetic: `safe` (default) is IEEE 754. */
  mathMode?: "safe" | "relaxed" | "fast";
  /** Macros that are defined first. */
  macros?: Readonly<Record<string, string | number | boolean>>;
}

interface Description {
  name: string;
  maxThreads: number;
  threadgroupMemory: number;
  simdWidth: number;
  arguments: { index: number; name: string; bytes: number }[];
}

/** One kernel, ready to run. It lives as long as its library is in use. */
export class Pipeline {
  /** Name of the kernel. */
  readonly name: string;
  /** Threads that a threadgroup may have at most. */
  readonly maxThreads: number;
  /** Bytes of threadgroup memory that its own variables take. */
  readonly threadgroupMemory: number;
  /** Threads of a simdgroup. */
  readonly simdWidth: number;
  /** Names of its `[[buffer(i)]]` arguments. */
  readonly arguments: readonly string[];
  readonly #handle: NativeHandle;

  /** Use {@linkcode KernelLibrary.pipeline}. */
  constructor(handle: NativeHandle) {
    const description = describe<Description>(handle.object);
    this.#handle = handle;
    this.name = description.name;
    this.maxThreads = description.maxThreads;
    this.threadgroupMemory = description.threadgroupMemory;
    this.simdWidth = description.simdWidth;
    const last = Math.max(-1, ...description.arguments.map(({ index }) => index));
    const names = new Array<string>(last + 1).fill("");
    for (const { index, name } of description.arguments) names[index] = name;
    this.arguments = names;
  }

  /** The native handle. */
  get object(): number {
    return this.#handle.object;
  }
}

/** Kernels that were compiled together. */
export class KernelLibrary implements Disposable {
  /** The device that it belongs to. */
  readonly device: GpuDevice;
  /** Names of its kernels. */
  readonly functionNames: readonly string[];
  readonly #handle: NativeHandle;
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #drop: () => void;

  /**
   * Use {@linkcode GpuDevice.library}.
   *
   * @param device The device.
   * @param handle The native object.
   * @param drop Called when it is disposed of.
   */
  constructor(device: GpuDevice, handle: NativeHandle, drop: () => void) {
    this.device = device;
    this.#handle = handle;
    this.#drop = drop;
    this.functionNames = describe<{ functionNames: string[] }>(handle.object).functionNames;
  }

  /**
   * A kernel, compiled the first time it is asked for.
   *
   * @param name Its name, `[[host_name]]` included.
   * @param constants Its function constants, by name or by index.
   * @throws {RangeError} If there is no such kernel or constant, or a constant is missing.
   * @throws {CompileError} If it does not compile.
   */
  pipeline(name: string, constants?: Constants): Pipeline {
    const key = pipelineKey(name, constants);
    const known = this.#pipelines.get(key);
    if (known) return known;
    const [count, bytes] = request(name, constants);
    const handle = compile(
      "pipeline",
      (out, call) =>
        native().mf_gpu_pipeline_create(this.#handle.object, count, bytes, bytes.length, out, call),
    );
    return this.#keep(key, handle);
  }

  /** The same, compiled on another thread. */
  async pipelineAsync(name: string, constants?: Constants): Promise<Pipeline> {
    const key = pipelineKey(name, constants);
    const known = this.#pipelines.get(key);
    if (known) return known;
    const [count, bytes] = request(name, constants);
    const { object } = this.#handle;
    const handle = await compileAsync(
      "pipeline",
      (out, call) =>
        native().mf_gpu_pipeline_create_async(object, count, bytes, bytes.length, out, call),
    );
    return this.#pipelines.get(key) ?? this.#keep(key, handle);
  }

  #keep(key: string, handle: NativeHandle): Pipeline {
    const pipeline = new Pipeline(handle);
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  /** Frees it; pipelines that were made of it stay. */
  dispose(): void {
    this.#drop();
    this.#handle.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function pipelineKey(name: string, constants: Constants | undefined): string {
  if (constants === undefined) return name;
  let key = name;
  for (const constant in constants) key += `\0${constant}=${constants[constant]}`;
  return key;
}

/** How many constants, and the bytes that `mf_gpu_pipeline_create` takes. */
function request(name: string, constants: Constants = {}): [number, Uint8Array] {
  const entries = Object.entries(constants);
  const encoder = new TextEncoder();
  const texts = [encoder.encode(`${name}\0`)];
  const head = new Uint8Array(entries.length * 16);
  const view = new DataView(head.buffer);
  for (const [i, [key, value]] of entries.entries()) {
    if (typeof value !== "boolean" && typeof value !== "number") {
      throw new TypeError(
        `Cannot make pipeline ${name}: constant ${key} must be a number or boolean`,
      );
    }
    const isIndex = /^\d+$/.test(key);
    const text = encoder.encode(isIndex ? "" : key);
    view.setUint32(i * 16, isIndex ? Number(key) : 0, true);
    view.setUint32(i * 16 + 4, text.length, true);
    view.setFloat64(i * 16 + 8, Number(value), true);
    texts.push(text);
  }
  const all = [head, ...texts];
  const bytes = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.length;
  }
  return [entries.length, bytes];
}
