/** Published experiments by id, as rows and verdicts. @module */

import type { Backend } from "../lib/backend/backend.ts";
import { gpu } from "../lib/kernel/mod.ts";
import {
  type Experiment,
  journalContext,
  type JournalRow,
  readPublished,
  type Verdict,
} from "../lib/journal/mod.ts";
import type { MeasureOptions } from "../lib/profile/mod.ts";
import { significant } from "./rows.ts";

/** What `--json` keeps of an experiment. */
export interface JournalResult {
  id: string;
  title: string;
  /** What was published. */
  conclusion: string;
  verdict: Verdict;
  rows: JournalRow[];
}

const COLUMNS: [title: string, width: number, cell: (row: JournalRow) => string][] = [
  ["shape", -34, (r) => r.shape],
  ["variant", -30, (r) => r.variant],
  ["ms", 9, (r) => significant(r.time?.median ?? null)],
  ["gpu ms", 9, (r) => significant(r.gpuTime?.median ?? null)],
  ["ratio", 6, (r) => r.ratio?.toFixed(2) ?? ""],
  ["GFLOP/s", 8, (r) => significant(r.gflops)],
  ["GB/s", 6, (r) => significant(r.gbps)],
  ["error", 8, (r) => r.error?.toExponential(0) ?? ""],
  ["threads", 9, (r) => String(r.threads)],
];

/** Runs an experiment, printing as it goes. */
export async function runExperiment(
  experiment: Experiment,
  backend: Backend,
  quick: boolean,
  measure: MeasureOptions,
): Promise<JournalResult> {
  const { id, title, conclusion } = experiment;
  console.log(`\n${id}: ${title}\n  published: ${conclusion}`);
  const device = backend.name === "gpu" ? gpu() : undefined;
  const rows: JournalRow[] = [];
  if (experiment.needsGpu && device === undefined) {
    const text = "It needs a GPU: set METALFAISS_GPU to metal, cuda or emulator";
    console.log(`  ${text}`);
    return { id, title, conclusion, rows, verdict: { outcome: "not testable", ratio: null, text } };
  }
  console.log(line((column) => COLUMNS[column]![0]));
  // Every sample is kept in the results: some tens say enough.
  const context = journalContext(backend, {
    device,
    quick,
    measure: { ...measure, maxSamples: 60 },
  });
  for await (const row of experiment.run(context)) {
    rows.push(row);
    console.log(line((column) => COLUMNS[column]![2](row)));
    const findings = Object.entries(row.findings).map(([name, value]) =>
      `${name} ${value.toPrecision(3)}`
    );
    const below = [...(row.note ? [row.note] : []), ...findings, row.kernels.join(" ")];
    console.log(`    ${row.valid ? "" : "NOT RANKED "}${below.join(" · ")}`);
  }
  const figures = experiment.published.length === 0
    ? []
    : await readPublished(experiment.published).catch((error: Error) => {
      console.log(`  published figures are left out: ${error.message}`);
      return [];
    });
  for (const figure of figures) {
    const { experiment_id, shape, variant, metric, value, unit, status, note } = figure;
    console.log(
      `  published ${experiment_id}: ${shape} ${variant}: ${metric} ${value} ${unit}, ${status}${
        note && ` (${note})`
      }`,
    );
  }
  const verdict = experiment.verdict(rows);
  console.log(`  ${verdict.outcome}: ${verdict.text}`);
  return { id, title, conclusion, verdict, rows };
}

function line(cell: (column: number) => string): string {
  return COLUMNS.map(([, width], i) => width < 0 ? cell(i).padEnd(-width) : cell(i).padStart(width))
    .join(" ").trimEnd();
}
