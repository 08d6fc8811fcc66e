// The C ABI of libMetalFaiss: the one source of truth that ffi/ is tested against.
//
// Rules. Objects are generational u32 handles: a stale or foreign one is an error,
// never a crash. Parameters are numbers and buffers only, at most six; more travel
// in one packed little-endian record declared here. Counts are f64, so that they
// pass 2^32 on V8's fast path. Every fallible function returns an mf_status and
// takes, last, one mf_call: the caller's private record of that call.
#ifndef METALFAISS_H
#define METALFAISS_H

#include <stdint.h>

#define MF_ABI_VERSION 5

typedef enum mf_status {
  MF_OK = 0,
  MF_VALUE = 1,      // a number out of range, a NaN or an infinity: RangeError
  MF_SHAPE = 2,      // a length, dimension or type that does not fit: TypeError
  MF_HANDLE = 3,     // a disposed or foreign handle: DisposedError
  MF_MEMORY = 4,     // the allocation was refused: OutOfMemoryError
  MF_CANCELLED = 5,  // mf_call.cancel was set: AbortError
  MF_DEVICE = 6,     // no such GPU, or it failed, or a kernel did: DeviceError
  MF_COMPILE = 7,    // a kernel does not compile: CompileError, with the log as a text
  MF_FILE = 8,       // a mapped file became shorter, or cannot be read: FormatError
} mf_status;

// Numbers of faiss::MetricType; cosine is ours.
typedef enum mf_metric {
  MF_INNER_PRODUCT = 0,
  MF_L2 = 1,  // squared
  MF_L1 = 2,
  MF_LINF = 3,
  MF_LP = 4,  // metric_arg = p, no root
  MF_CANBERRA = 20,
  MF_BRAY_CURTIS = 21,
  MF_JENSEN_SHANNON = 22,
  MF_JACCARD = 23,
  MF_NAN_EUCLIDEAN = 24,
  MF_COSINE = 100,
} mf_metric;

// What a search ran, as bits of mf_call.variants.
typedef enum mf_variant {
  MF_DIRECT_F32 = 1,    // rows where they lie, a few queries at a time
  MF_TILE_F32 = 2,      // packed register tiles
  MF_TILE_BF16 = 4,     // packed bfloat16 tiles; winners recomputed
  MF_PAIRWISE_F64 = 8,  // one pair at a time in double
  MF_PANEL_F32 = 16,    // rows where they lie, 16 queries at a time
  MF_DECODE_F32 = 32,   // codes, decoded some at a time into rows for one of these
  MF_TABLE_F32 = 64,    // product codes, by tables of a query's distances
} mf_variant;

// One call: what the caller may set meanwhile, what the call reports. 1,024 bytes.
typedef struct mf_call {
  uint32_t cancel;    // in, polled: nonzero stops the call with MF_CANCELLED
  uint32_t variants;  // out: mf_variant bits
  uint32_t threads;   // out: workers that took part
  uint32_t reserved;
  double scanned;     // out: query-row pairs looked at
  double recomputed;  // out: pairs computed again in double
  char message[992];  // out: UTF-8, NUL-terminated
} mf_call;

typedef enum mf_search_flag {
  MF_SEARCH_LOCATIONS = 1,    // labels are locations, (list << 32) | offset
  MF_SEARCH_WHOLE_LISTS = 2,  // max_codes counts selected rows, is k at least, and stops after a list
} mf_search_flag;

// Parameters of the searches. 48 bytes.
typedef struct mf_search {
  uint32_t object;    // handle of the store
  uint32_t metric;    // mf_metric
  float metric_arg;   // p of Lp
  float radius;       // of a range search, as the caller sees distances
  uint32_t selector;  // handle, or 0 for every row
  uint32_t nprobe;    // lists a query (IVF), or ef (HNSW)
  double nq;
  double k;
  uint32_t max_codes;  // rows of lists that a query looks at, list by list as it probes them; 0: all
  uint32_t flags;      // mf_search_flag bits
} mf_search;

// Sizes of the operations on plain arrays. 40 bytes.
typedef struct mf_sizes {
  double nx;
  double ny;
  double d;  // floats a row, or bytes a code
  double k;
  uint32_t metric;
  float metric_arg;
} mf_sizes;

typedef enum mf_codec_kind {
  MF_CODEC_SCALAR = 0,
  MF_CODEC_PRODUCT = 1,
  MF_CODEC_RABITQ = 8,  // of searches, metric_arg is how queries are rounded: bits of a number (0: not), plus 16
                        // where levels lie about zero
  MF_CODEC_SIGNS = 9,   // searched by L2, which is then the number of bits that differ
  MF_CODEC_BINARY = 16,  // a bit a number: whether it is above 0; such codes are compared by mf_binary_* alone
} mf_codec_kind;

// How a store keeps product codes. They come and go one after the other all the same.
typedef enum mf_code_layout {
  MF_LAYOUT_ROWS = 0,
  MF_LAYOUT_BLOCKS = 1,  // of 4 bits: in blocks of 32, as faiss's fast scan has them
} mf_code_layout;

// What turns rows into codes. 32 bytes.
typedef struct mf_codec {
  uint32_t kind;      // mf_codec_kind
  uint32_t d;
  uint32_t type;      // of scalar ones, faiss's QuantizerType, 0 to 8; of product ones mf_code_layout; of RaBitQ 1
                      // for products, 0 for L2
  uint32_t m;         // of product ones, parts of a row
  uint32_t nbits;     // of product ones, bits of a part; of RaBitQ, of a number
  uint32_t reserved;
  double trained;     // floats that follow elsewhere
} mf_codec;

