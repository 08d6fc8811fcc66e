import type { BufferOptions, GpuBuffer } from "../../kernel/buffer.ts";
import type { GpuDevice } from "../../kernel/device.ts";
import type { LibraryOptions, Pipeline } from "../../kernel/library.ts";

/** Most bytes that a batch of queries takes beside the rows. */
const MOST_BUDGET = 2 ** 30;
/** Data up to here goes through memory shared with the host: the device reads it over the bus. */
const SMALL_BYTES = 64 * 1024;

/**
 * Multiply-adds a command buffer, about: an abort waits for one. Exact ones take ten times
 * as long; the emulator does a few tens of millions a second.
 */
const WORK = { gpu: 2 ** 42, emulator: 2 ** 26 } as const;
/** What an exact pair of numbers costs in multiply-adds. */
export const EXACT_WORK = 16;

/** Settings of the gpu backend. */
export interface GpuBackendOptions {
  /** Bytes that a batch may take beside the rows; by default an eighth of the device's memory, at most 1 GiB. */
  budget?: number | undefined;
}

/** What every part of the backend works with: a device, its kernels, memory. */
export class GpuContext {
  readonly device: GpuDevice;
  /** Bytes that a batch may take beside the rows. */
  readonly budget: number;
  readonly #pipelines = new Map<string, Pipeline>();

  constructor(device: GpuDevice, { budget }: GpuBackendOptions = {}) {
    this.device = device;
    this.budget = budget ?? Math.min(MOST_BUDGET, device.workingSetBytes / 8);
  }

  /**
   * Queries a command buffer: as many as its memory and the patience for an abort allow.
   *
   * @param nq Queries in all.
   * @param bytes Memory that each takes.
   * @param work Multiply-adds that each takes.
   */
  batchSize(nq: number, bytes: number, work: number): number {
    const patience = this.device.engine === "emulator" ? WORK.emulator : WORK.gpu;
    const most = Math.max(1, Math.floor(Math.min(this.budget / bytes, patience / work)));
    // Equal batches: the last one would be as slow as a full one.
    return Math.ceil(nq / Math.ceil(nq / most));
  }

  /** A kernel of `shaders/`, compiled the first time; the name says all that options change. */
  kernel(file: string, name: string, options?: LibraryOptions): Pipeline {
    let pipeline = this.#pipelines.get(name);
    if (pipeline === undefined) {
      pipeline = this.device.shader(file, options).pipeline(name);
      this.#pipelines.set(name, pipeline);
    }
    return pipeline;
  }

  /** Memory; some even where nothing is to be kept. */
  allocate(bytes: number, options: BufferOptions): GpuBuffer {
    return this.device.createBuffer(Math.max(16, bytes), options);
  }

  /** Private memory. */
  allocatePrivate(bytes: number, label: string): GpuBuffer {
    return this.allocate(bytes, { storage: "private", label });
  }

  /** Memory for what the host writes: shared where it is little. */
  allocateInput(bytes: number, label: string): GpuBuffer {
    return this.allocate(bytes, { storage: bytes <= SMALL_BYTES ? "shared" : "private", label });
  }
}
