/**
 * Finds and opens the native library, on first use.
 *
 * @module
 */

import { DeviceError } from "../lib/errors.ts";
import { readVariable } from "../lib/env.ts";
import { binarySymbols } from "./binary.ts";
import { additiveSymbols } from "./additive.ts";
import { codesSymbols } from "./codes.ts";
import { distanceSymbols } from "./distance.ts";
import { factorSymbols } from "./factor.ts";
import { flatSymbols } from "./flat.ts";
import { gemmSymbols } from "./gemm.ts";
import { gpuSymbols } from "./gpu.ts";
import { hnswSymbols } from "./hnsw.ts";
import { ivfSymbols } from "./ivf.ts";
import { kmeansSymbols } from "./kmeans.ts";
import { mapSymbols } from "./map.ts";
import { cachedLibrary, checkoutLibrary } from "./paths.ts";
import { selectorSymbols } from "./selector.ts";
import { sequenceSymbols } from "./sequence.ts";
import { nonblocking } from "./symbol.ts";

/** `MF_ABI_VERSION` of the header that the tables were written from. */
export const ABI_VERSION = 5;

const versionSymbols = {
  mf_abi_version: { parameters: [], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

const roofline = {
  parameters: [
    "u32", // uint32_t kind
    "buffer", // double *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_abi_version` and `mf_library_*`. */
export const librarySymbols = {
  ...versionSymbols,
  mf_library_describe: {
    parameters: [
      "buffer", // uint8_t *json
      "u32", // uint32_t capacity
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_library_set_threads: {
    parameters: [
      "u32", // uint32_t threads
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_library_set_isa: {
    parameters: [
      "buffer", // const uint8_t *name
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_library_roofline_async: nonblocking("mf_library_roofline", roofline),
  mf_library_free: {
    parameters: [
      "u32", // uint32_t object
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** Every symbol of the C ABI. */
export const symbols = {
  ...librarySymbols,
  ...selectorSymbols,
  ...flatSymbols,
  ...ivfSymbols,
  ...binarySymbols,
  ...additiveSymbols,
  ...codesSymbols,
  ...hnswSymbols,
  ...mapSymbols,
  ...distanceSymbols,
  ...kmeansSymbols,
  ...factorSymbols,
  ...gpuSymbols,
  ...gemmSymbols,
  ...sequenceSymbols,
} as const satisfies Deno.ForeignLibraryInterface;

/** The C functions, callable. */
export type Symbols = Deno.StaticForeignLibraryInterface<typeof symbols>;

/** An open library. */
export interface Library {
  /** File it was opened from. */
  readonly path: string;
  /** Its functions. */
  readonly symbols: Symbols;
}

/** One place that was tried, and why it gave no library. */
export interface Attempt {
  /** What led there: the variable, the checkout or the cache. */
  source: string;
  /** Absolute path of the file, where there is one. */
  path?: string;
  /** Why it was not opened. */
  reason: string;
}

/** A place where the library may be. */
export interface Candidate {
  /** What led there. */
  source: string;
  /** Absolute path, or undefined with a `reason` why there is none. */
  path: string | undefined;
  /** Why there is no path. */
  reason?: string;
}

let opened: Library | undefined;

/** The native library; opened by the first call. */
export function library(): Library {
  return opened ??= openFirst(candidates());
}

/** Whether {@linkcode library} has been opened, and from where. */
export function openedPath(): string | undefined {
  return opened?.path;
}

/** Places that are searched, in order. METALFAISS_LIBRARY excludes the others. */
export function candidates(): Candidate[] {
  const path = readVariable("METALFAISS_LIBRARY");
  if (path !== undefined) return [{ source: "METALFAISS_LIBRARY", path }];
  return [
    {
      source: "checkout build",
      path: checkoutLibrary(),
      reason: "this module is not in a checkout",
    },
    {
      source: "per-user cache",
      path: cachedLibrary(),
      reason: "neither HOME nor XDG_CACHE_HOME can be read",
    },
  ];
}

/** Opens the first of `places` that has a usable library. */
export function openFirst(places: Candidate[]): Library {
  const attempts: Attempt[] = [];
  for (const { source, path, reason } of places) {
    if (path === undefined) {
      attempts.push({ source, reason: reason ?? "no path" });
      continue;
    }
    try {
      return openLibrary(path);
    } catch (error) {
      attempts.push({ source, path, reason: error instanceof Error ? error.message : `${error}` });
    }
  }
  const tried = attempts.map((a) => `  ${a.source}: ${a.path ? `${a.path}: ` : ""}${a.reason}`);
  throw new DeviceError(
    `Cannot open the native library: tried\n${tried.join("\n")}\n${remedy()}`,
  );
}

/** What to do about a library that was not found. */
export function remedy(): string {
  if (readVariable("METALFAISS_LIBRARY") !== undefined) {
    return "Correct METALFAISS_LIBRARY, or unset it to search the usual places";
  }
  return checkoutLibrary() === undefined
    ? "Build it once with: deno run -A jsr:@metalfaiss/metalfaiss/setup"
    : "Build it with: ./run build";
}

/** Opens one file and checks its ABI version. Exported for tests. */
export function openLibrary(path: string): Library {
  // Deno turns a relative name into one below the working directory.
  if (!path.startsWith("/")) {
    throw new DeviceError(`Cannot open ${path}: the path is not absolute`);
  }
  if (isMissing(path)) throw new DeviceError(`Cannot open ${path}: no such file`);
  // The version first: an older library lacks symbols, and that error would name one of them.
  const probe = Deno.dlopen(path, versionSymbols);
  try {
    const version = probe.symbols.mf_abi_version();
    if (version !== ABI_VERSION) {
      throw new DeviceError(
        `Cannot use ${path}: its ABI version is ${version}, this module needs ${ABI_VERSION}`,
      );
    }
    return { path, symbols: Deno.dlopen(path, symbols).symbols };
  } finally {
    probe.close();
  }
}

/** Whether the file is known to be missing; without leave to look, dlopen will tell. */
function isMissing(path: string): boolean {
  try {
    if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return false;
    Deno.statSync(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}
