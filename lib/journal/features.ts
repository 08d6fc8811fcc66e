/** The comparison of features: A2. @module */

import { createCpuBackend } from "../backend/cpu/mod.ts";
import { DeviceError, UnsupportedError } from "../errors.ts";
import type { Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { type Feature, features, WrongResult } from "./feature_probes.ts";
import { notTestable } from "./verdict.ts";

/** This library's column of the table. */
const OURS = "metalfaiss";
/** Why there is a column without cells. */
const SWIFT_FAISS =
  "SwiftFaiss wraps FAISS for Swift on Apple systems: it takes Apple hardware to " +
  "probe it, and its column stays empty";

/** A2. */
export const featureComparison: Experiment = {
  id: "A2",
  published: [],
  title: "Features of FAISS, SwiftFaiss and this library, by what runs",
  conclusion: "A table of features, written by hand",
  remark: ({ rivals }) => {
    const probed = rivals?.some((rival) => rival.features);
    return probed ? SWIFT_FAISS : `FAISS is not probed here. ${SWIFT_FAISS}`;
  },
  async *run(context) {
    for (const feature of features) {
      context.signal?.throwIfAborted();
      context.onVariant?.(feature.name, OURS);
      yield await probe(feature, context);
    }
    const found = context.rivals?.find((rival) => rival.features);
    if (found === undefined) return;
    const theirs = await found.features!();
    for (const { id, name } of features) {
      const cell = theirs[id];
      if (cell === undefined) continue;
      yield { ...cellRow(name, found.library, context), ...cellOf(cell.holds, cell.note) };
    }
  },
  verdict: (rows) => {
    const count = (own: readonly JournalRow[]) => {
      return `${own.filter((row) => row.findings.holds === 1).length} of ${own.length}`;
    };
    const ours = rows.filter((row) => row.variant === OURS);
    const missing = ours.filter((row) => row.findings.holds !== 1).map((row) => row.shape);
    const others = [...Map.groupBy(rows, (row) => row.variant)].filter(([name]) => name !== OURS)
      .map(([name, own]) => `; ${name}: ${count(own)}`);
    return notTestable(
      `Features are counted, not claimed: ${count(ours)} hold here${others.join("")}` +
        (missing.length === 0 ? "" : `. Missing: ${missing.join("; ")}`),
      "result",
    );
  },
};

/** Tries a feature. What is missing is a finding; what gives wrong results is a fault. */
async function probe(feature: Feature, context: JournalContext): Promise<JournalRow> {
  const row = cellRow(feature.name, OURS, context);
  try {
    if (feature.needsGpu && !context.device) throw new DeviceError("it needs a GPU");
    await feature.probe(context);
    return { ...row, ...cellOf(true, "") };
  } catch (error) {
    if (!(error instanceof Error) || context.signal?.aborted) throw error;
    if (error instanceof UnsupportedError && context.backend.name === "gpu") {
      // What a GPU has not may be on the CPU beside it.
      const beside = await probe(feature, { ...context, backend: createCpuBackend() });
      return beside.findings.holds === 1 ? { ...beside, note: "on the CPU" } : beside;
    }
    const note = `${error.name}: ${error.message}`;
    return { ...row, ...cellOf(false, note), valid: !(error instanceof WrongResult) };
  }
}

function cellOf(holds: boolean, note: string) {
  return { note, findings: { holds: Number(holds) } };
}

function cellRow(feature: string, library: string, { backend }: JournalContext): JournalRow {
  return {
    ...{ experiment: "A2", shape: feature, variant: library, backend: backend.name },
    ...{ engine: backend.engine, isa: backend.isa, kernels: [], threads: 0, error: null },
    ...{ valid: true, note: "", time: null, gpuTime: null, gflops: null, gbps: null },
    ...{ baseline: false, clock: "host", ratio: null, findings: {} },
  };
}

/**
 * The rows of A2 as a table: a line a feature, a column a library.
 *
 * @param rows Rows of a replay of A2.
 * @returns `yes`, perhaps with where, or `no` with the error; of libraries that were not probed, why.
 *
 * @example
 * ```ts
 * import { featureTable, openJournal } from "@metalfaiss/metalfaiss/journal";
 * import assert from "node:assert/strict";
 *
 * const journal = await openJournal({ engine: "emulator", quick: true });
 * const [first] = featureTable((await journal.replay("A2")).rows);
 * assert.equal(first!.metalfaiss, "yes");
 * ```
 */
export function featureTable(rows: readonly JournalRow[]): Record<string, string>[] {
  const rivals = new Set(rows.map((row) => row.variant).filter((name) => name !== OURS));
  if (rivals.size === 0) rivals.add("FAISS");
  return [...Map.groupBy(rows, (row) => row.shape)].map(([feature, cells]) => {
    const cell = (library: string) => {
      const row = cells.find(({ variant }) => variant === library);
      if (row === undefined) return "not probed here";
      const note = row.note === "" ? "" : ` (${row.note})`;
      return `${row.findings.holds === 1 ? "yes" : "no"}${note}`;
    };
    return {
      feature,
      [OURS]: cell(OURS),
      ...Object.fromEntries([...rivals].map((name) => [name, cell(name)])),
      SwiftFaiss: "not testable here",
    };
  });
}
