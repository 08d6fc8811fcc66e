/**
 * What symbols of stores have in common, whatever they hold: rows, codes, bits, graphs, lists of these.
 *
 * @module
 */

/** Rows or codes of another store. */
export const append = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t other
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Those selected. */
export const remove = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t selector
    "buffer", // double *removed
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** All of them. */
export const clear = {
  parameters: [
    "u32", // uint32_t store
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** What is at places. */
export const gather = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const int64_t *rows, or locations
    "buffer", // float *x
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** The nearest of all. */
export const search = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // queries
    "buffer", // distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** All within a radius. */
export const rangeSearch = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // queries
    "buffer", // uint64_t *lims
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** The nearest of some: of lists, or candidates. */
export const searchSome = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // queries
    "buffer", // const int64_t *probes, or candidates
    "buffer", // distances
    "buffer", // int64_t *labels
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Those of some within a radius. */
export const rangeSearchSome = {
  parameters: [
    "buffer", // const mf_search *search
    "buffer", // queries
    "buffer", // const int64_t *probes, or candidates
    "buffer", // uint64_t *lims
    "buffer", // uint32_t *result
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Rows or codes to lists. */
export const addToLists = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // rows or codes
    "buffer", // const int64_t *lists
    "buffer", // const int64_t *ids
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Lists of another store. */
export const appendLists = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t other
    "f64", // double add_id
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Rows or codes for ids that are there. */
export const updateLists = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const int64_t *ids
    "buffer", // rows or codes
    "buffer", // const int64_t *lists
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Which direct map is kept. */
export const keepMap = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t kind
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** How long lists are. */
export const sizes = {
  parameters: [
    "u32", // uint32_t store
    "buffer", // double *sizes
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** A copy of one list. */
export const getList = {
  parameters: [
    "u32", // uint32_t store
    "u32", // uint32_t list
    "f64", // double n
    "buffer", // rows or codes
    "buffer", // int64_t *ids
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** Where ids are, or the ids there. */
export const locate = {
  parameters: [
    "u32", // uint32_t store
    "f64", // double n
    "buffer", // const int64_t *ids, or locations
    "buffer", // int64_t *locations, or ids
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;
