/** Symbols of inverted lists. @module */

import { mapLists } from "./map.ts";
import {
  addToLists,
  appendLists,
  clear,
  gather,
  getList,
  keepMap,
  locate,
  rangeSearchSome,
  remove,
  searchSome,
  sizes,
  updateLists,
} from "./store.ts";
import { nonblocking } from "./symbol.ts";

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
  mf_ivf_add: addToLists,
  mf_ivf_add_async: nonblocking("mf_ivf_add", addToLists),
  mf_ivf_map: mapLists,
  mf_ivf_append_async: nonblocking("mf_ivf_append", appendLists),
  mf_ivf_sizes: sizes,
  mf_ivf_get: getList,
  mf_ivf_locate: locate,
  mf_ivf_ids: locate,
  mf_ivf_gather: gather,
  mf_ivf_keep_map: keepMap,
  mf_ivf_keep_map_async: nonblocking("mf_ivf_keep_map", keepMap),
  mf_ivf_update: updateLists,
  mf_ivf_update_async: nonblocking("mf_ivf_update", updateLists),
  mf_ivf_remove_async: nonblocking("mf_ivf_remove", remove),
  mf_ivf_clear: clear,
  mf_ivf_search: searchSome,
  mf_ivf_search_async: nonblocking("mf_ivf_search", searchSome),
  mf_ivf_range_search: rangeSearchSome,
  mf_ivf_range_search_async: nonblocking("mf_ivf_range_search", rangeSearchSome),
} as const satisfies Deno.ForeignLibraryInterface;
