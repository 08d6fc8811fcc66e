/**
 * Kernels from a body of MSL, as MLX's `fast.metal_kernel` makes them.
 *
 * @module
 */

import { withDisplay } from "../display.ts";
import { DeviceError } from "../errors.ts";
import { emulatorChecks } from "../env.ts";
import type { KernelArgument } from "./command_buffer.ts";
import { gpu, type GpuDevice } from "./device.ts";
import { kernelBundle } from "./device_display.ts";
import { type DType, encode } from "./dtype.ts";
import { checkCall, checkOptions } from "./kernel_checks.ts";
import type { Pipeline } from "./library.ts";
import type { Scalar } from "./nested.ts";
import {
  CONSTANT_ELEMENTS,
  type InputType,
  kernelName,
  kernelSource,
  type KernelText,
  layoutParameters,
  type OutputType,
  type TemplateValue,
} from "./signature.ts";
import { recordContiguous } from "./strided.ts";
import type { Stream } from "./stream.ts";
import type { CommandTimes } from "./submission.ts";
import { filled, Tensor } from "./tensor.ts";
import { tokenize, usedNames } from "./tokens.ts";

/** What a kernel is made of. */
export interface MetalKernelOptions {
  /** Its name: an identifier. */
  name: string;
  /** Names of the inputs in `source`. */
  inputNames: readonly string[];
  /** Names of the outputs in `source`; at least one. */
  outputNames: readonly string[];
  /** Body of the function alone: its signature is generated. */
  source: string;
  /** Text before the function: includes, helpers, structs. */
  header?: string;
  /** Whether inputs whose rows do not follow each other are copied first; true by default. */
  ensureRowContiguous?: boolean;
  /** Whether outputs are `device atomic<T>*`. */
  atomicOutputs?: boolean;
  /** How it is compiled. */
  compileOptions?: { mathMode?: "safe" | "relaxed" | "fast" };
}

/** An input: a tensor, or a value that becomes a scalar. Numbers are float32. */
export type KernelInput = Tensor | Scalar | { readonly value: Scalar; readonly dtype: DType };

/** Values of template parameters, in their order. */
export type Template =
  | Readonly<Record<string, TemplateValue>>
  | readonly (readonly [name: string, value: TemplateValue])[];

/** One call of a kernel. */
export interface KernelCall {
  /** One for each input name. */
  inputs: readonly KernelInput[];
  /** Values of template parameters, in their order. */
  template?: Template;
  /** Threads along x, y and z: threads, not threadgroups. */
  grid: readonly [x: number, y: number, z: number];
  /** Threads a threadgroup; cut down where the grid is smaller. */
  threadgroup: readonly [x: number, y: number, z: number];
  /** One for each output name. */
  outputShapes: readonly (readonly number[])[];
  /** One for each output name. */
  outputDtypes: readonly DType[];
  /** What outputs are filled with first; otherwise their contents are arbitrary. */
  initValue?: number | boolean;
  /** Whether the generated source is printed. */
  verbose?: boolean;
  /** Where it runs; by default the default stream of the inputs' device. */
  stream?: Stream;
}

/** What the last call of a kernel ran. */
export interface KernelRun extends CommandTimes {
  /** Name of the generated function. */
  kernel: string;
  /** Name of the device. */
  device: string;
  /** What ran it: metal, cuda or emulator. */
  engine: string;
}

/** A kernel, to be called. */
export interface MetalKernel {
  /**
   * Runs the kernel.
   *
   * @param call Inputs, sizes and types.
   * @returns The outputs, once they are there.
   */
  (call: KernelCall): Promise<Tensor[]>;
  /** Name that it was given. */
  readonly name: string;
  /** What the last call ran. */
  readonly lastRun: KernelRun | undefined;
  /**
   * Runs the same call on the emulator with all its checks, on copies of the inputs.
   *
   * @param call Inputs, sizes and types.
   * @returns The outputs, on the emulator; what the kernel did not write of them is NaN or −1.
   * @throws {DeviceError} The first fault: which argument, which thread, where in the source.
   */
  check(call: KernelCall): Promise<Tensor[]>;
  /**
   * The text that a call compiles: helpers, header, and the kernel with its generated signature.
   *
   * @param call Inputs, sizes and types.
   * @returns What `verbose` prints.
   */
  source(call: KernelCall): string;
}

