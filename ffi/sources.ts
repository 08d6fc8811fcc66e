/**
 * The native library's sources, as they lie in a checkout.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** SHA-256 of every file that the library is built from, by path in `swift/`. */
export function hashSources(swift: string): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const path of ["Package.swift", ...walk(swift, "Sources")]) {
    hashes[path] = createHash("sha256").update(Deno.readFileSync(`${swift}/${path}`)).digest("hex");
  }
  return hashes;
}

function walk(root: string, folder: string): string[] {
  const paths: string[] = [];
  const entries = [...Deno.readDirSync(`${root}/${folder}`)];
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (name.startsWith(".")) continue;
    const path = `${folder}/${name}`;
    if (isDirectory) paths.push(...walk(root, path));
    else paths.push(path);
  }
  return paths;
}
