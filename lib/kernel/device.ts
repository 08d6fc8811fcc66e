/**
 * GPUs.
 *
 * @module
 */

import { invoke } from "../../ffi/call.ts";
import { NativeHandle } from "../../ffi/handle.ts";
import { type MimeBundle, plainText } from "../display.ts";
import { gpuVariable } from "../env.ts";
import { type BufferOptions, GpuBuffer } from "./buffer.ts";
import { deviceBundle } from "./device_display.ts";
import { KernelLibrary, type LibraryOptions } from "./library.ts";
import { compile, compileAsync, cString, describe, json, native } from "./native.ts";
import { shaderPaths } from "./shaders.ts";
import { sourceRecord } from "./source_record.ts";
import { GpuEvent, Stream } from "./stream.ts";

/** What runs kernels: Apple's Metal, CUDA, or the emulator on the CPU. */
export type GpuEngine = "metal" | "cuda" | "emulator";

/** What a device is and can. */
export interface GpuInfo {
  /** The device's own name. */
  name: string;
  /** What runs its kernels. */
  engine: GpuEngine;
  /** Whether host and GPU share one memory. */
  unifiedMemory: boolean;
  /** Threads that a threadgroup may have at most; a kernel may allow fewer. */
  maxThreadsPerThreadgroup: number;
  /** Bytes of threadgroup memory. */
  maxThreadgroupMemory: number;
  /** Bytes of the largest buffer. */
  maxBufferBytes: number;
  /** Bytes that can be in use before it gets slow or fails. */
  workingSetBytes: number;
  /** Version of the driver, where the engine tells. */
  driver?: string | undefined;
  /** Cores of the GPU, where the engine tells: CUDA's streaming multiprocessors. */
  cores?: number | undefined;
  /** Bytes of the L2 cache, where the engine tells. */
  l2Bytes?: number | undefined;
  /** Highest clock of the cores in MHz, where the engine tells. */
  clockMHz?: number | undefined;
}

/** Bytes of a device that this process holds. */
export interface GpuMemory {
  /** In use. */
  active: number;
  /** The most that was in use. */
  peak: number;
  /** Kept for the next buffers. */
  cached: number;
}

interface Description extends Omit<GpuInfo, "maxThreadsPerThreadgroup"> {
  maxThreadsPerThreadgroup: [x: number, y: number, z: number];
}

function info({ maxThreadsPerThreadgroup, ...rest }: Description): GpuInfo {
  return { ...rest, maxThreadsPerThreadgroup: Math.max(...maxThreadsPerThreadgroup) };
}

function libraryKey(text: string, isPath: boolean, options: LibraryOptions): string {
  const { name = "", mathMode = "safe", macros = {} } = options;
  return JSON.stringify([isPath, text, name, mathMode, macros]);
}

/** Devices that are open, by what was asked for. */
const opened = new Map<string, GpuDevice>();

/**
 * The default GPU, or that of an engine.
 *
 * @param engine `metal`, `cuda` or `emulator`, with a number where there are more, as `cuda:1`.
 * By default that of `METALFAISS_GPU`, else the system's default device; the emulator is
 * never chosen by itself.
 * @throws {DeviceError} If there is no such device; it says what to do.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * assert.equal(gpu("emulator").engine, "emulator");
 * ```
 */
export function gpu(engine: string = gpuVariable() ?? ""): GpuDevice {
  let device = opened.get(engine);
  if (device === undefined) opened.set(engine, device = new GpuDevice(engine));
  return device;
}

/** Every device of this machine; the emulator, where there is one, comes last. */
export function gpuDevices(): GpuInfo[] {
  return json<Description[]>((text, call) => native().mf_gpu_list(text, call)).map(info);
}

/** What was looked for on this machine, and found. */
export interface GpuReport {
  /** Engine of the default device; null where there is none. */
  engine: GpuEngine | null;
  /** All devices. */
  devices: { name: string; engine: GpuEngine }[];
  /** Drivers, compilers and libraries. */
  searched: { what: string; path: string; result: string }[];
}

/** What was looked for on this machine: for `doctor`. */
export function gpuReport(): GpuReport {
  return json((text, call) => native().mf_gpu_report(text, call));
}

/** A GPU: makes buffers, kernels and streams. Get one with {@linkcode gpu}. */
export class GpuDevice implements GpuInfo {
  readonly name: string;
  readonly engine: GpuEngine;
  readonly unifiedMemory: boolean;
  readonly maxThreadsPerThreadgroup: number;
  readonly maxThreadgroupMemory: number;
  readonly maxBufferBytes: number;
  readonly workingSetBytes: number;
  readonly driver?: string | undefined;
  readonly cores?: number | undefined;
  readonly l2Bytes?: number | undefined;
  readonly clockMHz?: number | undefined;
  readonly #handle: NativeHandle;
  readonly #libraries = new Map<string, KernelLibrary>();
  #stream: Stream | undefined;
  #versions: Readonly<Record<string, string>> | undefined;

