/**
 * The journal on this machine: what its experiments run on, and running them.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { createCpuBackend } from "../backend/cpu/mod.ts";
import { createGpuBackend } from "../backend/gpu/mod.ts";
import { createReferenceBackend } from "../backend/reference/mod.ts";
import { type MimeBundle, plainText, tableBundle } from "../display.ts";
import { backendVariable, choiceVariable, gpuVariable } from "../env.ts";
import { DeviceError, UnsupportedError } from "../errors.ts";
import { gpu as openGpu, type GpuDevice } from "../kernel/device.ts";
import { environment, type EnvironmentRecord } from "../profile/environment.ts";
import { findExperiment } from "./experiments.ts";
import { type Experiment, journalContext } from "./experiment.ts";
import { JournalError } from "./journal_error.ts";
import type { Replay } from "./replay.ts";
import type { Rival } from "./rival.ts";
import { runExperiment } from "./run.ts";

/** What {@linkcode openJournal} opens. */
export interface JournalOptions {
  /** The GPU: `metal`, `cuda` or `emulator`. By default that of `METALFAISS_GPU`, the system's, or the emulator. */
  engine?: string;
  /** Small shapes: by default `METALFAISS_JOURNAL`, else on the emulator and without the native library. */
  quick?: boolean;
  /** Stops all of its replays. */
  signal?: AbortSignal;
}

/** How {@linkcode Journal.replay} runs an experiment. */
export interface ReplayOptions {
  /** Where: by default on the GPU, or on the CPU where there is none and the experiment can do without. */
  on?: "gpu" | "cpu";
  /** Milliseconds for each group of variants; by default 1,000, quick 60. */
  budget?: number;
  /** Stops it between samples. */
  signal?: AbortSignal;
  /** What to do about wrong results: throw (default), or show them. */
  wrong?: "throw" | "show";
  /** Other libraries, for competitive tables. */
  rivals?: readonly Rival[];
}

/** Milliseconds for each group of variants. */
const BUDGET = 1000;
const QUICK_BUDGET = 60;
/** Most samples of a variant: all are kept, and some tens say enough. */
const SAMPLES = 60;

/** Experiments on this machine. Get one with {@linkcode openJournal}. */
export class Journal {
  /** The GPU; undefined where there is none. */
  readonly gpu: GpuDevice | undefined;
  /** Why it is this GPU, or none. */
  readonly reason: string;
  /** Computes on the CPU. */
  readonly cpu: Backend;
  /** Computes by default: on the GPU, if there is one. */
  readonly backend: Backend;
  /** Whether shapes are small. */
  readonly quick: boolean;
  /** Where all this is measured. */
  readonly environment: EnvironmentRecord;
  readonly #signal: AbortSignal | undefined;

  /** Use {@linkcode openJournal}. */
  constructor(
    found: { gpu: GpuDevice | undefined; reason: string },
    cpu: Backend,
    quick: boolean,
    environment: EnvironmentRecord,
    signal?: AbortSignal,
  ) {
    this.gpu = found.gpu;
    this.reason = found.reason;
    this.cpu = cpu;
    this.backend = found.gpu ? createGpuBackend(found.gpu) : cpu;
    this.quick = quick;
    this.environment = environment;
    this.#signal = signal;
  }

  /** Which shapes run. */
  get size(): "quick" | "full" {
    return this.quick ? "quick" : "full";
  }

