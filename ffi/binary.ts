/** Symbols of codes of bits. @module */

import { nonblocking } from "./symbol.ts";

const search = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const uint8_t *queries
    "buffer", // int32_t *distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const rangeSearch = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const uint8_t *queries
    "buffer", // uint64_t *lims
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const searchSome = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const uint8_t *queries
    "buffer", // const uint32_t *candidates, or const int64_t *probes
    "buffer", // int32_t *distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const rangeSearchSome = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const uint8_t *queries
    "buffer", // const uint32_t *candidates, or const int64_t *probes
    "buffer", // uint64_t *lims
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_binary_*`, and codes of lists. */
export const binarySymbols = {
  mf_binary_search: search,
  mf_binary_search_async: nonblocking("mf_binary_search", search),
  mf_binary_range_search: rangeSearch,
  mf_binary_range_search_async: nonblocking("mf_binary_range_search", rangeSearch),
  mf_binary_among: searchSome,
  mf_binary_among_async: nonblocking("mf_binary_among", searchSome),
  mf_binary_range_among: rangeSearchSome,
  mf_binary_range_among_async: nonblocking("mf_binary_range_among", rangeSearchSome),
  mf_binary_lists_search: searchSome,
  mf_binary_lists_search_async: nonblocking("mf_binary_lists_search", searchSome),
  mf_binary_lists_range_search: rangeSearchSome,
  mf_binary_lists_range_search_async: nonblocking("mf_binary_lists_range_search", rangeSearchSome),
  mf_lists_codes: {
    parameters: [
      "u32", // uint32_t store
      "f64", // double n
      "buffer", // const int64_t *locations
      "buffer", // uint8_t *codes
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
