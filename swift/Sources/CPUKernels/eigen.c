// Eigenvalues of symmetric matrices, in double: reflections to a tridiagonal matrix, then implicit QL. Vectors are
// kept as rows meanwhile, so that every loop runs along memory.
#include <string.h>

#include "cpu_factor.h"

#define ROUNDS 60

// A clone an instruction set, chosen at load; none contracts products, so that all give the same numbers.
#if defined(__x86_64__) && defined(__linux__)
#define CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define CLONES
#endif

// Columns of vectors that stay in a core's cache while all turns of some steps go over them.
#define COLUMNS 64

typedef double wide __attribute__((ext_vector_type(8)));

CLONES static double dot(uint64_t n, const double *x, const double *y) {
  wide sums = 0;
  uint64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    wide a, b;
    memcpy(&a, x + i, sizeof a);
    memcpy(&b, y + i, sizeof b);
    sums += a * b;
  }
  double sum = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
  for (; i < n; i++) sum += x[i] * y[i];
  return sum;
}

CLONES static void add(uint64_t n, double factor, const double *restrict x, double *restrict y) {
  for (uint64_t i = 0; i < n; i++) y[i] += factor * x[i];
}

CLONES static void add_two(uint64_t n, double a, const double *restrict x, double b, const double *restrict y,
                           double *restrict out) {
  for (uint64_t i = 0; i < n; i++) out[i] = out[i] + a * x[i] + b * y[i];
}

// a becomes its reflectors: row k holds that of step k from k + 1 on, factors[k] what it is applied with. Diagonal to d,
// what is beside it to e[1 …]. w: n.
static void tridiagonalize(uint64_t n, double *a, double *d, double *e, double *factors, double *w) {
  for (uint64_t k = 0; k + 1 < n; k++) {
    const uint64_t m = n - k - 1;
    double *v = a + k * n + k + 1;  // the row is the column, too
    d[k] = a[k * n + k];
    const double length = sqrt(dot(m, v, v));
    factors[k] = 0;
    e[k + 1] = v[0];
    if (m < 2 || dot(m - 1, v + 1, v + 1) == 0) continue;
    const double sign = v[0] > 0 ? -1 : 1;
    e[k + 1] = sign * length;
    v[0] -= sign * length;
    factors[k] = 2 / dot(m, v, v);
    for (uint64_t i = 0; i < m; i++) w[i] = factors[k] * dot(m, a + (k + 1 + i) * n + k + 1, v);
    add(m, -0.5 * factors[k] * dot(m, w, v), v, w);
    for (uint64_t i = 0; i < m; i++) {
      double *row = a + (k + 1 + i) * n + k + 1;
      add_two(m, -v[i], w, -w[i], v, row);
    }
  }
  d[n - 1] = a[n * n - 1];
}

// Rows of q: columns of the product of all reflections.
static void form(uint64_t n, const double *a, const double *factors, double *q) {
  memset(q, 0, n * n * sizeof(double));
  for (uint64_t i = 0; i < n; i++) q[i * n + i] = 1;
  for (uint64_t k = n - 1; k-- > 0;) {
    if (factors[k] == 0) continue;
    const double *v = a + k * n + k + 1;
    for (uint64_t i = k + 1; i < n; i++) {
      double *row = q + i * n + k + 1;
      add(n - k - 1, -factors[k] * dot(n - k - 1, row, v), v, row);
    }
  }
}

// A turn of rows `row` and row + 1 of the vectors.
typedef struct turned {
  double c, s;
  uint64_t row;
} turned;

_Static_assert(sizeof(turned) == 3 * sizeof(double), "turns are counted as doubles");

// The turns that the vectors still wait for.
typedef struct turns {
  uint64_t n, count;
  double *q;
  turned *kept;  // CPU_EIGEN_TURNS
} turns;

