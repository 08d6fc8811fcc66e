/** Symbols of codecs, stores of codes and lists of codes. @module */

import { mapLists, mapRows } from "./map.ts";
import { nonblocking } from "./symbol.ts";

const encode = {
  parameters: [
    "u32", // uint32_t codec
    "f64", // double n
    "buffer", // const float *x
    "buffer", // uint8_t *codes
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const encodeAbout = {
  parameters: [
    "u32", // uint32_t codec
    "f64", // double n
    "buffer", // const float *x
    "buffer", // const float *about
    "buffer", // uint8_t *codes
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const decode = {
  parameters: [
    "u32", // uint32_t codec
    "f64", // double n
    "buffer", // const uint8_t *codes
    "buffer", // float *x
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const add = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const uint8_t *codes
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const append = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t other
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const remove = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t selector
    "buffer", // double *removed
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const clear = {
  parameters: [
    "u32", // uint32_t store
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

const gather = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const int64_t *rows
    "buffer", // float *x
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const addToLists = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const uint8_t *codes
    "buffer", // const int64_t *lists
    "buffer", // const int64_t *ids
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const appendLists = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t other
    "f64", // double add_id
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const searchLists = {
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

const rangeSearchLists = {
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

const updateLists = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const int64_t *ids
    "buffer", // const uint8_t *codes
    "buffer", // const int64_t *lists
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const keepMap = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t kind
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_codec_*`, `mf_codes_*` and `mf_lists_*`. */
export const codesSymbols = {
  mf_codec_create: {
    parameters: [
      "buffer", // const mf_codec *codec
      "buffer", // const float *trained
      "buffer", // uint32_t *out
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_codec_encode: encode,
  mf_codec_encode_async: nonblocking("mf_codec_encode", encode),
  mf_codec_encode_about: encodeAbout,
  mf_codec_encode_about_async: nonblocking("mf_codec_encode_about", encodeAbout),
  mf_codec_decode: decode,
  mf_codec_decode_async: nonblocking("mf_codec_decode", decode),
  mf_codes_create: {
    parameters: [
      "u32", // uint32_t codec
      "buffer", // uint32_t *store
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_codes_add: add,
  mf_codes_add_async: nonblocking("mf_codes_add", add),
  mf_codes_map: mapRows,
  mf_codes_append_async: nonblocking("mf_codes_append", append),
  mf_codes_get: {
    parameters: [
      "u32", // uint32_t store
      "f64", // double start
      "f64", // double n
      "buffer", // uint8_t *codes
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_codes_gather: gather,
  mf_codes_remove_async: nonblocking("mf_codes_remove", remove),
  mf_codes_clear: clear,
  mf_codes_search: search,
  mf_codes_search_async: nonblocking("mf_codes_search", search),
  mf_codes_range_search: rangeSearch,
  mf_codes_range_search_async: nonblocking("mf_codes_range_search", rangeSearch),
  mf_lists_create: {
    parameters: [
      "u32", // uint32_t codec
      "u32", // uint32_t nlist
      "buffer", // const float *centroids
      "buffer", // uint32_t *store
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_lists_add: addToLists,
  mf_lists_add_async: nonblocking("mf_lists_add", addToLists),
  mf_lists_map: mapLists,
  mf_lists_append_async: nonblocking("mf_lists_append", appendLists),
  mf_lists_sizes: {
    parameters: [
      "u32", // uint32_t store
      "buffer", // double *sizes
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_lists_get: {
    parameters: [
      "u32", // uint32_t store
      "u32", // uint32_t list
      "f64", // double n
      "buffer", // uint8_t *codes
      "buffer", // int64_t *ids
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_lists_locate: {
    parameters: [
      "u32", // uint32_t store
      "f64", // double n
      "buffer", // const int64_t *ids
      "buffer", // int64_t *locations
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_lists_ids: {
    parameters: [
      "u32", // uint32_t store
      "f64", // double n
      "buffer", // const int64_t *locations
      "buffer", // int64_t *ids
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_lists_gather: gather,
  mf_lists_keep_map: keepMap,
  mf_lists_keep_map_async: nonblocking("mf_lists_keep_map", keepMap),
  mf_lists_update: updateLists,
  mf_lists_update_async: nonblocking("mf_lists_update", updateLists),
  mf_lists_remove_async: nonblocking("mf_lists_remove", remove),
  mf_lists_clear: clear,
  mf_lists_search: searchLists,
  mf_lists_search_async: nonblocking("mf_lists_search", searchLists),
  mf_lists_range_search: rangeSearchLists,
  mf_lists_range_search_async: nonblocking("mf_lists_range_search", rangeSearchLists),
} as const satisfies Deno.ForeignLibraryInterface;
