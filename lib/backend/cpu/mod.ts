/**
 * The native backend: one call of the library an operation.
 *
 * @module
 */

import { readVariable, threadsVariable } from "../../env.ts";
import type { Backend } from "../backend.ts";
import { hamming, kmeansLeast, kmeansParts, kmeansUpdate, pairwise } from "./arrays.ts";
import { rotateHadamard } from "./arrays.ts";
import { CpuBinaryLists, CpuBinaryStore } from "./binary.ts";
import { createBinaryGraph } from "./binary_graph.ts";
import { fitCodebooks } from "./codebooks.ts";
import { CpuCodeLists } from "./code_lists.ts";
import { CpuCodec } from "./codec.ts";
import { CpuCodeStore } from "./codes.ts";
import { CpuFlatStore } from "./flat.ts";
import { CpuHNSWStore } from "./hnsw.ts";
import { CpuIVFStore } from "./ivf.ts";
import { CpuFileMap } from "./map.ts";
import { createCpuLinalg } from "./linalg/mod.ts";
import { describeLibrary, setISA, setThreads } from "./native.ts";
import { residentRows } from "./resident.ts";

export { describeLibrary, type LibraryInfo, setISA, setThreads } from "./native.ts";

/**
 * Opens the native library, with `METALFAISS_THREADS` and `METALFAISS_ISA` applied.
 *
 * @throws {DeviceError} If there is no library; it lists every path tried.
 */
export function createCpuBackend(): Backend {
  const threads = threadsVariable();
  if (threads !== undefined) setThreads(threads);
  const isa = readVariable("METALFAISS_ISA");
  if (isa !== undefined) setISA(isa);
  describeLibrary();
  return {
    name: "cpu",
    engine: "native",
    get isa() {
      return describeLibrary().isa;
    },
    get threads() {
      return describeLibrary().threads;
    },
    linalg: createCpuLinalg(),
    mapFile: (path) => new CpuFileMap(path),
    createFlat: (d) => new CpuFlatStore(d),
    createIVF: (d, nlist) => new CpuIVFStore(d, nlist),
    createBinary: (d) => new CpuBinaryStore(d),
    createBinaryGraph,
    createBinaryLists: (d, nlist) => new CpuBinaryLists(d, nlist),
    createCodec: (spec) => new CpuCodec(spec),
    fitCodebooks,
    createCodes: (spec) => new CpuCodeStore(spec),
    createCodeLists: (spec, nlist, residual) => new CpuCodeLists(spec, nlist, residual),
    createHNSW: (options) => new CpuHNSWStore(options),
    pairwise,
    hamming,
    kmeansUpdate,
    kmeansParts,
    rotateHadamard,
    kmeansLeast,
    residentRows,
  };
}
