// Scans of product quantizers' codes in blocks: bytes of a table tell which codes cannot reach the bound, the others'
// entries are added up, and what may be near goes to the collectors. Distances are those of any other scan.
#include "cpu_fast.h"
#include "kth.h"
#include "pq_query.h"

#define GROUP 32             // blocks between two looks at the bounds; fewer at first, when they fall quickly
#define FIRST_GROUP 4
#define HITS (GROUP / 2)
#define PAIR (2 * CPU_FAST_BLOCK)
// Whole steps that bytes divide what is left below the bound in; a part's entry takes at most 255.
#define NARROW_STEPS 252.0
#define WIDE_STEPS 64.0  // a part
// Results up to which a query's bound is kept as low as it can be; collectors lower theirs once they are full.
#define MOST_BEST 128
#define MOST_SORTED 32  // of these, those that are kept in order

typedef struct fast_query {
  pq_query q;
  float *least;
  uint8_t *bytes;
  double lowest, lost;  // the least sum of entries, and what adding floats may have lost
  double room, step;    // below the bound when entries became bytes, 0: not yet; and a byte
  float bound;          // that the limits are of; NaN: of none
  double limit;         // on sums of entries
  double most;          // on sums of bytes; below 0: nothing can be near
  bool plain;           // without bytes: numbers are out of their range
  uint32_t k;           // results to keep `best` of; 0: none
  uint32_t held;        // in `best`, where it is in no order
  float own;            // the k-th of `best`, or a little above it
  float best[MOST_BEST + MOST_BEST / 2];  // the least upper ends of what was found
} fast_query;

typedef struct fast_scan {
  const cpu_scan *scan;
  const cpu_pq *pq;
  const cpu_fast_kernels *kernels;
  cpu_pq_kernels pq_kernels;
  size_t stride;
  bool narrow;
  uint32_t group;  // blocks until the next look at the bounds
  float *less;
  uint8_t *columns;
  uint16_t *sums;
  fast_query queries[CPU_FAST_QUERIES];
} fast_scan;

static size_t query_floats(const cpu_pq *pq) {
  return (size_t)pq->m * 16 + cpu_fast_table_bytes(pq->m) / sizeof(float) + pq->m;
}

size_t cpu_fast_scratch(const cpu_pq *pq) {
  size_t columns = (size_t)pq->m * CPU_PQ_BLOCK / sizeof(float), sums = GROUP * CPU_FAST_BLOCK / 2;
  return CPU_FAST_QUERIES * query_floats(pq) + pq->d + columns + sums;
}

static float entry_sum(const cpu_pq *pq, const float *tables, const uint8_t *block, uint32_t i) {
  const uint8_t *byte = block + cpu_fast_lane(i & 15);
  uint32_t shift = i & 16 ? 4 : 0, m = 0;
  // Four sums, so that additions do not wait for one another.
  float sums[4] = {0};
  for (; m + 4 <= pq->m; m += 4, byte += 64, tables += 64)
    for (uint32_t j = 0; j < 4; j++) sums[j] += tables[16 * j + (byte[16 * j] >> shift & 15)];
  for (; m < pq->m; m++, byte += 16, tables += 16) sums[0] += tables[*byte >> shift & 15];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// The lower of the bounds that the collector and the query itself know.
static float lowest_bound(const fast_query *f) {
  float bound = load_bound(f->q.scan->collectors + f->q.number);
  return f->own < bound ? f->own : bound;
}

// Drops what was found before the bound came down.
static void drop_far(fast_query *f) {
  float bound = f->own;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < f->q.count; i++) {
    f->q.found[kept] = f->q.found[i];
    kept += !(f->q.found[i].lower > bound);
  }
  f->q.count = kept;
}

// Where results are few, the collector gets what is left in the end.
static void hand_over(fast_query *f, bool is_end) {
  if (f->k && !is_end) return;
  if (f->k) drop_far(f);
  flush(&f->q);
  if (f->own < FLT_MAX) cpu_collector_lower(f->q.scan, f->q.number, f->own);
}

