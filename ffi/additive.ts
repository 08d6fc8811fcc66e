/** Symbols of additive quantizers. @module */

import { nonblocking } from "./symbol.ts";

const search = {
  parameters: [
    "u32", // uint32_t codec
    "f64", // double n
    "buffer", // const float *x
    "buffer", // uint32_t *indices
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const fit = {
  parameters: [
    "buffer", // const mf_sizes *sizes
    "buffer", // const float *x
    "buffer", // const uint32_t *indices
    "buffer", // float *codebooks
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_additive_*`. */
export const additiveSymbols = {
  mf_additive_create: {
    parameters: [
      "buffer", // const mf_additive *additive
      "buffer", // const uint32_t *nbits
      "buffer", // const float *codebooks
      "buffer", // const float *norms
      "buffer", // uint32_t *codec
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_additive_search_async: nonblocking("mf_additive_search", search),
  mf_additive_fit_async: nonblocking("mf_additive_fit", fit),
} as const satisfies Deno.ForeignLibraryInterface;
