// A dispatch from the encoder's state, checked as Metal's validation layer would.

enum Limits {
  /// Buffers and bytes that a kernel can take.
  static let buffers = 31
  static let inlineBytes = 4096
  static let threads = 1024
  static let threadgroupBytes = 32768
}

extension Kernel {
  /// The argument at an index of the buffer table.
  func bufferName(_ index: Int) -> String? {
    parameters.first { if case .buffer(index, _, _, _) = $0.kind { true } else { false } }?.name
  }
}

extension MTLSize {
  var described: String { "\(width) × \(height) × \(depth)" }
  fileprivate var isPositive: Bool { width > 0 && height > 0 && depth > 0 }
  fileprivate func times(_ other: MTLSize) -> MTLSize? {
    let (x, y, z) = (
      width.multipliedReportingOverflow(by: other.width), height.multipliedReportingOverflow(by: other.height),
      depth.multipliedReportingOverflow(by: other.depth)
    )
    return x.overflow || y.overflow || z.overflow ? nil : MTLSize(width: x.0, height: y.0, depth: z.0)
  }
}

/// All of a dispatch but the size of its grid.
struct DispatchPlan {
  private let pipeline: PipelineObject
  private let arguments: [EngineArgument?]
  private let threadgroupBytes: [Int]
  private let threadgroup: MTLSize
  private let place: String

  init(_ encoder: ComputeEncoderObject, _ threadgroup: MTLSize) throws(MTLCommandBufferError) {
    place = encoder.place
    guard let pipeline = encoder.pipeline else {
      throw MTLCommandBufferError(
        .internal, "Cannot dispatch: no compute pipeline state is set" + (encoder.place.isEmpty ? "" : " (in \(encoder.place))"))
    }
    self.pipeline = pipeline
    self.threadgroup = threadgroup
    let count = pipeline.argumentBytes.count
    var arguments = [EngineArgument?](repeating: nil, count: count)
    var threadgroupBytes: [Int] = []
    for wanted in pipeline.wanted {
      let index = wanted.index
      if wanted.isThreadgroup {
        if threadgroupBytes.isEmpty { threadgroupBytes = [Int](repeating: 0, count: count) }
        let length = index < Limits.buffers ? encoder.threadgroupLengths[index] : 0
        if length == 0 { throw Argument(pipeline, wanted, encoder.place).wrong("its length is not set") }
        threadgroupBytes[wanted.parameter] = length
      } else {
        arguments[wanted.parameter] = try Self.argument(
          index < Limits.buffers ? encoder.slots[index] : .empty, wanted, Argument(pipeline, wanted, encoder.place))
      }
    }
    self.arguments = arguments
    self.threadgroupBytes = threadgroupBytes
    try checkThreadgroup()
  }

  /// Names an argument in messages.
  private struct Argument {
    let pipeline: PipelineObject
    let wanted: PipelineObject.Wanted
    let place: String

    init(_ pipeline: PipelineObject, _ wanted: PipelineObject.Wanted, _ place: String) {
      self.pipeline = pipeline
      self.wanted = wanted
      self.place = place
    }

    func wrong(_ why: String) -> MTLCommandBufferError {
      let name = pipeline.kernel.parameters[wanted.parameter].name
      let kind = wanted.isThreadgroup ? "threadgroup" : "buffer"
      return MTLCommandBufferError(
        .invalidResource,
        "Cannot dispatch kernel \"\(pipeline.kernel.name)\": argument \"\(name)\" [[\(kind)(\(wanted.index))]]: \(why)"
          + (place.isEmpty ? "" : " (in \(place))"))
    }
  }

  private static func argument(
    _ slot: ComputeEncoderObject.Slot, _ wanted: PipelineObject.Wanted, _ about: @autoclosure () -> Argument
  ) throws(MTLCommandBufferError) -> EngineArgument {
    let least = wanted.least
    switch slot {
    case .empty: throw about().wrong("it is not set")
    case .bytes(let bytes):
      guard bytes.count >= least else { throw about().wrong("it needs \(least) bytes, and setBytes gave \(bytes.count)") }
      return .bytes(bytes)
    case .buffer(let buffer, let offset):
      guard buffer.length - offset >= least else {
        throw about().wrong("it needs \(least) bytes, and from offset \(offset) \(buffer.described) has \(buffer.length - offset)")
      }
      // A GPU that reads elsewhere is lost.
      guard offset & (wanted.alignment - 1) == 0 else {
        throw about().wrong("its offset must be a multiple of \(wanted.alignment) bytes, as its elements are, not \(offset)")
      }
      return .buffer(buffer.allocation, offset: offset)
    }
  }

