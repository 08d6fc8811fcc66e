public protocol MTLComputeCommandEncoder: MTLCommandEncoder {
  var dispatchType: MTLDispatchType { get }
  func setComputePipelineState(_ state: any MTLComputePipelineState)
  func setBytes(_ bytes: UnsafeRawPointer, length: Int, index: Int)
  func setBuffer(_ buffer: (any MTLBuffer)?, offset: Int, index: Int)
  func setBufferOffset(_ offset: Int, index: Int)
  func setBuffers(_ buffers: [(any MTLBuffer)?], offsets: [Int], range: Range<Int>)
  func setThreadgroupMemoryLength(_ length: Int, index: Int)
  func dispatchThreadgroups(_ threadgroupsPerGrid: MTLSize, threadsPerThreadgroup: MTLSize)
  func dispatchThreadgroups(indirectBuffer: any MTLBuffer, indirectBufferOffset: Int, threadsPerThreadgroup: MTLSize)
  func dispatchThreads(_ threadsPerGrid: MTLSize, threadsPerThreadgroup: MTLSize)
  func updateFence(_ fence: any MTLFence)
  func waitForFence(_ fence: any MTLFence)
  func useResource(_ resource: any MTLResource, usage: MTLResourceUsage)
  func useResources(_ resources: [any MTLResource], usage: MTLResourceUsage)
  func memoryBarrier(scope: MTLBarrierScope)
  func memoryBarrier(resources: [any MTLResource])
}

/// Holds the state that dispatches take their arguments from, and checks them.
final class ComputeEncoderObject: EncoderObject, MTLComputeCommandEncoder {
  enum Slot {
    case empty
    case buffer(BufferObject, Int)
    case bytes([UInt8])
  }

  let dispatchType: MTLDispatchType
  private(set) var pipeline: PipelineObject?
  private(set) var slots = [Slot](repeating: .empty, count: Limits.buffers)
  private(set) var threadgroupLengths = [Int](repeating: 0, count: Limits.buffers)

  init(_ buffer: CommandBufferObject, _ dispatchType: MTLDispatchType) {
    self.dispatchType = dispatchType
    super.init(buffer, "compute")
  }

  func setComputePipelineState(_ state: any MTLComputePipelineState) {
    guard isOpen("set a pipeline") else { return }
    guard let pipeline = state as? PipelineObject, pipeline.function.library.owner === owner else {
      return fail(.invalidResource, "Cannot set a pipeline: it belongs to \(state.device.name), the encoder to \(device.name)")
    }
    self.pipeline = pipeline
  }

  // MARK: arguments

  private func hasSlot(_ index: Int, _ what: String) -> Bool {
    guard isOpen("set \(what) \(index)") else { return false }
    if index >= 0, index < Limits.buffers { return true }
    fail(.invalidResource, "Cannot set \(what) \(index)\(ofKernel(index)): indices go from 0 to \(Limits.buffers - 1)")
    return false
  }

  /// For messages: the argument at an index, as far as the pipeline is known.
  private func ofKernel(_ index: Int) -> String {
    guard let kernel = pipeline?.kernel else { return "" }
    return kernel.bufferName(index).map { " (\"\($0)\" of kernel \"\(kernel.name)\")" } ?? " (kernel \"\(kernel.name)\")"
  }

  func setBytes(_ bytes: UnsafeRawPointer, length: Int, index: Int) {
    guard hasSlot(index, "bytes") else { return }
    guard length > 0, length <= Limits.inlineBytes else {
      return fail(
        .invalidResource,
        "Cannot set bytes \(index)\(ofKernel(index)): \(length) bytes are given, and 1 to \(Limits.inlineBytes) can be; "
          + "more goes into a buffer")
    }
    slots[index] = .bytes(Array(UnsafeRawBufferPointer(start: bytes, count: length)))
  }

