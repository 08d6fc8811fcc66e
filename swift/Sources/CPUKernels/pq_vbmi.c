// The filter of product quantizers' codes, where a table of 256 bytes is looked up in registers.
#include "pq_filter.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi2"))), apply_to = function)

void cpu_pq_filter_vbmi(const uint8_t *blocks, uint32_t count, uint32_t m, const uint8_t *bytes, uint32_t limit,
                        uint64_t *masks) {
  __m512i most = _mm512_set1_epi16((short)(limit < 65535 ? limit : 65535));
  for (uint32_t first = 0; first < count; first += CPU_PQ_GROUP) {
    // both: of even codes plus 256 times of odd ones; odd: of odd codes.
    __m512i both[CPU_PQ_GROUP], odd[CPU_PQ_GROUP];
    const uint8_t *block[CPU_PQ_GROUP];
#pragma clang loop unroll(full)
    for (uint32_t b = 0; b < CPU_PQ_GROUP; b++) {
      both[b] = odd[b] = _mm512_setzero_si512();
      block[b] = blocks + (size_t)(first + b < count ? first + b : count - 1) * m * CPU_PQ_BLOCK;
    }
    for (uint32_t j = 0; j < m; j++) {
      const uint8_t *table = bytes + (size_t)j * 256;
      __m512i a = _mm512_loadu_si512(table), c = _mm512_loadu_si512(table + 64);
      __m512i e = _mm512_loadu_si512(table + 128), f = _mm512_loadu_si512(table + 192);
#pragma clang loop unroll(full)
      for (uint32_t b = 0; b < CPU_PQ_GROUP; b++) {
        __m512i index = _mm512_loadu_si512(block[b] + (size_t)j * CPU_PQ_BLOCK);
        __m512i low = _mm512_permutex2var_epi8(a, index, c), high = _mm512_permutex2var_epi8(e, index, f);
        __m512i entry = _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
        both[b] = _mm512_add_epi16(both[b], entry);
        odd[b] = _mm512_add_epi16(odd[b], _mm512_srli_epi16(entry, 8));
      }
    }
#pragma clang loop unroll(full)
    for (uint32_t b = 0; b < CPU_PQ_GROUP; b++) {
      __m512i even = _mm512_sub_epi16(both[b], _mm512_slli_epi16(odd[b], 8));
      uint64_t evens = _mm512_cmple_epu16_mask(even, most), odds = _mm512_cmple_epu16_mask(odd[b], most);
      if (first + b < count)
        masks[first + b] = _pdep_u64(evens, 0x5555555555555555) | _pdep_u64(odds, 0xaaaaaaaaaaaaaaaa);
    }
  }
}

#pragma clang attribute pop
#endif
