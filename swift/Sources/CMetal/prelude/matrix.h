// <metal_matrix>: columns of vectors.
namespace metal {
template <typename T, int Columns, int Rows>
struct matrix {
  static_assert(mtl_kind<T> == mtl_real, "matrices are of float or half");
  using mtl_column = vec<T, Rows>;
  mtl_column columns[Columns];

  matrix() = default;
  // On the diagonal.
  MTL_INLINE constexpr explicit matrix(T diagonal) : columns{} {
    for (int i = 0; i < Columns && i < Rows; i++) columns[i][i] = diagonal;
  }
  template <typename... A, mtl_if<sizeof...(A) == Columns && (is_same_v<mtl_value_of<A>, mtl_column> && ...)> = 0>
  MTL_INLINE constexpr matrix(const A &...column) : columns{column...} {}
  template <typename... A, mtl_if<sizeof...(A) == Columns * Rows && (mtl_is_scalar<A> && ...)> = 0>
  MTL_INLINE constexpr matrix(const A &...element) : columns{} {
    T all[] = {T(element)...};
    for (int i = 0; i < Columns * Rows; i++) columns[i / Rows][i % Rows] = all[i];
  }
  template <typename U, mtl_if<!is_same_v<U, T>> = 0>
  MTL_INLINE constexpr explicit matrix(const matrix<U, Columns, Rows> &m) : columns{} {
    for (int i = 0; i < Columns; i++) columns[i] = mtl_column(m.columns[i]);
  }
  MTL_INLINE constexpr mtl_column &operator[](int i) { return columns[i]; }
  MTL_INLINE constexpr const mtl_column &operator[](int i) const { return columns[i]; }

#define MTL_BY_COLUMN(op) \
  friend MTL_INLINE matrix operator op(const matrix &a, const matrix &b) { \
    matrix r; \
    MTL_UNROLL for (int i = 0; i < Columns; i++) r.columns[i] = a.columns[i] op b.columns[i]; \
    return r; \
  } \
  MTL_INLINE matrix &operator op##=(const matrix & b) { return *this = *this op b; }
  MTL_BY_COLUMN(+)
  MTL_BY_COLUMN(-)
#undef MTL_BY_COLUMN
  friend MTL_INLINE matrix operator-(const matrix &a) { return a * T(-1); }
  friend MTL_INLINE matrix operator*(const matrix &a, T b) {
    matrix r;
    MTL_UNROLL for (int i = 0; i < Columns; i++) r.columns[i] = a.columns[i] * b;
    return r;
  }
  friend MTL_INLINE matrix operator*(T a, const matrix &b) { return b * a; }
  MTL_INLINE matrix &operator*=(T b) { return *this = *this * b; }
  MTL_INLINE matrix &operator*=(const matrix<T, Columns, Columns> &b) { return *this = *this * b; }
  friend MTL_INLINE mtl_column operator*(const matrix &a, vec<T, Columns> b) {
    mtl_column r = a.columns[0] * b[0];
    MTL_UNROLL for (int i = 1; i < Columns; i++) r = r + a.columns[i] * b[i];
    return r;
  }
  friend MTL_INLINE vec<T, Columns> operator*(mtl_column a, const matrix &b) {
    vec<T, Columns> r;
    MTL_UNROLL for (int i = 0; i < Columns; i++) r[i] = dot(a, b.columns[i]);
    return r;
  }
  friend MTL_INLINE bool operator==(const matrix &a, const matrix &b) {
    bool same = true;
    for (int i = 0; i < Columns; i++) same = same && all(a.columns[i] == b.columns[i]);
    return same;
  }
  friend MTL_INLINE bool operator!=(const matrix &a, const matrix &b) { return !(a == b); }
};
template <typename T, int Inner, int Rows, int Columns>
MTL_INLINE matrix<T, Columns, Rows> operator*(const matrix<T, Inner, Rows> &a, const matrix<T, Columns, Inner> &b) {
  matrix<T, Columns, Rows> r;
  MTL_UNROLL for (int i = 0; i < Columns; i++) r.columns[i] = a * b.columns[i];
  return r;
}
template <typename T, int Columns, int Rows>
MTL_INLINE matrix<T, Rows, Columns> transpose(const matrix<T, Columns, Rows> &m) {
  matrix<T, Rows, Columns> r;
  MTL_UNROLL for (int i = 0; i < Columns; i++) MTL_UNROLL for (int j = 0; j < Rows; j++) r.columns[j][i] =
      m.columns[i][j];
  return r;
}
template <typename T>
MTL_INLINE T determinant(const matrix<T, 2, 2> &m) {
  return m[0].x * m[1].y - m[0].y * m[1].x;
}
template <typename T>
MTL_INLINE T determinant(const matrix<T, 3, 3> &m) {
  return dot(m[0], cross(m[1], m[2]));
}
template <typename T>
MTL_INLINE T determinant(const matrix<T, 4, 4> &m) {
  T sum = T(0);
  MTL_UNROLL for (int i = 0; i < 4; i++) {
    // Without column i and row 0.
    vec<T, 3> kept[3];
    MTL_UNROLL for (int j = 0; j < 3; j++) kept[j] = m[j < i ? j : j + 1].template mtl_get<1, 2, 3>();
    T minor = dot(kept[0], cross(kept[1], kept[2]));
    sum = i % 2 ? sum - m[i].x * minor : sum + m[i].x * minor;
  }
  return sum;
}

#define MTL_SIZES(f, scalar) \
  f(scalar, 2, 2) f(scalar, 2, 3) f(scalar, 2, 4) f(scalar, 3, 2) f(scalar, 3, 3) f(scalar, 3, 4) f(scalar, 4, 2) \
      f(scalar, 4, 3) f(scalar, 4, 4)
#define MTL_NAMED(scalar, columns, rows) using scalar##columns##x##rows = matrix<scalar, columns, rows>;
MTL_SIZES(MTL_NAMED, float)
MTL_SIZES(MTL_NAMED, half)
}  // namespace metal
#define MTL_SHOWN(scalar, columns, rows) using metal::scalar##columns##x##rows;
MTL_SIZES(MTL_SHOWN, float)
MTL_SIZES(MTL_SHOWN, half)
#undef MTL_NAMED
#undef MTL_SHOWN
#undef MTL_SIZES
