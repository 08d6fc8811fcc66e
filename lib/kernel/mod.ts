/**
 * Kernels of one's own: GPUs and their memory, Metal kernels, tensors.
 *
 * @example A kernel from a few lines of Metal
 * ```ts
 * import { gpu, metalKernel, Tensor } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const axpy = metalKernel({
 *   name: "axpy",
 *   inputNames: ["x", "y", "alpha"],
 *   outputNames: ["out"],
 *   source: `
 *     uint i = thread_position_in_grid.x;
 *     out[i] = alpha * x[i] + y[i];`,
 * });
 * const device = gpu("emulator");
 * using x = Tensor.from([1, 2, 3], [3], "float32", device);
 * using y = Tensor.from([10, 20, 30], [3], "float32", device);
 * const [out] = await axpy({
 *   inputs: [x, y, 2],
 *   grid: [3, 1, 1],
 *   threadgroup: [256, 1, 1],
 *   outputShapes: [[3]],
 *   outputDtypes: ["float32"],
 * });
 * assert.deepEqual([...await out!.data()], [12, 24, 36]);
 * ```
 *
 * @module
 */

export type { BufferOptions, GpuBuffer, Storage } from "./buffer.ts";
export {
  type CommandBuffer,
  type DispatchOptions,
  type KernelArgument,
  type Size,
} from "./command_buffer.ts";
export {
  afterEval,
  type CompletionCallback,
  onStreamComplete,
  type Pending,
} from "./completion.ts";
export {
  gpu,
  type GpuDevice,
  gpuDevices,
  type GpuEngine,
  type GpuInfo,
  type GpuMemory,
} from "./device.ts";
export type { DType, TensorData } from "./dtype.ts";
export type { Constants, KernelLibrary, LibraryOptions, Pipeline } from "./library.ts";
export { lintShader } from "./lint.ts";
export type { MultiplyOptions, ProductDType } from "./multiply.ts";
export {
  type KernelCall,
  type KernelInput,
  type KernelRun,
  type MetalKernel,
  metalKernel,
  type MetalKernelOptions,
  type Template,
} from "./metal_kernel.ts";
export type { Nested, Scalar } from "./nested.ts";
export type { Recording } from "./recording.ts";
export { packParamsF32, packParamsUint32 } from "./params.ts";
export { requireGpu } from "./require_gpu.ts";
export type { TemplateValue } from "./signature.ts";
export type { GpuEvent, Stream } from "./stream.ts";
export type { CommandTimes, Submission } from "./submission.ts";
export { Tensor, type TensorInput } from "./tensor.ts";
