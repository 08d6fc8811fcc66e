/**
 * Memory of a GPU.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../ffi/call.ts";
import { NativeHandle } from "../../ffi/handle.ts";
import type { GpuDevice } from "./device.ts";
import { cString, native } from "./native.ts";

/** Where a buffer lies: `shared` with the host, or `private` to the GPU and fastest there. */
export type Storage = "shared" | "private";

/** Options of {@linkcode GpuDevice.createBuffer}. */
export interface BufferOptions {
  /** Where it lies: by default private, unless host and GPU share one memory. */
  storage?: Storage;
  /** Its name in captures and messages. */
  label?: string;
}

/**
 * Memory of a GPU. Transfers are not ordered with streams: wait for the work that uses a
 * buffer before reading it, and do not write to it meanwhile.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * using buffer = gpu("emulator").createBuffer(16, { storage: "private" });
 * await buffer.write(new Float32Array([1, 2, 3, 4]));
 * const half = new Float32Array(2);
 * await buffer.read(half, 8);
 * assert.deepEqual([...half], [3, 4]);
 * ```
 */
export class GpuBuffer implements Disposable {
  /** The device that it belongs to. */
  readonly device: GpuDevice;
  /** Its size in bytes. */
  readonly byteLength: number;
  /** Where it lies. */
  readonly storage: Storage;
  readonly #handle: NativeHandle;

  /**
   * Use {@linkcode GpuDevice.createBuffer}.
   *
   * @param device The device.
   * @param byteLength Size in bytes; contents are arbitrary.
   * @param options Where it lies, and its name.
   */
  constructor(device: GpuDevice, byteLength: number, options: BufferOptions = {}) {
    const { storage = device.unifiedMemory ? "shared" : "private", label = "" } = options;
    if (storage !== "shared" && storage !== "private") {
      throw new RangeError(
        `Cannot create a buffer: storage must be shared or private, not ${storage}`,
      );
    }
    this.device = device;
    this.byteLength = byteLength;
    this.storage = storage;
    const isPrivate = storage === "private" ? 1 : 0;
    this.#handle = new NativeHandle("buffer", (out, call) =>
      native().mf_gpu_buffer_create(
        device.object,
        byteLength,
        isPrivate,
        cString(label),
        out,
        call,
      ));
  }

  /** The native handle. */
  get object(): number {
    return this.#handle.object;
  }

  /**
   * Writes on another thread; `data` must stay as it is until then.
   *
   * @param data Bytes of any typed array.
   * @param offset First byte here.
   */
  async write(data: ArrayBufferView, offset = 0): Promise<void> {
    const bytes = data as Uint8Array;
    await invokeAsync((call) =>
      native().mf_gpu_write_async(this.object, offset, bytes, bytes.byteLength, call)
    );
  }

  /** Writes on this thread: quicker where there is little to write. */
  writeSync(data: ArrayBufferView, offset = 0): void {
    const bytes = data as Uint8Array;
    invoke((call) => native().mf_gpu_write(this.object, offset, bytes, bytes.byteLength, call));
  }

  /**
   * Reads on another thread.
   *
   * @param out Typed array to fill.
   * @param offset First byte here.
   * @returns `out`.
   */
  async read<T extends ArrayBufferView>(out: T, offset = 0): Promise<T> {
    const bytes: ArrayBufferView = out;
    await invokeAsync((call) =>
      native().mf_gpu_read_async(this.object, offset, bytes, bytes.byteLength, call)
    );
    return out;
  }

  /** Reads on this thread: quicker where there is little to read. */
  readSync<T extends ArrayBufferView>(out: T, offset = 0): T {
    const bytes: ArrayBufferView = out;
    invoke((call) => native().mf_gpu_read(this.object, offset, bytes, bytes.byteLength, call));
    return out;
  }

  /** Frees it; work under way keeps it until it ends. */
  dispose(): void {
    this.#handle.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