/**
 * Makes a kernel from the body of a Metal function.
 *
 * Inputs are `const device T* name`; `const constant` where they have fewer than 8 elements,
 * and references where they are scalars. `name_shape`, `name_strides`, `name_ndim` and
 * Metal's attributes, such as `thread_position_in_grid`, are parameters where header or
 * source use them.
 *
 * @param options Names, source, and how it is compiled.
 * @throws {TypeError} If names or source are not what they must be.
 *
 * @example
 * ```ts
 * import { gpu, metalKernel, Tensor } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * const exp = metalKernel({
 *   name: "myexp",
 *   inputNames: ["inp"],
 *   outputNames: ["out"],
 *   source: `
 *     uint elem = thread_position_in_grid.x;
 *     T tmp = inp[elem];
 *     out[elem] = metal::exp(tmp);`,
 * });
 * using x = Tensor.from([0, 1, 2], [3], "float32", gpu("emulator"));
 * const [y] = await exp({
 *   inputs: [x],
 *   template: { T: "float32" },
 *   grid: [3, 1, 1],
 *   threadgroup: [256, 1, 1],
 *   outputShapes: [x.shape],
 *   outputDtypes: [x.dtype],
 * });
 * assert.ok(Math.abs(Number((await y!.data())[1]) - Math.E) < 1e-6);
 * ```
 */
export function metalKernel(options: MetalKernelOptions): MetalKernel {
  const source = tokenize(options.source ?? "");
  checkOptions(options, source);
  const kernel = new Kernel(options, {
    name: options.name,
    header: options.header ?? "",
    source: options.source,
    used: usedNames(tokenize(options.header ?? "")).union(usedNames(source)),
    atomicOutputs: options.atomicOutputs ?? false,
  });
  const call = (call: KernelCall) => kernel.run(call);
  const made = Object.defineProperties(call as MetalKernel, {
    name: { value: options.name },
    lastRun: { get: () => kernel.lastRun },
    check: { value: (call: KernelCall) => kernel.check(call) },
    source: { value: (call: KernelCall) => kernel.source(call) },
  });
  return withDisplay(made, () => kernelBundle(made, options));
}

/** An input as it is passed. */
interface BoundInput extends InputType {
  tensor?: Tensor;
  /** The value of a scalar that is no tensor. */
  bytes?: ArrayBufferView;
}

class Kernel {
  lastRun: KernelRun | undefined;
  readonly #options: MetalKernelOptions;
  readonly #text: KernelText;
  readonly #pipelines = new WeakMap<GpuDevice, Map<string, Pipeline>>();

  constructor(options: MetalKernelOptions, text: KernelText) {
    this.#options = options;
    this.#text = text;
  }

