/**
 * Asking for a GPU.
 *
 * @module
 */

import { DeviceError } from "../errors.ts";
import { gpu, type GpuDevice } from "./device.ts";

/**
 * The GPU that kernels run on, or an error that says what could not be done without it.
 *
 * @param action What needs it, as in "Cannot …".
 * @param engine As of {@linkcode gpu}; by default that of `METALFAISS_GPU`, else the system's.
 * @returns The device.
 * @throws {DeviceError} If there is none; it says what to do.
 *
 * @example
 * ```ts
 * import { requireGpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const device = requireGpu("run the example", "emulator");
 * assert.equal(device.engine, "emulator");
 * ```
 */
export function requireGpu(action = "run a kernel", engine?: string): GpuDevice {
  try {
    return gpu(engine);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    throw new DeviceError(`Cannot ${action}: it needs a GPU. ${error.message}`, { cause: error });
  }
}