  private func wrong(_ why: String) -> MTLCommandBufferError {
    MTLCommandBufferError(
      .internal, "Cannot dispatch kernel \"\(pipeline.kernel.name)\": \(why)" + (place.isEmpty ? "" : " (in \(place))"))
  }

  private func checkThreadgroup() throws(MTLCommandBufferError) {
    let size = threadgroup
    guard size.isPositive else { throw wrong("a threadgroup of \(size.described) threads has none") }
    let most = min(Limits.threads, pipeline.maxTotalThreadsPerThreadgroup)
    let fits = size.width <= most && size.height <= most && size.depth <= most
    guard fits, size.width * size.height * size.depth <= most else {
      throw wrong("a threadgroup of \(size.described) threads has more than the \(most) that its pipeline allows")
    }
    let arguments = threadgroupBytes.reduce(0, +)
    let fixed = pipeline.staticThreadgroupMemoryLength
    guard fixed + arguments <= Limits.threadgroupBytes else {
      throw wrong(
        "it needs \(fixed + arguments) bytes of threadgroup memory, \(fixed) for its variables and \(arguments) for "
          + "arguments, and has \(Limits.threadgroupBytes)")
    }
  }

  func dispatch(threadgroups: MTLSize) throws(MTLCommandBufferError) -> EngineDispatch {
    guard threadgroups.isPositive else { throw wrong("a grid of \(threadgroups.described) threadgroups has none") }
    guard let threads = threadgroups.times(threadgroup) else { throw wrong("\(threadgroups.described) threadgroups are too many") }
    return try dispatch(threads: threads)
  }

  func dispatch(threads: MTLSize) throws(MTLCommandBufferError) -> EngineDispatch {
    guard threads.isPositive else { throw wrong("a grid of \(threads.described) threads has none") }
    let most = Int(UInt32.max)
    guard threads.width <= most, threads.height <= most, threads.depth <= most else {
      throw wrong("a grid of \(threads.described) threads is larger than \(most) in one dimension")
    }
    let (layer, isLarge) = threads.width.multipliedReportingOverflow(by: threads.height)
    guard !isLarge, !layer.multipliedReportingOverflow(by: threads.depth).overflow else {
      throw wrong("a grid of \(threads.described) threads has more than 2⁶³")
    }
    return EngineDispatch(
      pipeline: pipeline.engine, arguments: arguments, threadgroupBytes: threadgroupBytes, threads: threads,
      threadsPerThreadgroup: threadgroup, kernel: pipeline.kernel.name, place: place)
  }
}

/// A dispatch whose number of threadgroups is in memory when it runs.
struct IndirectDispatch {
  private let plan: DispatchPlan
  private let sizes: Allocation
  private let offset: Int
  /// What must run before: a copy to where the host can read, if it cannot read the buffer itself.
  let fetch: [EngineCommand]

  init(_ plan: DispatchPlan, _ buffer: BufferObject, _ offset: Int) throws(MTLCommandBufferError) {
    let bytes = MemoryLayout<MTLDispatchThreadgroupsIndirectArguments>.size
    guard offset >= 0, offset % 4 == 0, buffer.length - offset >= bytes else {
      throw MTLCommandBufferError(
        .invalidResource,
        "Cannot dispatch threadgroups: \(bytes) bytes at offset \(offset), a multiple of 4, are not within \(buffer.described)")
    }
    self.plan = plan
    if buffer.allocation.contents != nil {
      sizes = buffer.allocation
      self.offset = offset
      fetch = []
    } else {
      do {
        sizes = try buffer.owner.engine.allocate(16, .shared)
      } catch {
        throw (error as? EngineError).map(MTLCommandBufferError.init) ?? MTLCommandBufferError(.internal, "\(error)")
      }
      self.offset = 0
      fetch = [.copy(from: buffer.allocation, offset, to: sizes, 0, length: bytes)]
    }
  }

  func resolve() throws(MTLCommandBufferError) -> EngineDispatch {
    let size = (sizes.contents! + offset).loadUnaligned(as: (UInt32, UInt32, UInt32).self)
    return try plan.dispatch(threadgroups: MTLSize(width: Int(size.0), height: Int(size.1), depth: Int(size.2)))
  }
}