// All that are kept, in their order, on some columns after the others.
CLONES static void turn_rows(turns *t) {
  const uint64_t n = t->n;
  for (uint64_t from = 0; from < n; from += COLUMNS) {
    const uint64_t wide = n - from < COLUMNS ? n - from : COLUMNS;
    for (uint64_t k = 0; k < t->count; k++) {
      const double c = t->kept[k].c, s = t->kept[k].s;
      double *restrict x = t->q + t->kept[k].row * n + from, *restrict y = x + n;
      for (uint64_t i = 0; i < wide; i++) {
        const double kept = y[i];
        y[i] = s * x[i] + c * kept;
        x[i] = c * x[i] - s * kept;
      }
    }
  }
  t->count = 0;
}

// One implicit QL step on rows l … m, whose shift is from the top.
static void step(uint64_t l, uint64_t m, double *d, double *e, turns *t) {
  double g = (d[l + 1] - d[l]) / (2 * e[l]);
  double r = hypot(g, 1);
  g = d[m] - d[l] + e[l] / (g + copysign(r, g));
  double s = 1, c = 1, p = 0;
  for (uint64_t i = m; i-- > l;) {
    double f = s * e[i];
    const double b = c * e[i];
    r = hypot(f, g);
    e[i + 1] = r;
    if (r == 0) {
      d[i + 1] -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    if (t->count == CPU_EIGEN_TURNS) turn_rows(t);
    t->kept[t->count++] = (turned){c, s, i};
  }
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

// e[i] is beside d[i] and d[i + 1].
static bool diagonalize(uint64_t n, double *d, double *e, turns *t) {
  // What is below rounding of the largest is none: reflections have blurred it as much.
  double most = 0;
  for (uint64_t i = 0; i < n; i++) most = fmax(most, fabs(d[i]) + fabs(e[i]));
  for (uint64_t l = 0; l < n; l++) {
    for (uint32_t round = 0;; round++) {
      uint64_t m = l;
      while (m + 1 < n && !(fabs(e[m]) <= 0x1p-53 * most)) m++;
      if (m == l) break;
      if (round == ROUNDS) return false;
      step(l, m, d, e, t);
    }
  }
  turn_rows(t);
  return true;
}

bool cpu_eigen_symmetric(uint64_t n, const double *a, double *values, double *vectors, double *scratch) {
  if (n == 0) return true;
  double *copy = scratch, *e = copy + n * n, *factors = e + n;
  double most = 0;
  for (uint64_t i = 0; i < n; i++)
    for (uint64_t j = 0; j <= i; j++) {
      const double value = a[i * n + j];
      most = fabs(value) > most ? fabs(value) : most;
      copy[i * n + j] = copy[j * n + i] = value;
    }
  if (!isfinite(most)) return false;
  // Squares on the way neither overflow nor vanish.
  int exponent = 0;
  frexp(most, &exponent);
  for (uint64_t i = 0; i < n * n; i++) copy[i] = ldexp(copy[i], -exponent);
  tridiagonalize(n, copy, values, e, factors, vectors);
  form(n, copy, factors, vectors);
  for (uint64_t i = 0; i + 1 < n; i++) e[i] = e[i + 1];
  e[n - 1] = 0;
  turns waiting = {.n = n, .q = vectors, .kept = (turned *)(factors + n)};
  if (!diagonalize(n, values, e, &waiting)) return false;
  // Largest first; rows become columns.
  memcpy(copy, vectors, n * n * sizeof(double));
  for (uint64_t i = 0; i < n; i++) {
    uint64_t best = i;
    for (uint64_t j = i + 1; j < n; j++)
      if (values[j] > values[best]) best = j;
    const double value = values[best];
    values[best] = values[i];
    values[i] = ldexp(value, exponent);
    if (best != i)
      for (uint64_t j = 0; j < n; j++) {
        const double kept = copy[i * n + j];
        copy[i * n + j] = copy[best * n + j];
        copy[best * n + j] = kept;
      }
    for (uint64_t j = 0; j < n; j++) vectors[j * n + i] = copy[i * n + j];
  }
  return true;
}
