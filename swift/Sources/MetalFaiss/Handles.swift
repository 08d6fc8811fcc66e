import CMetalFaiss

/// Everything the other side may hold, by generational handle: the slot in the low 20 bits,
/// how often it was reused above. A stale handle finds nothing.
final class HandleTable: @unchecked Sendable {
  static let shared = HandleTable()

  private var slots: [(generation: UInt32, object: AnyObject?)] = []
  private var free: [Int] = []
  private let lock = Mutex()

  func insert(_ object: AnyObject) throws -> UInt32 {
    lock.acquire()
    defer { lock.release() }
    let slot = free.popLast() ?? slots.count
    if slot == slots.count {
      guard slot < 0xfffff else { throw Failure.value("1,048,575 objects are alive") }
      slots.append((0, nil))
    }
    slots[slot].object = object
    return (slots[slot].generation & 0xfff) << 20 | UInt32(slot + 1)
  }

  func find<T: AnyObject>(_ handle: UInt32, _ type: T.Type) throws -> T {
    lock.acquire()
    defer { lock.release() }
    guard let slot = slot(handle), let object = slots[slot].object as? T else {
      throw Failure(status: MF_HANDLE, message: "the object was disposed or is of another kind")
    }
    return object
  }

  func remove(_ handle: UInt32) throws {
    lock.acquire()
    guard let slot = slot(handle), let object = slots[slot].object else {
      lock.release()
      throw Failure(status: MF_HANDLE, message: "the object was disposed already")
    }
    slots[slot].object = nil
    slots[slot].generation += 1
    free.append(slot)
    lock.release()
    withExtendedLifetime(object) {}  // its memory goes outside the lock
  }

  private func slot(_ handle: UInt32) -> Int? {
    let slot = Int(handle & 0xfffff) - 1
    guard slot >= 0, slot < slots.count, slots[slot].generation & 0xfff == handle >> 20 else { return nil }
    return slot
  }
}
