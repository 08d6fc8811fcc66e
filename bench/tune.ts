/**
 * `deno task tune [--gpu ENGINE] [--quick] [--out FOLDER]`: finds what is fastest on the CPU, or on a
 * GPU, and writes it to `data/tuning/<device>.json`, a part of the package. The emulator's speed says
 * nothing of GPUs, and tests count on its defaults: its table goes to a folder for `METALFAISS_TUNING`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { checkout } from "../ffi/paths.ts";
import { createCpuBackend } from "../lib/backend/cpu/mod.ts";
import { createGpuBackend } from "../lib/backend/gpu/mod.ts";
import { gpu } from "../lib/kernel/mod.ts";
import { formatTuning, tune, type TuningTable } from "../lib/profile/mod.ts";

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      gpu: { type: "string" },
      quick: { type: "boolean", default: false },
      out: { type: "string" },
    },
  });
  if (values.gpu === "emulator" && values.out === undefined) {
    console.error("Cannot ship a tuning table of the emulator: say where to write it with --out");
    Deno.exit(2);
  }
  const device = values.gpu === undefined ? undefined : gpu(values.gpu);
  const backend = device ? createGpuBackend(device) : createCpuBackend();
  const table = await tune(backend, device, { quick: values.quick, onProgress: console.log });
  const shipped = `${checkout()}data/tuning`;
  const folder = values.out ?? shipped;
  await Deno.mkdir(folder, { recursive: true });
  console.log(await writeTable(folder, table));
  if (folder === shipped) await listShipped(shipped, `${checkout()}lib/tuning/shipped.ts`);
}

async function writeTable(folder: string, table: TuningTable): Promise<string> {
  const path = `${folder}/${table.device}.json`;
  await Deno.writeTextFile(path, formatTuning(table));
  return path;
}

/** Writes the module that imports every table of the folder. */
export async function listShipped(folder: string, module: string): Promise<void> {
  const keys: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".json")) keys.push(name.slice(0, -".json".length));
  }
  await Deno.writeTextFile(module, shippedModule(keys.sort()));
}

/** The text of `lib/tuning/shipped.ts`. */
export function shippedModule(keys: readonly string[]): string {
  const imports = keys.map((key, i) =>
    `import table${i} from "../../data/tuning/${key}.json" with { type: "json" };\n`
  );
  const entries = keys.map((key, i) => `  "${key}": table${i},\n`);
  const comment =
    "// Written by `deno task tune`. An older Deno imports no text, and could not say that it is too old.\n";
  return `${comment}${imports.join("")}
/** Each shipped table as JSON, by key of the device. */
export const shipped: Readonly<Record<string, unknown>> = {${
    entries.length === 0 ? "" : `\n${entries.join("")}`
  }};
`;
}

if (import.meta.main) await main();
