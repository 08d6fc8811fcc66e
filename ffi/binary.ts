/** Symbols of codes of bits. @module */

import { rangeSearch, rangeSearchSome, search, searchSome } from "./store.ts";
import { nonblocking } from "./symbol.ts";

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
