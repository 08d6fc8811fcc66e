import Threading

public typealias MTLSharedEventNotificationBlock = @Sendable (any MTLSharedEvent, UInt64) -> Void

public protocol MTLSharedEvent: MTLEvent {
  var signaledValue: UInt64 { get set }
  @preconcurrency func notify(
    _ listener: MTLSharedEventListener, atValue value: UInt64, block: @escaping MTLSharedEventNotificationBlock)
  func wait(untilSignaledValue value: UInt64, timeoutMS milliseconds: UInt64) -> Bool
}

extension MTLSharedEvent {
  /// Returns when the event has reached the value.
  public func valueSignaled(_ value: UInt64) async {
    await withCheckedContinuation { continuation in
      notify(.shared(), atValue: value) { _, _ in continuation.resume() }
    }
  }
}

/// Where notifications of events run.
open class MTLSharedEventListener: @unchecked Sendable {
  public let dispatchQueue: DispatchQueue

  public init() { dispatchQueue = DispatchQueue(label: "metal.events") }
  public init(dispatchQueue: DispatchQueue) { self.dispatchQueue = dispatchQueue }

  private static let common = MTLSharedEventListener()
  public class func shared() -> MTLSharedEventListener { common }
}

final class SharedEventObject: EventObject, MTLSharedEvent, @unchecked Sendable {
  /// Only grows: a smaller value changes nothing.
  var signaledValue: UInt64 {
    get { engine.signaledValue }
    set { engine.raise(to: newValue) }
  }

  func notify(
    _ listener: MTLSharedEventListener, atValue value: UInt64, block: @escaping MTLSharedEventNotificationBlock
  ) {
    EventWatch.shared.add(self, value) { now in listener.dispatchQueue.async { block(self, now) } }
  }

  func wait(untilSignaledValue value: UInt64, timeoutMS milliseconds: UInt64) -> Bool {
    let end = monotonicSeconds() + Double(milliseconds) * 1e-3
    var pause: UInt32 = 5
    while signaledValue < value {
      if monotonicSeconds() >= end { return false }
      usleep(pause)
      pause = min(pause * 2, 500)
    }
    return true
  }
}

/// Looks at events that somebody wants to hear of, on a thread that lives while there are any.
private final class EventWatch: @unchecked Sendable {
  static let shared = EventWatch()

  private struct Wish {
    let event: SharedEventObject
    let value: UInt64
    let tell: @Sendable (UInt64) -> Void
  }

  private let lock = Mutex()
  private let thread = DispatchQueue(label: "metal.event-watch")
  private var wishes: [Wish] = []
  private var isWatching = false

  func add(_ event: SharedEventObject, _ value: UInt64, _ tell: @escaping @Sendable (UInt64) -> Void) {
    let mustStart = lock.holding {
      wishes.append(Wish(event: event, value: value, tell: tell))
      defer { isWatching = true }
      return !isWatching
    }
    if mustStart { thread.async { self.watch() } }
  }

  private func watch() {
    var pause: UInt32 = 5
    while true {
      let (reached, isIdle) = lock.holding {
        var reached: [(Wish, UInt64)] = []
        var rest: [Wish] = []
        for wish in wishes {
          let value = wish.event.signaledValue
          if value >= wish.value { reached.append((wish, value)) } else { rest.append(wish) }
        }
        wishes = rest
        isWatching = !rest.isEmpty
        return (reached, rest.isEmpty)
      }
      for (wish, value) in reached { wish.tell(value) }
      if isIdle { return }
      pause = reached.isEmpty ? min(pause * 2, 500) : 5
      usleep(pause)
    }
  }
}