// An additive quantizer: rows are about sums of one row of each codebook. 64 bytes.
typedef struct mf_additive {
  uint32_t d;
  uint32_t m;        // codebooks
  uint32_t splits;   // parts of a row, each with as many codebooks of its own
  uint32_t method;   // 0: codes are found by beam search, 1: by local search, whose codebooks are of one size
  uint32_t norm;     // faiss's Search_type_t
  uint32_t beam;     // sums that a beam keeps
  uint32_t rounds;   // of local search, as are those below: faiss's encode_ils_iters
  uint32_t sweeps;   // icm_iters
  uint32_t changes;  // nperts
  uint32_t chunk;    // chunk_size
  uint32_t seed;
  uint32_t norms;    // floats that norms of 4 or 8 bits stand for, else 0
  float norm_min;
  float norm_max;
  double codebooks;  // floats of them all
} mf_additive;

// ---- library
uint32_t mf_abi_version(void);
// JSON: version, isa, isas (runnable here), threads, cores.
int32_t mf_library_describe(uint8_t *json, uint32_t capacity, mf_call *call);
int32_t mf_library_set_threads(uint32_t threads, mf_call *call);
// name: NUL-terminated, one of describe's isas.
int32_t mf_library_set_isa(const uint8_t *name, mf_call *call);
// kind 0: fp32 FMA peak, GFLOP/s; kind 1: DRAM read bandwidth, GB/s.
int32_t mf_library_roofline(uint32_t kind, double *result, mf_call *call);
// Frees any object. Calls in flight keep theirs alive until they end.
int32_t mf_library_free(uint32_t object, mf_call *call);

// ---- files in memory, read only
// path: NUL-terminated. facts: bytes, device and inode. Stores that take rows from it keep it open; whatever reads
// them fails with MF_FILE once the file is shorter. What changes is copied before. Rows are not checked.
int32_t mf_map_open(const uint8_t *path, double *facts, uint32_t *map, mf_call *call);

// ---- selectors: which ids take part
// program: postfix; each step is {u32 op, u32 0, i64 a, i64 b} then its payload,
// padded to 8 bytes. all 0; range 1 (a <= id < b); set 2 (a ids, i64 each);
// bitmap 3 (a bytes; bit id%8 of byte id/8); not 4; and 5; or 6; xor 7.
int32_t mf_selector_create(double bytes, const uint8_t *program, uint32_t *selector, mf_call *call);
// Sets bit i%8 of byte i/8 where ids[i], or i where ids is null, is selected, for i below n; bitmap has whole
// multiples of 8 bytes. call->scanned: how many.
int32_t mf_selector_bitmap(uint32_t selector, double n, const int64_t *ids, uint8_t *bitmap, mf_call *call);

// ---- flat: rows in order of arrival; a row's id is its position
int32_t mf_flat_create(uint32_t d, uint32_t *flat, mf_call *call);
// Refuses a NaN or an infinity, naming its row; allow_nan, for the NaN-aware metric, lets NaN in.
int32_t mf_flat_add(uint32_t flat, double n, const float *x, uint32_t allow_nan, mf_call *call);
// n rows from a byte of a file on; the store has none yet.
int32_t mf_flat_map(uint32_t flat, uint32_t map, double offset, double n, mf_call *call);
int32_t mf_flat_append(uint32_t flat, uint32_t other, mf_call *call);
int32_t mf_flat_get(uint32_t flat, double start, double n, float *x, mf_call *call);
int32_t mf_flat_gather(uint32_t flat, double n, const int64_t *rows, float *x, mf_call *call);
// Later rows move down, as faiss does.
int32_t mf_flat_remove(uint32_t flat, uint32_t selector, double *removed, mf_call *call);
int32_t mf_flat_clear(uint32_t flat, mf_call *call);
int32_t mf_flat_search(const mf_search *search, const float *queries, float *distances, int64_t *labels,
                       mf_call *call);
// lims: nq + 1; result: handle for mf_range_take.
int32_t mf_flat_range_search(const mf_search *search, const float *queries, uint64_t *lims, uint32_t *result,
                             mf_call *call);
// The k nearest of each query's nprobe candidates, rows by position (-1 is none), compared in double: by
// distance, then by position.
int32_t mf_flat_rerank(const mf_search *search, const float *queries, const int64_t *candidates, float *distances,
                       int64_t *labels, mf_call *call);
int32_t mf_range_take(uint32_t result, float *distances, int64_t *labels, mf_call *call);

// ---- ivf: inverted lists of rows with ids
int32_t mf_ivf_create(uint32_t d, uint32_t nlist, uint32_t *ivf, mf_call *call);
// lists: the list of each row; -1 skips the row, as faiss does.
int32_t mf_ivf_add(uint32_t ivf, double n, const float *x, const int64_t *lists, const int64_t *ids, mf_call *call);
// sizes of all lists, and the bytes of a file where the rows and ids of each start; the store has none yet.
int32_t mf_ivf_map(uint32_t ivf, uint32_t map, const double *sizes, const double *rows, const double *ids,
                   mf_call *call);
