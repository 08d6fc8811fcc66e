// What a command buffer records itself, and the encoders it makes.

extension CommandBufferObject {
  func add(_ command: EngineCommand) { encode { $0[$0.count - 1].commands.append(command) } }

  /// The command's size is read from memory once all before it has run.
  func add(_ dispatch: IndirectDispatch) {
    encode {
      $0[$0.count - 1].commands += dispatch.fetch
      $0.append(Part(lead: dispatch))
    }
  }

  private func begin(_ what: String) -> Bool {
    if isCommitted {
      fail(.internal, "Cannot make \(what) of \(described): it was committed before")
      return false
    }
    if let openEncoder {
      fail(.internal, "Cannot make \(what) of \(described): \(openEncoder) was not ended; endEncoding() comes first")
    }
    openEncoder = what
    return true
  }

  func makeComputeCommandEncoder() -> (any MTLComputeCommandEncoder)? { makeComputeCommandEncoder(dispatchType: .serial) }

  func makeComputeCommandEncoder(descriptor computePassDescriptor: MTLComputePassDescriptor)
    -> (any MTLComputeCommandEncoder)?
  {
    makeComputeCommandEncoder(dispatchType: computePassDescriptor.dispatchType)
  }

  func makeComputeCommandEncoder(dispatchType: MTLDispatchType) -> (any MTLComputeCommandEncoder)? {
    begin("a compute command encoder") ? ComputeEncoderObject(self, dispatchType) : nil
  }

  func makeBlitCommandEncoder() -> (any MTLBlitCommandEncoder)? {
    begin("a blit command encoder") ? BlitEncoderObject(self) : nil
  }

  func makeBlitCommandEncoder(descriptor blitPassDescriptor: MTLBlitPassDescriptor) -> (any MTLBlitCommandEncoder)? {
    makeBlitCommandEncoder()
  }

  func encodeWaitForEvent(_ event: any MTLEvent, value: UInt64) {
    if let event = usable(event, "wait for") { add(.wait(event, value)) }
  }

  func encodeSignalEvent(_ event: any MTLEvent, value: UInt64) {
    if let event = usable(event, "signal") { add(.signal(event, value)) }
  }

  private func usable(_ event: any MTLEvent, _ doing: String) -> (any EngineEvent)? {
    let name = event.label.map { "event \"\($0)\"" } ?? "an event"
    guard canEncode("\(doing) \(name)") else { return nil }
    guard let event = event as? EventObject, event.owner === queue.owner else {
      fail(.invalidResource, "Cannot \(doing) \(name): it belongs to \(event.device?.name ?? "no device"), the queue to \(device.name)")
      return nil
    }
    return event.engine
  }

  /// Whether a command may come here, between encoders.
  func canEncode(_ doing: String) -> Bool {
    if isCommitted {
      fail(.internal, "Cannot \(doing): \(described) was committed before")
      return false
    }
    if let openEncoder {
      fail(.internal, "Cannot \(doing): \(openEncoder) of \(described) was not ended; endEncoding() comes first")
    }
    return true
  }

  func pushDebugGroup(_ string: String) { debugGroups.append(string) }

  func popDebugGroup() {
    if debugGroups.popLast() == nil { fail(.internal, "Cannot pop a debug group of \(described): none is open") }
  }
}
