// RaBitQ: signs of numbers, perhaps more of their bits, and factors that make distances of them. And codes of signs
// alone, which differ from a query's in so many bits.
//
// A key is a + b · f, where f is a product of a query with the numbers that bits stand for. Where queries are rounded
// to integers the product is exact, from bits that are counted; otherwise it is found from a query of bytes first,
// with a margin, and what may be near again in double. Keys that collectors get are final.
#ifndef CPU_RABITQ_H
#define CPU_RABITQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_RABITQ_BLOCK 64     // codes that are counted at once
#define CPU_RABITQ_MAX_BITS 9   // of a number
#define CPU_RABITQ_MAX_QB 8     // of a query's number
#define CPU_RABITQ_CENTERED 16  // added to these where levels lie about zero

typedef struct cpu_rabitq {
  uint32_t d;
  uint32_t nbits;  // of a number; 0: signs without factors
  bool inner;      // factors are those of products
  size_t signs;    // bytes of them, which come first
  size_t more;     // offset of the other bits
  size_t code_size;
  const float *center;  // d floats that codes are about, of signs their thresholds; or NULL
} cpu_rabitq;

// What of a query meets all codes about one center.
typedef struct cpu_rabitq_query {
  uint32_t number;  // of the search
  uint32_t planes;  // bits of its integers
  double square, length, product;  // of it less the center, of it, of it with the center
  double per_level, per_bit, always;
  const uint64_t *bits;  // planes × words
  const float *rest;     // it less the center
  const int8_t *bytes;   // that in steps, zeros up to a multiple of 64
  double step, off;      // of these; the sum of what rounding took
  int64_t sum;           // of bytes
  double size;           // sum of the sizes of bytes
} cpu_rabitq_query;

// Codes by word: word w of code i is words[w * CPU_RABITQ_BLOCK + i].
typedef struct cpu_rabitq_block {
  uint64_t *words;
  float *factors;  // CPU_RABITQ_BLOCK of the first, then of the second
  int32_t *ones;  // bits that are set
} cpu_rabitq_block;

// base + scale · (first + second · (level · dot + bit · ones + always)), within limit.
typedef struct cpu_rabitq_line {
  float base, level, bit, always, slack, limit;
} cpu_rabitq_line;

typedef struct cpu_rabitq_kernels {
  // dots[i] = sum over planes p of 2^p · the bits of code i that plane p has. words: of a block; bits: planes × words.
  void (*count)(const uint64_t *words, uint32_t word_count, const uint64_t *bits, uint32_t planes, int32_t *dots);
  // Words of up to a block of codes, the last word with the bits of `last` alone, and how many bits are set.
  // NULL where the plain loop does as well.
  void (*transpose)(const uint8_t *base, const uint32_t *positions, uint32_t n, size_t size, uint32_t word_count,
                    uint64_t last, uint64_t *words, uint32_t *ones);
  // Bit i: code i of a block may be within the line's limit. A NaN may be.
  uint64_t (*within)(const cpu_rabitq_line *line, const int32_t *dots, const int32_t *ones, const float *factors);
  // Levels of numbers about least, at most `most`, and 64 of their bits a word; returns their sum.
  uint64_t (*round)(const float *x, uint32_t d, float least, float inverse, uint32_t planes, uint8_t *levels,
                    uint64_t *bits);
  // Integers of the numbers of a block of codes, each of `bits` + 1 bits, the sign's the highest, of nine the upper
  // eight; rows are d rounded up to 64, zeros at the end. The other bits are at `more`, and eight bytes follow them.
  void (*unpack)(const uint8_t *const *codes, size_t more, uint32_t d, uint32_t bits, uint8_t *levels);
  // Products of a block of such rows, `width` apart, and bytes of a query; where rows have 8 bits, of at most 63.
  void (*multiply)(const uint8_t *levels, uint32_t width, const int8_t *query, int32_t *dots);
} cpu_rabitq_kernels;

struct cpu_kernels;
struct cpu_scan;

const cpu_rabitq_kernels *cpu_rabitq_table(const struct cpu_kernels *kernels);

// Offsets and sizes, of d, nbits.
void cpu_rabitq_layout(cpu_rabitq *rabitq);
// Bytes that encoding takes.
size_t cpu_rabitq_encode_bytes(uint32_t d);
// Codes of n rows, each about a row of `about`, or all about the center. scratch: on 8 bytes.
void cpu_rabitq_encode(const cpu_rabitq *rabitq, const float *x, const float *about, uint64_t n, uint8_t *codes,
                       void *scratch);
// What n codes stand for, each plus `centroid` or else the center.
void cpu_rabitq_decode(const cpu_rabitq *rabitq, const uint8_t *codes, uint64_t n, const float *centroid, float *x);

// Codes that a scan meets with all its queries.
typedef struct cpu_rabitq_codes {
  const uint8_t *base;        // the code of offset 0
  const uint32_t *positions;  // offsets, or NULL: consecutive
  uint64_t n;
  uint64_t first;         // location of offset 0
  const float *centroid;  // that codes are about; NULL: the center
} cpu_rabitq_codes;

// Bytes of scratch for a scan of n codes.
size_t cpu_rabitq_scan_bytes(const cpu_rabitq *rabitq, uint32_t rounding, uint64_t n);
// Queries, index[i] or first + i of the search, against codes, into the search's collectors. rounding: bits of a
// query's number, 0 for all of it, and CPU_RABITQ_CENTERED. scratch: on 64 bytes.
void cpu_rabitq_scan(const struct cpu_scan *scan, const cpu_rabitq *rabitq, uint32_t rounding, const uint32_t *index,
                     uint32_t first, uint32_t nq, const cpu_rabitq_codes *codes, void *scratch);

#endif
