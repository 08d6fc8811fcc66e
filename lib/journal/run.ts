/**
 * Running an experiment from its first variant to its verdict.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { Lock } from "../index/lock.ts";
import { Progress } from "../notebook/progress.ts";
import { environment } from "../profile/environment.ts";
import type { Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { idsOf } from "./experiments.ts";
import { figuresOf } from "./figures.ts";
import { Replay } from "./replay.ts";
import { noGpu, verdictOf } from "./verdict.ts";

/** How {@linkcode runExperiment} tells of what it does. */
export interface RunOptions {
  /** Why there is no GPU, where there is none. */
  reason?: string | undefined;
  /** Called with each row as it is ready. */
  onRow?: ((row: JournalRow) => void) | undefined;
  /** Whether progress is shown; true by default. */
  progress?: boolean | undefined;
}

/** Experiments share settings and the clock of the device: one runs at a time. */
const turn = new Lock();

/**
 * Runs an experiment and judges it. Wrong results are rows that are not valid.
 *
 * @param experiment What is run.
 * @param context Where and how.
 * @param options What is told meanwhile.
 * @returns Rows, verdict and published figures.
 */
export async function runExperiment(
  experiment: Experiment,
  context: JournalContext,
  options: RunOptions = {},
): Promise<Replay> {
  const { backend, device, quick, signal } = context;
  const isMissing = experiment.needsGpu === true && device === undefined;
  const rows = isMissing
    ? []
    : await turn.write(() => collect(experiment, context, options), signal);
  return new Replay({
    experiment,
    ids: idsOf(experiment),
    rows,
    verdict: isMissing
      ? noGpu(options.reason ?? "METALFAISS_GPU names one: metal, cuda or emulator")
      : verdictOf(experiment, rows, context),
    figures: await figuresOf(experiment, rows, context),
    engine: backend.engine,
    device: await deviceName(backend),
    size: quick ? "quick" : "full",
  });
}

/** The GPU; or the CPU, with the instruction set of native kernels. */
async function deviceName({ name, engine, isa }: Backend): Promise<string> {
  if (name === "gpu") return isa;
  const { cpu } = await environment();
  return engine === "native" ? `${cpu} (${isa})` : cpu;
}

async function collect(
  experiment: Experiment,
  context: JournalContext,
  { onRow, progress = true }: RunOptions,
): Promise<JournalRow[]> {
  await using bar = new Progress(experiment.id, undefined, progress ? undefined : false);
  const rows: JournalRow[] = [];
  const onVariant = (shape: string, variant: string) => {
    bar.update(rows.length, `${shape}: ${variant}`);
    context.onVariant?.(shape, variant);
  };
  for await (const row of experiment.run({ ...context, onVariant })) {
    context.signal?.throwIfAborted();
    rows.push(row);
    bar.clear();
    onRow?.(row);
  }
  return rows;
}
