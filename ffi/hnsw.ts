/** Symbols of HNSW graphs. @module */

import { clear, gather, rangeSearch, remove, search } from "./store.ts";
import { nonblocking } from "./symbol.ts";

const add = {
  parameters: [
    "u32", // uint32_t hnsw
    "f64", // double n
    "buffer", // const void *x
    "buffer", // const uint8_t *levels
    "u32", // uint32_t ef_construction
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const addRows = {
  parameters: [
    "u32", // uint32_t hnsw
    "f64", // double n
    "buffer", // const void *x
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const restore = {
  parameters: [
    "u32", // uint32_t hnsw
    "f64", // double words
    "f64", // double entry
    "buffer", // const uint8_t *levels
    "buffer", // const int32_t *links
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const update = {
  parameters: [
    "u32", // uint32_t hnsw
    "f64", // double n
    "buffer", // const int64_t *rows
    "buffer", // const void *x
    "u32", // uint32_t ef_construction
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const build = {
  parameters: [
    "buffer", // const mf_hnsw_build *how
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_hnsw_*`. */
export const hnswSymbols = {
  mf_hnsw_create: {
    parameters: [
      "buffer", // const mf_hnsw *graph
      "buffer", // uint32_t *hnsw
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_hnsw_add: add,
  mf_hnsw_add_async: nonblocking("mf_hnsw_add", add),
  mf_hnsw_add_rows_async: nonblocking("mf_hnsw_add_rows", addRows),
  mf_hnsw_build_graph_async: nonblocking("mf_hnsw_build_graph", build),
  mf_hnsw_restore_async: nonblocking("mf_hnsw_restore", restore),
  mf_hnsw_map: {
    parameters: [
      "u32", // uint32_t hnsw
      "u32", // uint32_t map
      "buffer", // const double *place
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_hnsw_graph: {
    parameters: [
      "u32", // uint32_t hnsw
      "buffer", // double *sizes
      "buffer", // uint8_t *levels
      "buffer", // int32_t *links
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_hnsw_update_async: nonblocking("mf_hnsw_update", update),
  mf_hnsw_remove_async: nonblocking("mf_hnsw_remove", remove),
  mf_hnsw_clear: clear,
  mf_hnsw_gather: gather,
  mf_hnsw_codes: {
    parameters: [
      "u32", // uint32_t hnsw
      "f64", // double start
      "f64", // double n
      "buffer", // uint8_t *codes
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_hnsw_search: search,
  mf_hnsw_search_async: nonblocking("mf_hnsw_search", search),
  mf_hnsw_range_search: rangeSearch,
  mf_hnsw_range_search_async: nonblocking("mf_hnsw_range_search", rangeSearch),
} as const satisfies Deno.ForeignLibraryInterface;
