/**
 * The native library's sources, as they lie in a checkout.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** SHA-256 of every file that the library is built from or reads, by path from the package's root. */
export function hashSources(root: string): Record<string, string> {
  const hashes: Record<string, string> = {};
  const paths = ["swift/Package.swift", ...walk(root, "swift/Sources"), ...walk(root, "shaders")];
  for (const path of paths) {
    hashes[path] = createHash("sha256").update(Deno.readFileSync(`${root}/${path}`)).digest("hex");
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
