import Glibc
import Threading

/// A counter in pinned host memory: streams wait for it and write it, the host reads and sets it.
final class CudaEvent: EngineEvent, @unchecked Sendable {
  private let slots: CudaEventSlots
  private let slot: CudaEventSlots.Slot
  private let lock = Mutex()

  init(_ slots: CudaEventSlots) throws {
    self.slots = slots
    slot = try slots.take()
  }

  // Batches keep their events, so no stream uses it any more.
  deinit { slots.give(slot) }

  var address: UInt { slot.address }

  var signaledValue: UInt64 {
    // The lock orders this with the memory that the value stands for, and keeps the read a read.
    lock.acquire()
    defer { lock.release() }
    return slot.value.pointee
  }

  func raise(to value: UInt64) {
    lock.acquire()
    if slot.value.pointee < value { slot.value.pointee = value }
    lock.release()
  }
}

/// Counters, 64 bytes apart, out of pages that stay.
final class CudaEventSlots: @unchecked Sendable {
  struct Slot: @unchecked Sendable {
    var value: UnsafeMutablePointer<UInt64>
    var address: UInt
  }

  private let memory: CudaMemory
  private let lock = Mutex()
  private var free: [Slot] = []

  init(_ memory: CudaMemory) { self.memory = memory }

  func take() throws -> Slot {
    lock.acquire()
    defer { lock.release() }
    if free.isEmpty {
      let page = try memory.allocate(4096, .host)
      for at in stride(from: 0, to: 4096, by: 64) {
        free.append(
          Slot(value: (page.contents! + at).assumingMemoryBound(to: UInt64.self), address: page.address + UInt(at)))
      }
    }
    let slot = free.removeLast()
    slot.value.pointee = 0
    return slot
  }

  func give(_ slot: Slot) {
    lock.acquire()
    free.append(slot)
    lock.release()
  }
}
