/**
 * Streams and events.
 *
 * @module
 */

import { invoke } from "../../ffi/call.ts";
import { NativeHandle } from "../../ffi/handle.ts";
import { CommandBuffer } from "./command_buffer.ts";
import type { GpuDevice } from "./device.ts";
import { cString, native } from "./native.ts";

/** A queue of a device: its command buffers run one after the other. */
export class Stream implements Disposable {
  /** The device that it belongs to. */
  readonly device: GpuDevice;
  /** Its name in captures. */
  readonly label: string;
  readonly #handle: NativeHandle;

  /** Use {@linkcode GpuDevice.createStream}. */
  constructor(device: GpuDevice, label = "") {
    this.device = device;
    this.label = label;
    const text = cString(label);
    this.#handle = new NativeHandle(
      "stream",
      (out, call) => native().mf_gpu_stream_create(device.object, text, out, call),
    );
  }

  /** The native handle. */
  get object(): number {
    return this.#handle.object;
  }

  /**
   * Begins a command buffer.
   *
   * @param label Its name in captures and messages.
   */
  commands(label = ""): CommandBuffer {
    return new CommandBuffer(this, label);
  }

  /** Frees it; what was committed still runs. */
  dispose(): void {
    this.#handle.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A counter by which streams wait for each other, or for the host. */
export class GpuEvent implements Disposable {
  /** The device that it belongs to. */
  readonly device: GpuDevice;
  readonly #handle: NativeHandle;

  /** Use {@linkcode GpuDevice.createEvent}. */
  constructor(device: GpuDevice) {
    this.device = device;
    this.#handle = new NativeHandle(
      "event",
      (out, call) => native().mf_gpu_event_create(device.object, out, call),
    );
  }

  /** The native handle. */
  get object(): number {
    return this.#handle.object;
  }

  /** The last value that was signalled, 0 at first. Setting it signals from the host. */
  get value(): number {
    const out = new Float64Array(1);
    invoke((call) => native().mf_gpu_event_get(this.object, out, call));
    return out[0]!;
  }

  set value(value: number) {
    invoke((call) => native().mf_gpu_event_set(this.object, value, call));
  }

  /** Frees it. */
  dispose(): void {
    this.#handle.dispose();
  }

  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
