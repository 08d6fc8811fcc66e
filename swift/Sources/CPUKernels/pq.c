// Codes of product quantizers, in bits from the lowest up, and their columns.
#include "cpu_pq.h"

#include <math.h>
#include <string.h>

#include "cpu_kernels.h"
#include "pq_filter.h"

cpu_pq_kernels cpu_pq_kernels_of(const cpu_kernels *kernels) {
  cpu_pq_kernels found = *kernels->pq;
  if (kernels->lanes == 1) found.filter = cpu_pq_filter_scalar;
#if defined(__x86_64__)
  // Set by the loader's constructors, before any of this runs.
  if (kernels->lanes == 16 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("bmi2"))
    found.filter = cpu_pq_filter_vbmi;
#endif
  return found;
}

void cpu_pq_filter_scalar(const uint8_t *blocks, uint32_t count, uint32_t m, const uint8_t *bytes, uint32_t limit,
                          uint64_t *masks) {
  for (uint32_t b = 0; b < count; b++, blocks += (size_t)m * CPU_PQ_BLOCK) {
    uint16_t sums[CPU_PQ_BLOCK] = {0};
    for (uint32_t j = 0; j < m; j++)
      for (uint32_t i = 0; i < CPU_PQ_BLOCK; i++) sums[i] += bytes[j * 256 + blocks[j * CPU_PQ_BLOCK + i]];
    masks[b] = 0;
    for (uint32_t i = 0; i < CPU_PQ_BLOCK; i++) masks[b] |= (uint64_t)(sums[i] <= limit) << i;
  }
}

static uint32_t padded(uint32_t ksub) { return (ksub + 15) / 16 * 16; }

uint64_t cpu_pq_columns(uint32_t m, uint32_t nbits, uint32_t dsub) {
  return (uint64_t)m * dsub * padded(1u << nbits);
}

void cpu_pq_prepare(cpu_pq *pq, float *columns) {
  uint32_t dsub = pq->dsub, ksub = pq->ksub, stride = pq->stride = padded(ksub);
  double sum = 0;
  for (uint32_t m = 0; m < pq->m; m++) {
    const float *centroids = pq->centroids + (size_t)m * ksub * dsub;
    float *column = columns + (size_t)m * dsub * stride;
    double longest = 0;
    for (uint32_t j = 0; j < stride; j++) {
      const float *centroid = centroids + (size_t)(j < ksub ? j : ksub - 1) * dsub;
      double square = 0;
      for (uint32_t c = 0; c < dsub; c++) {
        column[(size_t)c * stride + j] = centroid[c];
        square += (double)centroid[c] * centroid[c];
      }
      longest = square > longest ? square : longest;
    }
    sum += longest;
  }
  pq->columns = columns;
  pq->longest = (float)(sqrt(sum) * 1.0001);
}

static inline uint32_t read_index(const uint8_t *code, uint64_t size, uint32_t bit, uint32_t nbits) {
  uint64_t at = bit >> 3;
  uint32_t bits = code[at];
  if (at + 1 < size) bits |= (uint32_t)code[at + 1] << 8;
  if (at + 2 < size) bits |= (uint32_t)code[at + 2] << 16;
  return bits >> (bit & 7) & ((1u << nbits) - 1);
}

static inline void write_index(uint8_t *code, uint32_t bit, uint32_t nbits, uint32_t index) {
  uint32_t bits = index << (bit & 7), end = (bit & 7) + nbits;
  uint8_t *at = code + (bit >> 3);
  for (uint32_t done = 0; done < end; done += 8, bits >>= 8) *at++ |= (uint8_t)bits;
}

void cpu_pq_encode(const cpu_kernels *kernels, const cpu_pq *pq, const float *x, uint64_t n, uint8_t *codes) {
  memset(codes, 0, n * pq->code_size);
  for (uint64_t i = 0; i < n; i++, codes += pq->code_size) {
    for (uint32_t m = 0; m < pq->m; m++, x += pq->dsub) {
      uint32_t index = kernels->pq->nearest(pq, m, x);
      // Where all are infinitely far, lanes without a centroid are as near.
      write_index(codes, m * pq->nbits, pq->nbits, index < pq->ksub ? index : 0);
    }
  }
}