// Moves other's rows here, adding add_id to their ids; other is left empty.
int32_t mf_ivf_append(uint32_t ivf, uint32_t other, double add_id, mf_call *call);
int32_t mf_ivf_sizes(uint32_t ivf, double *sizes, mf_call *call);
// n: the rows that x and ids have room for, which must be those of the list.
int32_t mf_ivf_get(uint32_t ivf, uint32_t list, double n, float *x, int64_t *ids, mf_call *call);
// Where ids are: (list << 32) | offset, or -1.
int32_t mf_ivf_locate(uint32_t ivf, double n, const int64_t *ids, int64_t *locations, mf_call *call);
// kind: 0 none, 1 by ids that count up from 0, 2 by any: locations are kept through changes.
int32_t mf_ivf_keep_map(uint32_t ivf, uint32_t kind, mf_call *call);
// Replaces rows by their ids; the last row of a list takes the place of one that leaves it. Nothing changes if an
// id is not there, is given twice, or ids repeat in the lists.
int32_t mf_ivf_update(uint32_t ivf, double n, const int64_t *ids, const float *x, const int64_t *lists, mf_call *call);
// The ids at locations.
int32_t mf_ivf_ids(uint32_t ivf, double n, const int64_t *locations, int64_t *ids, mf_call *call);
int32_t mf_ivf_gather(uint32_t ivf, double n, const int64_t *locations, float *x, mf_call *call);
int32_t mf_ivf_remove(uint32_t ivf, uint32_t selector, double *removed, mf_call *call);
int32_t mf_ivf_clear(uint32_t ivf, mf_call *call);
// probes: nq × nprobe lists; -1 is skipped.
int32_t mf_ivf_search(const mf_search *search, const float *queries, const int64_t *probes, float *distances,
                      int64_t *labels, mf_call *call);
int32_t mf_ivf_range_search(const mf_search *search, const float *queries, const int64_t *probes, uint64_t *lims,
                            uint32_t *result, mf_call *call);

// ---- codecs
// trained: of scalar ones least values, then ranges: d of each, or, of uniform types, one of each, or none; of
// product ones centroids, m × 2^nbits × d / m; of RaBitQ what codes are about, d or none; of signs thresholds, too.
int32_t mf_codec_create(const mf_codec *codec, const float *trained, uint32_t *out, mf_call *call);
// Refuses a NaN or an infinity, naming its row.
int32_t mf_codec_encode(uint32_t codec, double n, const float *x, uint8_t *codes, mf_call *call);
// Codes of RaBitQ, each about a row of `about`.
int32_t mf_codec_encode_about(uint32_t codec, double n, const float *x, const float *about, uint8_t *codes,
                              mf_call *call);
int32_t mf_codec_decode(uint32_t codec, double n, const uint8_t *codes, float *x, mf_call *call);

// What a search of codes in blocks ran, beside mf_variant's bits.
typedef enum mf_blocks_variant {
  MF_BLOCKS_U8 = 65536,  // tables of bytes for 32 codes at once; what may be near by tables of floats
} mf_blocks_variant;
// nbits: bits of an index of each codebook. codebooks: each 2^nbits rows of d / splits. What it makes is a codec.
int32_t mf_additive_create(const mf_additive *additive, const uint32_t *nbits, const float *codebooks,
                           const float *norms, uint32_t *codec, mf_call *call);
// Betters the indices of n rows, n × m, by local search.
int32_t mf_additive_search(uint32_t codec, double n, const float *x, uint32_t *indices, mf_call *call);
// codebooks: those of k · ny rows that leave the least squared error to nx rows, of k indices each; metric_arg is added
// to how often each row is met.
int32_t mf_additive_fit(const mf_sizes *sizes, const float *x, const uint32_t *indices, float *codebooks,
                        mf_call *call);

// ---- codes in order of arrival; a code's id is its position. Searches are by L2 or inner product
int32_t mf_codes_create(uint32_t codec, uint32_t *store, mf_call *call);
int32_t mf_codes_add(uint32_t store, double n, const uint8_t *codes, mf_call *call);
int32_t mf_codes_map(uint32_t store, uint32_t map, double offset, double n, mf_call *call);
int32_t mf_codes_append(uint32_t store, uint32_t other, mf_call *call);
int32_t mf_codes_get(uint32_t store, double start, double n, uint8_t *codes, mf_call *call);
// x: what the codes of rows stand for.
int32_t mf_codes_gather(uint32_t store, double n, const int64_t *rows, float *x, mf_call *call);
int32_t mf_codes_remove(uint32_t store, uint32_t selector, double *removed, mf_call *call);
int32_t mf_codes_clear(uint32_t store, mf_call *call);
int32_t mf_codes_search(const mf_search *search, const float *queries, float *distances, int64_t *labels,
                        mf_call *call);
int32_t mf_codes_range_search(const mf_search *search, const float *queries, uint64_t *lims, uint32_t *result,
                              mf_call *call);

// What a search ran, beside mf_variant's bits.
typedef enum mf_signs_variant {
  MF_SIGNS_COUNT = 134217728,  // bits of codes and of rounded queries, counted
} mf_signs_variant;

// ---- inverted lists of codes with ids; calls are as those of mf_ivf
// centroids: nlist × d, which codes are taken from; or null.
int32_t mf_lists_create(uint32_t codec, uint32_t nlist, const float *centroids, uint32_t *store, mf_call *call);
int32_t mf_lists_add(uint32_t store, double n, const uint8_t *codes, const int64_t *lists, const int64_t *ids,
                     mf_call *call);