  /** Use {@linkcode gpu}. */
  constructor(engine: string) {
    const text = cString(engine);
    this.#handle = new NativeHandle("GPU", (out, call) => native().mf_gpu_open(text, out, call));
    const found = info(describe<Description>(this.#handle.object));
    this.name = found.name;
    this.engine = found.engine;
    this.unifiedMemory = found.unifiedMemory;
    this.maxThreadsPerThreadgroup = found.maxThreadsPerThreadgroup;
    this.maxThreadgroupMemory = found.maxThreadgroupMemory;
    this.maxBufferBytes = found.maxBufferBytes;
    this.workingSetBytes = found.workingSetBytes;
    this.driver = found.driver;
    this.cores = found.cores;
    this.l2Bytes = found.l2Bytes;
    this.clockMHz = found.clockMHz;
  }

  /** The native handle. */
  get object(): number {
    return this.#handle.object;
  }

  /**
   * Versions of the libraries behind it, by name: `cuda` (the newest that the driver runs), `nvrtc` and
   * `cublas` on CUDA, none elsewhere. The first time it opens them, which can take a while.
   */
  get versions(): Readonly<Record<string, string>> {
    return this.#versions ??= json<Record<string, string>>((text, call) =>
      native().mf_gpu_versions(this.object, text, call)
    );
  }

  /** Bytes of buffers in use, at the peak, and kept for the next ones. */
  memory(): GpuMemory {
    return this.#memory(0);
  }

  /** Lets the peak begin anew at what is in use. */
  resetPeak(): void {
    this.#memory(1);
  }

  /** Gives memory that is kept for the next buffers back to the system. */
  clearCache(): void {
    this.#memory(2);
  }

  #memory(action: number): GpuMemory {
    const out = new Float64Array(3);
    invoke((call) => native().mf_gpu_memory(this.object, action, out, call));
    return { active: out[0]!, peak: out[1]!, cached: out[2]! };
  }

  /**
   * Allocates memory; what is in it is arbitrary.
   *
   * @param bytes Its size.
   * @param options Where it lies, and its name.
   * @throws {OutOfMemoryError} If there is not enough.
   */
  createBuffer(bytes: number, options?: BufferOptions): GpuBuffer {
    return new GpuBuffer(this, bytes, options);
  }

  /**
   * Compiles MSL; the same text and options give the same library.
   *
   * @param source MSL. What it includes with `<…>` is the standard library's.
   * @param options Its name in errors, math mode, macros.
   * @throws {CompileError} If it does not compile.
   */
  library(source: string, options: LibraryOptions = {}): KernelLibrary {
    return this.#compile(source, false, options);
  }

  /**
   * The same, compiled on another thread.
   *
   * @param source MSL. What it includes with `<…>` is the standard library's.
   * @param options Its name in errors, math mode, macros.
   * @throws {CompileError} If it does not compile.
   */
  async libraryAsync(source: string, options: LibraryOptions = {}): Promise<KernelLibrary> {
    const key = libraryKey(source, false, options);
    const known = this.#libraries.get(key);
    if (known) return known;
    const { record, bytes } = sourceRecord(source, false, options);
    const { object } = this;
    const handle = await compileAsync(
      "kernel library",
      (out, call) => native().mf_gpu_library_create_async(object, record, bytes, out, call),
    );
    const meanwhile = this.#libraries.get(key);
    if (meanwhile === undefined) return this.#keep(key, handle);
    handle.dispose();
    return meanwhile;
  }

  /**
   * Compiles a file of the folder `shaders/`, with the files beside it that it includes.
   *
   * @param file Its name, or an absolute path elsewhere. The native library reads it: no
   * `--allow-read` is needed.
   * @param options As for {@linkcode GpuDevice.library}.
   * @throws {RangeError} If there is no such file.
   * @throws {CompileError} If it does not compile.
   */
  shader(file: string, options: LibraryOptions = {}): KernelLibrary {
    return this.#compile(shaderPaths(file).join("\n"), true, { name: file, ...options });
  }

  #compile(text: string, isPath: boolean, options: LibraryOptions): KernelLibrary {
    const key = libraryKey(text, isPath, options);
    const known = this.#libraries.get(key);
    if (known) return known;
    const { record, bytes } = sourceRecord(text, isPath, options);
    const handle = compile(
      "kernel library",
      (out, call) => native().mf_gpu_library_create(this.object, record, bytes, out, call),
    );
    return this.#keep(key, handle);
  }

  #keep(key: string, handle: NativeHandle): KernelLibrary {
    const library = new KernelLibrary(this, handle, () => this.#libraries.delete(key));
    this.#libraries.set(key, library);
    return library;
  }

  /** The default stream. */
  get stream(): Stream {
    return this.#stream ??= new Stream(this, "default");
  }

  /**
   * Another stream: its work may run beside that of the default stream.
   *
   * @param options `label` in captures.
   */
  createStream(options: { label?: string } = {}): Stream {
    return new Stream(this, options.label);
  }

  /** An event, with value 0. */
  createEvent(): GpuEvent {
    return new GpuEvent(this);
  }

  /**
   * Starts to record what this device does, for Xcode.
   *
   * @param path Absolute path of the `.gputrace` to write.
   * @throws {DeviceError} If it cannot: only Apple's Metal can, with `MTL_CAPTURE_ENABLED=1`.
   */
  startCapture(path: string): void {
    if (path === "") throw new RangeError("Cannot capture GPU work: the path is empty");
    invoke((call) => native().mf_gpu_capture(this.object, cString(path), call));
  }

  /** Ends the recording and writes it. */
  stopCapture(): void {
    invoke((call) => native().mf_gpu_capture(this.object, cString(""), call));
  }

  /** What a notebook shows. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return deviceBundle(this);
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return plainText(deviceBundle(this));
  }
}
