// Instantiations of compensated.h: <what>_<summation>_f32; largest_f32 and merge_limbs are of none.
#include "compensated.h"
#include "instantiate.h"

#define instantiate_sums(name, term)                                        \
  instantiate_kernel(name "_plain_f32", sum_terms, term, PlainSum)          \
  instantiate_kernel(name "_kahan_f32", sum_terms, term, KahanSum)          \
  instantiate_kernel(name "_two_float_f32", sum_terms, term, TwoFloatSum)

instantiate_sums("sum", TermX)
instantiate_sums("dot", TermProduct)
instantiate_sums("norm2", TermSquare)
instantiate_kernel("sum_limbs_f32", sum_limbs, false)
instantiate_kernel("dot_limbs_f32", sum_limbs, true)
