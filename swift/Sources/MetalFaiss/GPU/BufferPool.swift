import CMetalFaiss
import Metal

/// Buffers of a device, kept for the next that wants one of their size class.
final class BufferPool: @unchecked Sendable {
  struct Counters {
    var active = 0
    var peak = 0
    var cached = 0
  }

  private struct Class: Hashable {
    let bytes: Int
    let isPrivate: Bool
  }

  private let device: any MTLDevice
  private let exact: Bool
  private let mostCached: Int
  /// Each takes its share of the address space and of the system's mappings.
  private static let mostIdle = 4096
  private let lock = Mutex()
  private var idle: [Class: [any MTLBuffer]] = [:]
  private var idleCount = 0
  private var state = Counters()

  /// - Parameter exact: no size classes, so that a kernel that runs past a buffer's end is caught.
  init(_ device: any MTLDevice, exact: Bool) {
    self.device = device
    self.exact = exact
    mostCached = max(256 << 20, Int(clamping: device.recommendedMaxWorkingSetSize) / 8)
  }

  /// Four classes between powers of two; from 64 MiB, multiples of 2 MiB.
  static func sizeClass(_ bytes: Int) -> Int {
    if bytes <= 256 { return 256 }
    let step = bytes >= 64 << 20 ? 2 << 20 : 1 << (Int.bitWidth - (bytes - 1).leadingZeroBitCount - 3)
    return (bytes + step - 1) & ~(step - 1)
  }

  func take(_ bytes: Int, isPrivate: Bool) throws -> any MTLBuffer {
    let most = device.maxBufferLength
    guard bytes <= most else {
      throw Failure(status: MF_MEMORY, message: "\(bytes) bytes are more than the \(most) that a buffer can have")
    }
    let size = exact ? max(bytes, 1) : min(Self.sizeClass(bytes), most)
    let key = Class(bytes: size, isPrivate: isPrivate)
    lock.acquire()
    let kept = idle[key]?.popLast()
    if kept != nil {
      state.cached -= size
      idleCount -= 1
    }
    lock.release()
    let options: MTLResourceOptions = isPrivate ? .storageModePrivate : .storageModeShared
    var buffer = kept ?? device.makeBuffer(length: size, options: options)
    if buffer == nil {
      clear()
      buffer = device.makeBuffer(length: size, options: options)
    }
    guard let buffer else {
      let active = counters.active
      throw Failure(
        status: MF_MEMORY,
        message: "\(bytes) bytes are not available on \(device.name), where \(active) bytes are in use")
    }
    lock.acquire()
    state.active += buffer.length
    state.peak = max(state.peak, state.active)
    lock.release()
    return buffer
  }

  func give(_ buffer: any MTLBuffer) {
    buffer.label = nil
    let size = buffer.length
    lock.acquire()
    state.active -= size
    if state.cached + size <= mostCached, idleCount < Self.mostIdle {
      state.cached += size
      idleCount += 1
      idle[Class(bytes: size, isPrivate: buffer.storageMode == .private), default: []].append(buffer)
    }
    lock.release()
  }

  func clear() {
    lock.acquire()
    let dropped = idle
    idle = [:]
    idleCount = 0
    state.cached = 0
    lock.release()
    withExtendedLifetime(dropped) {}  // freed outside the lock
  }

  func resetPeak() {
    lock.acquire()
    state.peak = state.active
    lock.release()
  }

  var counters: Counters {
    lock.acquire()
    defer { lock.release() }
    return state
  }
}
