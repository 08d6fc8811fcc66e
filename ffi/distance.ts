/** Symbols of distances between plain arrays. @module */

import { nonblocking } from "./symbol.ts";

const pairwise = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // const float *y
    "buffer", // float *distances
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const hamming = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const uint8_t *x
    "buffer", // const uint8_t *y
    "buffer", // int32_t *distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_distance_*`. */
export const distanceSymbols = {
  mf_distance_pairwise: pairwise,
  mf_distance_pairwise_async: nonblocking("mf_distance_pairwise", pairwise),
  mf_distance_hamming: hamming,
  mf_distance_hamming_async: nonblocking("mf_distance_hamming", hamming),
} as const satisfies Deno.ForeignLibraryInterface;
