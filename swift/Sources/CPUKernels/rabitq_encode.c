// Codes of RaBitQ. Floats are rounded where faiss rounds them, so that codes are the same.
#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu_rabitq.h"

// What is added before a level is cut off to an integer.
#define LEVEL_EPSILON 1e-5
// Levels past the last that scales are tried for.
#define PAST_LEVELS 10

void cpu_rabitq_layout(cpu_rabitq *r) {
  r->signs = ((size_t)r->d + 7) / 8;
  size_t bits = r->nbits > 1 ? r->nbits - 1 : 0;
  r->more = r->signs + (r->nbits == 0 ? 0 : bits ? 12 : 8);
  r->code_size = r->more + (bits ? (r->d * bits + 7) / 8 + 8 : 0);
}

// The next scale at which the level of a number changes.
typedef struct change {
  float scale;
  uint32_t at;
} change;

size_t cpu_rabitq_encode_bytes(uint32_t d) {
  return (size_t)d * (2 * sizeof(float) + sizeof(float) + sizeof(uint32_t) + sizeof(change)) + 64;
}

static inline bool before(const change *a, const change *b) {
  return a->scale < b->scale || (a->scale == b->scale && a->at < b->at);
}

static void sift(change *heap, uint32_t from, uint32_t count) {
  change item = heap[from];
  uint32_t at = from;
  for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(&heap[child + 1], &heap[child])) child++;
    if (!before(&heap[child], &item)) break;
    heap[at] = heap[child];
  }
  heap[at] = item;
}

// The scale whose levels, each size times it cut off, lie nearest to the sizes in direction: of all scales at
// which a level changes, in order. inverses, levels, heap: room for d each.
static float best_scale(const float *sizes, uint32_t d, uint32_t bits, float *inverses, uint32_t *levels,
                        change *heap) {
  static const float starts[] = {0, 0.15f, 0.20f, 0.52f, 0.59f, 0.71f, 0.75f, 0.77f, 0.81f};
  uint32_t most = (1u << bits) - 1, count = 0;
  float largest = sizes[0];
  for (uint32_t j = 1; j < d; j++) largest = sizes[j] > largest ? sizes[j] : largest;
  float end = (float)(most + PAST_LEVELS) / largest, start = end * starts[bits];
  float square = (float)d * 0.25f, product = 0;
  for (uint32_t j = 0; j < d; j++) {
    inverses[j] = 1.0f / sizes[j];
    uint32_t level = levels[j] = (uint32_t)(start * sizes[j] + LEVEL_EPSILON);
    square += (float)(level * level + level);
    product += ((float)level + 0.5f) * sizes[j];
    float next = (float)(level + 1) * inverses[j];
    if (next < end) heap[count++] = (change){next, j};
  }
  for (uint32_t at = count / 2; at-- > 0;) sift(heap, at, count);
  float inverse = 1.0f / sqrtf(square), best = 0, scale = 0;
  while (count > 0) {
    change now = heap[0];
    uint32_t level = ++levels[now.at];
    float step = 2.0f * (float)level;
    square += step;
    product += sizes[now.at];
    float old = square - step;
    inverse = inverse * (1.0f - 0.5f * step / (old + step * 0.5f));
    float likeness = product * inverse;
    if (likeness > best) best = likeness, scale = now.scale;
    float next = (float)(level + 1) * inverses[now.at];
    if (level < most && next < end)
      heap[0].scale = next;
    else
      heap[0] = heap[--count];
    if (count > 0) sift(heap, 0, count);
  }
  return scale;
}

static void write_bits(uint8_t *to, size_t bit, uint32_t bits, uint32_t value) {
  uint32_t shifted = value << (bit & 7);
  to[bit >> 3] |= (uint8_t)shifted;
  if ((bit & 7) + bits > 8) to[(bit >> 3) + 1] |= (uint8_t)(shifted >> 8);
}

