/**
 * Where builds of the native library are put.
 *
 * @module
 */

import { createHash } from "node:crypto";
import config from "../deno.json" with { type: "json" };
import manifest from "../swift/manifest.json" with { type: "json" };
import { readEnv } from "../lib/env.ts";

/** Version of this package. */
export const VERSION: string = config.version;

/** SHA-256 of every source file of the native library and of every shader, by path from the root. */
export const sources: Readonly<Record<string, string>> = manifest;

/** File name of the library on this system. */
export function libraryName(): string {
  return Deno.build.os === "darwin" ? "libMetalFaiss.dylib" : "libMetalFaiss.so";
}

/** The package's root, when it is a folder here and not a URL. */
export function checkout(): string | undefined {
  const url = new URL("../", import.meta.url);
  return url.protocol === "file:" ? decodeURIComponent(url.pathname) : undefined;
}

/** The library that `./run build` makes in a checkout. */
export function checkoutLibrary(): string | undefined {
  const root = checkout();
  return root && `${root}swift/.build/release/${libraryName()}`;
}

/** Folder of this version's build in the per-user cache, named by version and sources. */
export function cacheFolder(): string | undefined {
  const home = readEnv("HOME");
  const cache = readEnv("XDG_CACHE_HOME") ??
    (home && `${home}/${Deno.build.os === "darwin" ? "Library/Caches" : ".cache"}`);
  return cache && `${cache}/metalfaiss/${VERSION}-${sourceHash().slice(0, 12)}`;
}

/** The library in the per-user cache. */
export function cachedLibrary(): string | undefined {
  const folder = cacheFolder();
  return folder && `${folder}/${libraryName()}`;
}

/** One hash over all sources; changes when any of them does. */
export function sourceHash(files: Readonly<Record<string, string>> = sources): string {
  const hash = createHash("sha256");
  for (const path of Object.keys(files).sort()) hash.update(`${path} ${files[path]}\n`);
  return hash.digest("hex");
}
