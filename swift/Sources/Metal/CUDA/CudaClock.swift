import Glibc

/// Places CUDA's events, which know only the time between two of them, on the host's monotonic clock.
struct CudaClock {
  /// An event of the past and when it was.
  private var base: OpaquePointer
  private var baseTime: Double
  /// A base that a newer one replaced; free again.
  private var replaced: OpaquePointer?

  /// cuEventElapsedTime counts in about half microseconds.
  private static let resolution = 0.5e-6

  init(_ context: CudaContext, _ stream: OpaquePointer) throws {
    let driver = context.driver
    var event: OpaquePointer?
    try context.check(driver.cuEventCreate(&event, CU.eventBlockingSync), "make an event")
    base = event!
    try context.check(driver.cuEventRecord(base, stream), "record an event")
    try context.check(driver.cuEventSynchronize(base), "record an event")
    baseTime = CudaClock.now()
  }

  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// A batch with work takes at least the clock's resolution; one without any starts where it ends.
  mutating func place(_ driver: CudaDriver, _ start: OpaquePointer?, _ end: OpaquePointer) -> (
    start: Double, end: Double
  ) {
    let now = CudaClock.now()
    var milliseconds: Float = 0
    guard let start, driver.cuEventElapsedTime(&milliseconds, start, end) == 0 else { return (now, now) }
    let duration = max(Double(milliseconds) * 1e-3, CudaClock.resolution)
    guard driver.cuEventElapsedTime(&milliseconds, base, start) == 0 else { return (now - duration, now) }
    let offset = Double(milliseconds) * 1e-3
    // Nothing ends after it was seen to end.
    baseTime -= max(0, baseTime + offset + duration - now)
    let begin = baseTime + offset
    // Float milliseconds lose digits with distance.
    if offset > 1 {
      replaced = base
      base = start
      baseTime = begin
    }
    return (begin, begin + duration)
  }

  /// The event that is free once a batch is done: its start, or the base that its start replaced.
  mutating func keeps(_ start: OpaquePointer) -> OpaquePointer? {
    guard start == base else { return start }
    defer { replaced = nil }
    return replaced
  }

  func end(_ driver: CudaDriver) { _ = driver.cuEventDestroy(base) }
}
