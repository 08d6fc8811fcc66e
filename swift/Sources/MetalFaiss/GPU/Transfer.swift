import CMetalFaiss
import Metal

/// Moves bytes between the host and private memory through two shared buffers: the device
/// copies one while the host fills or empties the other.
struct Transfer {
  private static let chunk = 64 << 20

  private let device: GPUDevice
  private let queue: any MTLCommandQueue

  init(_ device: GPUDevice) throws {
    self.device = device
    queue = try device.transfers()
  }

  func upload(_ source: UnsafeRawPointer, to target: GPUBuffer, _ range: Range<Int>) throws {
    try forEachChunk(range) { staging, chunk in
      memcpy(staging.raw.contents(), source + (chunk.lowerBound - range.lowerBound), chunk.count)
      return try blit(staging.raw, 0, target.raw, chunk.lowerBound, target.blitLength(chunk))
    } then: { _, _ in
    }
  }

  func download(_ source: GPUBuffer, _ range: Range<Int>, to target: UnsafeMutableRawPointer) throws {
    try forEachChunk(range) { staging, chunk in
      try blit(source.raw, chunk.lowerBound, staging.raw, 0, source.blitLength(chunk))
    } then: { staging, chunk in
      memcpy(target + (chunk.lowerBound - range.lowerBound), staging.raw.contents(), chunk.count)
    }
  }

  /// Starts each chunk before it finishes the one before, so that at most two are under way.
  private func forEachChunk(
    _ range: Range<Int>, start: (GPUBuffer, Range<Int>) throws -> any MTLCommandBuffer,
    then finish: (GPUBuffer, Range<Int>) -> Void
  ) throws {
    let size = min(Self.chunk, range.count)
    var free = [try GPUBuffer(device, size, isPrivate: false, label: "staging")]
    if range.count > size { free.append(try GPUBuffer(device, size, isPrivate: false, label: "staging")) }
    typealias Copy = (buffer: any MTLCommandBuffer, staging: GPUBuffer, chunk: Range<Int>)
    var last: Copy?
    // Whatever happens, no copy may outlive its staging buffer.
    defer { last?.buffer.waitUntilCompleted() }
    func complete(_ copy: Copy?) throws {
      guard let copy else { return }
      copy.buffer.waitUntilCompleted()
      if let error = copy.buffer.error { throw Failure(of: error) }
      finish(copy.staging, copy.chunk)
      free.append(copy.staging)
    }
    for at in stride(from: range.lowerBound, to: range.upperBound, by: size) {
      let staging = free.removeLast()
      let chunk = at..<min(at + size, range.upperBound)
      let before = last
      last = (try start(staging, chunk), staging, chunk)
      try complete(before)
    }
    try complete(last)
  }

  private func blit(_ from: any MTLBuffer, _ fromOffset: Int, _ to: any MTLBuffer, _ toOffset: Int, _ bytes: Int) throws
    -> any MTLCommandBuffer
  {
    guard let buffer = queue.makeCommandBuffer(), let encoder = buffer.makeBlitCommandEncoder() else {
      throw Failure.device("\(device.raw.name) makes no command buffer")
    }
    encoder.copy(from: from, sourceOffset: fromOffset, to: to, destinationOffset: toOffset, size: bytes)
    encoder.endEncoding()
    buffer.commit()
    return buffer
  }
}
