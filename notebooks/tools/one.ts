/**
 * One notebook of a run: read, executed, checked and written.
 *
 * @module
 */

import { basename, join } from "node:path";
import { missingOutputs } from "./check.ts";
import { execute, type ExecuteOptions } from "./execute.ts";
import { type Notebook, parseNotebook } from "./ipynb.ts";
import { nameOf, type Result } from "./report.ts";
import { saveNotebook } from "./save.ts";
import { writeText } from "./text_file.ts";

/** How notebooks are run, and where they are written. */
export interface RunOptions extends ExecuteOptions {
  /** Whether a notebook that passed replaces its file. */
  replace: boolean;
  /** Folder for executed notebooks. */
  out?: string;
  /** Folder for pages. */
  html?: string;
}

/**
 * Runs a notebook and checks its outputs.
 *
 * @param path Its file.
 * @param options How, and where it is written.
 * @throws {DOMException} If it was stopped; its file is then as it was.
 */
export async function runNotebook(path: string, options: RunOptions): Promise<Result> {
  const name = nameOf(path);
  let notebook: Notebook;
  try {
    notebook = withDeno(parseNotebook(await Deno.readTextFile(path), basename(path)));
  } catch (error) {
    return { name, seconds: 0, failures: [{ text: messageOf(error) }] };
  }
  const execution = await execute(notebook, path, options);
  const failures = execution.failure ? [execution.failure] : missingOutputs(execution.notebook);
  try {
    await write(path, execution.notebook, failures.length === 0, options);
  } catch (error) {
    failures.push({ text: `Cannot write it: ${messageOf(error)}` });
  }
  return { name, notebook: execution.notebook, seconds: execution.seconds, failures };
}

async function write(
  path: string,
  notebook: Notebook,
  passed: boolean,
  { replace, out, html }: RunOptions,
): Promise<void> {
  if (out !== undefined) await saveNotebook(join(out, basename(path)), notebook);
  else if (replace && passed) await saveNotebook(path, notebook);
  if (html === undefined) return;
  const { renderNotebook } = await import("./page.ts");
  await writeText(join(html, `${nameOf(path)}.html`), renderNotebook(notebook));
}

/** Refuses a notebook of another kernel. */
function withDeno(notebook: Notebook): Notebook {
  const { kernelspec } = notebook.metadata as { kernelspec?: { name?: unknown } };
  if (kernelspec?.name === "deno") return notebook;
  const has = kernelspec?.name === undefined ? "it names none" : `its own is "${kernelspec.name}"`;
  throw new TypeError(`Cannot run it: the kernel must be "deno", and ${has}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
