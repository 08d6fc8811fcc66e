import Glibc
import Threading

/// Places CUDA's events, which know only the time between two of them, on the host's monotonic clock: one
/// for all streams of a device, so that their times compare.
final class CudaClock: @unchecked Sendable {
  private let driver: CudaDriver
  private let lock = Mutex()
  /// An event of the past and when it was.
  private var base: OpaquePointer
  private var baseTime: Double

  /// cuEventElapsedTime counts in about half microseconds.
  private static let resolution = 0.5e-6

  /// Of an idle stream.
  init(_ context: CudaContext, _ stream: OpaquePointer) throws {
    driver = context.driver
    let driver = driver
    // The event lies between two looks at the host's clock; the closest of some tries counts.
    var best: (event: OpaquePointer, time: Double, slack: Double)?
    for _ in 0..<5 {
      var event: OpaquePointer?
      try context.check(driver.cuEventCreate(&event, CU.eventBlockingSync), "make an event")
      let before = CudaClock.now()
      try context.check(driver.cuEventRecord(event!, stream), "record an event")
      var code = driver.cuEventQuery(event!)
      while code == CU.notReady { code = driver.cuEventQuery(event!) }
      try context.check(code, "record an event")
      let after = CudaClock.now()
      if let known = best, known.slack <= after - before {
        _ = driver.cuEventDestroy(event!)
      } else {
        if let known = best { _ = driver.cuEventDestroy(known.event) }
        best = (event!, (before + after) / 2, after - before)
      }
    }
    (base, baseTime) = (best!.event, best!.time)
  }

  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// A batch with work takes at least the clock's resolution; one without any starts where it ends. `free`: an
  /// event that nobody needs any more.
  func place(_ start: OpaquePointer?, _ end: OpaquePointer) -> (start: Double, end: Double, free: OpaquePointer?) {
    lock.acquire()
    defer { lock.release() }
    let now = CudaClock.now()
    var milliseconds: Float = 0
    guard let start, driver.cuEventElapsedTime(&milliseconds, start, end) == 0 else { return (now, now, start) }
    let duration = max(Double(milliseconds) * 1e-3, CudaClock.resolution)
    guard driver.cuEventElapsedTime(&milliseconds, base, start) == 0 else { return (now - duration, now, start) }
    let offset = Double(milliseconds) * 1e-3
    // Nothing ends after it was seen to end. The two clocks drift apart by some microseconds a second.
    baseTime -= max(0, baseTime + offset + duration - now)
    let begin = baseTime + offset
    guard offset > 1 else { return (begin, begin + duration, start) }
    // Float milliseconds lose digits with distance.
    let replaced = base
    base = start
    baseTime = begin
    return (begin, begin + duration, replaced)
  }
}
