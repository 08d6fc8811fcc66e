import Glibc
import Threading

/// One device's primary context, and whether it still works. All calls of the driver go through here
/// or follow `enter()` on the same thread.
final class CudaContext: @unchecked Sendable {
  let driver: CudaDriver
  let device: Int32
  private let lock = Mutex()
  private var handle: OpaquePointer?
  private var loss: String?
  private let clockLock = Mutex()
  private var madeClock: CudaClock?
  /// Kernels of the first batch that is known to have been under way.
  private var suspects: [String] = []

  init(_ driver: CudaDriver, _ device: Int32) {
    self.driver = driver
    self.device = device
  }

  var isLost: Bool {
    lock.acquire()
    defer { lock.release() }
    return loss != nil
  }

  /// Makes the context this thread's. Throws at once when the device is lost, without asking CUDA.
  func enter() throws {
    let code = driver.cuCtxSetCurrent(try current())
    if code != 0 { try check(code, "use the device") }
  }

  /// Made when first needed: it takes half a second and half a gigabyte, on each of many devices.
  private func current() throws -> OpaquePointer {
    lock.acquire()
    defer { lock.release() }
    if loss != nil { throw lossError(suspects) }
    if let handle { return handle }
    var made: OpaquePointer?
    let code = driver.cuDevicePrimaryCtxRetain(&made, device)
    guard code == 0, let made else {
      throw EngineError.failed("Cannot use CUDA device \(device): \(driver.describe(code))")
    }
    handle = made
    return made
  }

  /// One for all streams; made with the first, which must be idle.
  func clock(_ stream: OpaquePointer) throws -> CudaClock {
    clockLock.acquire()
    defer { clockLock.release() }
    if let madeClock { return madeClock }
    let made = try CudaClock(self, stream)
    madeClock = made
    return made
  }

  /// From now on every call fails with this; the first code is kept.
  func lose(_ code: Int32, kernels: [String] = []) -> EngineError {
    lock.acquire()
    defer { lock.release() }
    if loss == nil { loss = driver.describe(code) }
    if suspects.isEmpty { suspects = kernels }
    return lossError(kernels.isEmpty ? suspects : kernels)
  }

  /// nil while all is well. `kernels`: of the batch that asks.
  func loss(kernels: [String]) -> EngineError? {
    lock.acquire()
    defer { lock.release() }
    return loss == nil ? nil : lossError(kernels.isEmpty ? suspects : kernels)
  }

  private func lossError(_ kernels: [String]) -> EngineError {
    let running = CudaContext.list(kernels)
    return .deviceLost("the device was lost: \(loss ?? "")" + (running.isEmpty ? "" : " while these ran: \(running)"))
  }

  func check(_ code: Int32, _ doing: @autoclosure () -> String) throws {
    guard code != 0 else { return }
    if CudaDriver.isSticky(code) { throw lose(code) }
    let text = "Cannot \(doing()): \(driver.describe(code))"
    throw code == CU.outOfMemory ? EngineError.outOfMemory(text) : EngineError.failed(text)
  }

  func attribute(_ which: Int32) -> Int {
    var value: Int32 = 0
    return driver.cuDeviceGetAttribute(&value, which, device) == 0 ? Int(value) : 0
  }

  /// Each once, in order, the first eight.
  private static func list(_ kernels: [String]) -> String {
    var seen: Set<String> = []
    let unique = kernels.filter { seen.insert($0).inserted }
    return unique.prefix(8).joined(separator: ", ") + (unique.count > 8 ? " and \(unique.count - 8) more" : "")
  }
}
