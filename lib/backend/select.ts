/**
 * Which backend new indexes get.
 *
 * @module
 */

import { backendVariable } from "../env.ts";
import { DeviceError } from "../errors.ts";
import type { Backend, BackendName } from "./backend.ts";
import { createCpuBackend } from "./cpu/mod.ts";
import { createReferenceBackend } from "./reference/mod.ts";

let selected: Backend | undefined;

/**
 * The backend that indexes use unless they are given another. The first call chooses it by
 * `METALFAISS_BACKEND`; `auto`, the default, takes `cpu` if the native library opens, and
 * else `reference`, with a warning.
 *
 * @throws {DeviceError} If `METALFAISS_BACKEND` is `cpu` and there is no native library.
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
  return selected = name === "auto" ? createBest() : create(name);
}

/**
 * Chooses the backend of the indexes made from now on.
 *
 * @param name `"cpu"` or `"reference"`.
 * @returns The backend.
 * @throws {DeviceError} If it is `"cpu"` and there is no native library.
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
  return selected = create(name);
}

function create(name: BackendName): Backend {
  if (name === "cpu") return createCpuBackend();
  if (name === "reference") return createReferenceBackend();
  throw new RangeError(`Cannot use backend "${name}": expected cpu or reference`);
}

function createBest(): Backend {
  try {
    return createCpuBackend();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    console.warn(`metalfaiss: using the slow reference backend. ${error.message}`);
    return createReferenceBackend();
  }
}
