/**
 * Builds the native library: in a checkout where it lies, else in the per-user cache, from
 * the sources that this package carries. Needs Swift 6.
 *
 * ```sh
 * deno run -A jsr:@metalfaiss/metalfaiss/setup
 * ```
 *
 * @module
 */

import { createHash } from "node:crypto";
import {
  cachedLibrary,
  cacheFolder,
  checkout,
  checkoutLibrary,
  libraryName,
  sourceHash,
  sources,
} from "../ffi/paths.ts";
import { hashSources } from "../ffi/sources.ts";
import { DeviceError } from "./errors.ts";

/**
 * Builds the native library, unless it is up to date. What Swift prints goes to stderr.
 *
 * @returns Absolute path of the library.
 * @throws {DeviceError} If there is no Swift, or the build fails.
 *
 * @example
 * ```ts ignore
 * import { setup } from "@metalfaiss/metalfaiss/setup";
 *
 * console.log(await setup());
 * ```
 */
export async function setup(): Promise<string> {
  const root = checkout();
  return root === undefined ? await buildInCache() : await buildInCheckout(root);
}

async function buildInCheckout(root: string): Promise<string> {
  const swift = `${root}swift`;
  const path = checkoutLibrary()!;
  const hashes = hashSources(root);
  const manifest = `${JSON.stringify(hashes, null, 2)}\n`;
  if (readText(`${swift}/manifest.json`) !== manifest) {
    Deno.writeTextFileSync(`${swift}/manifest.json`, manifest);
  }
  // Kept in the build folder, so that it goes when the build goes.
  const stamp = `${swift}/.build/metalfaiss-sources`;
  // Shaders are read where they lie.
  const built = Object.entries(hashes).filter(([file]) => file.startsWith("swift/"));
  const hash = sourceHash(Object.fromEntries(built));
  if (readText(stamp) === hash && exists(path)) return path;
  await swiftBuild(swift);
  Deno.writeTextFileSync(stamp, hash);
  return path;
}

async function buildInCache(): Promise<string> {
  const folder = cacheFolder();
  const path = cachedLibrary();
  if (folder === undefined || path === undefined) {
    throw new DeviceError("Cannot build the native library: HOME and XDG_CACHE_HOME are not set");
  }
  if (exists(path)) return path;
  // Built beside its place and moved there whole: an interrupted build leaves nothing half.
  const parent = folder.slice(0, folder.lastIndexOf("/"));
  await Deno.mkdir(parent, { recursive: true });
  const work = await Deno.makeTempDir({ dir: parent, prefix: ".build-" });
  try {
    await fetchSources(work);
    await swiftBuild(`${work}/swift`);
    await Deno.mkdir(`${work}/done`);
    await Deno.copyFile(
      `${work}/swift/.build/release/${libraryName()}`,
      `${work}/done/${libraryName()}`,
    );
    await Deno.rename(`${work}/shaders`, `${work}/done/shaders`);
    await Deno.rename(`${work}/done`, folder).catch((error) => {
      if (!exists(path)) throw error; // another setup was first
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return path;
}

async function fetchSources(folder: string): Promise<void> {
  // All are fetched before any is written: a refusal leaves nobody writing.
  const files = await Promise.all(Object.entries(sources).map(fetchSource));
  for (const [path, bytes] of files) {
    const target = `${folder}/${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(target, bytes);
  }
}

async function fetchSource([path, sha256]: [string, string]): Promise<[string, Uint8Array]> {
  const url = new URL(`../${path}`, import.meta.url);
  const response = await fetch(url);
  const bytes = await response.bytes();
  if (!response.ok) throw new DeviceError(`Cannot fetch ${url}: HTTP status ${response.status}`);
  if (createHash("sha256").update(bytes).digest("hex") !== sha256) {
    throw new DeviceError(`Cannot use ${url}: it is not the file that was published`);
  }
  return [path, bytes];
}

async function swiftBuild(folder: string): Promise<void> {
  const args = ["build", "-c", "release", "--product", "MetalFaiss", "--package-path", folder];
  console.error(`$ swift ${args.join(" ")}`);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("swift", { args, stdin: "null", stdout: "piped" }).spawn();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new DeviceError(`Cannot build the native library: no Swift found; ${swiftAdvice()}`, {
      cause,
    });
  }
  for await (const chunk of child.stdout) await Deno.stderr.write(chunk);
  const { code } = await child.status;
  if (code !== 0) {
    throw new DeviceError(`Cannot build the native library: swift build exited with ${code}`);
  }
}

/** How to get Swift on this system. */
export function swiftAdvice(): string {
  if (Deno.build.os === "darwin") return "install it with: xcode-select --install";
  return "on Debian, ./run as root installs it; elsewhere see https://www.swift.org/install";
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

if (import.meta.main) {
  // `--optional`: without Swift say so and go on, on the reference backend.
  const optional = Deno.args.includes("--optional");
  try {
    const path = await setup();
    if (!optional) console.error(path);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    console.error(error.message);
    const missing = error.cause instanceof Deno.errors.NotFound;
    if (missing && optional) console.error("Going on with the reference backend, which is slow");
    else Deno.exit(1);
  }
}
