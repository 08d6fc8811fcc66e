/**
 * Callbacks when work of a GPU is done.
 *
 * @module
 */

import type { GpuDevice } from "./device.ts";
import type { Stream } from "./stream.ts";
import { Submission } from "./submission.ts";
import { Tensor } from "./tensor.ts";

/** Gets the error where something failed. */
export type CompletionCallback = (error?: Error) => void;

/** What {@linkcode afterEval} waits for. */
export type Pending = Tensor | Submission | PromiseLike<unknown>;

/**
 * Calls back once, when all that was committed to a stream so far is done: to this stream only.
 *
 * @param stream The stream.
 * @param callback Gets the error where a command buffer failed; never called before this returns.
 *
 * @example
 * ```ts
 * import { gpu, onStreamComplete } from "@metalfaiss/metalfaiss/kernel";
 *
 * using stream = gpu("emulator").createStream();
 * await new Promise<void>((resolve) => onStreamComplete(stream, () => resolve()));
 * ```
 */
export function onStreamComplete(stream: Stream, callback: CompletionCallback): void {
  stream.onComplete(callback);
}

/**
 * Calls back once, when arrays have their values.
 *
 * @param arrays Tensors: what was committed so far to the default stream of their device is waited for;
 * command buffers, such as those of other streams; and promises, such as those of kernel calls.
 * @param callback Gets the first error; never called before this returns.
 *
 * @example
 * ```ts
 * import { afterEval, gpu, Tensor } from "@metalfaiss/metalfaiss/kernel";
 *
 * using x = Tensor.zeros([1024], "float32", gpu("emulator"));
 * x.device.stream.commands().fill(x.buffer, 0, x.byteLength, 0).commit();
 * await new Promise<void>((resolve) => afterEval([x], () => resolve()));
 * ```
 */
export function afterEval(arrays: readonly Pending[], callback: CompletionCallback): void {
  const devices = new Set<GpuDevice>();
  const waits: PromiseLike<unknown>[] = [];
  for (const pending of arrays) {
    if (pending instanceof Tensor) devices.add(pending.device);
    else waits.push(pending instanceof Submission ? pending.completed : pending);
  }
  for (const device of devices) waits.push(device.stream.finished());
  Promise.all(waits).then(() => callback(), callback);
}
