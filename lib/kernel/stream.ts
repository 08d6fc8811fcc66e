/**
 * Streams and events.
 *
 * @module
 */

import { invoke } from "../../ffi/call.ts";
import { NativeHandle } from "../../ffi/handle.ts";
import { CommandBuffer } from "./command_buffer.ts";
import type { GpuDevice } from "./device.ts";
import { adopt, cString, native } from "./native.ts";
import type { Recording } from "./recording.ts";
import { Submission } from "./submission.ts";

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

  /**
   * Runs what was recorded, once more, without waiting: in one call, however much it is.
   *
   * @param recording Of any stream of the same device.
   * @throws {RangeError} If it belongs to another device.
   * @throws {DisposedError} If it was disposed of.
   */
  replay(recording: Recording): Submission {
    const out = new Uint32Array(1);
    const { object } = recording;
    invoke((call) => native().mf_gpu_replay(this.object, object, out, call));
    return new Submission(adopt("command buffer", out[0]!));
  }

  /**
   * Fulfilled when all that was committed to this stream so far is done: to this one only, and what is
   * committed later does not count.
   *
   * @throws {DeviceError} If a command buffer that was still under way failed: the first that did.
   * @throws {OutOfMemoryError} If the GPU had no memory left.
   */
  async finished(): Promise<void> {
    const out = new Uint32Array(1);
    invoke((call) => native().mf_gpu_stream_mark(this.object, out, call));
    await new Submission(adopt("mark of a stream", out[0]!)).completed;
  }

  /**
   * Calls back once, when all that was committed to this stream so far is done: to this one only.
   *
   * @param callback Gets the error where a command buffer that was still under way failed. Never called
   * before this function returns.
   *
   * @example
   * ```ts
   * import { gpu } from "@metalfaiss/metalfaiss/kernel";
   *
   * const device = gpu("emulator");
   * using x = device.createBuffer(1 << 20);
   * device.stream.commands().fill(x, 0, 1 << 20, 0).commit();
   * device.stream.onComplete((error) => console.assert(error === undefined));
   * await device.stream.finished();
   * ```
   */
  onComplete(callback: (error?: Error) => void): void {
    this.finished().then(() => callback(), callback);
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
