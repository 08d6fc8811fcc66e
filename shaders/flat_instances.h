// Names: flat_scan_<metric>_<dtype>[_list]_<queries>x<rows of a tile>.
#pragma once
#include "flat_select.h"
#include "flat_terms.h"
#include "instantiate.h"

#define instantiate_flat_tile(name, ...)                    \
  instantiate_kernel("flat_scan_" name, flat_scan, __VA_ARGS__) \
  instantiate_kernel("flat_keys_" name, flat_keys, __VA_ARGS__)

#define instantiate_flat_tiles(name, type, metric, list)                        \
  instantiate_flat_tile(name "_16x256", type, metric, list, 16, 256, 4, 4)   \
  instantiate_flat_tile(name "_64x128", type, metric, list, 64, 128, 4, 8)   \
  instantiate_flat_tile(name "_128x128", type, metric, list, 128, 128, 8, 8)

#define instantiate_flat_direct(name, ...)                                    \
  instantiate_kernel("flat_direct_scan_" name, flat_direct_scan, __VA_ARGS__) \
  instantiate_kernel("flat_direct_keys_" name, flat_direct_keys, __VA_ARGS__)

#define instantiate_flat_directs(name, type, metric, list)             \
  instantiate_flat_direct(name "_1", type, metric, list, 1, metric == L2)  \
  instantiate_flat_direct(name "_4", type, metric, list, 4, false)  \
  instantiate_flat_direct(name "_16", type, metric, list, 16, false)

#define instantiate_flat(metric_name, metric, type_name, type)                                            \
  instantiate_flat_tiles(#metric_name "_" #type_name, type, metric, false)                             \
  instantiate_flat_tiles(#metric_name "_" #type_name "_list", type, metric, true)                      \
  instantiate_flat_directs(#metric_name "_" #type_name, type, metric, false)                           \
  instantiate_flat_directs(#metric_name "_" #type_name "_list", type, metric, true)                    \
  instantiate_kernel("flat_select_" #metric_name "_" #type_name, flat_select, type, metric)       \
  instantiate_kernel("flat_row_terms_" #metric_name "_" #type_name, flat_row_terms, type, metric)

// What a search takes at the least: of rows that no backend keeps yet.
#define instantiate_flat_plain(metric_name, metric, type_name, type)                                          \
  instantiate_flat_tile(#metric_name "_" #type_name "_16x256", type, metric, false, 16, 256, 4, 4)         \
  instantiate_flat_tile(#metric_name "_" #type_name "_128x128", type, metric, false, 128, 128, 8, 8)       \
  instantiate_flat_direct(#metric_name "_" #type_name "_1", type, metric, false, 1, metric == L2)          \
  instantiate_kernel("flat_select_" #metric_name "_" #type_name, flat_select, type, metric)                \
  instantiate_kernel("flat_row_terms_" #metric_name "_" #type_name, flat_row_terms, type, metric)

#define instantiate_flat_queries(metric_name, metric) \
  instantiate_kernel("flat_query_terms_" #metric_name, flat_query_terms, metric)
