/** Symbols of files in memory. @module */

/** `mf_map_*`. */
export const mapSymbols = {
  mf_map_open: {
    parameters: [
      "buffer", // const uint8_t *path
      "buffer", // double *facts
      "buffer", // uint32_t *map
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** A call that takes rows from a file. */
export const mapRows = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t map
    "f64", // double offset
    "f64", // double n
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** A call that takes lists from a file. */
export const mapLists = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t map
    "buffer", // const double *sizes
    "buffer", // const double *rows
    "buffer", // const double *ids
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;
