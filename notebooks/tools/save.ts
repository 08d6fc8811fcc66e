/**
 * Notebooks as text that changes little from run to run.
 *
 * @module
 */

import { joined, type Multiline, type Notebook, type Output } from "./ipynb.ts";
import { writeText } from "./text_file.ts";

/**
 * A notebook as Jupyter would save it (keys in order, text in lines), without what outputs say of
 * when and by whom they were made.
 *
 * @param notebook What to save.
 */
export function notebookText(notebook: Notebook): string {
  const cells = notebook.cells.map((cell) => {
    const source = lines(cell.source);
    if (cell.cell_type !== "code") return { ...cell, source };
    const { execution: _, ...metadata } = cell.metadata;
    return { ...cell, source, metadata, outputs: (cell.outputs ?? []).map(plainOutput) };
  });
  return `${JSON.stringify(sorted({ ...notebook, cells }), null, 1)}\n`;
}

/**
 * Replaces a notebook's file, formatted, as a whole or not at all.
 *
 * @param path The file.
 * @param notebook What to write.
 */
export async function saveNotebook(path: string, notebook: Notebook): Promise<void> {
  await writeText(path, await formatted(notebookText(notebook)));
}

/**
 * What `deno fmt` makes of a notebook. Tests hold the committed ones against it, because `deno fmt --check`
 * refuses every notebook of TypeScript, formatted or not (Deno 2.9.6).
 *
 * @param text A notebook; without `language_info` in its metadata, Deno leaves it as it is.
 * @returns It formatted; the text itself, where a cell cannot be parsed.
 */
export async function formatted(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "ipynb", "-"],
    cwd: new URL("../../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await output;
  return success ? new TextDecoder().decode(stdout) : text;
}

function lines(text: Multiline): string[] {
  const whole = joined(text);
  return whole === "" ? [] : whole.split(/(?<=\n)/);
}

function plainOutput(output: Output): unknown {
  if (output.output_type === "stream") return { ...output, text: lines(output.text) };
  if (output.output_type === "error") return output;
  const data = Object.entries(output.data).map(([type, value]) => [
    type,
    typeof value === "string" && !/[/+]json$/.test(type) ? lines(value) : value,
  ]);
  const { output_type } = output;
  const count = "execution_count" in output ? { execution_count: output.execution_count } : {};
  return { output_type, ...count, data: Object.fromEntries(data), metadata: {} };
}

/** The same with all keys in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
