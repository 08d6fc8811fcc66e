// Filters of product quantizers' codes: see cpu_pq_kernels.
#ifndef PQ_FILTER_H
#define PQ_FILTER_H

#include "cpu_pq.h"

void cpu_pq_filter_scalar(const uint8_t *blocks, uint32_t count, uint32_t m, const uint8_t *bytes, uint32_t limit,
                          uint64_t *masks);
#if defined(__x86_64__)
void cpu_pq_filter_vbmi(const uint8_t *blocks, uint32_t count, uint32_t m, const uint8_t *bytes, uint32_t limit,
                        uint64_t *masks);
#endif

#endif
