// <metal_pack>: fractions in 2 to 16 bits, the first component lowest.
namespace metal {
// Metal rounds to the nearest, NaN to zero.
MTL_INLINE uint mtl_to_fraction(float x, uint bits) { return uint(rint(saturate(x) * float((1u << bits) - 1))); }
MTL_INLINE float mtl_of_fraction(uint x, uint bits) { return mtl_precise::divide(float(x), float((1u << bits) - 1)); }
MTL_INLINE uint mtl_to_signed_fraction(float x, uint bits) {
  float top = float((1u << (bits - 1)) - 1);
  return uint(int(isnan(x) ? 0.0f : rint(clamp(x, -1.0f, 1.0f) * top))) & ((1u << bits) - 1);
}
MTL_INLINE float mtl_of_signed_fraction(uint x, uint bits) {
  int value = int(x << (32 - bits)) >> (32 - bits);
  return max(mtl_precise::divide(float(value), float((1u << (bits - 1)) - 1)), -1.0f);
}
MTL_INLINE float mtl_to_srgb(float x) {
  x = saturate(x);
  return x <= 0.0031308f ? x * 12.92f : 1.055f * mtl_precise::pow(x, 1.0f / 2.4f) - 0.055f;
}
MTL_INLINE float mtl_of_srgb(float x) {
  return x <= 0.04045f ? x / 12.92f : mtl_precise::pow((x + 0.055f) / 1.055f, 2.4f);
}

MTL_INLINE uint pack_float_to_unorm4x8(float4 v) {
  return mtl_to_fraction(v.x, 8) | mtl_to_fraction(v.y, 8) << 8 | mtl_to_fraction(v.z, 8) << 16 |
         mtl_to_fraction(v.w, 8) << 24;
}
MTL_INLINE uint pack_float_to_snorm4x8(float4 v) {
  return mtl_to_signed_fraction(v.x, 8) | mtl_to_signed_fraction(v.y, 8) << 8 | mtl_to_signed_fraction(v.z, 8) << 16 |
         mtl_to_signed_fraction(v.w, 8) << 24;
}
MTL_INLINE uint pack_float_to_srgb_unorm4x8(float4 v) {
  return pack_float_to_unorm4x8(float4(mtl_to_srgb(v.x), mtl_to_srgb(v.y), mtl_to_srgb(v.z), v.w));
}
MTL_INLINE uint pack_float_to_unorm2x16(float2 v) { return mtl_to_fraction(v.x, 16) | mtl_to_fraction(v.y, 16) << 16; }
MTL_INLINE uint pack_float_to_snorm2x16(float2 v) {
  return mtl_to_signed_fraction(v.x, 16) | mtl_to_signed_fraction(v.y, 16) << 16;
}
MTL_INLINE uint pack_float_to_unorm10a2(float4 v) {
  return mtl_to_fraction(v.x, 10) | mtl_to_fraction(v.y, 10) << 10 | mtl_to_fraction(v.z, 10) << 20 |
         mtl_to_fraction(v.w, 2) << 30;
}
MTL_INLINE ushort pack_float_to_unorm565(float3 v) {
  return ushort(mtl_to_fraction(v.x, 5) | mtl_to_fraction(v.y, 6) << 5 | mtl_to_fraction(v.z, 5) << 11);
}
MTL_INLINE uint pack_half_to_unorm4x8(half4 v) { return pack_float_to_unorm4x8(float4(v)); }
MTL_INLINE uint pack_half_to_snorm4x8(half4 v) { return pack_float_to_snorm4x8(float4(v)); }
MTL_INLINE uint pack_half_to_srgb_unorm4x8(half4 v) { return pack_float_to_srgb_unorm4x8(float4(v)); }
MTL_INLINE uint pack_half_to_unorm2x16(half2 v) { return pack_float_to_unorm2x16(float2(v)); }
MTL_INLINE uint pack_half_to_snorm2x16(half2 v) { return pack_float_to_snorm2x16(float2(v)); }
MTL_INLINE uint pack_half_to_unorm10a2(half4 v) { return pack_float_to_unorm10a2(float4(v)); }
MTL_INLINE ushort pack_half_to_unorm565(half3 v) { return pack_float_to_unorm565(float3(v)); }

MTL_INLINE float4 unpack_unorm4x8_to_float(uint x) {
  return float4(mtl_of_fraction(x & 255, 8), mtl_of_fraction(x >> 8 & 255, 8), mtl_of_fraction(x >> 16 & 255, 8),
                mtl_of_fraction(x >> 24, 8));
}
MTL_INLINE float4 unpack_snorm4x8_to_float(uint x) {
  return float4(mtl_of_signed_fraction(x, 8), mtl_of_signed_fraction(x >> 8, 8), mtl_of_signed_fraction(x >> 16, 8),
                mtl_of_signed_fraction(x >> 24, 8));
}
MTL_INLINE float4 unpack_unorm4x8_srgb_to_float(uint x) {
  float4 v = unpack_unorm4x8_to_float(x);
  return float4(mtl_of_srgb(v.x), mtl_of_srgb(v.y), mtl_of_srgb(v.z), v.w);
}
MTL_INLINE float2 unpack_unorm2x16_to_float(uint x) {
  return float2(mtl_of_fraction(x & 65535, 16), mtl_of_fraction(x >> 16, 16));
}
MTL_INLINE float2 unpack_snorm2x16_to_float(uint x) {
  return float2(mtl_of_signed_fraction(x, 16), mtl_of_signed_fraction(x >> 16, 16));
}
MTL_INLINE float4 unpack_unorm10a2_to_float(uint x) {
  return float4(mtl_of_fraction(x & 1023, 10), mtl_of_fraction(x >> 10 & 1023, 10), mtl_of_fraction(x >> 20 & 1023, 10),
                mtl_of_fraction(x >> 30, 2));
}
MTL_INLINE float3 unpack_unorm565_to_float(ushort x) {
  return float3(mtl_of_fraction(x & 31, 5), mtl_of_fraction(x >> 5 & 63, 6), mtl_of_fraction(x >> 11, 5));
}
MTL_INLINE half4 unpack_unorm4x8_to_half(uint x) { return half4(unpack_unorm4x8_to_float(x)); }
MTL_INLINE half4 unpack_snorm4x8_to_half(uint x) { return half4(unpack_snorm4x8_to_float(x)); }
MTL_INLINE half4 unpack_unorm4x8_srgb_to_half(uint x) { return half4(unpack_unorm4x8_srgb_to_float(x)); }
MTL_INLINE half2 unpack_unorm2x16_to_half(uint x) { return half2(unpack_unorm2x16_to_float(x)); }
MTL_INLINE half2 unpack_snorm2x16_to_half(uint x) { return half2(unpack_snorm2x16_to_float(x)); }
MTL_INLINE half4 unpack_unorm10a2_to_half(uint x) { return half4(unpack_unorm10a2_to_float(x)); }
MTL_INLINE half3 unpack_unorm565_to_half(ushort x) { return half3(unpack_unorm565_to_float(x)); }
}  // namespace metal
