/** Symbols of flat stores. @module */

import { mapRows } from "./map.ts";
import { append, clear, gather, rangeSearch, remove, search, searchSome } from "./store.ts";
import { nonblocking } from "./symbol.ts";

const add = {
  parameters: [
    "u32", // uint32_t flat
    "f64", // double n
    "buffer", // const float *x
    "u32", // uint32_t allow_nan
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_flat_*` and `mf_range_take`. */
export const flatSymbols = {
  mf_flat_create: {
    parameters: [
      "u32", // uint32_t d
      "buffer", // uint32_t *flat
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_flat_add: add,
  mf_flat_add_async: nonblocking("mf_flat_add", add),
  mf_flat_map: mapRows,
  mf_flat_append_async: nonblocking("mf_flat_append", append),
  mf_flat_get: {
    parameters: [
      "u32", // uint32_t flat
      "f64", // double start
      "f64", // double n
      "buffer", // float *x
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_flat_gather: gather,
  mf_flat_remove_async: nonblocking("mf_flat_remove", remove),
  mf_flat_clear: clear,
  mf_flat_search: search,
  mf_flat_search_async: nonblocking("mf_flat_search", search),
  mf_flat_range_search: rangeSearch,
  mf_flat_range_search_async: nonblocking("mf_flat_range_search", rangeSearch),
  mf_flat_rerank: searchSome,
  mf_flat_rerank_async: nonblocking("mf_flat_rerank", searchSome),
  mf_range_take: {
    parameters: [
      "u32", // uint32_t result
      "buffer", // float *distances
      "buffer", // int64_t *labels
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
