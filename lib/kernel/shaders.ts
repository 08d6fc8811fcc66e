/**
 * Where shader files are.
 *
 * @module
 */

import { library } from "../../ffi/library.ts";
import { checkout } from "../../ffi/paths.ts";

/** Places where a file of `shaders/` may be: the checkout, then beside the native library. */
export function shaderPaths(file: string): string[] {
  if (file.startsWith("/")) return [file];
  const { path } = library();
  const folders = [`${path.slice(0, path.lastIndexOf("/"))}/shaders`];
  const root = checkout();
  if (root !== undefined) folders.unshift(`${root}shaders`);
  return folders.map((folder) => `${folder}/${file}`);
}
