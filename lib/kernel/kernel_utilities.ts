/**
 * What stands before every custom kernel: names of the types, arithmetic
 * of bfloat, and the place of an element.
 *
 * @module
 */

const unary =
  "acos acosh asin asinh atan atanh ceil cos cosh cospi exp exp10 exp2 fabs floor fract log " +
  "log10 log2 rint round rsqrt sin sinh sinpi sqrt tan tanh tanpi trunc";
const binary = "atan2 fdim fmax fmin fmod max min pow powr";

/** Metal's library knows no bfloat; MLX's kernels expect that it does. */
function bfloatMath(): string {
  const lines = [
    ...unary.split(" ").map((f) =>
      `inline bfloat ${f}(bfloat x) { return bfloat(${f}(float(x))); }`
    ),
    ...binary.split(" ").map((f) =>
      `inline bfloat ${f}(bfloat x, bfloat y) { return bfloat(${f}(float(x), float(y))); }`
    ),
  ];
  return `namespace metal {\n${lines.join("\n")}\n}\n`;
}

/** MSL text. */
export const kernelUtilities: string = `#include <metal_stdlib>
using namespace metal;
typedef half float16_t;
typedef bfloat bfloat16_t;
${bfloatMath()}

/// Place of the element with a number, row by row, in an array of any strides.
template <typename I>
inline I elem_to_loc(I elem, constant const int* shape, constant const int64_t* strides, int ndim) {
  I loc = 0;
  for (int i = ndim - 1; i >= 0 && elem > 0; --i) {
    loc += (elem % I(shape[i])) * I(strides[i]);
    elem /= I(shape[i]);
  }
  return loc;
}

/// The same, by position: x along the last axis, y along the one before, z along all others.
inline int64_t elem_to_loc(uint3 elem, constant const int* shape, constant const int64_t* strides, int ndim) {
  int64_t loc = int64_t(elem.x) * strides[ndim - 1] + int64_t(elem.y) * strides[ndim - 2];
  for (int i = ndim - 3; i >= 0; --i) {
    loc += int64_t(elem.z % uint(shape[i])) * strides[i];
    elem.z /= uint(shape[i]);
  }
  return loc;
}

template <typename T, typename U>
inline T ceildiv(T n, U m) {
  return (n + m - 1) / m;
}
`;