int32_t mf_lists_map(uint32_t store, uint32_t map, const double *sizes, const double *rows, const double *ids,
                     mf_call *call);
int32_t mf_lists_append(uint32_t store, uint32_t other, double add_id, mf_call *call);
int32_t mf_lists_sizes(uint32_t store, double *sizes, mf_call *call);
int32_t mf_lists_get(uint32_t store, uint32_t list, double n, uint8_t *codes, int64_t *ids, mf_call *call);
int32_t mf_lists_locate(uint32_t store, double n, const int64_t *ids, int64_t *locations, mf_call *call);
int32_t mf_lists_keep_map(uint32_t store, uint32_t kind, mf_call *call);
int32_t mf_lists_update(uint32_t store, double n, const int64_t *ids, const uint8_t *codes, const int64_t *lists,
                        mf_call *call);
int32_t mf_lists_ids(uint32_t store, double n, const int64_t *locations, int64_t *ids, mf_call *call);
// x: what the codes stand for, with the centroids of their lists.
int32_t mf_lists_gather(uint32_t store, double n, const int64_t *rows, float *x, mf_call *call);
int32_t mf_lists_remove(uint32_t store, uint32_t selector, double *removed, mf_call *call);
int32_t mf_lists_clear(uint32_t store, mf_call *call);
int32_t mf_lists_search(const mf_search *search, const float *queries, const int64_t *probes, float *distances,
                        int64_t *labels, mf_call *call);
int32_t mf_lists_range_search(const mf_search *search, const float *queries, const int64_t *probes, uint64_t *lims,
                              uint32_t *result, mf_call *call);
// Copies the codes at locations.
int32_t mf_lists_codes(uint32_t store, double n, const int64_t *locations, uint8_t *codes, mf_call *call);

// ---- binary: codes in order of arrival and in lists, as bits of which those that differ are counted
// What a search ran, beside mf_variant's bits.
typedef enum mf_binary_variant {
  MF_HAMMING_DIRECT = 268435456,  // rows where they lie, a query at a time
  MF_HAMMING_BLOCK = 536870912,   // rows laid out word by word, for many queries
} mf_binary_variant;

// The metric of graphs of bits: of each float of a row those that differ are counted. No float may be a NaN or an
// infinity, so that not all of its bits can be used.
typedef enum mf_binary_metric {
  MF_HAMMING = 101,
} mf_binary_metric;

// Stores of any codec; queries are codes. Ties keep the lower id; missing: the largest integer, and -1.
int32_t mf_binary_search(const mf_search *search, const uint8_t *queries, int32_t *distances, int64_t *labels,
                         mf_call *call);
int32_t mf_binary_range_search(const mf_search *search, const uint8_t *queries, uint64_t *lims, uint32_t *result,
                               mf_call *call);
// candidates: nq + 1 offsets, then the positions of the rows that each query looks at. No selector.
int32_t mf_binary_among(const mf_search *search, const uint8_t *queries, const uint32_t *candidates,
                        int32_t *distances, int64_t *labels, mf_call *call);
int32_t mf_binary_range_among(const mf_search *search, const uint8_t *queries, const uint32_t *candidates,
                              uint64_t *lims, uint32_t *result, mf_call *call);
int32_t mf_binary_lists_search(const mf_search *search, const uint8_t *queries, const int64_t *probes,
                               int32_t *distances, int64_t *labels, mf_call *call);
int32_t mf_binary_lists_range_search(const mf_search *search, const uint8_t *queries, const int64_t *probes,
                                     uint64_t *lims, uint32_t *result, mf_call *call);

// ---- hnsw: rows in order of arrival, as a flat store's, or codes, and a graph over them
// What a search ran, beside mf_variant's bits.
typedef enum mf_hnsw_variant {
  MF_HNSW_WALK = 16777216,      // through the graph
  MF_HNSW_FILTERED = 33554432,  // through all of it, keeping those selected
  MF_HNSW_SCAN = 67108864,      // every row that may be found, as a flat store
} mf_hnsw_variant;

typedef enum mf_hnsw_start {
  MF_HNSW_ENTRY = 0,   // where greedy walks down from the entry end
  MF_HNSW_NSG = 1,     // the entry's links and random nodes, those that faiss's NSG takes
  MF_HNSW_RANDOM = 2,  // random nodes, those that faiss's NNDescent takes
} mf_hnsw_start;

// In mf_search.nprobe: a walk leaves ef + 1 nodes at most.
#define MF_HNSW_STEPS 2147483648u

// 32 bytes.
typedef struct mf_hnsw {
  uint32_t codec;  // of codes, which are given where x is; 0: x has rows
  uint32_t d;
  uint32_t m;      // links of a row on each level above the ground, 1 to 1,024
  uint32_t width;  // and on it, m to 2,048
  uint32_t metric;
  float metric_arg;
  uint32_t start;  // mf_hnsw_start
  uint32_t seed;   // of random nodes
} mf_hnsw;

int32_t mf_hnsw_create(const mf_hnsw *graph, uint32_t *hnsw, mf_call *call);
// levels: of each row, from 0. The graph is the same however many threads make it.
int32_t mf_hnsw_add(uint32_t hnsw, double n, const void *x, const uint8_t *levels, uint32_t ef_construction,
                    mf_call *call);
