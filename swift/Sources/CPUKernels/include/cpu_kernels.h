// SIMD kernels and the scans made of them. One table of kernels an instruction set;
// each family is one source compiled for all of them, and scalar is the plain twin.
//
// A scan never decides from a rounded number. Tiles give each query-row pair an interval
// [lower, upper] that holds the true key; collectors keep every row whose lower end reaches
// the k-th smallest upper end, and the survivors are computed again in double. So a query's
// answer is the same alone and in any batch, on any instruction set.
//
// A key is what a search minimises: the distance, or minus the similarity.
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_MAX_PANEL 64    // rows a packed panel holds at most, of any table
#define CPU_MAX_QUERIES 16  // queries a tile takes at most, and a panel of panel_f32 holds
#define CPU_DIRECT_ROWS 64  // rows a direct kernel takes at most
// Rows between what is read and what memory is asked for: sums leave it idle otherwise.
#define CPU_AHEAD 32

// Squared lengths past which products may overflow on the way to a number in range: no margin is
// enough. And those below which they lose digits to underflow.
#define CPU_LONGEST_SQUARE 1e36f
#define CPU_LEAST_SQUARE 1e-30f

// A length that margins may rely on: never below the true one.
static inline float cpu_safe_length(float square) {
  if (square > CPU_LONGEST_SQUARE) return INFINITY;
  return sqrtf(square < CPU_LEAST_SQUARE ? CPU_LEAST_SQUARE : square);
}

// Floats between rows in place and those to ask memory for: none past the last block.
static inline size_t cpu_direct_ahead(const uint32_t *positions, uint64_t left, uint32_t d) {
  if (positions || left <= CPU_DIRECT_ROWS) return 0;
  return (size_t)(d > 256 ? CPU_AHEAD / 2 : CPU_AHEAD) * d;
}

typedef enum cpu_variant {  // as mf_variant
  CPU_DIRECT_F32 = 1,
  CPU_TILE_F32 = 2,
  CPU_TILE_BF16 = 4,
  CPU_PAIRWISE_F64 = 8,
  CPU_PANEL_F32 = 16,
} cpu_variant;

typedef enum cpu_metric {  // those that scans tell apart, as mf_metric
  CPU_INNER_PRODUCT = 0,
  CPU_L2 = 1,
  CPU_JACCARD = 23,
  CPU_COSINE = 100,
} cpu_metric;

static inline bool cpu_is_similarity(uint32_t metric) {
  return metric == CPU_INNER_PRODUCT || metric == CPU_JACCARD || metric == CPU_COSINE;
}

// A pair that passed its threshold in a tile.
typedef struct cpu_hit {
  uint32_t query, row;  // within the tile
  float key;
} cpu_hit;

// What each query of a panel lets pass: base + slope * length + square * length² of the row.
typedef struct cpu_limits {
  float base[CPU_MAX_QUERIES], slope[CPU_MAX_QUERIES], square;
} cpu_limits;

struct cpu_pq_kernels;
struct cpu_train_kernels;

