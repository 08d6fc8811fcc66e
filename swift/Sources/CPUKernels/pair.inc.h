// One pair in double, in eight partial sums whatever the instruction set, never contracted:
// the number every backend must agree on. Formulas are those of faiss's extra distances.

INLINE vd load_doubles(const float *p, uint32_t n) {
  vf8 v;
  if (n >= 8) {
    memcpy(&v, p, sizeof v);
  } else {
    float part[8] = {0};
    memcpy(part, p, n * sizeof(float));
    memcpy(&v, part, sizeof v);
  }
  return __builtin_convertvector(v, vd);
}

#define FOR_EIGHT(x_name, y_name)                                                    \
  for (uint32_t j = 0; j < d; j += 8)                                                \
    for (vd x_name = load_doubles(x + j, d - j), y_name = load_doubles(y + j, d - j), \
            *once = &(vd){0};                                                        \
         once; once = NULL)

static uint32_t FN(hamming)(const uint8_t *x, const uint8_t *y, uint32_t bytes) {
  uint32_t distance = 0, i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t a, b;
    memcpy(&a, x + i, 8);
    memcpy(&b, y + i, 8);
    distance += (uint32_t)__builtin_popcountll(a ^ b);
  }
  for (; i < bytes; i++) distance += (uint32_t)__builtin_popcount(x[i] ^ y[i]);
  return distance;
}

static double FN(pair)(uint32_t metric, double arg, const float *x, const float *y, uint32_t d) {
  vd sum = 0.0, other = 0.0, third = 0.0;
  switch (metric) {
    case 0:  // inner product
      FOR_EIGHT(a, b) sum += a * b;
      return sum_doubles(sum);
    case 1:  // L2
      FOR_EIGHT(a, b) sum += (a - b) * (a - b);
      return sum_doubles(sum);
    case 2:  // L1
      FOR_EIGHT(a, b) sum += __builtin_elementwise_abs(a - b);
      return sum_doubles(sum);
    case 3: {  // Linf
      FOR_EIGHT(a, b) sum = __builtin_elementwise_max(sum, __builtin_elementwise_abs(a - b));
      double most = 0;
      for (uint32_t i = 0; i < 8; i++) most = sum[i] > most ? sum[i] : most;
      return most;
    }
    case 21:  // Bray-Curtis
      FOR_EIGHT(a, b) {
        sum += __builtin_elementwise_abs(a - b);
        other += __builtin_elementwise_abs(a + b);
      }
      return sum_doubles(sum) / sum_doubles(other);
    case 23:  // Jaccard
      FOR_EIGHT(a, b) {
        sum += __builtin_elementwise_min(a, b);
        other += __builtin_elementwise_max(a, b);
      }
      return sum_doubles(sum) / sum_doubles(other);
    case 100: {  // cosine; 0 for a vector of length 0
      FOR_EIGHT(a, b) {
        sum += a * b;
        other += a * a;
        third += b * b;
      }
      double lengths = sqrt(sum_doubles(other)) * sqrt(sum_doubles(third));
      return lengths > 0 ? sum_doubles(sum) / lengths : 0;
    }
    case 101: return FN(hamming)((const uint8_t *)x, (const uint8_t *)y, 4 * d);  // bits
    default: break;
  }
  double total = 0, present = 0;
  for (uint32_t j = 0; j < d; j++) {
    double a = x[j], b = y[j];
    switch (metric) {
      case 4: total += pow(fabs(a - b), arg); break;  // Lp
      case 20: total += fabs(a - b) / (fabs(a) + fabs(b)); break;  // Canberra
      case 22: {  // Jensen-Shannon
        double middle = 0.5 * (a + b);
        total += 0.5 * (-a * log(middle / a) - b * log(middle / b));
        break;
      }
      default:  // NaN-aware Euclidean
        if (!isnan(a) && !isnan(b)) {
          total += (a - b) * (a - b);
          present += 1;
        }
    }
  }
  if (metric == 24) return present > 0 ? total * d / present : NAN;
  return total;
}

static uint64_t FN(find_nonfinite)(const float *x, uint64_t count) {
  uint64_t i = 0;
  // 0 * x is 0 for a finite x and NaN otherwise.
  for (; i + 4 * LANES <= count; i += 4 * LANES) {
    vf zero = load(x + i) * 0.0f;
    for (uint32_t w = 1; w < 4; w++) zero += load(x + i + w * LANES) * 0.0f;
    if (!(sum_lanes(zero) == 0.0f)) break;
  }
  for (; i < count; i++)
    if (!(x[i] * 0.0f == 0.0f)) break;
  return i;
}

static void FN(accumulate)(const float *x, uint64_t rows, uint32_t d, double *sums, double *squares) {
  double total = 0;
  for (uint64_t i = 0; i < rows; i++) {
    const float *row = x + i * d;
    vd square = 0.0;
    uint32_t j = 0;
    for (; j + 8 <= d; j += 8) {
      vd value = load_doubles(row + j, 8), sum;
      memcpy(&sum, sums + j, sizeof sum);
      sum += value;
      memcpy(sums + j, &sum, sizeof sum);
      square += value * value;
    }
    for (; j < d; j++) {
      sums[j] += row[j];
      total += (double)row[j] * row[j];
    }
    total += sum_doubles(square);
  }
  *squares += total;
}
