/**
 * The backend on a GPU: a few dispatches of Metal kernels an operation, data on the device.
 *
 * @module
 */

import { UnsupportedError } from "../../errors.ts";
import { gpu, type GpuDevice } from "../../kernel/device.ts";
import { Metric } from "../../metric.ts";
import type { Backend } from "../backend.ts";
import { hamming, pairwise } from "./arrays.ts";
import { type GpuBackendOptions, GpuContext } from "./context.ts";
import { GpuFlatStore } from "./flat.ts";
import { GpuIVFStore } from "./ivf.ts";
import { GpuResidentRows, kmeansLeast, kmeansUpdate } from "./kmeans.ts";
import { createGpuLinalg } from "./linalg/mod.ts";

export type { GpuBackendOptions } from "./context.ts";

/**
 * A backend on a GPU.
 *
 * @param device The GPU; by default that of `METALFAISS_GPU`, else the system's.
 * @param options How much memory batches take.
 * @throws {DeviceError} If there is no GPU; it says what to do.
 *
 * @example
 * ```ts
 * import { createGpuBackend, IndexFlatL2 } from "@metalfaiss/metalfaiss";
 * import { gpu } from "@metalfaiss/metalfaiss/kernel";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2, { backend: createGpuBackend(gpu("emulator")) });
 * await index.add([[0, 0], [3, 4]]);
 * const found = await index.search([[3, 3]], 1);
 * assert.deepEqual(found.row(0), [{ id: 1, distance: 1 }]);
 * assert.equal(found.run.engine, "emulator");
 * ```
 */
export function createGpuBackend(
  device: GpuDevice = gpu(),
  options: GpuBackendOptions = {},
): Backend {
  const context = new GpuContext(device, options);
  return {
    name: "gpu",
    engine: device.engine,
    isa: device.name,
    threads: device.maxThreadsPerThreadgroup,
    device,
    linalg: createGpuLinalg(context),
    createFlat: (d) => new GpuFlatStore(context, d),
    createIVF: (d, nlist) => new GpuIVFStore(context, d, nlist),
    createBinary: noBinary,
    createBinaryGraph: noBinary,
    createBinaryLists: noBinary,
    createCodec: noCodes,
    fitCodebooks: noCodes,
    createCodes: noCodes,
    createCodeLists: noCodes,
    createHNSW: () => {
      throw new UnsupportedError("Cannot make an HNSW graph on a GPU: use the cpu backend");
    },
    pairwise: (x, y, d, metric, metricArg) => pairwise(context, x, y, d, metric, metricArg),
    hamming: (x, y, codeSize, k) => hamming(context, x, y, codeSize, k),
    kmeansUpdate: (x, assign, weights, centroids, d) =>
      kmeansUpdate(context, x, assign, weights, centroids, d),
    kmeansLeast: (x, center, least) => kmeansLeast(context, x, center, least),
    residentRows: async (x, d, metric) =>
      metric === Metric.L2 ? await GpuResidentRows.create(context, x, d) : undefined,
  };
}

function noCodes(): never {
  throw new UnsupportedError(
    "Cannot make codes on a GPU: use the cpu backend, or an index of whole vectors",
  );
}

function noBinary(): never {
  throw new UnsupportedError("Cannot make an index of bits on a GPU: use the cpu backend");
}