  async run(call: KernelCall): Promise<Tensor[]> {
    checkCall(this.#options, call);
    const inputs = call.inputs.map((input, i) => bindInput(input, this.#options.inputNames[i]!));
    const tensor = inputs.find(({ tensor }) => tensor !== undefined)?.tensor;
    const device = call.stream?.device ?? tensor?.device ?? gpu();
    const elsewhere = inputs.find(({ tensor }) => tensor !== undefined && tensor.device !== device);
    if (elsewhere !== undefined) {
      throw new RangeError(
        `Cannot run kernel ${this.#text.name}: input ${elsewhere.name} lies on ` +
          `${elsewhere.tensor!.device.name}, not on ${device.name}; copy it with to()`,
      );
    }
    return await this.#run(call, inputs, device);
  }

  async #run(call: KernelCall, inputs: BoundInput[], device: GpuDevice): Promise<Tensor[]> {
    const types = this.#outputs(call);
    const pipeline = await this.#pipeline(call, inputs, types, device);
    const made: Tensor[] = [];
    const copies: Tensor[] = [];
    try {
      const commands = (call.stream ?? device.stream).commands(this.#text.name);
      const args: KernelArgument[] = [];
      for (const input of inputs) {
        if (input.tensor && this.#needsCopy(input, input.tensor)) {
          input.tensor = recordContiguous(commands, input.tensor);
          copies.push(input.tensor);
        }
        args.push(input.tensor ?? input.bytes!, ...this.#layout(input));
      }
      for (const [i, { dtype }] of types.entries()) {
        const output = Tensor.empty(call.outputShapes[i]!, dtype, device);
        made.push(output);
        args.push(output);
        const { buffer, byteLength } = output;
        const init = call.initValue === undefined ? undefined : encode([call.initValue], dtype);
        const byte = init === undefined ? 0xff : sameByte(init);
        // On the emulator, what a kernel forgets to write shows: as NaN, or as −1.
        if (init === undefined && device.engine !== "emulator") continue;
        if (byte !== undefined) commands.fill(buffer, 0, byteLength, byte);
        else await buffer.write(filled(call.initValue!, dtype, output.size));
      }
      const threadgroup = call.threadgroup.map((n, axis) => Math.min(n, call.grid[axis]!));
      commands.dispatch(pipeline, args, {
        threads: call.grid,
        threadgroup: threadgroup as [number, number, number],
      });
      const times = await commands.commit().completed;
      this.lastRun = {
        kernel: pipeline.name,
        device: device.name,
        engine: device.engine,
        ...times,
        threads: call.grid[0] * call.grid[1] * call.grid[2],
      };
      return made;
    } catch (error) {
      for (const output of made) output.dispose();
      throw error;
    } finally {
      for (const copy of copies) copy.dispose();
    }
  }

  async check(call: KernelCall): Promise<Tensor[]> {
    const emulator = gpu("emulator");
    if (!emulatorChecks()) {
      throw new DeviceError(
        `Cannot check kernel ${this.#text.name}: METALFAISS_EMULATOR_CHECKS is off; unset it`,
      );
    }
    checkCall(this.#options, call);
    const copies: Tensor[] = [];
    try {
      const inputs: BoundInput[] = [];
      for (const [i, input] of call.inputs.entries()) {
        const bound = bindInput(input, this.#options.inputNames[i]!);
        if (bound.tensor) copies.push(bound.tensor = await bound.tensor.to(emulator));
        inputs.push(bound);
      }
      const { stream: _elsewhere, ...rest } = call;
      return await this.#run(rest, inputs, emulator);
    } finally {
      for (const copy of copies) copy.dispose();
    }
  }

  source(call: KernelCall): string {
    checkCall(this.#options, call);
    const inputs = call.inputs.map((input, i) => bindInput(input, this.#options.inputNames[i]!));
    const outputs = this.#outputs(call);
    const template = templateEntries(call.template);
    const name = kernelName(this.#text.name, template, inputs, outputs);
    return kernelSource(this.#text, name, template, inputs, outputs);
  }

  #outputs({ outputDtypes }: KernelCall): OutputType[] {
    return this.#options.outputNames.map((name, i) => ({ name, dtype: outputDtypes[i]! }));
  }

  async #pipeline(
    call: KernelCall,
    inputs: readonly InputType[],
    outputs: readonly OutputType[],
    device: GpuDevice,
  ): Promise<Pipeline> {
    const template = templateEntries(call.template);
    const name = kernelName(this.#text.name, template, inputs, outputs);
    // Names of templates count too, and whether an input has a shape.
    const key = JSON.stringify([name, template, inputs.map(({ ndim }) => ndim > 0)]);
    let known = this.#pipelines.get(device);
    if (known === undefined) this.#pipelines.set(device, known = new Map());
    let pipeline = known.get(key);
    if (pipeline !== undefined && !call.verbose) return pipeline;
    const source = kernelSource(this.#text, name, template, inputs, outputs);
    if (call.verbose) console.log(source);
    if (pipeline === undefined) {
      const { mathMode = "safe" } = this.#options.compileOptions ?? {};
      const library = await device.libraryAsync(source, { name: this.#text.name, mathMode });
      known.set(key, pipeline = await library.pipelineAsync(name));
    }
    return pipeline;
  }

  #needsCopy({ size }: InputType, tensor: Tensor): boolean {
    if (this.#options.ensureRowContiguous === false) return false;
    // Some Macs want places in constant memory on 256 bytes.
    return !tensor.isContiguous || (size < CONSTANT_ELEMENTS && tensor.offset % 256 !== 0);
  }

  #layout(input: BoundInput): KernelArgument[] {
    const { tensor } = input;
    if (!tensor) return [];
    return layoutParameters(input, this.#text.used).map((what) => {
      if (what === "ndim") return new Int32Array([tensor.ndim]);
      if (what === "shape") return Int32Array.from(tensor.shape);
      return BigInt64Array.from(tensor.strides, BigInt);
    });
  }
}

function bindInput(input: KernelInput, name: string): BoundInput {
  if (input instanceof Tensor) {
    const { dtype, ndim, size } = input;
    return { name, dtype, ndim, size, tensor: input };
  }
  const { value, dtype } = typeof input === "object"
    ? input
    : { value: input, dtype: scalarType(input) };
  return { name, dtype, ndim: 0, size: 1, bytes: encode([value], dtype) };
}

function scalarType(value: Scalar): DType {
  return typeof value === "boolean" ? "bool" : typeof value === "bigint" ? "int64" : "float32";
}

function templateEntries(template: Template = []): readonly (readonly [string, TemplateValue])[] {
  return Array.isArray(template)
    ? template
    : Object.entries(template as Record<string, TemplateValue>);
}

/** The byte that all bytes of a value are, if they are one. */
function sameByte(value: ArrayBufferView): number | undefined {
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return bytes.every((byte) => byte === bytes[0]) ? bytes[0] : undefined;
}
