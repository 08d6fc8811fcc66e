/**
 * Part of `deno task check`: every shader as Apple's front end would see it.
 *
 * @module
 */

import { checkout } from "../ffi/paths.ts";
import { CompileError, DeviceError } from "../lib/errors.ts";
import { lintShader } from "../lib/kernel/lint.ts";

let failed = false;
for (const { name } of Deno.readDirSync(`${checkout()}shaders`)) {
  if (!name.endsWith(".metal")) continue;
  try {
    lintShader(name);
    console.log(`Lint shaders/${name}`);
  } catch (error) {
    if (!(error instanceof CompileError || error instanceof DeviceError)) throw error;
    console.error(error instanceof CompileError ? error.log : error.message);
    failed = true;
    if (error instanceof DeviceError) break;
  }
}
if (failed) Deno.exit(1);
