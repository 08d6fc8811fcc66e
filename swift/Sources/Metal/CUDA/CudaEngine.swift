import Glibc
import Threading

/// One CUDA device.
final class CudaEngine: Engine, @unchecked Sendable {
  let name = "cuda"
  let deviceName: String
  let registryID: UInt64
  let hasUnifiedMemory: Bool
  let maxBufferLength: Int
  let recommendedMaxWorkingSetSize: Int
  /// 90 for sm_90
  let architecture: Int

  private let context: CudaContext
  private let memory: CudaMemory
  private let slots: CudaEventSlots
  private let lock = Mutex()
  private var madeCompiler: CudaCompiler?

  init(_ driver: CudaDriver, ordinal: Int32) throws {
    var device: Int32 = 0
    let code = driver.cuDeviceGet(&device, ordinal)
    guard code == 0 else { throw EngineError.failed("Cannot use CUDA device \(ordinal): \(driver.describe(code))") }
    context = CudaContext(driver, device)
    memory = CudaMemory(context)
    slots = CudaEventSlots(memory)

    var text = [CChar](repeating: 0, count: 256)
    try context.check(driver.cuDeviceGetName(&text, 255, device), "read the device's name")
    deviceName = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    var identity: (UInt64, UInt64) = (0, 0)
    try context.check(
      withUnsafeMutableBytes(of: &identity) { driver.cuDeviceGetUuid($0.baseAddress!, device) }, "identify the device")
    registryID = identity.0 ^ identity.1
    var total = 0
    try context.check(driver.cuDeviceTotalMem(&total, device), "read the device's memory")
    maxBufferLength = total
    // The context, cuBLAS and kernels want some.
    recommendedMaxWorkingSetSize = total - max(512 << 20, total / 20)
    hasUnifiedMemory = context.attribute(CU.Device.integrated) != 0
    architecture = context.attribute(CU.Device.major) * 10 + context.attribute(CU.Device.minor)
  }

  var facts: MetalDeviceFacts {
    func known(_ value: Int) -> Int? { value > 0 ? value : nil }
    return MetalDeviceFacts(
      driver: CudaEngine.kernelDriver, cores: known(context.attribute(CU.Device.multiprocessors)),
      l2Bytes: known(context.attribute(CU.Device.l2Bytes)),
      clockMHz: known(context.attribute(CU.Device.clockKilohertz) / 1000))
  }

  func versions() -> [(name: String, version: String)] {
    let version = context.driver.version
    var found = [("cuda", "\(version / 1000).\(version % 1000 / 10)")]
    if let nvrtc = try? CudaLibraries.shared.nvrtc() { found.append(("nvrtc", "\(nvrtc.major).\(nvrtc.minor)")) }
    if let cublas = try? CudaLibraries.shared.cublas() { found.append(("cublas", cublas.version)) }
    return found.map { (name: $0.0, version: $0.1) }
  }

  /// "580.82.07", of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.82.07  …": the driver's API tells only
  /// CUDA's version.
  private static let kernelDriver: String? = {
    guard let bytes = readFile("/proc/driver/nvidia/version") else { return nil }
    let line = String(decoding: bytes, as: UTF8.self).prefix { $0 != "\n" }
    return line.split(separator: " ").first { word in
      word.contains(".") && word.allSatisfy { $0 == "." || $0.isNumber }
    }.map(String.init)
  }()

  func allocate(_ length: Int, _ storage: MTLStorageMode) throws -> Allocation {
    try CudaAllocation(memory, length, storage == .private ? .device : .host)
  }

  func wrap(_ start: UnsafeMutableRawPointer, _ length: Int, release: @escaping @Sendable () -> Void) throws
    -> Allocation?
  {
    try context.enter()
    return CudaWrappedAllocation(context, memory, start, length, release)
  }

  func check(_ translation: Translation, _ options: CompileSettings) throws {
    try context.enter()
    let emission = try translation.emit(.cuda, kernel: nil, constants: [:], inlineArguments: [])
    try compiler().check(emission, options)
  }

  func makePipeline(
    _ translation: Translation, _ kernel: Kernel, _ constants: [Int: FunctionConstant], _ options: CompileSettings
  ) throws
    -> any EnginePipeline
  {
    let compiler = try compiler()
    return try CudaPipeline(context, kernel) { [context, memory] inlined in
      let indices = kernel.parameters.indices.filter { inlined & (1 << UInt64($0)) != 0 }
      let emission = try translation.emit(.cuda, kernel: kernel, constants: constants, inlineArguments: Set(indices))
      let image = try compiler.build(emission, options, name: kernel.name)
      try context.enter()
      do {
        return try CudaFunction(context, memory, kernel, inlined: inlined, image: image)
      } catch {
        // What the disk held may be damaged.
        guard !context.isLost else { throw error }
        let again = try compiler.build(emission, options, name: kernel.name, again: true)
        return try CudaFunction(context, memory, kernel, inlined: inlined, image: again)
      }
    }
  }

  func makeQueue(_ label: String?) throws -> any EngineQueue { try CudaQueue(context, memory) }

  func makeEvent() throws -> any EngineEvent {
    try context.enter()
    guard context.attribute(CU.Device.streamMemoryOperations64) != 0 else {
      throw EngineError.failed("Cannot make an event: \(deviceName)'s driver has no 64-bit waits in streams")
    }
    return try CudaEvent(slots)
  }

  private func compiler() throws -> CudaCompiler {
    try context.enter()
    lock.acquire()
    defer { lock.release() }
    if let madeCompiler { return madeCompiler }
    let made = try CudaCompiler(
      CudaLibraries.shared.nvrtc(), architecture: architecture, driverVersion: context.driver.version)
    madeCompiler = made
    return made
  }
}

/// Every device, once.
private let everyDevice: (engines: [CudaEngine], reason: String?) = {
  do {
    let driver = try CudaLibraries.shared.driver()
    // Streams that share one of the default eight hardware queues could wait for each other's events.
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0)
    let code = driver.cuInit(0)
    guard code == 0 else { return ([], "the driver \(driver.path) does not start: \(driver.describe(code))") }
    var count: Int32 = 0
    guard driver.cuDeviceGetCount(&count) == 0, count > 0 else {
      return ([], "the driver \(driver.path) has no device")
    }
    var engines: [CudaEngine] = []
    var reason: String?
    for ordinal in 0..<count {
      do { engines.append(try CudaEngine(driver, ordinal: ordinal)) } catch let error as EngineError {
        reason = error.message
      }
    }
    return (engines, engines.isEmpty ? reason : nil)
  } catch {
    return ([], (error as? EngineError)?.message ?? "\(error)")
  }
}()

/// In the driver's order; empty without a driver or device.
func cudaDevices() -> [CudaEngine] { everyDevice.engines }

/// Why there is none.
func cudaUnavailableReason() -> String? { everyDevice.reason }
