import CMetalFaiss
import CPUKernels

public typealias Call = UnsafeMutablePointer<mf_call>

/// Why a call failed: becomes its status and message.
struct Failure: Error {
  let status: mf_status
  let message: String

  static func value(_ message: String) -> Failure { Failure(status: MF_VALUE, message: message) }
  static func shape(_ message: String) -> Failure { Failure(status: MF_SHAPE, message: message) }
  static func memory(_ bytes: Int) -> Failure {
    Failure(status: MF_MEMORY, message: "\(bytes) bytes of memory are not available")
  }
  static let cancelled = Failure(status: MF_CANCELLED, message: "the call was cancelled")
}

extension Call {
  /// Runs an operation and reports how it went, in the caller's record: "Cannot action: reason".
  func run(_ action: String, _ body: () throws -> Void) -> Int32 {
    pointee.variants = 0
    pointee.threads = 1
    pointee.scanned = 0
    pointee.recomputed = 0
    do {
      try body()
      return Int32(bitPattern: MF_OK.rawValue)
    } catch let failure as Failure {
      write("Cannot \(action): \(failure.message)")
      return Int32(bitPattern: failure.status.rawValue)
    } catch {
      write("Cannot \(action): \(error)")
      return Int32(bitPattern: MF_VALUE.rawValue)
    }
  }

  private func write(_ message: String) {
    let capacity = MemoryLayout<mf_call>.size - MemoryLayout<mf_call>.offset(of: \.message)!
    let start = UnsafeMutableRawPointer(self) + (MemoryLayout<mf_call>.size - capacity)
    let utf8 = Array(message.utf8.prefix(capacity - 1))
    utf8.withUnsafeBytes { start.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: utf8.count) }
    (start + utf8.count).storeBytes(of: 0, as: UInt8.self)
  }

  var isCancelled: Bool { cpu_atomic_load32(UnsafePointer<UInt32>(OpaquePointer(self))) != 0 }

  func throwIfCancelled() throws { if isCancelled { throw Failure.cancelled } }
}

/// A count that came as a double.
func count(_ value: Double, _ name: String, atLeast least: Double = 0) throws -> Int {
  guard value >= least, value <= 9_007_199_254_740_992, value.rounded(.down) == value else {
    throw Failure.value("\(name) must be a whole number of at least \(Int(least)), not \(value)")
  }
  return Int(value)
}
