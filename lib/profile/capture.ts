/**
 * Captures for Xcode.
 *
 * @module
 */

import type { GpuDevice } from "../kernel/device.ts";

/**
 * Does work while the device records what it does, for Xcode's debugger.
 *
 * @param device The GPU.
 * @param path Absolute path of the `.gputrace` to write.
 * @param work What to record.
 * @returns What the work returned.
 * @throws {DeviceError} If the device cannot: only Apple's Metal can, with `MTL_CAPTURE_ENABLED=1`.
 *
 * @example
 * ```ts
 * import { DeviceError } from "@metalfaiss/metalfaiss";
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import { captureGpu } from "@metalfaiss/metalfaiss/profile";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(captureGpu(gpu("emulator"), "/tmp/a.gputrace", () => 1), DeviceError);
 * ```
 */
export async function captureGpu<T>(
  device: GpuDevice,
  path: string,
  work: () => T | Promise<T>,
): Promise<T> {
  device.startCapture(path);
  try {
    return await work();
  } finally {
    device.stopCapture();
  }
}
