/** Small notebooks for tests of what runs them. @module */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { venvPython } from "../bench/venv.ts";
import { type Cell, joined, type Notebook } from "../notebooks/tools/ipynb.ts";
import { runNotebook, type RunOptions } from "../notebooks/tools/one.ts";
import type { Result } from "../notebooks/tools/report.ts";
import { notebookText } from "../notebooks/tools/save.ts";

const out = fileURLToPath(new URL("../out", import.meta.url));

/** A notebook of code cells. */
export function notebookOf(...sources: string[]): Notebook {
  const cells = sources.map((source, i): Cell => ({
    cell_type: "code",
    id: `cell-${i}`,
    metadata: {},
    source,
    outputs: [],
  }));
  const kernelspec = { display_name: "Deno", language: "typescript", name: "deno" };
  // Without it, `deno fmt` leaves the cells alone.
  const language_info = { name: "typescript" };
  return { nbformat: 4, nbformat_minor: 5, metadata: { kernelspec, language_info }, cells };
}

/** Gives `body` a folder in the checkout, where notebooks can import this package. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  await Deno.mkdir(out, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: out, prefix: "notebooks-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes a notebook, and gives its path. */
export async function put(
  folder: string,
  name: string,
  notebook: Notebook | string,
): Promise<string> {
  const path = join(folder, `${name}.ipynb`);
  await Deno.writeTextFile(path, typeof notebook === "string" ? notebook : notebookText(notebook));
  return path;
}

/** Runs a notebook with the Python of `.venv`. */
export async function run(path: string, options: Partial<RunOptions> = {}): Promise<Result> {
  return await runNotebook(path, {
    ...{ python: venvPython, timeout: 60, replace: false },
    env: { METALFAISS_JOURNAL: "quick" },
    ...options,
  });
}

/** The texts that the outputs of each cell show or print. */
export function texts(notebook: Notebook): string[] {
  return notebook.cells.map(({ outputs = [] }) =>
    outputs.map((output) => {
      if (output.output_type === "stream") return joined(output.text);
      if (output.output_type === "error") return output.evalue;
      return String(output.data["text/plain"]);
    }).join("")
  );
}
