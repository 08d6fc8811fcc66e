import CMetalFaiss
import Metal

extension Program {
  /// Bytes that go by value at most: Metal's limit of setBytes.
  private static var mostInline: Int { 4096 }
  private static var mostBuffers: Int { 31 }

  /// Encodes one dispatch; returns its threads.
  func dispatch(_ command: UnsafeRawBufferPointer, inThreads: Bool, _ encoders: inout Encoders) throws -> Double {
    let head: mf_gpu_dispatch = try Self.read(command)
    let pipeline = try object(head.pipeline, pipelines)
    let memories = Int(head.memories)
    let arguments = Int(head.arguments)
    guard arguments <= Self.mostBuffers, memories <= Self.mostBuffers else {
      throw Failure.shape("kernel \"\(pipeline.name)\" gets \(arguments) arguments; Metal has \(Self.mostBuffers)")
    }
    let (grid, group) = try sizes(head, pipeline)
    // What was set for another kernel must not count for this one.
    if encoders.memories > memories { encoders.end() }
    let encoder = try encoders.compute()
    if encoders.pipeline !== pipeline {
      encoder.setComputePipelineState(pipeline.raw)
      encoders.pipeline = pipeline
    }
    var at = MemoryLayout<mf_gpu_dispatch>.size
    for index in 0..<arguments { try bind(command, &at, index, arguments, pipeline, encoder) }
    if arguments < pipeline.leastArguments { throw wrongCount(pipeline, arguments) }
    guard command.count - at >= memories * 4 else { throw Failure.shape("the command is cut short") }
    var dynamic = 0
    for index in 0..<memories {
      let length = Int(command.loadUnaligned(fromByteOffset: at + index * 4, as: UInt32.self))
      guard length % 16 == 0 else {
        throw Failure.value("threadgroup memory must be a multiple of 16 bytes, not \(length)")
      }
      dynamic += length
      encoder.setThreadgroupMemoryLength(length, index: index)
    }
    encoders.memories = memories
    let most = stream.device.raw.maxThreadgroupMemoryLength
    guard pipeline.threadgroupMemory + dynamic <= most else {
      throw Failure.value(
        "kernel \"\(pipeline.name)\" needs \(pipeline.threadgroupMemory + dynamic) bytes of threadgroup memory, "
          + "of which there are \(most)")
    }
    if inThreads {
      encoder.dispatchThreads(grid, threadsPerThreadgroup: group)
    } else {
      encoder.dispatchThreadgroups(grid, threadsPerThreadgroup: group)
    }
    let all = Double(grid.width) * Double(grid.height) * Double(grid.depth)
    return inThreads ? all : all * Double(group.width * group.height * group.depth)
  }

  private func sizes(_ head: mf_gpu_dispatch, _ pipeline: GPUPipeline) throws -> (grid: MTLSize, group: MTLSize) {
    let grid = MTLSize(width: Int(head.grid.0), height: Int(head.grid.1), depth: Int(head.grid.2))
    let group = MTLSize(
      width: Int(head.threadgroup.0), height: Int(head.threadgroup.1), depth: Int(head.threadgroup.2))
    guard grid.width > 0, grid.height > 0, grid.depth > 0 else {
      throw Failure.value("the grid of kernel \"\(pipeline.name)\" is empty: \(text(grid))")
    }
    guard group.width > 0, group.height > 0, group.depth > 0 else {
      throw Failure.value("the threadgroup of kernel \"\(pipeline.name)\" is empty: \(text(group))")
    }
    let limit = stream.device.raw.maxThreadsPerThreadgroup
    guard group.width <= limit.width, group.height <= limit.height, group.depth <= limit.depth,
      group.width * group.height * group.depth <= pipeline.maxThreads
    else {
      throw Failure.value(
        "kernel \"\(pipeline.name)\" runs at most \(pipeline.maxThreads) threads a threadgroup, at most "
          + "\(text(limit)) along an axis, not \(text(group))")
    }
    return (grid, group)
  }

  private func bind(
    _ command: UnsafeRawBufferPointer, _ at: inout Int, _ index: Int, _ count: Int, _ pipeline: GPUPipeline,
    _ encoder: any MTLComputeCommandEncoder
  ) throws {
    guard command.count - at >= MemoryLayout<mf_gpu_argument>.size else {
      throw Failure.shape("the command is cut short")
    }
    let argument = command.loadUnaligned(fromByteOffset: at, as: mf_gpu_argument.self)
    at += MemoryLayout<mf_gpu_argument>.size
    let isKnown = pipeline.arguments != nil
    guard !isKnown || index < pipeline.needs.count else { throw wrongCount(pipeline, count) }
    let (least, alignment) = isKnown ? pipeline.needs[index] : (0, 1)
    if argument.buffer == UInt32.max {
      let length = Int(argument.length)
      guard length > 0, length <= Self.mostInline else {
        throw Failure.shape("\(length) bytes cannot go by value: 1 to \(Self.mostInline) can")
      }
      guard length <= command.count - at else { throw Failure.shape("the command is cut short") }
      if least > length { throw tooSmall(pipeline, index, length) }
      encoder.setBytes(command.baseAddress! + at, length: length, index: index)
      at += (length + 7) & ~7
    } else {
      let buffer = try object(argument.buffer, buffers)
      let range = try buffer.range(argument.offset, 0)
      let left = buffer.bytes - range.lowerBound
      // Nothing is read of an empty buffer that stands for an empty array.
      if least > left, buffer.bytes > 0 { throw tooSmall(pipeline, index, left) }
      guard range.lowerBound & (alignment - 1) == 0 else {
        throw Failure.value(
          "argument \(index), \"\(pipeline.arguments?[index]?.name ?? "")\", of kernel \"\(pipeline.name)\" must begin at a "
            + "multiple of \(alignment) bytes, not at \(range.lowerBound)")
      }
      encoder.setBuffer(buffer.raw, offset: range.lowerBound, index: index)
    }
  }

  private func wrongCount(_ pipeline: GPUPipeline, _ count: Int) -> Failure {
    .shape(
      "kernel \"\(pipeline.name)\" takes \(pipeline.arguments?.count ?? 0) arguments (\(pipeline.signature)), got \(count)")
  }

  private func tooSmall(_ pipeline: GPUPipeline, _ index: Int, _ bytes: Int) -> Failure {
    let argument = pipeline.arguments?[index]
    return .shape(
      "argument \(index), \"\(argument?.name ?? "")\", of kernel \"\(pipeline.name)\" needs \(argument?.least ?? 0) bytes, "
        + "got \(bytes)")
  }

  private func text(_ size: MTLSize) -> String { "\(size.width) × \(size.height) × \(size.depth)" }
}