typedef struct cpu_kernels {
  const char *name;
  uint32_t lanes;  // floats a vector
  uint32_t panel;  // rows a packed panel
  uint32_t tile;   // queries a full query panel
  bool bf16;       // tile_bf16 may be called

  // Transposes n rows into out[j * stride + i] = factor * (scale[i] * rows[i][j] - center[j]),
  // zero for the lanes from n to width; squares[i] = sum of squares before factor, and
  // products[i] = -sum of center * them, unless NULL.
  // out holds `lanes` floats of slack after its end. Meanwhile asks memory for what lies `ahead`
  // floats after each row.
  void (*pack)(const float *const *rows, uint32_t n, uint32_t width, uint32_t d, size_t ahead, const float *scale,
               const float *center, float factor, uint32_t stride, float *out, float *squares, float *products);
  // The same as pairs of bfloat16: out[(j / 2) * stride + i], and errors[i] = sum of the squares of
  // what rounding took, before factor. scratch: 16 * (ceil(d / 32) * 16) words.
  void (*pack_bf16)(const float *const *rows, uint32_t n, uint32_t width, uint32_t d, size_t ahead,
                    const float *scale, const float *center, float factor, uint32_t stride, uint32_t *out, float *squares,
                    float *products, float *errors, uint32_t *scratch);
  // init[row] + sum of query * row, for `queries` (4, 8 or a full tile) by one panel of rows.
  // Writes those not above limits[query] among the rows of `valid`; returns how many.
  uint32_t (*tile_f32)(uint32_t queries, const float *query_panel, const float *row_panel, uint32_t d,
                       const float *init, const float *limits, uint64_t valid, cpu_hit *hits);
  uint32_t (*tile_bf16)(uint32_t queries, const uint32_t *query_panel, const uint32_t *row_panel, uint32_t d,
                        const float *init, const float *limits, uint64_t valid, cpu_hit *hits);
  // Up to CPU_DIRECT_ROWS rows at base (those of positions, or consecutive) against 1 to 4 queries:
  // sums[q * CPU_DIRECT_ROWS + row], for products minus them, and the rows' squares. Meanwhile asks memory for what
  // lies `ahead` floats after each row.
  void (*direct_l2)(const float *base, const uint32_t *positions, uint32_t n, size_t ahead,
                    const float *const *queries, uint32_t nq, uint32_t d, float *sums);
  void (*direct_dot)(const float *base, const uint32_t *positions, uint32_t n, size_t ahead,
                     const float *const *queries, uint32_t nq, uint32_t d, float *sums, float *squares);
  // Up to CPU_DIRECT_ROWS rows against a panel of CPU_MAX_QUERIES, whose columns follow each other. The
  // value of a pair is sum of query * row; for L2 plus the square of row - center, for cosine over the
  // row's length. Writes those within the limits, as tiles do, and the rows' squares (of row - center for
  // L2; center is NULL otherwise), of which there is room for CPU_DIRECT_ROWS.
  uint32_t (*panel_f32)(uint32_t metric, const float *query_panel, const float *base, const uint32_t *positions,
                        uint32_t n, size_t ahead, uint32_t d, const float *center, const cpu_limits *limits,
                        float *squares, cpu_hit *hits);
  // How many of x are at most the limit.
  uint64_t (*count_within)(const float *x, uint64_t n, float limit);
  // Distance (or similarity) of one pair in double, fixed order of sums. metric as mf_metric.
  double (*pair)(uint32_t metric, double arg, const float *x, const float *y, uint32_t d);
  // First value that is not finite, or count.
  uint64_t (*find_nonfinite)(const float *x, uint64_t count);
  // sums[j] += sum over rows of x, squares += sum of all squares.
  void (*accumulate)(const float *x, uint64_t rows, uint32_t d, double *sums, double *squares);
  uint32_t (*hamming)(const uint8_t *x, const uint8_t *y, uint32_t bytes);
  // Runs `rounds` rounds of independent fused multiply-adds; returns the flops done.
  double (*peak_fma)(uint64_t rounds);
  float (*read_all)(const float *x, uint64_t count);
  const struct cpu_factor *factor;  // those of factorizations: cpu_factor.h
  const struct cpu_gemm_kernels *gemm;  // of products
  const struct cpu_pq_kernels *pq;  // of product quantizers: cpu_pq.h
  const struct cpu_train_kernels *train;  // cpu_train.h
  // Sums of n rows of k numbers by x, and of n columns; of w's type, cpu_type, in rows `line` apart.
  void (*gemv_rows)(uint32_t type, const void *w, size_t line, uint64_t n, uint64_t k, const float *x, float *sums);
  void (*gemv_columns)(uint32_t type, const void *w, size_t line, uint64_t n, uint64_t k, const float *x, float *sums);
} cpu_kernels;

// The tables this machine can run, best first; returns how many.
uint32_t cpu_tables(const cpu_kernels **tables, uint32_t capacity);

// ---- where rows are
typedef struct cpu_segment {
  const float *rows;
  const int64_t *ids;
  uint64_t count;
} cpu_segment;

struct cpu_codec;

// A location is a row number (segments == NULL: one array, id = row) or segment << 32 | offset.
typedef struct cpu_source {
  const float *rows;
  uint64_t count;  // of rows
  const cpu_segment *segments;
  uint32_t d;
  uint32_t metric;
  float metric_arg;
  const struct cpu_codec *codec;  // unless NULL rows are its codes
  const float *centroids;         // of each segment, which its codes are taken from; or NULL
} cpu_source;

// ---- collectors: what a query has found so far
typedef struct cpu_candidate {
  float lower, upper;
  uint64_t location;
} cpu_candidate;

typedef struct cpu_collector {
  float *lower, *upper;  // of each candidate, capacity long, as is location
  uint64_t *location;
  uint64_t k;  // 0: range search, bound fixed
  uint64_t count, capacity;
  float bound;  // no row with a lower end above this can be a result
  float hoped;  // a bound guessed from a sample, or ∞: the end finds out whether k rows are within
  uint32_t lock;
  bool failed;          // a range search ran out of memory
  uint64_t recomputed;  // pairs computed again in double
  uint64_t resolved;    // of these, while scanning: intervals too wide to decide
} cpu_collector;

// Candidates that a top-k collector of k wants room for; each takes CPU_CANDIDATE_BYTES.
uint64_t cpu_collector_capacity(uint64_t k);
#define CPU_CANDIDATE_BYTES 16
// Gives a collector its room: memory for capacity candidates, on 8 bytes.
void cpu_collector_place(cpu_collector *collector, void *memory, uint64_t capacity);

// What a scan needs to know of its search. Shared by threads.
typedef struct cpu_scan {
  const cpu_kernels *kernels;
  cpu_source source;
  const float *queries;  // nq × d as given
  cpu_collector *collectors;
  bool locations;  // labels are locations, not ids; ties still go by id
} cpu_scan;