  /**
   * Runs an experiment here: every variant is checked against float64 and then timed.
   *
   * @param id As the journal has it: `J1a`, `E5`, `X3` …
   * @param options Where, for how long, and what to do about wrong results.
   * @returns Rows, verdict and published figures.
   * @throws {RangeError} If there is no such experiment, or it is to run neither on "gpu" nor on "cpu".
   * @throws {JournalError} If a variant's result is wrong, it ran another kernel, or it failed.
   * @throws {DeviceError} If it is to run on a GPU, could do without, and there is none.
   * @throws {DOMException} `AbortError` if a signal stopped it.
   *
   * @example
   * ```ts
   * import { openJournal } from "@metalfaiss/metalfaiss/journal";
   * import assert from "node:assert/strict";
   *
   * const journal = await openJournal({ engine: "emulator", quick: true });
   * const { verdict } = await journal.replay("J0");
   * assert.equal(verdict.outcome, "confirmed");
   * ```
   */
  async replay(id: string, options: ReplayOptions = {}): Promise<Replay> {
    const experiment = findExperiment(id);
    if (experiment === undefined) {
      throw new RangeError(`Cannot replay "${id}": there is no such experiment`);
    }
    const { on = this.#place(experiment), budget, wrong = "throw", rivals } = options;
    // Notebooks do not check types.
    if (on !== "gpu" && on !== "cpu") {
      throw new RangeError(`Cannot replay ${experiment.id} on "${on}": expected gpu or cpu`);
    }
    const onGpu = on === "gpu";
    if (onGpu && this.gpu === undefined && !experiment.needsGpu) {
      throw new DeviceError(`Cannot replay ${experiment.id} on a GPU: ${this.reason}`);
    }
    const signals = [this.#signal, options.signal].filter((signal) => signal !== undefined);
    const context = journalContext(onGpu ? this.backend : this.cpu, {
      ...{ device: onGpu ? this.gpu : undefined, quick: this.quick, rivals },
      signal: AbortSignal.any(signals),
      measure: { budget: budget ?? (this.quick ? QUICK_BUDGET : BUDGET), maxSamples: SAMPLES },
    });
    const replay = await runExperiment(experiment, context, {
      reason: this.gpu ? "It was asked for on the CPU" : this.reason,
    });
    if (wrong === "throw" && replay.rows.some((row) => !row.valid)) throw new JournalError(replay);
    return replay;
  }

  /** Where an experiment runs unless it is told: on the GPU, if there is one or it cannot do without. */
  #place({ needsGpu }: Experiment): "gpu" | "cpu" {
    return this.gpu || needsGpu ? "gpu" : "cpu";
  }

  /** A table of where experiments run. */
  [Symbol.for("Jupyter.display")](): MimeBundle {
    return this.#bundle();
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return plainText(this.#bundle());
  }

  #bundle(): MimeBundle {
    const { environment: where, gpu, cpu } = this;
    const rows = [
      ["device", gpu?.name ?? "no GPU"],
      ["why this one", this.reason],
      ["engine", this.backend.engine],
      ["driver", where.gpu?.driver ?? gpu?.driver ?? "none"],
      ["CPU", where.cpu],
      ["ISA", cpu.isa],
      ["threads", `${cpu.threads}`],
      ["Deno", where.deno],
      ["date", where.date],
      ["size", this.size],
    ];
    return tableBundle(["", "here"], rows, "The journal");
  }
}

/**
 * Opens the journal on this machine: the GPU that `METALFAISS_GPU` names, else the system's own, else the
 * emulator; and the CPU.
 *
 * @param options The GPU, the size, and a signal that stops replays.
 * @returns The journal; in a notebook it shows as a table that names device and engine.
 * @throws {RangeError} If a `METALFAISS_*` variable or the engine has no sense.
 * @throws {UnsupportedError} If this Deno is too old.
 *
 * @example
 * ```ts
 * import { openJournal } from "@metalfaiss/metalfaiss/journal";
 * import assert from "node:assert/strict";
 *
 * const journal = await openJournal({ engine: "emulator" });
 * assert.equal(journal.gpu!.engine, "emulator");
 * assert.equal(journal.quick, true);
 * ```
 */
export async function openJournal(options: JournalOptions = {}): Promise<Journal> {
  checkDeno();
  const found = findGpu(options.engine ?? gpuVariable());
  const size = choiceVariable("METALFAISS_JOURNAL", ["quick", "full"]);
  const cpu = createCpu();
  const slow = found.gpu?.engine === "emulator" || cpu.engine === "typescript";
  const quick = options.quick ?? (size ? size === "quick" : slow);
  const record = await environment(found.gpu);
  return new Journal(found, cpu, quick, record, options.signal);
}

/** Before something fails that says less. */
function checkDeno(): void {
  if (typeof Float16Array === "function" && "toBase64" in Uint8Array.prototype) return;
  throw new UnsupportedError(
    `Cannot open the journal: Deno ${Deno.version.deno} is too old; deno upgrade gets a new one`,
  );
}

/** The GPU to use, and why it is that one. One that is asked for is never replaced by another. */
function findGpu(wanted: string | undefined): Pick<Journal, "gpu" | "reason"> {
  const reasons: string[] = [];
  for (const engine of wanted === undefined ? ["", "emulator"] : [wanted]) {
    try {
      const gpu = openGpu(engine);
      const why = wanted !== undefined
        ? "it was asked for"
        : engine === "emulator"
        ? `the emulator, for there is no other: ${reasons[0]}`
        : "the system's own";
      return { gpu, reason: why };
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      reasons.push(error.message.replaceAll(/\s*\n\s*/g, " "));
    }
  }
  return { gpu: undefined, reason: [...new Set(reasons)].join(" ") };
}

/** The CPU: native, or where there is no library, in TypeScript. */
function createCpu(): Backend {
  if (backendVariable() === "reference") return createReferenceBackend();
  try {
    return createCpuBackend();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return createReferenceBackend();
  }
}
