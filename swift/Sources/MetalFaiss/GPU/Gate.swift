/// Holds threads until a value is there.
final class Gate<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var result: Result<Value, any Error>?

  init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// The first value stays.
  func open(_ result: Result<Value, any Error>) {
    pthread_mutex_lock(mutex)
    if self.result == nil { self.result = result }
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  func wait() -> Result<Value, any Error> {
    while true {
      if let result = wait(1) { return result }
    }
  }

  /// nil when the time is over.
  func wait(_ seconds: Double) -> Result<Value, any Error>? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard result == nil, seconds > 0 else { return result }
    var until = timespec()
    clock_gettime(CLOCK_REALTIME, &until)
    let nanoseconds = until.tv_nsec + Int(min(seconds, 1e6) * 1e9)
    until.tv_sec += nanoseconds / 1_000_000_000
    until.tv_nsec = nanoseconds % 1_000_000_000
    while result == nil {
      if pthread_cond_timedwait(changed, mutex, &until) != 0 { break }
    }
    return result
  }
}
