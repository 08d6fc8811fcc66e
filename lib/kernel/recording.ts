/**
 * Work that is checked once and runs any number of times.
 *
 * @module
 */

import type { NativeHandle } from "../../ffi/handle.ts";
import type { GpuDevice } from "./device.ts";

/**
 * Commands to run again and again with {@linkcode Stream.replay}. Buffers keep their places, and what they hold
 * at the time counts; what went by value keeps its value. Buffers and pipelines stay alive until it is
 * disposed of and the last replay has ended, even where they are disposed of before.
 *
 * Events keep their values as well: an event that has reached a value holds up no later replay.
 *
 * @example
 * ```ts
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const device = gpu("emulator");
 * const library = device.library(`
 *   #include <metal_stdlib>
 *   kernel void twice(device float* x, uint i [[thread_position_in_grid]]) { x[i] *= 2; }`);
 * using x = device.createBuffer(4);
 * x.writeSync(new Float32Array([1]));
 * using recording = device.stream.commands("twice")
 *   .dispatch(library.pipeline("twice"), [x], { threads: 1, threadgroup: 32 })
 *   .record();
 * for (let i = 0; i < 9; i++) device.stream.replay(recording);
 * const { dispatches } = await device.stream.replay(recording).completed;
 * assert.equal(dispatches, 1);
 * assert.equal(x.readSync(new Float32Array(1))[0], 1024);
 * ```
 */
export class Recording implements Disposable {
  /** The device that it belongs to. */
  readonly device: GpuDevice;
  /** Its name in captures and messages. */
  readonly label: string;
  readonly #handle: NativeHandle;

  /** Use {@linkcode CommandBuffer.record}. */
  constructor(device: GpuDevice, label: string, handle: NativeHandle) {
    this.device = device;
    this.label = label;
    this.#handle = handle;
  }

  /** The native handle. */
  get object(): number {
    return this.#handle.object;
  }

  /** Frees it; replays under way still end. */
  dispose(): void {
    this.#handle.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