// Ends a scan of some sampled rows, made for the m nearest of them: collecting starts anew for k, with
// the m-th as the bound hoped for. Fewer rows pass than when bounds start at nothing.
void cpu_collector_guess(const cpu_scan *scan, uint64_t query, uint64_t k, uint64_t capacity);
// Writes the k results, best first, ties by lower id; missing ones are −1 at ±FLT_MAX.
void cpu_collector_finish(const cpu_scan *scan, uint64_t query, float *distances, int64_t *labels);
// Takes the query's lock: scans of several threads share collectors.
void cpu_collector_push(const cpu_scan *scan, uint64_t query, const cpu_candidate *found, uint32_t count);
// Lowers the query's bound to that of k rows which were found.
void cpu_collector_lower(const cpu_scan *scan, uint64_t query, float bound);
// Keeps the results strictly within the bound, in order of id: distances in upper, ids in location.
void cpu_collector_finish_range(const cpu_scan *scan, uint64_t query);

// ---- packed blocks
// Queries in panels of `tile`, the last of 4, 8 or tile; for CPU_PANEL_F32 of CPU_MAX_QUERIES.
typedef struct cpu_queries {
  uint32_t n;
  uint32_t variant;
  const uint32_t *index;  // number of each in the search, or NULL: first + i
  uint32_t first;
  float *norms;   // length after centring
  float *errors;  // length of what rounding to bfloat16 took
  float center;  // length of the centre
  float *bias;   // added to a tile's value to make the key
  unsigned char *panels;
} cpu_queries;

typedef struct cpu_rows {
  uint32_t n;
  uint32_t variant;
  const uint32_t *positions;  // offsets from first, or NULL: consecutive
  uint64_t first;             // location of offset 0
  float *init;                // per row: starting value of a tile
  float *longest;             // per panel: largest squared length after centring
  float *roughest;            // per panel: largest squared rounding error
  unsigned char *panels;
} cpu_rows;

// Bytes that packing n queries, or n rows, takes (panels only).
size_t cpu_queries_bytes(const cpu_kernels *kernels, uint32_t variant, uint64_t n, uint32_t d);
size_t cpu_rows_bytes(const cpu_kernels *kernels, uint32_t variant, uint64_t n, uint32_t d);
// center: d floats or NULL. scratch: 16 * (d + 32) words.
void cpu_pack_queries(const cpu_scan *scan, const float *center, cpu_queries *out, uint32_t *scratch);
// base: the row of offset 0.
void cpu_pack_rows(const cpu_scan *scan, const float *center, const float *base, cpu_rows *out, uint32_t *scratch);
void cpu_scan_tiles(const cpu_scan *scan, const cpu_queries *queries, const cpu_rows *rows);
// Rows where they lie against up to 4 queries at a time.
void cpu_scan_direct(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const float *base,
                     uint64_t location, const uint32_t *positions, uint64_t n);
// The same for codes of the source's codec, a scalar one, taken from a centroid unless that is NULL.
void cpu_scan_codes(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const uint8_t *codes,
                    const float *centroid, uint64_t location, const uint32_t *positions, uint64_t n);
// As cpu_scan_direct for queries packed as CPU_PANEL_F32. center: what they were packed with.
void cpu_scan_panels(const cpu_scan *scan, const cpu_queries *queries, const float *center, const float *base,
                            uint64_t location, const uint32_t *positions, uint64_t n);
void cpu_scan_pairs(const cpu_scan *scan, const uint32_t *index, uint32_t first, uint32_t nq, const float *base,
                    uint64_t location, const uint32_t *positions, uint64_t n);

// Keeps the library in memory until the process ends. A Deno worker closes it as it ends, and threads of
// the pool would lose the code they run.
void cpu_stay_loaded(void);

// The core that this thread runs on, or -1 where nobody says.
int cpu_core(void);
// Moves this thread off a core, if it is on it and may run on others. A thread that is woken is often put beside
// the one that woke it, and shares its core for some 20 ms.
void cpu_leave_core(int core);

// ---- atomics, for Swift
static inline uint64_t cpu_atomic_next(uint64_t *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL); }
static inline void cpu_atomic_add(uint64_t *sum, uint64_t more) { __atomic_fetch_add(sum, more, __ATOMIC_RELAXED); }
// One less; returns what is left.
static inline uint32_t cpu_atomic_down(uint32_t *counter) { return __atomic_sub_fetch(counter, 1, __ATOMIC_ACQ_REL); }
static inline uint64_t cpu_atomic_load(const uint64_t *value) { return __atomic_load_n(value, __ATOMIC_ACQUIRE); }
static inline void cpu_atomic_store(uint64_t *value, uint64_t to) { __atomic_store_n(value, to, __ATOMIC_RELEASE); }
static inline uint32_t cpu_atomic_load32(const uint32_t *value) { return __atomic_load_n(value, __ATOMIC_RELAXED); }
static inline void cpu_prefetch(const void *start, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch((const char *)start + at);
}
static inline void cpu_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
