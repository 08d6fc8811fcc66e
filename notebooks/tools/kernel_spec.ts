/**
 * The kernel spec by which Jupyter starts this Deno.
 *
 * @module
 */

import { join } from "node:path";
import { writeText } from "./text_file.ts";

/**
 * Writes the kernel spec `deno`, unless it is there.
 *
 * @param share A folder of Jupyter's data, as `.venv/share/jupyter`.
 */
export async function writeKernelSpec(share: string): Promise<void> {
  const folder = join(share, "kernels/deno");
  const path = join(folder, "kernel.json");
  const spec = {
    argv: [Deno.execPath(), "jupyter", "--kernel", "--conn", "{connection_file}"],
    display_name: "Deno",
    language: "typescript",
    // By a signal, as is the default, the kernel would end.
    interrupt_mode: "message",
  };
  const text = `${JSON.stringify(spec, null, 2)}\n`;
  if (await Deno.readTextFile(path).catch(() => "") === text) return;
  await Deno.mkdir(folder, { recursive: true });
  await writeText(path, text);
}
