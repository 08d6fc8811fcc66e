import type { GpuBuffer } from "../../../kernel/buffer.ts";
import type { CommandBuffer } from "../../../kernel/command_buffer.ts";
import type { Stream } from "../../../kernel/stream.ts";
import type { Submission } from "../../../kernel/submission.ts";
import type { Execution } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import type { Steps } from "../steps.ts";
import { Task } from "../task.ts";

/** Encodes one operation and says what it runs. */
export type Op = (commands: CommandBuffer) => readonly string[];

/** Above this, data crosses to the device on another thread. */
const ASYNC_BYTES = 2 ** 20;

/** A call of linear algebra: its memory, its command buffers on one or more streams, what they ran. */
export class Work implements Disposable {
  readonly context: GpuContext;
  /** Its memory. */
  readonly memory: Task;
  readonly #variants = new Set<string>();
  readonly #pending: Submission[] = [];
  readonly #lane: Lane;
  #threads = 0;
  #gpuSeconds = 0;

  constructor(context: GpuContext, label: string) {
    this.context = context;
    this.memory = new Task(context, label);
    this.#lane = new Lane(this, context.device.stream, label);
  }

  /** Encodes on the default stream. */
  run(...ops: readonly Op[]): void {
    this.#lane.run(...ops);
  }

  /** Says what ran beside what ops report. */
  ran(...variants: readonly string[]): void {
    for (const variant of variants) this.#variants.add(variant);
  }

  /** Counts a command buffer that was handed over. */
  submitted(submission: Submission): void {
    this.#pending.push(submission);
  }

  /** Hands over what was encoded on the default stream, without waiting. */
  flush(): void {
    this.#lane.commit();
  }

  /** Memory of the device with the host's data. */
  async upload(data: ArrayBufferView, label: string): Promise<GpuBuffer> {
    if (data.byteLength <= ASYNC_BYTES) return this.memory.input(data, label);
    const buffer = this.memory.scratch(data.byteLength, label);
    await buffer.write(data);
    return buffer;
  }

  /** Hands over what was encoded and waits for all that was handed over. */
  *finish(): Steps<void> {
    this.flush();
    const pending = this.#pending.splice(0);
    for (const submission of pending) {
      const { threads, gpuSeconds } = yield submission;
      this.#threads += threads;
      this.#gpuSeconds += gpuSeconds;
    }
  }

  /** What ran. */
  execution(): Execution {
    const { engine, name } = this.context.device;
    return {
      backend: "gpu",
      engine,
      isa: name,
      variants: [...this.#variants],
      threads: this.#threads,
      gpuSeconds: this.#gpuSeconds,
    };
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}

/** Commands of a call on one stream. */
export class Lane {
  readonly stream: Stream;
  readonly #work: Work;
  readonly #label: string;
  readonly #each: boolean;
  #commands: CommandBuffer | undefined;

  /**
   * @param work The call.
   * @param stream Where it runs.
   * @param label Name of its command buffers.
   * @param each Whether every operation is a submission of its own.
   */
  constructor(work: Work, stream: Stream, label: string, each = false) {
    this.#work = work;
    this.stream = stream;
    this.#label = label;
    this.#each = each;
  }

  /** The command buffer that is being encoded. */
  get commands(): CommandBuffer {
    return this.#commands ??= this.stream.commands(this.#label);
  }

  /** Encodes operations. */
  run(...ops: readonly Op[]): void {
    for (const op of ops) {
      this.#work.ran(...op(this.commands));
      if (this.#each) this.commit();
    }
  }

  /** Hands over what was encoded, without waiting. */
  commit(): void {
    if (this.#commands === undefined) return;
    this.#work.submitted(this.#commands.commit());
    this.#commands = undefined;
  }
}
