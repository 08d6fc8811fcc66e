import CMetalFaiss
import Metal

/// Memory of a device. It goes back to the pool when nobody holds it, command buffers included.
final class GPUBuffer: @unchecked Sendable {
  let raw: any MTLBuffer
  let bytes: Int
  let device: GPUDevice

  init(_ device: GPUDevice, _ bytes: Int, isPrivate: Bool, label: String = "") throws {
    raw = try device.pool.take(bytes, isPrivate: isPrivate)
    self.bytes = bytes
    self.device = device
    if !label.isEmpty { raw.label = label }
  }

  deinit { device.pool.give(raw) }

  /// Checks that a range lies within, from counts that may be anything.
  func range(_ offset: Double, _ length: Double) throws -> Range<Int> {
    guard offset >= 0, length >= 0, offset + length <= Double(bytes), offset.rounded(.down) == offset,
      length.rounded(.down) == length
    else {
      throw Failure.value("bytes \(text(offset)) to \(text(offset + length)) are not all in a buffer of \(bytes)")
    }
    return Int(offset)..<Int(offset + length)
  }

  /// Bytes of a blit of `range`: macOS wants multiples of 4, and what follows a buffer's end is unused.
  func blitLength(_ range: Range<Int>) -> Int {
    let whole = (range.count + 3) & ~3
    return range.upperBound == bytes && range.lowerBound + whole <= raw.length ? whole : range.count
  }

  private func text(_ count: Double) -> String { Int(exactly: count).map { "\($0)" } ?? "\(count)" }

  func write(_ range: Range<Int>, from source: UnsafeRawPointer) throws {
    if raw.storageMode != .private {
      memcpy(raw.contents() + range.lowerBound, source, range.count)
    } else {
      try Transfer(device).upload(source, to: self, range)
    }
  }

  func read(_ range: Range<Int>, to target: UnsafeMutableRawPointer) throws {
    if raw.storageMode != .private {
      memcpy(target, raw.contents() + range.lowerBound, range.count)
    } else {
      try Transfer(device).download(self, range, to: target)
    }
  }
}

/// Where a caller's bytes are.
func given<Pointer>(_ pointer: Pointer?) throws -> Pointer {
  guard let pointer else { throw Failure.value("there are no bytes at NULL") }
  return pointer
}

@_cdecl("mf_gpu_buffer_create")
public func gpuBufferCreate(
  _ device: UInt32, _ bytes: Double, _ storage: UInt32, _ label: UnsafePointer<UInt8>,
  _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("create a buffer") {
    let device = try HandleTable.shared.find(device, GPUDevice.self)
    let bytes = try count(bytes, "bytes")
    guard storage <= 1 else { throw Failure.value("storage must be 0 or 1, not \(storage)") }
    let buffer = try GPUBuffer(device, bytes, isPrivate: storage == 1, label: String(cString: label))
    out.pointee = try HandleTable.shared.insert(buffer)
  }
}

@_cdecl("mf_gpu_write")
public func gpuWrite(_ buffer: UInt32, _ offset: Double, _ data: UnsafePointer<UInt8>?, _ bytes: Double, _ call: Call)
  -> Int32
{
  call.run("write to a buffer") {
    let buffer = try HandleTable.shared.find(buffer, GPUBuffer.self)
    let range = try buffer.range(offset, bytes)
    if !range.isEmpty { try buffer.write(range, from: try given(data)) }
  }
}

@_cdecl("mf_gpu_read")
public func gpuRead(
  _ buffer: UInt32, _ offset: Double, _ data: UnsafeMutablePointer<UInt8>?, _ bytes: Double, _ call: Call
) -> Int32 {
  call.run("read a buffer") {
    let buffer = try HandleTable.shared.find(buffer, GPUBuffer.self)
    let range = try buffer.range(offset, bytes)
    if !range.isEmpty { try buffer.read(range, to: try given(data)) }
  }
}