  func setBuffer(_ buffer: (any MTLBuffer)?, offset: Int, index: Int) {
    guard hasSlot(index, "buffer") else { return }
    guard let buffer else {
      slots[index] = .empty
      return
    }
    guard let own = usable(buffer, "set buffer \(index)\(ofKernel(index))") else { return }
    set(own, offset, index)
  }

  func setBufferOffset(_ offset: Int, index: Int) {
    guard hasSlot(index, "the offset of buffer") else { return }
    guard case .buffer(let buffer, _) = slots[index] else {
      return fail(.invalidResource, "Cannot set the offset of buffer \(index)\(ofKernel(index)): no buffer is set there")
    }
    set(buffer, offset, index)
  }

  private func set(_ buffer: BufferObject, _ offset: Int, _ index: Int) {
    guard offset >= 0, offset <= buffer.length else {
      return fail(
        .invalidResource,
        "Cannot set buffer \(index)\(ofKernel(index)): offset \(offset) is not within \(buffer.described)")
    }
    slots[index] = .buffer(buffer, offset)
  }

  func setBuffers(_ buffers: [(any MTLBuffer)?], offsets: [Int], range: Range<Int>) {
    guard buffers.count >= range.count, offsets.count >= range.count else {
      return fail(
        .invalidResource,
        "Cannot set buffers \(range.lowerBound)..<\(range.upperBound): \(buffers.count) buffers and \(offsets.count) offsets are given")
    }
    for (i, index) in range.enumerated() { setBuffer(buffers[i], offset: offsets[i], index: index) }
  }

  func setThreadgroupMemoryLength(_ length: Int, index: Int) {
    guard hasSlot(index, "threadgroup memory") else { return }
    guard length >= 0, length % 16 == 0 else {
      return fail(
        .invalidResource, "Cannot set threadgroup memory \(index): its length must be a multiple of 16 bytes, not \(length)")
    }
    threadgroupLengths[index] = length
  }

  // MARK: dispatches

  func dispatchThreadgroups(_ threadgroupsPerGrid: MTLSize, threadsPerThreadgroup: MTLSize) {
    guard isOpen("dispatch threadgroups") else { return }
    do throws(MTLCommandBufferError) {
      buffer.add(.dispatch(try DispatchPlan(self, threadsPerThreadgroup).dispatch(threadgroups: threadgroupsPerGrid)))
    } catch {
      buffer.fail(error.code, error.localizedDescription)
    }
  }

  func dispatchThreads(_ threadsPerGrid: MTLSize, threadsPerThreadgroup: MTLSize) {
    guard isOpen("dispatch threads") else { return }
    do throws(MTLCommandBufferError) {
      buffer.add(.dispatch(try DispatchPlan(self, threadsPerThreadgroup).dispatch(threads: threadsPerGrid)))
    } catch {
      buffer.fail(error.code, error.localizedDescription)
    }
  }

  func dispatchThreadgroups(indirectBuffer: any MTLBuffer, indirectBufferOffset: Int, threadsPerThreadgroup: MTLSize) {
    guard isOpen("dispatch threadgroups"), let sizes = usable(indirectBuffer, "dispatch threadgroups") else { return }
    do throws(MTLCommandBufferError) {
      buffer.add(try IndirectDispatch(DispatchPlan(self, threadsPerThreadgroup), sizes, indirectBufferOffset))
    } catch {
      buffer.fail(error.code, error.localizedDescription)
    }
  }

  // Every buffer can be reached all the time, and dispatches run one after the other.
  func useResource(_ resource: any MTLResource, usage: MTLResourceUsage) { _ = isOpen("use a resource") }
  func useResources(_ resources: [any MTLResource], usage: MTLResourceUsage) { _ = isOpen("use resources") }
  func memoryBarrier(scope: MTLBarrierScope) { _ = isOpen("encode a barrier") }
  func memoryBarrier(resources: [any MTLResource]) { _ = isOpen("encode a barrier") }
}