// What adds up to `sum` may be near; the bound follows at once where results are few.
static void take(fast_query *f, uint64_t location, float sum) {
  if (f->k && f->q.count == PQ_FOUND) {
    drop_far(f);
    if (f->q.count > PQ_FOUND / 2) hand_over(f, true);
  }
  find(&f->q, location, sum);
  float upper = f->q.found[f->q.count - 1].upper;
  if (f->k == 0 || !(upper < f->own)) return;
  if (f->k <= MOST_SORTED) {
    uint32_t at = f->k - 1;
    for (; at > 0 && upper < f->best[at - 1]; at--) f->best[at] = f->best[at - 1];
    f->best[at] = upper;
    f->own = f->best[f->k - 1];
  } else {
    f->best[f->held++] = upper;
    if (f->held < f->k + f->k / 2) return;
    f->own = cpu_kth(f->q.scan->kernels, f->best, f->held, f->k, f->k / 16);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->held; i++) {
      float held = f->best[i];
      f->best[kept] = held;
      kept += held <= f->own;
    }
    // Of equal ones any k do.
    f->held = kept < f->k + f->k / 4 ? kept : f->k;
  }
  if (f->own < FLT_MAX) f->limit = fmin(f->limit, sum_limit(&f->q, f->own));
}

static inline bool is_chosen(const cpu_fast_part *part, uint64_t row) {
  return row < part->n && (!part->chosen || part->chosen[row / 64] >> (row % 64) & 1);
}

// Two blocks by their entries.
static void scan_entries(fast_scan *s, fast_query *f, const cpu_fast_part *part, uint64_t block) {
  const cpu_pq *pq = s->pq;
  uint64_t row = block * CPU_FAST_BLOCK, held = part->n - row < PAIR ? part->n - row : PAIR;
  const uint8_t *first = part->blocks + block * s->stride, *second = held > CPU_FAST_BLOCK ? first + s->stride : first;
  for (uint32_t m = 0; m < pq->m; m++) {
    uint8_t *column = s->columns + (size_t)m * PAIR;
    for (uint32_t i = 0; i < 16; i++) column[i] = first[16 * m + i] & 15;
    for (uint32_t i = 0; i < 16; i++) column[16 + i] = first[16 * m + i] >> 4;
    for (uint32_t i = 0; i < 16; i++) column[32 + i] = second[16 * m + i] & 15;
    for (uint32_t i = 0; i < 16; i++) column[48 + i] = second[16 * m + i] >> 4;
  }
  double bound = lowest_bound(f);
  float sums[PAIR], limit = (float)fmin(sum_limit(&f->q, bound) * (1 + 4 * HALF_ULP), INFINITY);
  s->pq_kernels.sums(pq, f->q.tables, s->columns, sums);
  // A NaN passes, and is looked at exactly.
  for (uint32_t bit = 0; bit < (held > CPU_FAST_BLOCK ? PAIR : CPU_FAST_BLOCK); bit++) {
    uint64_t at = row + (bit & 32) + cpu_fast_code(bit & 31);
    if (!(sums[bit] > limit) && is_chosen(part, at)) take(f, part->first + at, sums[bit]);
  }
  hand_over(f, false);
}

// Makes a query's tables for codes of vectors less `centroid`.
static void begin_tables(fast_scan *s, fast_query *f, const float *centroid) {
  begin_query(&f->q, &s->pq_kernels, centroid, s->less);
  double size = 0;
  s->pq_kernels.extremes(s->pq, f->q.tables, f->least, &f->lowest, &size);
  f->lost = 2 * HALF_ULP * (s->pq->m + 2) * size;
  f->plain = !(size < FLT_MAX) || s->pq->m > CPU_FAST_MAX_PARTS;
  f->room = 0;
  f->bound = NAN;
}