// Rows whose graph mf_hnsw_restore or mf_hnsw_build_graph brings.
int32_t mf_hnsw_add_rows(uint32_t hnsw, double n, const void *x, mf_call *call);
typedef enum mf_hnsw_kind {
  MF_HNSW_NEIGHBORS = 1,  // nearest neighbors
  MF_HNSW_SPREAD = 2,     // navigating spreading-out: of these, those that no other covers, and links back
} mf_hnsw_kind;

// 48 bytes.
typedef struct mf_hnsw_build {
  uint32_t hnsw;
  uint32_t kind;        // mf_hnsw_kind
  uint32_t neighbors;   // of a node, that are looked for
  uint32_t keep;        // and kept meanwhile
  uint32_t sample;      // and told of in a round
  uint32_t back;        // and nodes that it is told they know it
  uint32_t rounds;      // at most
  uint32_t exact;       // 1: every node is compared with all others
  uint32_t list;        // nodes that a walk to a node keeps
  uint32_t candidates;  // nodes of which its links are chosen
  double reserved;
} mf_hnsw_build;

// Makes the graph of all rows, on the ground alone, whatever graph there was.
int32_t mf_hnsw_build_graph(const mf_hnsw_build *how, mf_call *call);
// levels: of each row. links: row by row and level by level, those of the ground first, -1 pads; words of them.
// entry: a row of the highest level, or -1 where there are no rows.
int32_t mf_hnsw_restore(uint32_t hnsw, double words, double entry, const uint8_t *levels, const int32_t *links,
                        mf_call *call);
// sizes: rows, words, entry. Then, where there are levels and links for the first two, copies these.
int32_t mf_hnsw_graph(uint32_t hnsw, double *sizes, uint8_t *levels, int32_t *links, mf_call *call);
// Rows and graph from a file, as faiss lays them out; the store has none yet. place: rows; the bytes where levels,
// offsets, links and rows start; words; the entry and its level. Searches check links as they take them.
int32_t mf_hnsw_map(uint32_t hnsw, uint32_t map, const double *place, mf_call *call);
// Gives rows other numbers, and links that go with them.
int32_t mf_hnsw_update(uint32_t hnsw, double n, const int64_t *rows, const void *x, uint32_t ef_construction,
                       mf_call *call);
// Rows that were linked to those that go get other links; later rows move down.
int32_t mf_hnsw_remove(uint32_t hnsw, uint32_t selector, double *removed, mf_call *call);
int32_t mf_hnsw_clear(uint32_t hnsw, mf_call *call);
int32_t mf_hnsw_gather(uint32_t hnsw, double n, const int64_t *rows, float *x, mf_call *call);
// A copy of codes from start.
int32_t mf_hnsw_codes(uint32_t hnsw, double start, double n, uint8_t *codes, mf_call *call);
// nprobe: ef, the nodes that a walk keeps; at least k. And perhaps MF_HNSW_STEPS.
int32_t mf_hnsw_search(const mf_search *search, const float *queries, float *distances, int64_t *labels,
                       mf_call *call);
// Looks at every row.
int32_t mf_hnsw_range_search(const mf_search *search, const float *queries, uint64_t *lims, uint32_t *result,
                             mf_call *call);

// ---- plain arrays
// distances: nx × ny, each as a search would return it.
int32_t mf_distance_pairwise(const mf_sizes *sizes, const float *x, const float *y, float *distances, mf_call *call);
// Codes of d bytes; distances nx × k.
int32_t mf_distance_hamming(const mf_sizes *sizes, const uint8_t *x, const uint8_t *y, int32_t *distances,
                            int64_t *labels, mf_call *call);
// means: ny × d, then ny weights. weights may be null (1 each). assign −1 skips a row.
// A row of means whose weight is 0 is left as it was.
int32_t mf_kmeans_update(const mf_sizes *sizes, const float *x, const int64_t *assign, const float *weights,
                         float *means, mf_call *call);
// The nearest of centroids, ny × d, to each row by squared L2, in float; ties take the lower. For short rows: all
// numbers of a few centroids stay in registers.
int32_t mf_kmeans_assign(const mf_sizes *sizes, const float *x, const float *centroids, float *distances,
                         int64_t *labels, mf_call *call);
// least[i] = min(least[i], squared L2 of x[i] and center).
int32_t mf_kmeans_least(const mf_sizes *sizes, const float *x, const float *center, float *least, mf_call *call);
// A step of k-means on each of k parts of rows, of d / k numbers, by itself. means: k × ny × d / k centroids, which
// move to the mean of the parts nearest to them, then k × ny counts. Those of none stay. Nearness is by products in
// float, about the centroids' mean; sums are the same with any number of threads.
int32_t mf_kmeans_parts(const mf_sizes *sizes, const float *x, float *means, mf_call *call);
// Rows of d numbers, filled up with zeros to ny, a power of two: three times by signs (3 × ny) and a Walsh–Hadamard
// transform, so that lengths stay. k = 1: rows of ny numbers back to d.
int32_t mf_rotate_hadamard(const mf_sizes *sizes, const float *x, const float *signs, float *out, mf_call *call);

// ---- gpu: Metal's devices, on Apple its own, elsewhere those of our Metal module
// Texts of any length come as {u32 handle, u32 bytes} in `text`, for mf_text_take, which copies and frees.
int32_t mf_text_take(uint32_t text, uint8_t *utf8, mf_call *call);

