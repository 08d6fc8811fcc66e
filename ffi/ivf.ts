/** Symbols of inverted lists. @module */

import { mapLists } from "./map.ts";
import { nonblocking } from "./symbol.ts";

const add = {
  parameters: [
    "u32", // uint32_t ivf
    "f64", // double n
    "buffer", // const float *x
    "buffer", // const int64_t *lists
    "buffer", // const int64_t *ids
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const append = {
  parameters: [
    "u32", // uint32_t ivf
    "u32", // uint32_t other
    "f64", // double add_id
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const remove = {
  parameters: [
    "u32", // uint32_t ivf
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
    "buffer", // const int64_t *probes
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
    "buffer", // const int64_t *probes
    "buffer", // uint64_t *lims
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const update = {
  parameters: [
    "u32", // uint32_t ivf
    "f64", // double n
    "buffer", // const int64_t *ids
    "buffer", // const float *x
    "buffer", // const int64_t *lists
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const keepMap = {
  parameters: [
    "u32", // uint32_t ivf
    "u32", // uint32_t kind
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_ivf_*`. */
export const ivfSymbols = {
  mf_ivf_create: {
    parameters: [
      "u32", // uint32_t d
      "u32", // uint32_t nlist
      "buffer", // uint32_t *ivf
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_add: add,
  mf_ivf_add_async: nonblocking("mf_ivf_add", add),
  mf_ivf_map: mapLists,
  mf_ivf_append_async: nonblocking("mf_ivf_append", append),
  mf_ivf_sizes: {
    parameters: [
      "u32", // uint32_t ivf
      "buffer", // double *sizes
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_get: {
    parameters: [
      "u32", // uint32_t ivf
      "u32", // uint32_t list
      "f64", // double n
      "buffer", // float *x
      "buffer", // int64_t *ids
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_locate: {
    parameters: [
      "u32", // uint32_t ivf
      "f64", // double n
      "buffer", // const int64_t *ids
      "buffer", // int64_t *locations
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_ids: {
    parameters: [
      "u32", // uint32_t ivf
      "f64", // double n
      "buffer", // const int64_t *locations
      "buffer", // int64_t *ids
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_gather: {
    parameters: [
      "u32", // uint32_t ivf
      "f64", // double n
      "buffer", // const int64_t *locations
      "buffer", // float *x
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_keep_map: keepMap,
  mf_ivf_keep_map_async: nonblocking("mf_ivf_keep_map", keepMap),
  mf_ivf_update: update,
  mf_ivf_update_async: nonblocking("mf_ivf_update", update),
  mf_ivf_remove_async: nonblocking("mf_ivf_remove", remove),
  mf_ivf_clear: {
    parameters: [
      "u32", // uint32_t ivf
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_ivf_search: search,
  mf_ivf_search_async: nonblocking("mf_ivf_search", search),
  mf_ivf_range_search: rangeSearch,
  mf_ivf_range_search_async: nonblocking("mf_ivf_range_search", rangeSearch),
} as const satisfies Deno.ForeignLibraryInterface;
