/** Symbols of the k-means steps. @module */

import { nonblocking } from "./symbol.ts";

const update = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // const int64_t *assign
    "buffer", // const float *weights
    "buffer", // float *means
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const least = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // const float *center
    "buffer", // float *least
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const assign = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // const float *centroids
    "buffer", // float *distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const parts = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // float *means
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const rotate = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // const float *signs
    "buffer", // float *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_kmeans_*`, and rotations. */
export const kmeansSymbols = {
  mf_kmeans_update: update,
  mf_kmeans_update_async: nonblocking("mf_kmeans_update", update),
  mf_kmeans_assign: assign,
  mf_kmeans_assign_async: nonblocking("mf_kmeans_assign", assign),
  mf_kmeans_parts: parts,
  mf_kmeans_parts_async: nonblocking("mf_kmeans_parts", parts),
  mf_rotate_hadamard: rotate,
  mf_rotate_hadamard_async: nonblocking("mf_rotate_hadamard", rotate),
  mf_kmeans_least: least,
  mf_kmeans_least_async: nonblocking("mf_kmeans_least", least),
} as const satisfies Deno.ForeignLibraryInterface;