// Takes over the collector's bound. Bytes are rounded again once what is left below it is half of what it was.
static void refresh(fast_scan *s, fast_query *f) {
  float bound = lowest_bound(f);
  if (bound == f->bound || f->plain) return;
  f->bound = bound;
  f->limit = sum_limit(&f->q, bound);
  double room = f->limit - f->lowest + f->lost, steps = s->narrow ? NARROW_STEPS : WIDE_STEPS * s->pq->m;
  f->most = -1;
  if (room < 0) return;
  if (!(room < FLT_MAX)) {
    f->plain = true;
    return;
  }
  if (f->room == 0 || room < f->room / 2 || room > f->room) {
    f->room = room;
    f->step = room / steps;
    f->plain = !(f->step > FLT_MIN * 1e6);
    if (f->plain) return;
    s->kernels->round(s->pq->m, f->q.tables, f->least, (float)(1 / f->step), f->bytes);
  }
  f->most = fmin(room / f->step, steps) + 2;
}

static void look_at(fast_scan *s, fast_query *f, const cpu_fast_part *part, uint64_t block, uint32_t i) {
  uint64_t row = block * CPU_FAST_BLOCK + i;
  if (!is_chosen(part, row)) return;
  float sum = entry_sum(s->pq, f->q.tables, part->blocks + block * s->stride, i);
  if (!(sum > f->limit)) take(f, part->first + row, sum);
}

static void filter_narrow(fast_scan *s, fast_query *const *active, uint32_t nq, const cpu_fast_part *part,
                          uint64_t block, uint32_t count) {
  cpu_fast_hit hits[CPU_FAST_QUERIES * HITS];
  uint32_t counts[CPU_FAST_QUERIES];
  const uint8_t *tables[CPU_FAST_QUERIES];
  uint8_t limits[CPU_FAST_QUERIES];
  for (uint32_t q = 0; q < nq; q++) {
    tables[q] = active[q]->bytes;
    limits[q] = (uint8_t)active[q]->most;
  }
  s->kernels->filter(part->blocks + block * s->stride, s->stride, count, s->pq->m, tables, nq, limits, hits, counts);
  for (uint32_t q = 0; q < nq; q++) {
    const cpu_fast_hit *found = hits + q * ((count + 1) / 2);
    for (uint32_t h = 0; h < counts[q]; h++) {
      for (uint64_t codes = found[h].codes; codes; codes &= codes - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(codes);
        look_at(s, active[q], part, block + found[h].block + bit / 32, cpu_fast_code(bit & 31));
      }
    }
    if (counts[q]) hand_over(active[q], false);
  }
}

static void filter_wide(fast_scan *s, fast_query *f, const cpu_fast_part *part, uint64_t block, uint32_t count) {
  s->kernels->sums(part->blocks + block * s->stride, s->stride, count, s->pq->m, f->bytes, s->sums);
  uint32_t most = (uint32_t)f->most;
  for (uint32_t i = 0; i < count * CPU_FAST_BLOCK; i++)
    if (s->sums[i] <= most) look_at(s, f, part, block + i / CPU_FAST_BLOCK, i % CPU_FAST_BLOCK);
  hand_over(f, false);
}

static bool has_chosen(const cpu_fast_part *part, uint64_t row, uint32_t count) {
  if (!part->chosen) return true;
  uint64_t any = 0;
  for (uint64_t word = row / 64; word < (row + count + 63) / 64 && word * 64 < part->n; word++) any |= part->chosen[word];
  return any != 0;
}

// Blocks from `from`, for queries that have a bound.
static void scan_blocks(fast_scan *s, fast_query *const *queries, uint32_t nq, const cpu_fast_part *part,
                        uint64_t from, uint64_t to) {
  uint32_t count;
  for (uint64_t block = from; block < to; block += count) {
    uint32_t wanted = 0;
    count = to - block < s->group ? (uint32_t)(to - block) : s->group;
    s->group = s->group < GROUP ? 2 * s->group : GROUP;
    if (!has_chosen(part, block * CPU_FAST_BLOCK, count * CPU_FAST_BLOCK)) continue;
    fast_query *active[CPU_FAST_QUERIES];
    for (uint32_t q = 0; q < nq; q++) {
      fast_query *f = queries[q];
      refresh(s, f);
      if (f->plain)
        for (uint32_t b = 0; b < count; b += 2) scan_entries(s, f, part, block + b);
      else if (f->most >= 0)
        active[wanted++] = f;
    }
    if (s->narrow && wanted)
      filter_narrow(s, active, wanted, part, block, count);
    else
      for (uint32_t q = 0; q < wanted; q++) filter_wide(s, active[q], part, block, count);
  }
}

