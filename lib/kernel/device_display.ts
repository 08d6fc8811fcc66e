/**
 * How GPUs and kernels look in notebooks and terminals.
 *
 * @module
 */

import { type MimeBundle, propertiesBundle } from "../display.ts";
import { formatBytes, formatNumber } from "../display_cells.ts";
import { DeviceError } from "../errors.ts";
import type { GpuDevice, GpuMemory } from "./device.ts";
import type { MetalKernel, MetalKernelOptions } from "./metal_kernel.ts";

/** What a device is, how large, and what this process has of it. */
export function deviceBundle(device: GpuDevice): MimeBundle {
  const memory = memoryOf(device);
  return propertiesBundle([
    ["engine", device.engine],
    ["driver", device.driver],
    ["cores", device.cores],
    ["clock", device.clockMHz && `${formatNumber(device.clockMHz)} MHz`],
    ["L2 cache", device.l2Bytes && formatBytes(device.l2Bytes)],
    ["memory in use", memory && formatBytes(memory.active)],
    ["peak memory in use", memory && formatBytes(memory.peak)],
    ["memory kept for reuse", memory && formatBytes(memory.cached)],
    ["working set", formatBytes(device.workingSetBytes)],
    ["largest buffer", formatBytes(device.maxBufferBytes)],
    ["unified memory", device.unifiedMemory],
    ["threads a threadgroup", device.maxThreadsPerThreadgroup],
    ["threadgroup memory", formatBytes(device.maxThreadgroupMemory)],
  ], `GPU ${device.name}`);
}

/** A device that was lost still says what it was. */
function memoryOf(device: GpuDevice): GpuMemory | undefined {
  try {
    return device.memory();
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    throw error;
  }
}

/** What a kernel takes, gives, and did last. */
export function kernelBundle(kernel: MetalKernel, options: MetalKernelOptions): MimeBundle {
  const run = kernel.lastRun;
  return propertiesBundle([
    ["inputs", options.inputNames.join(", ")],
    ["outputs", options.outputNames.join(", ")],
    ["ran", run?.kernel],
    ["on", run && `${run.device} (${run.engine})`],
    ["threads", run?.threads],
    ["GPU time", run && `${formatNumber(run.gpuSeconds * 1e3)} ms`],
    ["commit to completion", run && `${formatNumber(run.cpuSeconds * 1e3)} ms`],
  ], `Kernel ${kernel.name}`);
}
