// Matrix products: panels of B stay in the first cache, a block of A in the second, a chunk of B in the third.
#include "gemm.h"

#include "element.h"

enum {
  DEEPEST = 512,               // rows of a panel of B: sums are added to C that often
  PANEL_FLOATS = 16 * 1024,    // of B, which the first cache reads in order
  BLOCK_FLOATS = 128 * 1024,   // of A, in the second
  CHUNK_FLOATS = 1024 * 1024,  // of B, in the third
  FLIPPED_FLOATS = 64 * 1024,  // of Cᵀ, in the second beside what it is made of
  NEAR_FLOATS = 128 * 1024,    // of B in the second, where few rows of A want it
  ROWS_AT_ONCE = 16,           // that are packed where they lie across panels: streams, again
  PLACED_DEPTH = 128,           // rows of B where it lies: as many streams as memory can follow
};

static cpu_matrix flip(const cpu_matrix *x) {
  cpu_matrix flipped = *x;
  flipped.transposed = !x->transposed;
  return flipped;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t divide_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

// Parts of about the same size, none above the limit, multiples of the step.
static uint64_t even(uint64_t count, uint64_t limit, uint64_t step) {
  if (count == 0) return step;
  uint64_t part = divide_up(count, divide_up(count, most(limit / step * step, step)));
  return divide_up(part, step) * step;
}

// Panels have an even number of rows, or one.
static uint32_t panel_rows(const cpu_gemm_plan *plan, uint64_t left) {
  if (left >= plan->rows) return plan->rows;
  return left == 1 ? 1 : (uint32_t)(left + 1) & ~1u;
}

cpu_gemm_plan cpu_gemm_plan_of(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k, const cpu_matrix *a,
                               const cpu_matrix *b) {
  const cpu_gemm_kernels *table = kernels->gemm;
  uint32_t lanes = kernels->lanes, vectors = table->wide;
  for (uint32_t v = 1; v <= CPU_MAX_VECTORS; v++) {
    if (table->rows[v] && n <= v * lanes) {
      vectors = v;
      break;
    }
  }
  cpu_gemm_plan plan = {.m = m, .n = n, .k = k, .vectors = vectors, .width = vectors * lanes};
  plan.rows = (uint32_t)even(m, table->rows[vectors], 2);
  bool slim = n <= plan.width;
  plan.place_a = slim && a->type == CPU_F32 && !a->transposed;
  if (plan.place_a) plan.rows = table->rows[vectors];
  plan.place_b = m <= 4 * lanes && b->type == CPU_F32 && !b->transposed;
  plan.k_block = even(k, plan.place_b ? PLACED_DEPTH : least(PANEL_FLOATS / plan.width, DEEPEST), 1);
  plan.k_chunk = slim ? least(k, most(NEAR_FLOATS / plan.width / plan.k_block, 1) * plan.k_block) : plan.k_block;
  plan.k_chunk = most(plan.k_chunk, 1);
  uint64_t depth = plan.place_a ? plan.k_chunk : plan.k_block;
  plan.m_block = even(m, BLOCK_FLOATS / depth, plan.rows);
  uint64_t chunk = m <= 4 * lanes ? NEAR_FLOATS : CHUNK_FLOATS;
  plan.n_block = slim || plan.place_b ? most(n, 1) : even(n, chunk / plan.k_block, plan.width);
  return plan;
}

size_t cpu_gemm_packed_b(const cpu_gemm_plan *plan) {
  return plan->place_b ? 0 : divide_up(plan->n_block, plan->width) * plan->width * plan->k_chunk;
}

// A panel of A and one of B are packed where the rest is read where it lies: what is less than a tile.
size_t cpu_gemm_packed_a(const cpu_gemm_plan *plan) {
  uint64_t rows = plan->place_a ? plan->rows : plan->m_block + 1;
  return rows * plan->k_block + (plan->place_b ? plan->width * plan->k_block : 0) + 32;
}

void cpu_gemm_pack_b(const cpu_kernels *kernels, const cpu_gemm_plan *plan, const cpu_matrix *b, uint64_t p,
                     uint64_t depth, uint64_t j, uint64_t first, uint64_t last, float *out) {
  const cpu_gemm_kernels *table = kernels->gemm;
  uint64_t columns = divide_up(least(plan->n - j, plan->n_block), plan->width) * plan->width;
  for (uint64_t at = 0; at < depth; at += plan->k_block) {
    uint64_t rows = least(depth - at, plan->k_block), step = b->transposed ? rows : ROWS_AT_ONCE;
    for (uint64_t row = 0; row < rows; row += step) {
      for (uint64_t panel = first; panel < last; panel++) {
        uint64_t column = j + panel * plan->width, some = least(rows - row, step);
        const void *x = cpu_element_at(b, p + at + row, column);
        uint32_t held = (uint32_t)least(plan->n - column, plan->width);
        float *to = out + at * columns + panel * plan->width * rows + row * plan->width;
        (b->transposed ? table->pack_along : table->pack_across)(b->type, x, b->line, held, some, plan->width, to);
      }
    }
  }
}

static void pack_a(const cpu_gemm_kernels *table, const cpu_gemm_plan *plan, const cpu_matrix *a, uint64_t i,
                   uint64_t m, uint64_t p, uint64_t depth, float *out) {
  for (uint64_t at = 0; at < m;) {
    uint32_t held = (uint32_t)least(m - at, plan->rows), rows = panel_rows(plan, m - at);
    const void *x = cpu_element_at(a, i + at, p);
    (a->transposed ? table->pack_across : table->pack_along)(a->type, x, a->line, held, depth, rows, out);
    out += depth * rows;
    at += held;
  }
}

// Asks memory for some rows of the next panel of B where it lies: no stream of them is long enough to be foreseen.
static void await_panel(const cpu_gemm_plan *plan, const float *b, size_t step_b, uint64_t first, uint64_t last) {
  for (uint64_t p = first; p < last; p++)
    for (uint32_t j = 0; j < plan->width; j += 16) __builtin_prefetch(b + p * step_b + plan->width + j);
}

// One panel of B by all rows of a block.
static void multiply_panel(const cpu_gemm_kernels *table, const cpu_gemm_plan *plan, const cpu_matrix *a,
                           const cpu_gemm_part *part, uint64_t i, uint64_t m, uint64_t p, uint64_t depth,
                           const float *packed_a, const float *b, size_t step_b, cpu_tile_out *out) {
  bool distant = plan->place_b && m > plan->rows && plan->n * plan->k > 2 * NEAR_FLOATS;
  for (uint64_t at = 0; at < m; at += plan->rows) {
    uint32_t rows = panel_rows(plan, m - at);
    out->rows = (uint32_t)least(m - at, plan->rows);
    if (distant) await_panel(plan, b, step_b, at * depth / m, least(at + plan->rows, m) * depth / m);
    if (plan->place_a && out->rows == plan->rows) {
      table->placed[plan->vectors](depth, cpu_element_at(a, i + at, p), a->line, b, step_b, out);
    } else {
      table->packed[plan->vectors][rows / 2](depth, packed_a + (plan->place_a ? 0 : at * depth), 0, b, step_b, out);
    }
    out->c += plan->rows * part->line_c;
  }
}

static void multiply_block(const cpu_kernels *kernels, const cpu_gemm_plan *plan, const cpu_matrix *a,
                           const cpu_matrix *b, const float *packed_b, const cpu_gemm_part *part, uint64_t i,
                           uint64_t m, uint64_t p, uint64_t depth, float beta, float *scratch) {
  const cpu_gemm_kernels *table = kernels->gemm;
  float *edge = scratch + (plan->place_a ? plan->rows : plan->m_block + 1) * plan->k_block + 16;
  uint64_t packed = plan->place_a ? m % plan->rows : m;
  if (packed) pack_a(table, plan, a, i + m - packed, packed, p, depth, scratch);
  cpu_tile_out out = {.line = part->line_c, .alpha = part->alpha, .beta = beta};
  for (uint64_t panel = part->first; panel < part->last; panel++) {
    uint64_t column = part->j + panel * plan->width;
    out.columns = (uint32_t)least(plan->n - column, plan->width);
    out.c = part->c + i * part->line_c + column;
    const float *from = plan->place_b ? cpu_element_at(b, p, column) : packed_b + panel * plan->width * depth;
    size_t step = plan->place_b ? b->line : plan->width;
    if (plan->place_b && out.columns < plan->width) {
      table->pack_across(CPU_F32, from, b->line, out.columns, depth, plan->width, edge);
      from = edge, step = plan->width;
    }
    multiply_panel(table, plan, a, part, i, m, p, depth, scratch, from, step, &out);
  }
}

void cpu_gemm_rows(const cpu_kernels *kernels, const cpu_gemm_plan *plan, const cpu_matrix *a, const cpu_matrix *b,
                   const float *packed_b, const cpu_gemm_part *part, float *scratch) {
  uint64_t columns = divide_up(least(plan->n - part->j, plan->n_block), plan->width) * plan->width;
  for (uint64_t i = 0; i < part->m; i += plan->m_block) {
    uint64_t m = least(part->m - i, plan->m_block);
    for (uint64_t at = 0; at < part->depth; at += plan->k_block) {
      uint64_t depth = least(part->depth - at, plan->k_block);
      const float *chunk = plan->place_b ? NULL : packed_b + at * columns;
      float beta = at ? 1 : part->beta;
      multiply_block(kernels, plan, a, b, chunk, part, part->i + i, m, part->p + at, depth, beta, scratch);
    }
  }
}

static void scale(uint64_t m, uint64_t n, float beta, float *c, uint64_t line_c) {
  for (uint64_t i = 0; i < m; i++)
    for (uint64_t j = 0; j < n; j++) c[i * line_c + j] = beta == 0 ? 0 : beta * c[i * line_c + j];
}

bool cpu_gemm_flips(const cpu_kernels *kernels, uint64_t m, uint64_t n, const cpu_matrix *a, const cpu_matrix *b) {
  uint64_t few = 4 * kernels->lanes;
  return (a->transposed && n <= few && m > n) || (b->transposed && m <= few && n > m);
}

size_t cpu_gemm_scratch(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k) {
  // At least what any plan for such sizes, or smaller ones, packs.
  uint64_t longer = most(m, n), depth = least(k, DEEPEST);
  uint64_t chunk = m <= 4 * kernels->lanes ? NEAR_FLOATS : CHUNK_FLOATS;
  uint64_t a = least(BLOCK_FLOATS, (longer + CPU_MAX_TILE_ROWS) * depth) + (CPU_MAX_TILE_ROWS + 66) * depth + 32;
  uint64_t b = least(chunk, (longer + 64) * k);
  uint64_t sums = least(FLIPPED_FLOATS + 64 * (4 * kernels->lanes + 16), (m + 16) * (n + 16));
  return (a + b + sums) * sizeof(float);
}

static void multiply(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k, float alpha, const cpu_matrix *a,
                     const cpu_matrix *b, float beta, float *c, uint64_t line_c, float *scratch) {
  cpu_gemm_plan plan = cpu_gemm_plan_of(kernels, m, n, k, a, b);
  float *packed_a = scratch + cpu_gemm_packed_b(&plan);
  for (uint64_t j = 0; j < n; j += plan.n_block) {
    uint64_t panels = divide_up(least(n - j, plan.n_block), plan.width);
    for (uint64_t p = 0; p < k; p += plan.k_chunk) {
      uint64_t depth = least(k - p, plan.k_chunk);
      if (!plan.place_b) cpu_gemm_pack_b(kernels, &plan, b, p, depth, j, 0, panels, scratch);
      cpu_gemm_part part = {.m = m, .j = j, .last = panels, .p = p, .depth = depth, .alpha = alpha,
                            .beta = p ? 1 : beta, .c = c, .line_c = line_c};
      cpu_gemm_rows(kernels, &plan, a, b, scratch, &part, packed_a);
    }
  }
}

// Blocks of Cᵀ along its longer side, each then added to C.
static void multiply_flipped(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k, float alpha,
                             const cpu_matrix *a, const cpu_matrix *b, float beta, float *c, uint64_t line_c,
                             float *scratch) {
  uint64_t longer = most(m, n), shorter = divide_up(least(m, n), 16) * 16;
  uint64_t block = even(longer, FLIPPED_FLOATS / shorter, 64);
  for (uint64_t at = 0; at < longer; at += block) {
    uint64_t held = least(longer - at, block), i = m >= n ? at : 0, j = m >= n ? 0 : at;
    uint64_t rows = m >= n ? held : m, columns = m >= n ? n : held, line = divide_up(rows, 16) * 16;
    cpu_matrix left = flip(b), right = flip(a);
    left.data = cpu_element_at(b, 0, j), right.data = cpu_element_at(a, i, 0);
    multiply(kernels, columns, rows, k, alpha, &left, &right, 0, scratch, line, scratch + columns * line);
    kernels->gemm->add_flipped(scratch, line, columns, rows, beta, c + i * line_c + j, line_c);
  }
}

void cpu_gemm(const cpu_kernels *kernels, uint64_t m, uint64_t n, uint64_t k, float alpha, const cpu_matrix *a,
              const cpu_matrix *b, float beta, float *c, uint64_t line_c, void *scratch) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    scale(m, n, beta, c, line_c);
  } else if (cpu_gemm_flips(kernels, m, n, a, b)) {
    multiply_flipped(kernels, m, n, k, alpha, a, b, beta, c, line_c, scratch);
  } else {
    multiply(kernels, m, n, k, alpha, a, b, beta, c, line_c, scratch);
  }
}
