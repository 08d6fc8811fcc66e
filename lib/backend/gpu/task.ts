import type { GpuBuffer } from "../../kernel/buffer.ts";
import type {
  CommandBuffer,
  DispatchOptions,
  KernelArgument,
} from "../../kernel/command_buffer.ts";
import type { RunInfo } from "../backend.ts";
import type { GpuContext } from "./context.ts";
import type { Steps } from "./steps.ts";

/** One call of the backend: its scratch memory, its command buffers and what they ran. */
export class Task implements Disposable {
  readonly context: GpuContext;
  /** Query-row pairs looked at. */
  scanned = 0;
  /** Pairs that were computed exactly. */
  recomputed = 0;
  readonly #label: string;
  readonly #variants = new Set<string>();
  readonly #buffers: GpuBuffer[] = [];
  #threads = 0;
  #gpuSeconds = 0;
  #commands: CommandBuffer | undefined;
  #committed: { done: () => void; undo: () => void }[] = [];

  constructor(context: GpuContext, label: string) {
    this.context = context;
    this.#label = label;
  }

  /** Private memory until the task ends. */
  scratch(bytes: number, label: string): GpuBuffer {
    return this.#own(this.context.allocatePrivate(bytes, label));
  }

  /** Memory that the host reads, until the task ends. */
  output(bytes: number, label: string): GpuBuffer {
    return this.#own(this.context.allocate(bytes, { storage: "shared", label }));
  }

  /** Memory with the host's data, until the task ends. */
  input(data: ArrayBufferView, label: string): GpuBuffer {
    const buffer = this.#own(this.context.allocateInput(data.byteLength, label));
    if (data.byteLength > 0) buffer.writeSync(data);
    return buffer;
  }

  /** Frees memory before the task ends; it must be idle. */
  release(...buffers: GpuBuffer[]): void {
    for (const buffer of buffers) {
      this.#buffers.splice(this.#buffers.indexOf(buffer), 1);
      buffer.dispose();
    }
  }

  /** Commands that {@linkcode finish} will commit. */
  get commands(): CommandBuffer {
    return this.#commands ??= this.context.device.stream.commands(this.#label);
  }

  /** Records a kernel of `shaders/`. */
  dispatch(
    [file, name]: readonly [file: string, name: string],
    args: readonly KernelArgument[],
    options: DispatchOptions,
  ): void {
    this.commands.dispatch(this.context.kernel(file, name), args, options);
    this.#variants.add(name);
  }

  /** Does something once the commands so far are on their way, and undoes it if they fail. */
  onCommit(done: () => void, undo: () => void): void {
    this.#committed.push({ done, undo });
  }

  /** Commits what was recorded and waits for it. */
  *finish(): Steps<void> {
    if (this.#commands === undefined) return;
    const submission = this.#commands.commit();
    this.#commands = undefined;
    const committed = this.#committed.splice(0);
    for (const { done } of committed) done();
    try {
      const { threads, gpuSeconds } = yield submission;
      this.#threads += threads;
      this.#gpuSeconds += gpuSeconds;
    } catch (error) {
      for (const { undo } of committed) undo();
      throw error;
    }
  }

  /** What ran. */
  runInfo(): RunInfo {
    const { engine, name } = this.context.device;
    return {
      backend: "gpu",
      engine,
      isa: name,
      variants: [...this.#variants],
      threads: this.#threads,
      scanned: this.scanned,
      recomputed: this.recomputed,
      gpuSeconds: this.#gpuSeconds,
    };
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers.splice(0)) buffer.dispose();
  }

  #own(buffer: GpuBuffer): GpuBuffer {
    this.#buffers.push(buffer);
    return buffer;
  }
}