// The bits besides the sign, and their factors.
static void encode_more(const cpu_rabitq *r, const float *rest, const float *center, uint8_t *code, float *sizes,
                        void *scratch) {
  uint32_t d = r->d, bits = r->nbits - 1, most = (1u << bits) - 1;
  double square = 0, product = 0;
  for (uint32_t j = 0; j < d; j++) {
    square += (double)rest[j] * rest[j];
    if (center) product += (double)rest[j] * center[j];
  }
  float length = sqrtf((float)square);
  if (length < 1e-10f) return;
  for (uint32_t j = 0; j < d; j++) sizes[j] = fabsf(rest[j] / length);
  float *inverses = scratch;
  uint32_t *levels = (uint32_t *)(inverses + d);
  float scale = best_scale(sizes, d, bits, inverses, levels, (change *)(levels + d));
  double sum = 0;
  for (uint32_t j = 0; j < d; j++) {
    double cut = scale * sizes[j] + LEVEL_EPSILON;
    uint32_t level = cut < most ? (uint32_t)cut : most;
    sum += (level + 0.5) * sizes[j];
    write_bits(code + r->more, (size_t)j * bits, bits, rest[j] < 0 ? most - level : level);
  }
  float inverse = (float)(1 / sum), factors[2];
  if (!isnormal(inverse)) inverse = 1;
  factors[0] = r->inner ? (float)product : length * length;
  factors[1] = r->inner ? inverse * length : inverse * -2.0f * length;
  memcpy(code + r->code_size - sizeof factors, factors, sizeof factors);
}

static void encode_row(const cpu_rabitq *r, const float *x, const float *center, uint8_t *code, float *rest,
                       void *scratch) {
  uint32_t d = r->d;
  float square = 0, whole = 0, sum = 0;
  for (uint32_t j = 0; j < d; j++) {
    float value = rest[j] = x[j] - (center ? center[j] : 0);
    square += value * value;
    whole += x[j] * x[j];
    sum += fabsf(value);
    code[j >> 3] |= (uint8_t)((value > 0) << (j & 7));
  }
  float root = 1.0f / sqrtf((float)d), length = sqrtf(square);
  float product = sum * (square < FLT_EPSILON ? 1.0f : 1.0f / length) * root;
  float factors[3] = {r->inner ? square - whole : square,
                      (fabsf(product) < FLT_EPSILON ? 1.0f : 1.0f / product) * length, 0};
  float half = 0.5f * sum;
  if (r->nbits > 1 && half > FLT_EPSILON) {
    float ratio = square * ((float)d * 0.25f) / (half * half);
    if (ratio > 1) {
      float over = d == 1 ? ratio - 1 : (ratio - 1) / (float)(d - 1);
      factors[2] = (r->inner ? 1.0f : 2.0f) * (length * 1.9f * sqrtf(over));
    }
  }
  memcpy(code + r->signs, factors, r->more - r->signs);
  if (r->nbits > 1) encode_more(r, rest, center, code, rest + d, scratch);
}

void cpu_rabitq_encode(const cpu_rabitq *r, const float *x, const float *about, uint64_t n, uint8_t *codes,
                       void *scratch) {
  uint32_t d = r->d;
  float *rest = scratch;
  memset(codes, 0, n * r->code_size);
  for (uint64_t i = 0; i < n; i++, codes += r->code_size, x += d) {
    if (r->nbits) {
      encode_row(r, x, about ? about + i * d : r->center, codes, rest, rest + 2 * (size_t)d);
      continue;
    }
    for (uint32_t j = 0; j < d; j++) {
      float value = x[j] - (r->center ? r->center[j] : 0);
      codes[j >> 3] |= (uint8_t)((value >= 0) << (j & 7));
    }
  }
}

void cpu_rabitq_decode(const cpu_rabitq *r, const uint8_t *codes, uint64_t n, const float *centroid, float *x) {
  uint32_t d = r->d;
  float root = 1.0f / sqrtf((float)d);
  const float *center = centroid ? centroid : r->center;
  for (uint64_t i = 0; i < n; i++, codes += r->code_size, x += d) {
    float size = 1;
    if (r->nbits) memcpy(&size, codes + r->signs + sizeof size, sizeof size);
    for (uint32_t j = 0; j < d; j++) {
      float half = (float)(codes[j >> 3] >> (j & 7) & 1) - 0.5f;
      float value = r->nbits ? half * size * 2 * root : half * 2;
      x[j] = value + (center ? center[j] : 0);
    }
  }
}
