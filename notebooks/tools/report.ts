/**
 * What a run of notebooks tells at its end.
 *
 * @module
 */

import { basename } from "node:path";
import type { Failure } from "./execute.ts";
import { joined, type Notebook } from "./ipynb.ts";
import { replaysOf } from "./replays.ts";

/** What came of one notebook. */
export interface Result {
  /** Its file name without ending. */
  name: string;
  /** As it was executed; undefined where it could not be read. */
  notebook?: Notebook;
  seconds: number;
  failures: readonly Failure[];
}

/**
 * The name that reports have for a notebook.
 *
 * @param path Its file.
 */
export function nameOf(path: string): string {
  return basename(path, ".ipynb");
}

/**
 * A table of notebooks: seconds, cells, outputs, verdicts.
 *
 * @param results In the order of the rows.
 */
export function resultTable(results: readonly Result[]): string {
  const rows = results.map(({ name, notebook, seconds, failures }) => [
    name,
    failures.length === 0 ? "passed" : "FAILED",
    seconds.toFixed(1),
    ...notebook ? counts(notebook) : ["", "", ""],
  ]);
  const header = ["notebook", "", "seconds", "cells", "outputs", "verdicts"];
  const widths = header.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => row[i]!.length))
  );
  return [header, ...rows].map((row) =>
    row.map((cell, i) => i < 2 || i === 5 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))
      .join("  ").trimEnd()
  ).join("\n");
}

function counts(notebook: Notebook): string[] {
  const code = notebook.cells.filter(({ cell_type }) => cell_type === "code");
  const outputs = code.reduce((sum, { outputs = [] }) => sum + outputs.length, 0);
  const outcomes = Map.groupBy(replaysOf(notebook), ({ outcome }) => outcome);
  const verdicts = [...outcomes].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([outcome, { length }]) => `${length} ${outcome}`);
  return [`${code.length}`, `${outputs}`, verdicts.join(", ")];
}

/**
 * Why a notebook failed: the cell as Jupyter numbers it, its first line, and the error.
 *
 * @param result Of the notebook.
 */
export function failureTexts({ name, notebook, failures }: Result): string[] {
  return failures.map(({ cell, text }) => {
    if (cell === undefined || !notebook) return `${name}: ${text}`;
    const number = notebook.cells.slice(0, cell + 1)
      .filter(({ cell_type }) => cell_type === "code").length;
    const [first] = joined(notebook.cells[cell]!.source).split("\n").filter((line) => line.trim());
    return `${name}, cell [${number}]: ${first ?? ""}\n${text.replaceAll(/^(?=.)/gm, "  ")}`;
  });
}

/**
 * What two runs are compared by.
 *
 * @param results Of a run.
 * @returns The replays of each notebook.
 */
export function verdicts(results: readonly Result[]): Record<string, unknown[]> {
  return Object.fromEntries(results.map(({ name, notebook }) => [
    name,
    notebook ? replaysOf(notebook).map(({ anchor: _, ...replay }) => replay) : [],
  ]));
}
