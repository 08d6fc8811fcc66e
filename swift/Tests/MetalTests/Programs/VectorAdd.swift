import Metal

// Adds two arrays as Apple's first sample for computing does, through private memory and blits.

private let source = """
  #include <metal_stdlib>
  using namespace metal;
  /// This is a Metal Shading Language (MSL) function equivalent to a C loop over an array.
  kernel void add_arrays(device const float* inA,
                         device const float* inB,
                         device float* result,
                         uint index [[thread_position_in_grid]])
  {
      result[index] = inA[index] + inB[index];
  }
  """

final class MetalAdder {
  let device: MTLDevice
  let addFunctionPSO: MTLComputePipelineState
  let commandQueue: MTLCommandQueue

  init(device: MTLDevice) throws {
    self.device = device
    let library = try device.makeLibrary(source: source, options: nil)
    guard let addFunction = library.makeFunction(name: "add_arrays") else { fatalError("Failed to find the adder function.") }
    addFunctionPSO = try device.makeComputePipelineState(function: addFunction)
    commandQueue = device.makeCommandQueue()!
  }

  private func upload(_ values: [Float], with blit: MTLBlitCommandEncoder) -> MTLBuffer {
    let length = values.count * MemoryLayout<Float>.stride
    let staging = device.makeBuffer(bytes: values, length: length, options: .storageModeShared)!
    let buffer = device.makeBuffer(length: length, options: .storageModePrivate)!
    blit.copy(from: staging, sourceOffset: 0, to: buffer, destinationOffset: 0, size: length)
    return buffer
  }

  func add(_ a: [Float], _ b: [Float]) -> (sums: [Float], gpuTime: Double) {
    let length = a.count * MemoryLayout<Float>.stride
    let commandBuffer = commandQueue.makeCommandBuffer()!
    commandBuffer.label = "Add arrays"

    let uploads = commandBuffer.makeBlitCommandEncoder()!
    let bufferA = upload(a, with: uploads)
    let bufferB = upload(b, with: uploads)
    let result = device.makeBuffer(length: length, options: .storageModePrivate)!
    uploads.fill(buffer: result, range: 0..<length, value: 0xff)
    uploads.endEncoding()

    let computeEncoder = commandBuffer.makeComputeCommandEncoder()!
    computeEncoder.setComputePipelineState(addFunctionPSO)
    computeEncoder.setBuffers([bufferA, bufferB, result], offsets: [0, 0, 0], range: 0..<3)
    let gridSize = MTLSizeMake(a.count, 1, 1)
    let threadGroupSize = min(addFunctionPSO.maxTotalThreadsPerThreadgroup, a.count)
    computeEncoder.dispatchThreads(gridSize, threadsPerThreadgroup: MTLSizeMake(threadGroupSize, 1, 1))
    computeEncoder.endEncoding()

    let readback = device.makeBuffer(length: length)!
    let download = commandBuffer.makeBlitCommandEncoder()!
    download.copy(from: result, sourceOffset: 0, to: readback, destinationOffset: 0, size: length)
    download.endEncoding()

    commandBuffer.commit()
    commandBuffer.waitUntilCompleted()
    let sums = UnsafeBufferPointer(start: readback.contents().assumingMemoryBound(to: Float.self), count: a.count)
    return (Array(sums), commandBuffer.gpuEndTime - commandBuffer.gpuStartTime)
  }
}
