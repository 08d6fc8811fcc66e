/**
 * Command buffers under way.
 *
 * @module
 */

import { invoke, invokeAsync } from "../../ffi/call.ts";
import type { NativeHandle } from "../../ffi/handle.ts";
import { native } from "./native.ts";

/** What a command buffer took. */
export interface CommandTimes {
  /** From its start to its end on the GPU. */
  gpuSeconds: number;
  /** From commit to completion, seen from the host. */
  cpuSeconds: number;
  /** Threads dispatched; a product counts one for each element of its result. */
  threads: number;
  /** Dispatches, products among them. */
  dispatches: number;
  /**
   * When it started on the GPU: seconds on a clock that all streams of a device share, near the host's
   * monotonic one.
   */
  gpuStart: number;
  /** When it ended on the GPU, on the same clock. */
  gpuEnd: number;
}

/** Doubles of `mf_gpu_times`. */
const TIMES = 7;

/** Milliseconds of promises that are fulfilled at once before timers and aborts get a turn. */
const TURN = 8;

let turned = performance.now();

/** Lets the event loop go on, now and then: work that is always done by the time would hold it up. */
async function giveTurn(): Promise<void> {
  if (performance.now() - turned < TURN) return;
  await new Promise((resolve) => setTimeout(resolve, 0));
  turned = performance.now();
}

/** A committed command buffer. Its failure shows only where somebody waits for it. */
export class Submission {
  readonly #handle: NativeHandle;
  readonly #out = new Float64Array(TIMES);
  #times: CommandTimes | undefined;
  #completed: Promise<CommandTimes> | undefined;

  /**
   * Use {@linkcode CommandBuffer.commit}.
   *
   * @param handle The native object.
   */
  constructor(handle: NativeHandle) {
    this.#handle = handle;
  }

  /**
   * Fulfilled when all is done.
   *
   * @throws {DeviceError} If a command failed: a fault that the emulator found, a GPU that is gone.
   * @throws {OutOfMemoryError} If the GPU had no memory left.
   */
  get completed(): Promise<CommandTimes> {
    return this.#completed ??= this.#wait();
  }

  /** Blocks until all is done: for work under 100 µs. */
  waitSync(): CommandTimes {
    return this.#poll(Infinity)!;
  }

  /** Whether all is done; throws where it failed. */
  get isCompleted(): boolean {
    return this.#poll(0) !== undefined;
  }

  #poll(seconds: number): CommandTimes | undefined {
    if (this.#times) return this.#times;
    const { object } = this.#handle;
    invoke((call) => native().mf_gpu_wait(object, seconds, this.#out, call));
    return this.#read(this.#out);
  }

  async #wait(): Promise<CommandTimes> {
    // Most small work is done by now; another thread would cost more than it.
    const times = this.#poll(0);
    if (times) {
      await giveTurn();
      return times;
    }
    const { object } = this.#handle;
    const out = new Float64Array(TIMES);
    await invokeAsync((call) => native().mf_gpu_wait_async(object, Infinity, out, call));
    turned = performance.now();
    return this.#read(out)!;
  }

  #read(out: Float64Array): CommandTimes | undefined {
    if (out[0] === 0) return undefined;
    if (!this.#times) this.#handle.dispose();
    return this.#times ??= {
      gpuSeconds: out[1]!,
      cpuSeconds: out[2]!,
      threads: out[3]!,
      dispatches: out[4]!,
      gpuStart: out[5]!,
      gpuEnd: out[6]!,
    };
  }
}
