// What this core can do at best, for the roofline: dependent only on themselves.

static double FN(peak_fma)(uint64_t rounds) {
  vf sums[12];
  UNROLL for (uint32_t i = 0; i < 12; i++) sums[i] = (vf)(float)i;
  vf a = (vf)0.5f, b = (vf)0.25f;
  for (uint64_t r = 0; r < rounds; r++) {
    UNROLL for (uint32_t i = 0; i < 12; i++) {
      sums[i] = fma_v(sums[i], a, b);
#if defined(__x86_64__) && LANES > 1
      __asm__ volatile("" : "+v"(sums[i]));
#elif LANES > 1
      __asm__ volatile("" : "+w"(sums[i]));
#endif
    }
  }
  float total = 0;
  UNROLL for (uint32_t i = 0; i < 12; i++) total += sum_lanes(sums[i]);
  return total == 12345.0f ? 0 : (double)rounds * 12 * 2 * LANES;
}

static float FN(read_all)(const float *x, uint64_t count) {
  vf sums[4];
  UNROLL for (uint32_t w = 0; w < 4; w++) sums[w] = (vf)0.0f;
  for (uint64_t i = 0; i + 4 * LANES <= count; i += 4 * LANES)
    UNROLL for (uint32_t w = 0; w < 4; w++) sums[w] += load(x + i + w * LANES);
  return sum_lanes(sums[0] + sums[1] + sums[2] + sums[3]);
}