void cpu_pq_decode(const cpu_pq *pq, const uint8_t *codes, uint64_t n, const float *centroid, float *x) {
  uint32_t dsub = pq->dsub;
  for (uint64_t i = 0; i < n; i++, codes += pq->code_size) {
    const float *centroids = pq->centroids, *plus = centroid;
    for (uint32_t m = 0; m < pq->m; m++, x += dsub, centroids += (size_t)pq->ksub * dsub) {
      uint32_t index = pq->nbits == 8 ? codes[m] : read_index(codes, pq->code_size, m * pq->nbits, pq->nbits);
      const float *part = centroids + (size_t)index * dsub;
      // Calls of memcpy would cost more than what most of them copy.
      if (centroid) {
        for (uint32_t c = 0; c < dsub; c++) x[c] = part[c] + plus[c];
        plus += dsub;
      } else {
        for (uint32_t c = 0; c < dsub; c++) x[c] = part[c];
      }
    }
  }
}

void cpu_pq_sums(const cpu_pq *pq, const float *tables, const uint8_t *codes, const uint32_t *nodes, uint32_t n,
                 float *sums) {
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *code = codes + nodes[i] * pq->code_size;
    const float *table = tables;
    float even = 0, odd = 0;  // two sums, for one waits for itself
    uint32_t part = 0;
    if (pq->nbits == 8) {
      for (; part + 2 <= pq->m; part += 2, table += 2 * (size_t)pq->stride)
        even += table[code[part]], odd += table[pq->stride + code[part + 1]];
      if (part < pq->m) even += table[code[part]];
    } else {
      for (; part < pq->m; part++, table += pq->stride)
        even += table[read_index(code, pq->code_size, part * pq->nbits, pq->nbits)];
    }
    sums[i] = even + odd;
  }
}

static size_t block_bytes(const cpu_pq *pq) { return (size_t)pq->m * CPU_PQ_BLOCK * (pq->nbits > 8 ? 2 : 1); }

size_t cpu_pq_chunk_bytes(const cpu_pq *pq, uint64_t n) {
  return (n + CPU_PQ_BLOCK - 1) / CPU_PQ_BLOCK * block_bytes(pq);
}

void cpu_pq_pack(const cpu_kernels *kernels, const cpu_pq *pq, const uint8_t *base, cpu_pq_chunk *chunk) {
  size_t bytes = block_bytes(pq);
  uint32_t m = pq->m, nbits = pq->nbits;
  for (uint32_t from = 0; from < chunk->n; from += CPU_PQ_BLOCK) {
    uint32_t held = chunk->n - from < CPU_PQ_BLOCK ? chunk->n - from : CPU_PQ_BLOCK;
    uint8_t *block = (uint8_t *)chunk->blocks + from / CPU_PQ_BLOCK * bytes;
    const uint8_t *codes[CPU_PQ_BLOCK];
    for (uint32_t i = 0; i < held; i++) {
      size_t offset = chunk->positions ? chunk->positions[from + i] : from + i;
      codes[i] = base + offset * pq->code_size;
    }
    if (nbits == 8) {
      kernels->pq->transpose(codes, held, m, block);
      continue;
    }
    if (held < CPU_PQ_BLOCK) memset(block, 0, bytes);
    for (uint32_t i = 0; i < held; i++) {
      for (uint32_t j = 0; j < m; j++) {
        uint32_t index = read_index(codes[i], pq->code_size, j * nbits, nbits);
        size_t at = (size_t)j * CPU_PQ_BLOCK + i;
        if (nbits < 8)
          block[at] = (uint8_t)index;
        else
          block[2 * at] = (uint8_t)index, block[2 * at + 1] = (uint8_t)(index >> 8);
      }
    }
  }
}
