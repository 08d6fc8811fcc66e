// Codes in blocks of 32, and the plain twin of the kernels that look them up.
#include "cpu_fast.h"

#include <string.h>

#include "cpu_kernels.h"
#include "cpu_pq.h"

static uint8_t *block_at(const cpu_fast_layout *layout, const uint8_t *blocks, uint64_t at) {
  return (uint8_t *)blocks + at / CPU_FAST_BLOCK * cpu_fast_stride(layout);
}

static void put_one(const cpu_fast_layout *layout, uint8_t *block, uint32_t i, const uint8_t *code) {
  uint32_t lane = cpu_fast_lane(i & 15), shift = i & 16 ? 4 : 0, keep = i & 16 ? 0x0f : 0xf0;
  uint8_t *pair = block + lane;
  size_t half = cpu_fast_half(layout->parts);
  for (size_t j = 0; j < half; j++, pair += 32) {
    pair[0] = (uint8_t)((pair[0] & keep) | (code[j] & 15) << shift);
    pair[16] = (uint8_t)((pair[16] & keep) | (code[j] >> 4) << shift);
  }
  memcpy((uint8_t *)cpu_fast_extra(layout, block, i), code + half, layout->extra);
}

static void get_one(const cpu_fast_layout *layout, const uint8_t *block, uint32_t i, uint8_t *code) {
  uint32_t lane = cpu_fast_lane(i & 15), shift = i & 16 ? 4 : 0;
  const uint8_t *pair = block + lane;
  size_t half = cpu_fast_half(layout->parts);
  for (size_t j = 0; j < half; j++, pair += 32)
    code[j] = (uint8_t)((pair[0] >> shift & 15) | (pair[16] >> shift & 15) << 4);
  memcpy(code + half, cpu_fast_extra(layout, block, i), layout->extra);
}

void cpu_fast_put(const cpu_fast_layout *layout, uint8_t *blocks, uint64_t at, const uint8_t *codes, uint64_t n) {
  size_t size = cpu_fast_code_size(layout);
  for (uint64_t i = at; i < at + n; i++, codes += size) {
    uint8_t *block = block_at(layout, blocks, i);
    if (i % CPU_FAST_BLOCK == 0) memset(block, 0, cpu_fast_stride(layout));
    put_one(layout, block, i % CPU_FAST_BLOCK, codes);
  }
}

void cpu_fast_get(const cpu_fast_layout *layout, const uint8_t *blocks, uint64_t at, uint64_t n, uint8_t *codes) {
  size_t size = cpu_fast_code_size(layout);
  for (uint64_t i = at; i < at + n; i++, codes += size)
    get_one(layout, block_at(layout, blocks, i), i % CPU_FAST_BLOCK, codes);
}

void cpu_fast_move(const cpu_fast_layout *layout, uint8_t *blocks, uint64_t to, uint64_t from) {
  const uint8_t *source = block_at(layout, blocks, from);
  uint8_t *target = block_at(layout, blocks, to);
  uint32_t a = from % CPU_FAST_BLOCK, b = to % CPU_FAST_BLOCK;
  uint32_t shift = b & 16 ? 4 : 0, keep = b & 16 ? 0x0f : 0xf0, lane = cpu_fast_lane(b & 15);
  size_t half = cpu_fast_half(layout->parts);
  for (uint32_t part = 0; part < 2 * half; part++) {
    uint8_t *byte = target + (size_t)part * 16 + lane;
    *byte = (uint8_t)((*byte & keep) | cpu_fast_number(source, a, part) << shift);
  }
  memmove((uint8_t *)cpu_fast_extra(layout, target, b), cpu_fast_extra(layout, source, a), layout->extra);
}

void cpu_fast_decode(const cpu_pq *pq, const uint8_t *blocks, uint64_t at, const float *centroid, float *x) {
  const uint8_t *block = blocks + at / CPU_FAST_BLOCK * CPU_FAST_BLOCK * cpu_fast_half(pq->m);
  const float *centroids = pq->centroids;
  for (uint32_t m = 0; m < pq->m; m++, centroids += (size_t)pq->ksub * pq->dsub) {
    const float *found = centroids + (size_t)cpu_fast_number(block, at % CPU_FAST_BLOCK, m) * pq->dsub;
    // Of eight numbers, the copy is one vector.
    if (pq->dsub == 8)
      memcpy(x, found, 8 * sizeof(float));
    else
      memcpy(x, found, pq->dsub * sizeof(float));
    if (centroid)
      for (uint32_t c = 0; c < pq->dsub; c++) x[c] += *centroid++;
    x += pq->dsub;
  }
}

static void filter_plain(const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts,
                         const uint8_t *const *tables, uint32_t nq, const uint8_t *limits, cpu_fast_hit *hits,
                         uint32_t *counts) {
  for (uint32_t q = 0; q < nq; q++) {
    cpu_fast_hit *found = hits + (size_t)q * ((count + 1) / 2);
    counts[q] = 0;
    for (uint32_t b = 0; b < count; b += 2) {
      uint64_t codes = 0;
      for (uint32_t bit = 0; bit < (count - b > 1 ? 64 : 32); bit++) {
        const uint8_t *block = blocks + (b + bit / 32) * stride;
        uint32_t sum = 0;
        for (uint32_t m = 0; m < parts; m++)
          sum += tables[q][16 * m + cpu_fast_number(block, cpu_fast_code(bit & 31), m)];
        codes |= (uint64_t)(sum <= limits[q]) << bit;
      }
      if (codes) found[counts[q]++] = (cpu_fast_hit){codes, b};
    }
  }
}

static void sums_plain(const uint8_t *blocks, size_t stride, uint32_t count, uint32_t parts, const uint8_t *table,
                       uint16_t *sums) {
  for (uint32_t b = 0; b < count; b++, blocks += stride) {
    for (uint32_t i = 0; i < CPU_FAST_BLOCK; i++) {
      uint32_t sum = 0;
      for (uint32_t m = 0; m < parts; m++) sum += table[16 * m + cpu_fast_number(blocks, i, m)];
      *sums++ = (uint16_t)sum;
    }
  }
}

static void round_plain(uint32_t parts, const float *tables, const float *least, float inverse, uint8_t *bytes) {
  for (uint32_t m = 0; m < parts; m++) {
    for (uint32_t j = 0; j < 16; j++) {
      float steps = (tables[16 * m + j] - least[m]) * inverse;
      bytes[16 * m + j] = (uint8_t)(steps < 255.0f ? steps : 255.0f);
    }
  }
}

const cpu_fast_kernels cpu_fast_scalar = {.filter = filter_plain, .sums = sums_plain, .round = round_plain};

#if defined(__x86_64__)
extern const cpu_fast_kernels cpu_fast_avx2, cpu_fast_avx512;
#elif defined(__aarch64__)
extern const cpu_fast_kernels cpu_fast_neon;
#endif

const cpu_fast_kernels *cpu_fast_table(const cpu_kernels *kernels) {
#if defined(__x86_64__)
  if (kernels->lanes == 16) return &cpu_fast_avx512;
  if (kernels->lanes == 8) return &cpu_fast_avx2;
#elif defined(__aarch64__)
  if (kernels->lanes == 4) return &cpu_fast_neon;
#endif
  return &cpu_fast_scalar;
}
