// <metal_quadgroup>: values between the active lanes of 4.
namespace metal {
MTL_GROUP_OPERATIONS(quad_, 4)
}  // namespace metal
