// What `import Metal` alone brings into scope on Apple, because its headers import Foundation and Dispatch:
// the C library, Dispatch, and three functions that Foundation lacks on Linux. A program's own win.
@_exported import Dispatch
@_exported import Glibc

@_disfavoredOverload
public func autoreleasepool<Result>(invoking body: () throws -> Result) rethrows -> Result { try body() }

/// Seconds since the first of January 2001.
@_disfavoredOverload
public func CFAbsoluteTimeGetCurrent() -> CFTimeInterval {
  var now = timespec()
  clock_gettime(CLOCK_REALTIME, &now)
  return Double(now.tv_sec - 978_307_200) + Double(now.tv_nsec) * 1e-9
}

/// Seconds on the clock that the times of command buffers are on.
@_disfavoredOverload
public func CACurrentMediaTime() -> CFTimeInterval { monotonicSeconds() }

func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}