// What a kernel library is made of; then, in `bytes`: name, prefix, text, all UTF-8. 24 bytes.
typedef struct mf_gpu_source {
  uint32_t math_mode;      // 0 safe, 1 relaxed, 2 fast
  uint32_t is_path;        // 0: text is MSL; 1: text is paths, a line each: the first that is there is read
  uint32_t name_length;    // as errors name the source
  uint32_t prefix_length;  // lines before it, which do not count as its own
  uint32_t text_length;
  uint32_t reserved;
} mf_gpu_source;

// How a function constant is set: key is its index, or, where key_length > 0, its name, which follows
// the constants and the function's name. The value turns into the type that the kernel declares. 16 bytes.
typedef struct mf_gpu_constant {
  uint32_t index;
  uint32_t key_length;
  double value;
} mf_gpu_constant;

// A command buffer: this header, commands up to objects_at, then u32 handles of the buffers, pipelines and
// events that commands name by position, then the label. Every command starts on 8 bytes with its kind and
// its size in bytes. 32 bytes.
typedef struct mf_gpu_program {
  uint32_t bytes;  // of it all
  uint32_t commands;
  uint32_t objects_at;
  uint32_t buffers;
  uint32_t pipelines;
  uint32_t events;
  uint32_t label_length;  // UTF-8
  uint32_t reserved;
} mf_gpu_program;

typedef enum mf_gpu_command {
  MF_DISPATCH_THREADS = 1,       // mf_gpu_dispatch, its grid in threads
  MF_DISPATCH_THREADGROUPS = 2,  // mf_gpu_dispatch, its grid in threadgroups
  MF_COPY = 3,                   // mf_gpu_copy
  MF_FILL = 4,                   // mf_gpu_fill
  MF_SIGNAL = 5,                 // mf_gpu_sync
  MF_AWAIT = 6,                  // mf_gpu_sync
  MF_MULTIPLY = 7,               // mf_gpu_multiply
} mf_gpu_command;

// Then `arguments` × mf_gpu_argument, each with its bytes, then `memories` × u32, padded to 8 bytes:
// lengths of [[threadgroup(i)]] arguments, multiples of 16. 48 bytes.
typedef struct mf_gpu_dispatch {
  uint32_t kind;
  uint32_t bytes;
  uint32_t pipeline;
  uint32_t arguments;  // of [[buffer(0)]] and on
  uint32_t memories;
  uint32_t reserved;
  uint32_t grid[3];
  uint32_t threadgroup[3];
} mf_gpu_dispatch;

// 16 bytes.
typedef struct mf_gpu_argument {
  uint32_t buffer;  // or 0xffffffff: length bytes follow, at most 4,096, padded to 8
  uint32_t length;
  double offset;
} mf_gpu_argument;

// 40 bytes.
typedef struct mf_gpu_copy {
  uint32_t kind;
  uint32_t bytes;
  uint32_t from;
  uint32_t to;
  double from_offset;
  double to_offset;
  double length;
} mf_gpu_copy;

// 32 bytes.
typedef struct mf_gpu_fill {
  uint32_t kind;
  uint32_t bytes;
  uint32_t buffer;
  uint32_t value;  // one byte
  double offset;
  double length;
} mf_gpu_fill;

// 24 bytes.
typedef struct mf_gpu_sync {
  uint32_t kind;
  uint32_t bytes;
  uint32_t event;
  uint32_t reserved;
  double value;
} mf_gpu_sync;

// c = alpha · op(a) op(b) + beta · c by the vendor's library, matrices in rows: op(a) is m × k, op(b) k × n, c
// m × n. Sums are float32. c shares no element with a or b. 112 bytes.
typedef struct mf_gpu_multiply {
  uint32_t kind;
  uint32_t bytes;
  uint32_t a;      // buffers
  uint32_t b;
  uint32_t c;
  uint32_t flags;  // 1: a is transposed; 2: b is; 4: a and b are float16, else float32; 8: c is, with 4
  double a_offset;  // bytes, whole elements
  double b_offset;
  double c_offset;
  double a_line;  // elements from a row to the next
  double b_line;
  double c_line;
  double m;
  double n;
  double k;
  double alpha;
  double beta;  // 0: what c holds does not count
} mf_gpu_multiply;

// What a command buffer took. 56 bytes.
typedef struct mf_gpu_times {
  double done;         // 0: not yet, and nothing else is known
  double gpu_seconds;  // start to end on the device
  double cpu_seconds;  // commit to completion
  double threads;      // of dispatches, and m · n of each product
  double dispatches;   // products among them
  double gpu_start;    // seconds on a clock that all streams of the device share
  double gpu_end;
} mf_gpu_times;

// JSON: the devices, each as mf_gpu_describe has them.
int32_t mf_gpu_list(uint32_t *text, mf_call *call);
// JSON: engine (of the default device, or null), devices, searched (what, path, result).
int32_t mf_gpu_report(uint32_t *text, mf_call *call);
// engine: NUL-terminated: metal, cuda or emulator, then perhaps ":1" for the second of them; empty for
// the system's default device.
int32_t mf_gpu_open(const uint8_t *engine, uint32_t *device, mf_call *call);
// JSON of a device, library or pipeline.
int32_t mf_gpu_describe(uint32_t object, uint32_t *text, mf_call *call);
// JSON: versions of the libraries that the device's engine uses, which this opens.
int32_t mf_gpu_versions(uint32_t device, uint32_t *text, mf_call *call);
// bytes: active, peak, cached, after the action: 0 none; 1 peak = active; 2 free what is cached.
int32_t mf_gpu_memory(uint32_t device, uint32_t action, double *bytes, mf_call *call);
// storage 0 shared, 1 private; label: NUL-terminated.
int32_t mf_gpu_buffer_create(uint32_t device, double bytes, uint32_t storage, const uint8_t *label, uint32_t *buffer,
                             mf_call *call);
