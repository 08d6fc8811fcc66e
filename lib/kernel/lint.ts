/**
 * Checking shaders where Apple's compiler is not.
 *
 * @module
 */

import { invoke } from "../../ffi/call.ts";
import { native, withLog } from "./native.ts";
import { shaderPaths } from "./shaders.ts";
import { sourceRecord } from "./source_record.ts";

/**
 * Checks a file of `shaders/` as Apple's front end would: address spaces, the dialect, types.
 * Needs Linux and clang.
 *
 * @param file Its name, or an absolute path.
 * @throws {CompileError} If Apple's front end would refuse it; with the log.
 * @throws {DeviceError} If there is no clang.
 */
export function lintShader(file: string): void {
  const { record, bytes } = sourceRecord(shaderPaths(file).join("\n"), true, {});
  const out = new Uint32Array(2);
  try {
    invoke((call) => native().mf_gpu_lint(record, bytes, out, call));
  } catch (error) {
    throw withLog(error, out);
  }
}
