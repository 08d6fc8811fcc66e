/** Rows of the journal for tests. @module */

import type { JournalRow } from "../lib/journal/mod.ts";

/** A valid row without times. */
export function journalRow(more: Partial<JournalRow>): JournalRow {
  return {
    ...{ experiment: "T", shape: "1", variant: "x", backend: "gpu", engine: "cuda", isa: "GPU" },
    ...{ kernels: ["kernel"], threads: 1, error: 0, valid: true, note: "", findings: {} },
    ...{ time: null, gpuTime: null, gflops: null, gbps: null, ratio: null },
    ...{ baseline: false, clock: "gpu" },
    ...more,
  };
}