// Not ordered with streams: wait for work that uses the buffer first.
int32_t mf_gpu_write(uint32_t buffer, double offset, const uint8_t *data, double bytes, mf_call *call);
int32_t mf_gpu_read(uint32_t buffer, double offset, uint8_t *data, double bytes, mf_call *call);
// out: the library; or, where the status is MF_COMPILE, the log as a text.
int32_t mf_gpu_library_create(uint32_t device, const mf_gpu_source *source, const uint8_t *bytes, uint32_t *out,
                              mf_call *call);
// Checks a source as Apple's front end would. out: where the status is MF_COMPILE, the log as a text.
int32_t mf_gpu_lint(const mf_gpu_source *source, const uint8_t *bytes, uint32_t *out, mf_call *call);
// bytes: constants × mf_gpu_constant, then the function's name, NUL-terminated, then names of constants.
// out: as above, with the pipeline. One of the same name and constants is made once a library.
int32_t mf_gpu_pipeline_create(uint32_t library, uint32_t constants, const uint8_t *bytes, double length,
                               uint32_t *out, mf_call *call);
// Command buffers of a stream run one after the other.
int32_t mf_gpu_stream_create(uint32_t device, const uint8_t *label, uint32_t *stream, mf_call *call);
int32_t mf_gpu_event_create(uint32_t device, uint32_t *event, mf_call *call);
int32_t mf_gpu_event_get(uint32_t event, double *value, mf_call *call);
int32_t mf_gpu_event_set(uint32_t event, double value, mf_call *call);
int32_t mf_gpu_commit(uint32_t stream, const uint8_t *program, double bytes, uint32_t *submission, mf_call *call);
// Checks a program once, for mf_gpu_replay. It keeps all that it uses until it is freed.
int32_t mf_gpu_record(uint32_t stream, const uint8_t *program, double bytes, uint32_t *recording, mf_call *call);
// Commits what was recorded, any number of times, on any stream of its device.
int32_t mf_gpu_replay(uint32_t stream, uint32_t recording, uint32_t *submission, mf_call *call);
// A submission that is done when all is that was committed to the stream so far, that stream alone; it fails
// with the first failure among what was still under way.
int32_t mf_gpu_stream_mark(uint32_t stream, uint32_t *submission, mf_call *call);
// Until it is done, has failed, or `seconds` are over.
int32_t mf_gpu_wait(uint32_t submission, double seconds, mf_gpu_times *times, mf_call *call);
// Starts a capture into the file `path`, NUL-terminated; with an empty one, ends it.
int32_t mf_gpu_capture(uint32_t device, const uint8_t *path, mf_call *call);

// ---- linalg: sums, and what sequence models are made of
// Of x: 16 bytes.
typedef struct mf_linalg_summing {
  double n;
  uint32_t terms;      // 0 x, 1 x * y, 2 x * x, scaled so that none overflows or vanishes
  uint32_t summation;  // 0 float, 1 Kahan's, 2 pairs of floats, 3 exact
} mf_linalg_summing;

// Elements are 0 float32, 1 float16, 2 bfloat16. 40 bytes.
typedef struct mf_linalg_rows {
  double rows;
  double columns;
  double heads;
  double outputs;
  float number;  // eps, cap
  uint32_t type;
} mf_linalg_rows;

// 40 bytes.
typedef struct mf_linalg_recurrence {
  double batch;
  double steps;
  double d;
  double chunk;          // steps whose inputs are multiplied at once
  uint32_t precompute;   // 0: inputs are multiplied step by step
  uint32_t has_initial;  // 1: weights hold a first state
} mf_linalg_recurrence;

// out: 24 doubles: the sum, what is to be added to it, the sum of absolute values; then, where the sum is
// exact, bits for NaN, ∞ and −∞ that were met, and 20 limbs: limb i counts 2^(32 i) units of 2^-149, of
// products 2^-298. y is NULL but for products.
int32_t mf_linalg_sum(const mf_linalg_summing *how, const float *x, const float *y, double *out, mf_call *call);
// out = (x - mean) / sqrt(variance + number) of each row, by weight and plus bias unless NULL: these have
// `heads` rows, and row r takes row r % heads of them.
int32_t mf_linalg_layer_norm(const mf_linalg_rows *sizes, const uint8_t *x, const float *weight, const float *bias,
                             uint8_t *out, mf_call *call);
// out = number * tanh(x / number), rows * columns of them.
int32_t mf_linalg_soft_cap(const mf_linalg_rows *sizes, const uint8_t *x, uint8_t *out, mf_call *call);
// out[b, h] = w[h] x[b, h]: x is rows × heads × columns, w heads × outputs × columns.
int32_t mf_linalg_head_linear(const mf_linalg_rows *sizes, const uint8_t *x, const uint8_t *w, uint8_t *out,
                              mf_call *call);
// out[b, t] = tanh(W x[b, t] + R out[b, t - 1] + bias). weights: W, R (d × d each), bias (d), then perhaps the
// states before the first step (batch × d). out: batch × steps × d.
int32_t mf_linalg_recurrent(const mf_linalg_recurrence *sizes, const float *x, const float *weights, float *out,
                            mf_call *call);

