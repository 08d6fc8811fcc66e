/** Symbols of codecs, stores of codes and lists of codes. @module */

import { mapLists, mapRows } from "./map.ts";
import {
  addToLists,
  append,
  appendLists,
  clear,
  gather,
  getList,
  keepMap,
  locate,
  rangeSearch,
  rangeSearchSome,
  remove,
  search,
  searchSome,
  sizes,
  updateLists,
} from "./store.ts";
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
  mf_lists_sizes: sizes,
  mf_lists_get: getList,
  mf_lists_locate: locate,
  mf_lists_ids: locate,
  mf_lists_gather: gather,
  mf_lists_keep_map: keepMap,
  mf_lists_keep_map_async: nonblocking("mf_lists_keep_map", keepMap),
  mf_lists_update: updateLists,
  mf_lists_update_async: nonblocking("mf_lists_update", updateLists),
  mf_lists_remove_async: nonblocking("mf_lists_remove", remove),
  mf_lists_clear: clear,
  mf_lists_search: searchSome,
  mf_lists_search_async: nonblocking("mf_lists_search", searchSome),
  mf_lists_range_search: rangeSearchSome,
  mf_lists_range_search_async: nonblocking("mf_lists_range_search", rangeSearchSome),
} as const satisfies Deno.ForeignLibraryInterface;
