/**
 * What must be in the outputs of a notebook that ran without an error.
 *
 * @module
 */

import { findExperiment } from "../../lib/journal/experiments.ts";
import type { Failure } from "./execute.ts";
import { type Cell, joined, type Notebook } from "./ipynb.ts";
import { replayOf } from "./replays.ts";
import { calls, replayedIds } from "./source.ts";

/**
 * Outputs that are missing: of cells that call `show()`, and of experiments that are replayed.
 *
 * @param notebook As it was executed.
 * @returns One failure for each cell that lacks something.
 */
export function missingOutputs(notebook: Notebook): Failure[] {
  const shown = new Set(
    notebook.cells.flatMap((cell) => cell.outputs ?? []).flatMap((output) => {
      const ids = replayOf(output)?.ids ?? [];
      return ids.map((id) => idOf(id));
    }),
  );
  return notebook.cells.flatMap((cell, i): Failure[] => {
    if (cell.cell_type !== "code") return [];
    const source = joined(cell.source);
    if (calls(source, "show") && !displays(cell)) {
      return [{ cell: i, text: "It calls show(), and nothing is shown" }];
    }
    const missing = replayedIds(source).filter((id) => !shown.has(idOf(id)));
    if (missing.length === 0) return [];
    return [{ cell: i, text: `It replays ${missing.join(", ")}, and no verdict is shown` }];
  });
}

function displays({ outputs = [] }: Cell): boolean {
  return outputs.some(({ output_type }) =>
    output_type === "display_data" || output_type === "execute_result"
  );
}

/** The id that an experiment has in the journal, whatever it is called. */
function idOf(id: string): string {
  return findExperiment(id)?.id ?? id;
}
