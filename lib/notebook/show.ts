/**
 * Showing values in a notebook, and on a terminal.
 *
 * @module
 */

import type { MimeBundle } from "../display.ts";
import { kernel, settle } from "./notebook.ts";
import { table } from "./table.ts";

const DISPLAY: unique symbol = Symbol.for("Jupyter.display");
const MIME = /^(?:application|audio|font|image|model|text|video)\/[\w.+-]+$/;

/**
 * Shows values, one after the other: in a notebook below the cell, else as text on stdout. In a notebook
 * no output is lost, as those of `Deno.jupyter.display()` and of a cell's last expression can be.
 *
 * @param values Anything that notebooks can display (indexes, results, charts, tables, tensors), a MIME
 * bundle, Markdown as a string, or an array of records, which becomes a table. Others are inspected.
 * @throws {Error} If a value fails to display itself, with the reason as `cause`.
 *
 * @example
 * ```ts
 * import { show } from "@metalfaiss/metalfaiss/notebook";
 *
 * await show("## Recall by nprobe", [{ nprobe: 1, recall: 0.62 }, { nprobe: 8, recall: 0.97 }]);
 * ```
 */
export async function show(...values: unknown[]): Promise<void> {
  for (const value of values) {
    const bundle = await bundleOf(value);
    const jupyter = kernel();
    if (jupyter === undefined) {
      console.log(bundle["text/plain"] ?? Object.values(bundle)[0]);
      continue;
    }
    await jupyter.display(bundle, { raw: true });
    await settle(JSON.stringify(bundle).length);
  }
}

/** What a notebook shows of a value. */
export async function bundleOf(value: unknown): Promise<MimeBundle> {
  if (typeof value === "string") return { "text/markdown": value, "text/plain": value };
  if (isObject(value) && typeof value[DISPLAY] === "function") return await displayed(value);
  if (isBundle(value)) return value;
  if (Array.isArray(value) && value.length > 0 && value.every(isRecord)) {
    return await displayed(table(value));
  }
  return { "text/plain": Deno.inspect(value, { colors: false }) };
}

async function displayed(value: object): Promise<MimeBundle> {
  const name = value.constructor?.name ?? "value";
  let bundle: unknown;
  try {
    bundle = await (value as { [DISPLAY]: () => unknown })[DISPLAY]();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot show the ${name}: ${reason}`, { cause: error });
  }
  if (isBundle(bundle)) return bundle;
  throw new TypeError(`Cannot show the ${name}: it displays itself as no MIME bundle`);
}

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether all keys are MIME types. */
function isBundle(value: unknown): value is MimeBundle {
  if (!isRecord(value)) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => MIME.test(key));
}
