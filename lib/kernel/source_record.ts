/**
 * What a library is compiled from, as `mf_gpu_source` has it.
 *
 * @module
 */

import type { LibraryOptions } from "./library.ts";

/** `sizeof(mf_gpu_source)`. */
export const SOURCE_BYTES = 24;

const modes = ["safe", "relaxed", "fast"] as const;

/** A record, and the texts that follow it. */
export interface Source {
  /** The `mf_gpu_source`. */
  record: Uint8Array;
  /** Name, prefix and text. */
  bytes: Uint8Array;
}

/**
 * Packs a source.
 *
 * @param text MSL, or paths of files with it, a line each.
 * @param isPath Whether `text` is paths.
 * @param options Options of the library.
 */
export function sourceRecord(text: string, isPath: boolean, options: LibraryOptions): Source {
  const { name = "", mathMode = "safe", macros = {} } = options;
  const mode = modes.indexOf(mathMode);
  if (mode < 0) {
    throw new RangeError(
      `Cannot compile ${
        name || "a library"
      }: mathMode must be safe, relaxed or fast, not ${mathMode}`,
    );
  }
  if (/["\\\n\0]/.test(name)) {
    throw new RangeError(`Cannot compile ${JSON.stringify(name)}: that is no name for a source`);
  }
  const encoder = new TextEncoder();
  const parts = [name, prefix(macros), text].map((part) => encoder.encode(part));
  const record = new Uint8Array(SOURCE_BYTES);
  const view = new DataView(record.buffer);
  view.setUint32(0, mode, true);
  view.setUint32(4, isPath ? 1 : 0, true);
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const [i, part] of parts.entries()) {
    view.setUint32(8 + i * 4, part.length, true);
    bytes.set(part, at);
    at += part.length;
  }
  return { record, bytes };
}

function prefix(macros: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(macros).map(([name, value]) => {
    if (!/^[A-Za-z_]\w*$/.test(name) || `${value}`.includes("\n")) {
      throw new RangeError(`Cannot define the macro ${name}: its name or value is not plain`);
    }
    return `#define ${name} ${typeof value === "boolean" ? Number(value) : value}\n`;
  }).join("");
}
