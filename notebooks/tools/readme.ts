/**
 * `deno run -A notebooks/tools/readme.ts`: takes the README's charts out of the notebooks and writes
 * them to `data/results/NAME.svg`. A cell says that its chart is one of them by its metadata:
 * `{"metalfaiss": {"readme": "NAME"}}`.
 *
 * @module
 */

import { join } from "node:path";
import { checkout } from "../../ffi/paths.ts";
import { type Cell, type Notebook, readNotebooks, textOf } from "./ipynb.ts";

/** Names of the charts: of an index, of published and reproduced times, and beside FAISS. */
export const README_CHARTS: readonly string[] = [
  "quickstart-pareto",
  "svd-published",
  "against-faiss",
];

/**
 * The README's charts.
 *
 * @param notebooks All notebooks, by name.
 * @returns Each chart's SVG, by its name.
 * @throws {Error} If a chart is missing, is there twice, is of no known name or was not drawn.
 */
export function readmeCharts(notebooks: ReadonlyMap<string, Notebook>): Map<string, string> {
  const charts = new Map<string, string>();
  for (const [file, { cells }] of notebooks) {
    for (const cell of cells) {
      const name = chartName(cell);
      if (name === undefined) continue;
      const fail = (reason: string) => new Error(`Cannot take "${name}" from ${file}: ${reason}`);
      if (!README_CHARTS.includes(name)) {
        throw fail(`the README's charts are ${README_CHARTS.join(", ")}`);
      }
      if (charts.has(name)) throw fail("another cell has that chart");
      const pictures = svgsOf(cell);
      if (pictures.length !== 1) throw fail(`its cell shows ${pictures.length} charts, not 1`);
      charts.set(name, pictures[0]!);
    }
  }
  const missing = README_CHARTS.filter((name) => !charts.has(name));
  if (missing.length === 0) return charts;
  throw new Error(`Cannot take "${missing.join('", "')}": no cell has that chart`);
}

function chartName({ metadata }: Cell): string | undefined {
  const { metalfaiss } = metadata as { metalfaiss?: { readme?: unknown } };
  return typeof metalfaiss?.readme === "string" ? metalfaiss.readme : undefined;
}

/** The SVG pictures in the HTML that a cell displayed. */
function svgsOf({ outputs = [] }: Cell): string[] {
  return outputs.flatMap((output) => {
    if (output.output_type === "stream" || output.output_type === "error") return [];
    const html = textOf(output, "text/html") ?? "";
    return [...html.matchAll(/<img src="data:image\/svg\+xml;base64,([^"]+)"/g)]
      .map(([, base64 = ""]) => new TextDecoder().decode(Uint8Array.fromBase64(base64)));
  });
}

if (import.meta.main) {
  const root = checkout()!;
  try {
    const charts = readmeCharts(await readNotebooks(join(root, "notebooks")));
    for (const [name, svg] of charts) {
      const path = join(root, "data/results", `${name}.svg`);
      await Deno.writeTextFile(path, svg);
      console.log(path);
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
