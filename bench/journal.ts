/** Published experiments by id, as rows and verdicts. @module */

import {
  type Experiment,
  type JournalContext,
  type JournalRow,
  runExperiment,
  type Verdict,
} from "../lib/journal/mod.ts";
import { significant } from "./rows.ts";

/** What `--json` keeps of an experiment. */
export interface JournalResult {
  id: string;
  title: string;
  /** What was published. */
  conclusion: string;
  verdict: Verdict;
  rows: readonly JournalRow[];
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
export async function printExperiment(
  experiment: Experiment,
  context: JournalContext,
): Promise<JournalResult> {
  const { id, title, conclusion } = experiment;
  console.log(`\n${id}: ${title}\n  published: ${conclusion}`);
  if (!experiment.needsGpu || context.device) console.log(line((column) => COLUMNS[column]![0]));
  const { verdict, rows, figures } = await runExperiment(experiment, context, { onRow: print });
  for (const figure of figures) {
    const { experiment_id, shape, variant, metric, value, unit, status, note } = figure;
    const here = figure.reproduced === null
      ? ""
      : `, here ${significant(figure.reproduced)} ${unit}`;
    console.log(
      `  published ${experiment_id}: ${shape} ${variant}: ${metric} ${value} ${unit}${here}, ` +
        `${status}${note && ` (${note})`}`,
    );
  }
  console.log(`  ${verdict.outcome}: ${verdict.text}`);
  return { id, title, conclusion, verdict, rows };
}

function print(row: JournalRow): void {
  console.log(line((column) => COLUMNS[column]![2](row)));
  const findings = Object.entries(row.findings).map(([name, value]) =>
    `${name} ${value.toPrecision(3)}`
  );
  const below = [...(row.note ? [row.note] : []), ...findings, row.kernels.join(" ")];
  console.log(`    ${row.valid ? "" : "NOT RANKED "}${below.join(" · ")}`);
}

function line(cell: (column: number) => string): string {
  return COLUMNS.map(([, width], i) => width < 0 ? cell(i).padEnd(-width) : cell(i).padStart(width))
    .join(" ").trimEnd();
}
