/**
 * Which backend new indexes get.
 *
 * @module
 */

import { backendVariable, gpuVariable } from "../env.ts";
import { DeviceError } from "../errors.ts";
import type { Backend, BackendName } from "./backend.ts";
import { createCpuBackend } from "./cpu/mod.ts";
import { createGpuBackend } from "./gpu/mod.ts";
import { createReferenceBackend } from "./reference/mod.ts";

let selected: Backend | undefined;

/**
 * The backend that indexes use unless they are given another. The first call chooses it by
 * `METALFAISS_BACKEND`. `auto`, the default, takes `gpu` if `METALFAISS_GPU` names one and
 * on Macs; else `cpu` if the native library opens, and else `reference`, with a warning.
 *
 * @throws {DeviceError} If a device or the native library was asked for and is not there.
 * @throws {RangeError} If a `METALFAISS_*` variable has no sense.
 *
 * @example
 * ```ts
 * import { backend, IndexFlatL2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2);
 * assert.equal(index.backend, backend());
 * ```
 */
export function backend(): Backend {
  if (selected) return selected;
  const name = backendVariable();
  return selected = name === "auto" ? createBest() : createBackend(name);
}

/**
 * Chooses the backend of the indexes made from now on.
 *
 * @param name `"gpu"`, `"cpu"` or `"reference"`.
 * @returns The backend.
 * @throws {DeviceError} If there is no GPU, or no native library; it says what to do.
 *
 * @example
 * ```ts
 * import { IndexFlatL2, useBackend } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * useBackend("reference");
 * using index = new IndexFlatL2(2);
 * assert.equal(index.backend.engine, "typescript");
 * ```
 */
export function useBackend(name: BackendName): Backend {
  return selected = createBackend(name);
}

/** A backend by its name. @internal */
export function createBackend(name: BackendName): Backend {
  if (name === "gpu") return createGpuBackend();
  if (name === "cpu") return createCpuBackend();
  if (name === "reference") return createReferenceBackend();
  throw new RangeError(`Cannot use backend "${name}": expected gpu, cpu or reference`);
}

function createBest(): Backend {
  if (gpuVariable() !== undefined) return createGpuBackend();
  try {
    return createLocal();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    console.warn(`metalfaiss: using the slow reference backend. ${error.message}`);
    return createReferenceBackend();
  }
}

/** A Mac's GPU shares its memory; anywhere else moving data there is a choice to make. */
function createLocal(): Backend {
  if (Deno.build.os === "darwin") {
    try {
      return createGpuBackend();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
  }
  return createCpuBackend();
}
