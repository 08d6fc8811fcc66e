import CMetal
import Threading

/// Counts what is allocated: the system would hand out memory that it does not have.
final class EmulatorMemory: @unchecked Sendable {
  private let limit: Int
  private let lock = Mutex()
  private var used = 0

  init(limit: Int) { self.limit = limit }

  func take(_ length: Int) throws -> UnsafeMutableRawPointer {
    let fits = lock.holding {
      if length > limit - used { return false }
      used += length
      return true
    }
    guard fits else {
      let left = lock.holding { limit - used }
      throw EngineError.outOfMemory("Cannot allocate \(length) bytes: the emulator has \(left) of \(limit) left")
    }
    guard let start = mtl_memory_allocate(UInt64(length)) else {
      lock.holding { used -= length }
      throw EngineError.outOfMemory("Cannot allocate \(length) bytes: \(String(cString: strerror(errno)))")
    }
    return start
  }

  func give(_ start: UnsafeMutableRawPointer, _ length: Int) {
    mtl_memory_free(start, UInt64(length))
    lock.holding { used -= length }
  }
}

final class EmulatorAllocation: Allocation, @unchecked Sendable {
  private let memory: EmulatorMemory
  private let start: UnsafeMutableRawPointer

  init(_ memory: EmulatorMemory, _ length: Int, isVisible: Bool) throws {
    self.memory = memory
    start = try memory.take(length)
    super.init(length: length, address: UInt(bitPattern: start), contents: isVisible ? start : nil)
  }

  deinit { memory.give(start, length) }
}

final class EmulatorWrappedAllocation: Allocation, @unchecked Sendable {
  private let release: @Sendable () -> Void

  init(_ start: UnsafeMutableRawPointer, _ length: Int, _ release: @escaping @Sendable () -> Void) {
    self.release = release
    super.init(length: length, address: UInt(bitPattern: start), contents: start)
  }

  deinit { release() }
}

extension Allocation {
  /// As the emulator sees it, private or not.
  func memory(at offset: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! + offset }
}
