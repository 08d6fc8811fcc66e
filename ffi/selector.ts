/** Symbols of id selectors. @module */

/** `mf_selector_*`. */
export const selectorSymbols = {
  mf_selector_create: {
    parameters: [
      "f64", // double bytes
      "buffer", // const uint8_t *program
      "buffer", // uint32_t *selector
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_selector_bitmap: {
    parameters: [
      "u32", // uint32_t selector
      "f64", // double n
      "buffer", // const int64_t *ids
      "buffer", // uint8_t *bitmap
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