// ---- linear algebra: products, on plain arrays
typedef enum mf_linalg_type {
  MF_F32 = 0,
  MF_F16 = 1,
  MF_BF16 = 2,
} mf_linalg_type;

// What a product ran: mf_call.variants is one of them.
typedef enum mf_linalg_variant {
  MF_GEMM_PACKED = 1,   // both operands packed
  MF_GEMM_PLACED = 2,   // one of them read where it lies
  MF_GEMM_SPLIT = 4,    // threads share the inner dimension
  MF_GEMV_ROWS = 8,     // a sum a row
  MF_GEMV_COLUMNS = 16, // rows added up
  MF_GEMV_SPLIT = 32,   // threads share the inner dimension
} mf_linalg_variant;

// C = alpha op(A) op(B) + beta C: op(A) is m × k, op(B) k × n, C m × n. Lines: elements between rows. 72 bytes.
typedef struct mf_linalg_product {
  double m;
  double n;
  double k;
  double line_a;
  double line_b;
  double line_c;
  float alpha;
  float beta;  // 0: C is not read
  uint32_t type_a;  // mf_linalg_type
  uint32_t type_b;
  uint32_t transpose_a;  // whether A, as it lies, is k × m
  uint32_t transpose_b;
} mf_linalg_product;

// y = alpha W x + beta y + bias, for each of batch matrices with its own x and y. 64 bytes.
typedef struct mf_linalg_vectors {
  double n;
  double k;
  double batch;
  double line;       // elements between rows of W
  double line_bias;  // elements between biases; 0: one for all
  float alpha;
  float beta;        // 0: y is not read
  uint32_t type_w;   // mf_linalg_type
  uint32_t type_x;   // of y too
  uint32_t type_bias;
  uint32_t columns;  // W is k × n, not n × k
} mf_linalg_vectors;

// c must not overlap a or b.
int32_t mf_linalg_gemm(const mf_linalg_product *product, const void *a, const void *b, float *c, mf_call *call);
// bias may be null. y must not overlap the others.
int32_t mf_linalg_gemv(const mf_linalg_vectors *product, const void *w, const void *x, const void *bias, void *y,
                       mf_call *call);

// ---- linalg: factorizations
// What they ran, as bits of mf_call.variants.
typedef enum mf_linalg_factor_variant {
  MF_LINALG_QR_MGS = 1,
  MF_LINALG_QR_BLOCKED = 2,
  MF_LINALG_QR_HOUSEHOLDER = 4,
  MF_LINALG_QR_PANEL_MGS = 8,   // some panel was made orthonormal a column at a time
  MF_LINALG_QR_COMPLETE = 16,   // dependent columns were replaced
  MF_LINALG_GRAM_FUSED = 32,    // Z = Aᵀ(AV), A read once
  MF_LINALG_SVD_BANDED = 64,
  MF_LINALG_SVD_NAIVE = 128,
  MF_LINALG_PROJECT = 256,
  MF_LINALG_UPDATE = 512,
  MF_LINALG_EIGEN = 1024,
  MF_LINALG_GEMM_AV_AT_B = 2048,  // B = AV, then Z = AᵀB
} mf_linalg_factor_variant;

// 32 bytes.
typedef struct mf_linalg_qr_options {
  double m;
  double n;
  double tolerance;  // columns whose rest is below this much of their length are dependent; negative: n * 2^-23
  uint32_t method;   // 0 the fastest, 1 a column at a time, 2 blocked, 3 Householder's
  uint32_t reserved;
} mf_linalg_qr_options;

// 48 bytes.
typedef struct mf_linalg_svd_options {
  double m;
  double n;
  double k;
  double tolerance;        // stops when no value changes by more than this much of the largest; 0: never
  uint32_t iterations;     // at most
  uint32_t band;           // columns of V a band; 0: all
  uint32_t product;        // of Aᵀ(AV): 0 one pass over A, 1 plain loops, 2 two products
  uint32_t rayleigh_ritz;  // 1: U and V are rotated at the end
} mf_linalg_svd_options;

// A = QR, A of m × n, m >= n. q: m × n, orthonormal also where A lacks rank; r: n × n, its diagonal not negative and
// zero in the rows of dependent columns. Refuses what is not finite, naming its row.
int32_t mf_linalg_qr(const mf_linalg_qr_options *options, const float *a, float *q, float *r, uint32_t *rank,
                     mf_call *call);
// c = Qᵀv: Q is nx × d.
int32_t mf_linalg_project(const mf_sizes *sizes, const float *q, const float *v, float *c, mf_call *call);
// out = v − Qc.
int32_t mf_linalg_update(const mf_sizes *sizes, const float *q, const float *c, const float *v, float *out,
                         mf_call *call);
// start: n × k. usv: U (m × k), k singular values, largest first, V (n × k). result: iterations done, 1 where the
// tolerance was met, values above n * 2^-23 of the largest.
int32_t mf_linalg_topk_svd(const mf_linalg_svd_options *options, const float *a, const float *start, float *usv,
                           uint32_t *result, mf_call *call);
// Of a symmetric n × n matrix, all of it finite, of which the lower triangle counts: values, largest first;
// vectors: n × n, a column each.
int32_t mf_linalg_eigen_symmetric(uint32_t n, const double *a, double *values, double *vectors, mf_call *call);

#endif
