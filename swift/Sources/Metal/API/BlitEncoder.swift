public protocol MTLBlitCommandEncoder: MTLCommandEncoder {
  func copy(
    from sourceBuffer: any MTLBuffer, sourceOffset: Int, to destinationBuffer: any MTLBuffer, destinationOffset: Int,
    size: Int)
  func fill(buffer: any MTLBuffer, range: Range<Int>, value: UInt8)
  func synchronize(resource: any MTLResource)
  func updateFence(_ fence: any MTLFence)
  func waitForFence(_ fence: any MTLFence)
}

final class BlitEncoderObject: EncoderObject, MTLBlitCommandEncoder {
  init(_ buffer: CommandBufferObject) { super.init(buffer, "blit") }

  func copy(
    from sourceBuffer: any MTLBuffer, sourceOffset: Int, to destinationBuffer: any MTLBuffer, destinationOffset: Int,
    size: Int
  ) {
    guard isOpen("copy"), let source = usable(sourceBuffer, "copy"), let target = usable(destinationBuffer, "copy"),
      isWithin(source, sourceOffset, size, "copy from"), isWithin(target, destinationOffset, size, "copy to")
    else { return }
    if source === target, abs(sourceOffset - destinationOffset) < size {
      return fail(
        .invalidResource,
        "Cannot copy \(size) bytes within \(source.described): those from \(sourceOffset) and from \(destinationOffset) overlap")
    }
    buffer.add(.copy(from: source.allocation, sourceOffset, to: target.allocation, destinationOffset, length: size))
  }

  func fill(buffer: any MTLBuffer, range: Range<Int>, value: UInt8) {
    guard isOpen("fill"), let target = usable(buffer, "fill"), isWithin(target, range.lowerBound, range.count, "fill")
    else { return }
    self.buffer.add(.fill(target.allocation, range, value))
  }

  private func isWithin(_ buffer: BufferObject, _ offset: Int, _ size: Int, _ doing: String) -> Bool {
    if offset >= 0, size > 0, offset <= buffer.length, size <= buffer.length - offset { return true }
    let why = size > 0 ? "\(size) bytes from offset \(offset) are not within it" : "\(size) bytes are asked for"
    fail(.invalidResource, "Cannot \(doing) \(buffer.described): \(why)")
    return false
  }

  /// Shared and managed memory is one memory here.
  func synchronize(resource: any MTLResource) { _ = isOpen("synchronize") }
}
