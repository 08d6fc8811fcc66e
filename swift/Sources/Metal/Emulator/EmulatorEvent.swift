import Threading

/// A counter that queues and the host wait for.
final class EmulatorEvent: EngineEvent, @unchecked Sendable {
  private let lock = Mutex()
  private let changed = Condition()
  private var value: UInt64 = 0

  var signaledValue: UInt64 { lock.holding { value } }

  func raise(to wanted: UInt64) {
    lock.holding {
      value = max(value, wanted)
      changed.wakeAll()
    }
  }

  func wait(for wanted: UInt64) {
    lock.holding {
      while value < wanted { changed.wait(lock) }
    }
  }
}
