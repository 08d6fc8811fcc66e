// <metal_simdgroup_matrix>: 8 x 8 elements, two a lane, in Apple's layout: bits 4, 2, 1 of the lane are the row,
// bits 3, 0 the pair of columns.
namespace metal {
MTL_INLINE ushort2 mtl_element_place(uint lane) {
  return ushort2(ushort((lane >> 2 & 4) | (lane >> 1 & 3)), ushort((lane >> 1 & 4) | (lane << 1 & 2)));
}
// The lane that has (row, column) and the next one.
MTL_INLINE uint mtl_element_lane(uint row, uint column) {
  return (row << 2 & 16) | (row << 1 & 6) | (column << 1 & 8) | (column >> 1 & 1);
}

template <typename T, int Columns, int Rows>
struct simdgroup_matrix {
  static_assert(mtl_is_floating<T> && Columns == 8 && Rows == 8,
                "simdgroup matrices are 8 x 8 of float, half or bfloat");
  using storage_type = vec<T, 2>;
  storage_type mtl_elements;
  simdgroup_matrix() = default;
  // On the diagonal.
  MTL_INLINE explicit simdgroup_matrix(T diagonal) {
    ushort2 place = mtl_element_place(mtl_lane());
    mtl_elements = storage_type(place.x == place.y ? diagonal : T(0), place.x == place.y + 1 ? diagonal : T(0));
  }
  MTL_INLINE storage_type &thread_elements() { return mtl_elements; }
  MTL_INLINE const storage_type &thread_elements() const { return mtl_elements; }
};
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;
using simdgroup_bfloat8x8 = simdgroup_matrix<bfloat, 8, 8>;

template <typename T, int Columns, int Rows>
MTL_INLINE simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(mtl_value_type<T> value) {
  simdgroup_matrix<T, Columns, Rows> m;
  m.mtl_elements = vec<T, 2>(value);
  return m;
}
template <typename T, int Columns, int Rows>
MTL_INLINE simdgroup_matrix<T, Columns, Rows> make_diagonal_simdgroup_matrix(mtl_value_type<T> value) {
  return simdgroup_matrix<T, Columns, Rows>(value);
}

// matrix_origin: column and row in memory, also of what is transposed.
template <typename T>
MTL_INLINE void simdgroup_load(simdgroup_matrix<T, 8, 8> &m, const mtl_value_type<T> *from, ulong elements_per_row = 8,
                               ulong2 matrix_origin = ulong2(0), bool transpose_matrix = false) {
  ushort2 place = mtl_element_place(mtl_lane());
  from += matrix_origin.y * elements_per_row + matrix_origin.x;
  if (transpose_matrix) {
    from += place.y * elements_per_row + place.x;
    m.mtl_elements = vec<T, 2>(from[0], from[elements_per_row]);
  } else {
    from += place.x * elements_per_row + place.y;
    m.mtl_elements = vec<T, 2>(from[0], from[1]);
  }
}
template <typename T>
MTL_INLINE void simdgroup_store(simdgroup_matrix<T, 8, 8> m, mtl_value_type<T> *to, ulong elements_per_row = 8,
                                ulong2 matrix_origin = ulong2(0), bool transpose_matrix = false) {
  ushort2 place = mtl_element_place(mtl_lane());
  to += matrix_origin.y * elements_per_row + matrix_origin.x;
  if (transpose_matrix) {
    to += place.y * elements_per_row + place.x;
    to[0] = m.mtl_elements.x, to[elements_per_row] = m.mtl_elements.y;
  } else {
    to += place.x * elements_per_row + place.y;
    to[0] = m.mtl_elements.x, to[1] = m.mtl_elements.y;
  }
}

template <typename A, typename B>
struct mtl_factors {
  vec<A, 2> left;
  vec<B, 2> right;
};
// sum + a b, in float, rounded to S at the end.
template <typename S, typename A, typename B>
MTL_INLINE vec<S, 2> mtl_multiply(vec<S, 2> sum, vec<A, 2> a, vec<B, 2> b MTL_SITE) {
  mtl_lanes<mtl_factors<A, B>> lanes({a, b} MTL_PASS);
  ushort2 place = mtl_element_place(lanes.own());
  float x = float(sum.x), y = float(sum.y);
  MTL_UNROLL for (uint k = 0; k < 8; k += 2) {
    vec<A, 2> row = lanes.get(mtl_element_lane(place.x, k), &mtl_factors<A, B>::left);
    vec<B, 2> upper = lanes.get(mtl_element_lane(k, place.y), &mtl_factors<A, B>::right);
    vec<B, 2> lower = lanes.get(mtl_element_lane(k + 1, place.y), &mtl_factors<A, B>::right);
    x = x + float(row.x) * float(upper.x);
    y = y + float(row.x) * float(upper.y);
    x = x + float(row.y) * float(lower.x);
    y = y + float(row.y) * float(lower.y);
  }
  return vec<S, 2>(S(x), S(y));
}
template <typename S, typename A, typename B>
MTL_INLINE void simdgroup_multiply(simdgroup_matrix<S, 8, 8> &d, simdgroup_matrix<A, 8, 8> a,
                                   simdgroup_matrix<B, 8, 8> b MTL_SITE) {
  d.mtl_elements = mtl_multiply(vec<S, 2>(S(0)), a.mtl_elements, b.mtl_elements MTL_PASS);
}
template <typename S, typename A, typename B, typename C>
MTL_INLINE void simdgroup_multiply_accumulate(simdgroup_matrix<S, 8, 8> &d, simdgroup_matrix<A, 8, 8> a,
                                              simdgroup_matrix<B, 8, 8> b, simdgroup_matrix<C, 8, 8> c MTL_SITE) {
  d.mtl_elements = mtl_multiply(vec<S, 2>(c.mtl_elements), a.mtl_elements, b.mtl_elements MTL_PASS);
}
}  // namespace metal
using metal::simdgroup_bfloat8x8;
using metal::simdgroup_float8x8;
using metal::simdgroup_half8x8;
