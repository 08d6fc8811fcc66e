/** Symbols of flat stores. @module */

import { mapRows } from "./map.ts";
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

const append = {
  parameters: [
    "u32", // uint32_t flat
    "u32", // uint32_t other
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const remove = {
  parameters: [
    "u32", // uint32_t flat
    "u32", // uint32_t selector
    "buffer", // double *removed
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const search = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const float *queries
    "buffer", // float *distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const rangeSearch = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const float *queries
    "buffer", // uint64_t *lims
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const rerank = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // const float *queries
    "buffer", // const int64_t *candidates
    "buffer", // float *distances
    "buffer", // int64_t *labels
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
  mf_flat_gather: {
    parameters: [
      "u32", // uint32_t flat
      "f64", // double n
      "buffer", // const int64_t *rows
      "buffer", // float *x
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_flat_remove_async: nonblocking("mf_flat_remove", remove),
  mf_flat_clear: {
    parameters: [
      "u32", // uint32_t flat
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_flat_search: search,
  mf_flat_search_async: nonblocking("mf_flat_search", search),
  mf_flat_range_search: rangeSearch,
  mf_flat_range_search_async: nonblocking("mf_flat_range_search", rangeSearch),
  mf_flat_rerank: rerank,
  mf_flat_rerank_async: nonblocking("mf_flat_rerank", rerank),
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
