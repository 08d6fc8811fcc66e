import Metal

// A tiled matrix product: tiles in threadgroup arrays, sizes in a struct, partial tiles at the edges.

private let source = """
  #include <metal_stdlib>
  using namespace metal;

  constant constexpr uint TILE = 16;

  struct Sizes {
      uint rows;
      uint columns;
      uint inner;
  };

  [[kernel]] void matmul(const device float *A [[buffer(0)]],
                         const device float *B [[buffer(1)]],
                         device float *C [[buffer(2)]],
                         constant Sizes &sizes [[buffer(3)]],
                         uint2 tid [[thread_position_in_threadgroup]],
                         uint2 group [[threadgroup_position_in_grid]]) {
      threadgroup float tileA[TILE][TILE];
      threadgroup float tileB[TILE][TILE];
      const uint row = group.y * TILE + tid.y;
      const uint column = group.x * TILE + tid.x;
      float sum = 0;
      for (uint k = 0; k < sizes.inner; k += TILE) {
          tileA[tid.y][tid.x] = row < sizes.rows && k + tid.x < sizes.inner ? A[row * sizes.inner + k + tid.x] : 0;
          tileB[tid.y][tid.x] = k + tid.y < sizes.inner && column < sizes.columns ? B[(k + tid.y) * sizes.columns + column] : 0;
          threadgroup_barrier(mem_flags::mem_threadgroup);
          for (uint i = 0; i < TILE; ++i) { sum = fma(tileA[tid.y][i], tileB[i][tid.x], sum); }
          threadgroup_barrier(mem_flags::mem_threadgroup);
      }
      if (row < sizes.rows && column < sizes.columns) { C[row * sizes.columns + column] = sum; }
  }
  """

struct MatrixSizes {
  var rows: UInt32
  var columns: UInt32
  var inner: UInt32
}

func multiply(device: MTLDevice, _ a: [Float], _ b: [Float], _ sizes: MatrixSizes) throws -> [Float] {
  let library = try device.makeLibrary(source: source, options: MTLCompileOptions())
  let descriptor = MTLComputePipelineDescriptor()
  descriptor.label = "Tiled matrix product"
  descriptor.computeFunction = library.makeFunction(name: "matmul")
  descriptor.threadGroupSizeIsMultipleOfThreadExecutionWidth = true
  let pipeline = try device.makeComputePipelineState(descriptor: descriptor, options: [], reflection: nil)
  precondition(pipeline.staticThreadgroupMemoryLength >= 2 * 16 * 16 * 4)

  let count = Int(sizes.rows * sizes.columns)
  let bufferA = device.makeBuffer(bytes: a, length: a.count * 4)
  let bufferB = device.makeBuffer(bytes: b, length: b.count * 4)
  guard let bufferC = device.makeBuffer(length: count * 4, options: [.storageModeShared, .cpuCacheModeDefaultCache]),
    let queue = device.makeCommandQueue(),
    let commands = queue.makeCommandBuffer(),
    let encoder = commands.makeComputeCommandEncoder(dispatchType: .concurrent)
  else { fatalError("Metal objects could not be made") }
  var sizes = sizes
  encoder.label = "Product"
  encoder.pushDebugGroup("Tiles")
  encoder.setComputePipelineState(pipeline)
  encoder.setBuffer(bufferA, offset: 0, index: 0)
  encoder.setBuffer(bufferB, offset: 0, index: 1)
  encoder.setBuffer(bufferC, offset: 0, index: 2)
  encoder.setBytes(&sizes, length: MemoryLayout<MatrixSizes>.stride, index: 3)
  encoder.useResource(bufferC, usage: [.read, .write])
  let threads = MTLSize(width: 16, height: 16, depth: 1)
  let groups = MTLSize(width: (Int(sizes.columns) + 15) / 16, height: (Int(sizes.rows) + 15) / 16, depth: 1)
  encoder.dispatchThreadgroups(groups, threadsPerThreadgroup: threads)
  encoder.memoryBarrier(scope: .buffers)
  encoder.popDebugGroup()
  encoder.endEncoding()
  commands.commit()
  commands.waitUntilCompleted()
  if let error = commands.error { throw error }
  let result = bufferC.contents().bindMemory(to: Float.self, capacity: count)
  return (0..<count).map { result[$0] }
}
