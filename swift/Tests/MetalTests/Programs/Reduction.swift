import Metal

// Sums an array: within simdgroups, across them through a threadgroup argument, across threadgroups by an atomic.

private let source = """
  #include <metal_stdlib>
  #include <metal_atomic>
  #include <metal_simdgroup>
  using namespace metal;

  kernel void reduce(device const int *input [[buffer(0)]],
                     constant uint &count [[buffer(1)]],
                     device atomic_int *total [[buffer(2)]],
                     device float *largest [[buffer(3)]],
                     threadgroup int *shared [[threadgroup(0)]],
                     uint gid [[thread_position_in_grid]],
                     uint tid [[thread_index_in_threadgroup]],
                     uint group [[threadgroup_position_in_grid]],
                     uint lane [[thread_index_in_simdgroup]],
                     uint simd [[simdgroup_index_in_threadgroup]],
                     uint simds [[simdgroups_per_threadgroup]])
  {
      int value = gid < count ? input[gid] : 0;
      value = simd_sum(value);
      if (lane == 0) shared[simd] = value;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (simd == 0) {
          int sum = simd_sum(lane < simds ? shared[lane] : 0);
          if (lane == 0) atomic_fetch_add_explicit(total, sum, memory_order_relaxed);
      }
      float most = simd_max(float(gid < count ? input[gid] : 0));
      if (tid == 0) largest[group] = most;
  }
  """

func sum(device: MTLDevice, _ values: [Int32]) throws -> Int32 {
  let library = try device.makeLibrary(source: source, options: nil)
  let state = try device.makeComputePipelineState(function: library.makeFunction(name: "reduce")!)
  let width = min(256, state.maxTotalThreadsPerThreadgroup)
  let groups = (values.count + width - 1) / width
  let input = device.makeBuffer(bytes: values, length: values.count * MemoryLayout<Int32>.stride, options: [])!
  let total = device.makeBuffer(length: MemoryLayout<Int32>.stride, options: [])!
  total.contents().storeBytes(of: 0, as: Int32.self)
  let largest = device.makeBuffer(length: groups * MemoryLayout<Float>.stride)!
  var count = UInt32(values.count)

  let commandBuffer = device.makeCommandQueue()!.makeCommandBuffer()!
  let encoder = commandBuffer.makeComputeCommandEncoder()!
  encoder.setComputePipelineState(state)
  encoder.setBuffer(input, offset: 0, index: 0)
  encoder.setBytes(&count, length: MemoryLayout.size(ofValue: count), index: 1)
  encoder.setBuffer(total, offset: 0, index: 2)
  encoder.setBuffer(largest, offset: 0, index: 3)
  encoder.setThreadgroupMemoryLength(width / state.threadExecutionWidth * MemoryLayout<Int32>.stride, index: 0)
  encoder.dispatchThreadgroups(
    MTLSize(width: groups, height: 1, depth: 1), threadsPerThreadgroup: MTLSize(width: width, height: 1, depth: 1))
  encoder.endEncoding()
  commandBuffer.commit()
  commandBuffer.waitUntilCompleted()
  if let error = commandBuffer.error { throw error }
  return total.contents().load(as: Int32.self)
}
