/** The GPU that tests of kernels run on: that of METALFAISS_GPU, else the emulator. @module */

import assert from "node:assert/strict";
import { gpuVariable } from "../lib/env.ts";
import { DeviceError } from "../lib/errors.ts";
import { gpu, type GpuBuffer, type GpuDevice } from "../lib/kernel/mod.ts";
import { isNative } from "./native.ts";

/** Options of tests that need a GPU. */
export const onGpu = { ignore: !isNative };

/** The device. */
export function device(): GpuDevice {
  return gpu(gpuVariable() ?? "emulator");
}

/** A buffer of given contents. */
export function bufferOf(
  values: ArrayBufferView,
  storage: "shared" | "private" = "shared",
  on: GpuDevice = device(),
): GpuBuffer {
  const buffer = on.createBuffer(values.byteLength, { storage });
  buffer.writeSync(values);
  return buffer;
}

/** A buffer of bytes 0xff: NaN as floats, so that what a kernel does not write shows. */
export function poisoned(
  bytes: number,
  storage: "shared" | "private" = "shared",
  on: GpuDevice = device(),
): GpuBuffer {
  return bufferOf(new Uint8Array(bytes).fill(0xff), storage, on);
}

/** The floats of a buffer. */
export function floats(buffer: GpuBuffer): number[] {
  return [...buffer.readSync(new Float32Array(buffer.byteLength / 4))];
}

/** Whether the emulator can compile here; where it cannot, that its error says what to install. */
export function hasCompiler(): boolean {
  try {
    gpu("emulator").library("kernel void nothing() {}");
    return true;
  } catch (error) {
    assert.ok(error instanceof DeviceError, `${error}`);
    assert.match(error.message, /no clang was found .* Install Swift/);
    return false;
  }
}