static void scan_part(fast_scan *s, uint32_t nq, const cpu_fast_part *part) {
  uint64_t blocks = (part->n + CPU_FAST_BLOCK - 1) / CPU_FAST_BLOCK, starts[CPU_FAST_QUERIES], latest = 0;
  fast_query *queries[CPU_FAST_QUERIES];
  for (uint32_t q = 0; q < nq; q++) {
    fast_query *f = queries[q] = &s->queries[q];
    uint64_t start = 0;
    for (; start < blocks && !(lowest_bound(f) < FLT_MAX); start += 2)
      if (has_chosen(part, start * CPU_FAST_BLOCK, PAIR)) scan_entries(s, f, part, start);
    starts[q] = start < blocks ? start : blocks;
    latest = starts[q] > latest ? starts[q] : latest;
  }
  for (uint32_t q = 0; q < nq; q++) scan_blocks(s, queries + q, 1, part, starts[q], latest);
  scan_blocks(s, queries, nq, part, latest, blocks);
}

void cpu_fast_scan(const cpu_scan *scan, const cpu_pq *pq, const uint32_t *numbers, uint32_t nq,
                   const cpu_fast_part *parts, uint32_t count, float *scratch) {
  fast_scan s;
  bool inner = scan->source.metric == CPU_INNER_PRODUCT;
  s.scan = scan;
  s.pq = pq;
  s.kernels = cpu_fast_table(scan->kernels);
  s.pq_kernels = cpu_pq_kernels_of(scan->kernels);
  s.stride = CPU_FAST_BLOCK * cpu_fast_half(pq->m);
  s.group = FIRST_GROUP;
  s.narrow = pq->m <= CPU_FAST_NARROW;
  for (uint32_t q = 0; q < nq; q++, scratch += query_floats(pq)) {
    fast_query *f = &s.queries[q];
    f->q.scan = scan;
    f->q.pq = pq;
    f->q.inner = inner;
    f->q.number = numbers[q];
    f->q.count = 0;
    uint64_t k = scan->collectors[numbers[q]].k;
    f->k = k <= MOST_BEST ? (uint32_t)k : 0;
    f->held = 0;
    f->own = INFINITY;
    for (uint32_t i = 0; i < f->k && i < MOST_SORTED; i++) f->best[i] = INFINITY;
    f->q.tables = scratch;
    f->bytes = (uint8_t *)(scratch + (size_t)pq->m * 16);
    f->least = scratch + (size_t)pq->m * 16 + cpu_fast_table_bytes(pq->m) / sizeof(float);
    memset(f->bytes, 0, cpu_fast_table_bytes(pq->m));
  }
  s.less = scratch;
  s.columns = (uint8_t *)(scratch + pq->d);
  s.sums = (uint16_t *)(s.columns + (size_t)pq->m * PAIR);
  for (uint32_t p = 0; p < count; p++) {
    if (p + 1 < count)
      for (size_t at = 0; at < 512; at += 64) __builtin_prefetch(parts[p + 1].blocks + at);
    for (uint32_t q = 0; q < nq; q++) {
      fast_query *f = &s.queries[q];
      if (p == 0 || (parts[p].centroid && !inner)) {
        begin_tables(&s, f, parts[p].centroid);
      } else if (parts[p].centroid) {
        // Tables of products are the same for all lists; what is added to them is not.
        begin_products(&f->q, parts[p].centroid);
        f->bound = NAN;
      }
    }
    scan_part(&s, nq, &parts[p]);
  }
  for (uint32_t q = 0; q < nq; q++) hand_over(&s.queries[q], true);
}
