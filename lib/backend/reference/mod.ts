/**
 * Every operation in plain TypeScript: the oracle of the tests, and what runs where there
 * is no native library.
 *
 * @module
 */

import type { Metric } from "../../metric.ts";
import type { Backend } from "../backend.ts";
import { ReferenceBinaryLists, ReferenceBinaryStore } from "./binary.ts";
import { createBinaryGraph } from "./binary_graph.ts";
import { ReferenceCodeLists } from "./code_lists.ts";
import { fitCodebooks } from "./codebooks.ts";
import { ReferenceCodec } from "./codec.ts";
import { ReferenceCodeStore } from "./codes.ts";
import { distanceOf } from "./distance.ts";
import { ReferenceFlatStore } from "./flat.ts";
import { hamming } from "./hamming.ts";
import { ReferenceHNSWStore } from "./hnsw.ts";
import { ReferenceIVFStore } from "./ivf.ts";
import { kmeansLeast, kmeansParts, kmeansUpdate } from "./kmeans.ts";
import { createReferenceLinalg } from "./linalg/mod.ts";
import { run, type Steps } from "./steps.ts";

/**
 * The reference backend.
 *
 * @example
 * ```ts
 * import { createReferenceBackend, IndexFlatL2 } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * using index = new IndexFlatL2(2, { backend: createReferenceBackend() });
 * assert.equal(index.backend.name, "reference");
 * ```
 */
export function createReferenceBackend(): Backend {
  return {
    name: "reference",
    engine: "typescript",
    isa: "none",
    threads: 1,
    linalg: createReferenceLinalg(),
    createFlat: (d) => new ReferenceFlatStore(d),
    createIVF: (d, nlist) => new ReferenceIVFStore(d, nlist),
    createBinary: (d) => new ReferenceBinaryStore(d),
    createBinaryGraph,
    createBinaryLists: (d, nlist) => new ReferenceBinaryLists(d, nlist),
    createCodec: (spec) => new ReferenceCodec(spec),
    fitCodebooks,
    createCodes: (spec) => new ReferenceCodeStore(spec),
    createCodeLists: (spec, nlist, residual) => new ReferenceCodeLists(spec, nlist, residual),
    createHNSW: (options) => new ReferenceHNSWStore(options),
    pairwise: (x, y, d, metric, metricArg) => run(pairwise(x, y, d, metric, metricArg)),
    hamming: (x, y, codeSize, k) => run(hamming(x, y, codeSize, k)),
    kmeansUpdate: (x, assign, weights, centroids, d) =>
      run(kmeansUpdate(x, assign, weights, centroids, d)),
    kmeansParts: (x, m, centroids, d, signal) => run(kmeansParts(x, m, centroids, d), signal),
    kmeansLeast: (x, center, least) => run(kmeansLeast(x, center, least)),
  };
}

function* pairwise(
  x: Float32Array,
  y: Float32Array,
  d: number,
  metric: Metric,
  metricArg: number,
): Steps<Float32Array> {
  const [nx, ny] = [x.length / d, y.length / d];
  const distance = distanceOf(metric, metricArg, d);
  const out = new Float32Array(nx * ny);
  for (let i = 0; i < nx; i++) {
    for (let j = 0; j < ny; j++) out[i * ny + j] = distance(x, i, y, j);
    yield;
  }
  return out;
}
