import Metal

// One kernel, made into several by function constants, set by index and by name.

private let source = """
  #include <metal_stdlib>
  using namespace metal;

  constant float scale [[function_constant(0)]];
  constant bool squares [[function_constant(1)]];
  constant int offset [[function_constant(2)]];
  constant int start = is_function_constant_defined(offset) ? offset : 100;

  kernel void transform(device float *values, uint i [[thread_position_in_grid]]) {
      float value = values[i];
      if (squares) { value *= value; }
      values[i] = value * scale + float(start);
  }
  """

struct Variant {
  var scale: Float
  var squares: Bool
  var offset: Int32?
}

func transform(device: MTLDevice, _ values: [Float], _ variant: Variant) throws -> [Float] {
  let library = try device.makeLibrary(source: source, options: nil)
  let constants = MTLFunctionConstantValues()
  var scale = variant.scale
  var squares = variant.squares
  constants.setConstantValue(&scale, type: .float, index: 0)
  constants.setConstantValue(&squares, type: .bool, withName: "squares")
  if var offset = variant.offset { constants.setConstantValue(&offset, type: MTLDataType.int, index: 2) }
  let function = try library.makeFunction(name: "transform", constantValues: constants)
  let pipeline = try device.makeComputePipelineState(function: function)

  let buffer = device.makeBuffer(bytes: values, length: values.count * 4)!
  let commands = device.makeCommandQueue()!.makeCommandBuffer()!
  let encoder = commands.makeComputeCommandEncoder()!
  encoder.setComputePipelineState(pipeline)
  encoder.setBuffer(buffer, offset: 0, index: 0)
  encoder.dispatchThreads(
    MTLSize(width: values.count, height: 1, depth: 1),
    threadsPerThreadgroup: MTLSize(width: pipeline.threadExecutionWidth, height: 1, depth: 1))
  encoder.endEncoding()
  commands.commit()
  commands.waitUntilCompleted()
  if let error = commands.error { throw error }
  return Array(UnsafeBufferPointer(start: buffer.contents().assumingMemoryBound(to: Float.self), count: values.count))
}
