import Threading

/// One kernel compiled for one way of binding its references, loaded, with what a launch has to know.
final class CudaFunction: @unchecked Sendable {
  /// One parameter of the entry function.
  struct Slot {
    enum Kind: UInt8 { case pointer, inline, threadgroup }
    var kind: Kind
    /// Index among the kernel's parameters.
    var parameter: Int
    /// Of an inline argument's value.
    var bytes: Int
  }

  let name: String
  let handle: OpaquePointer
  let slots: [Slot]
  /// Of all the entry's parameters, each on 16 bytes, and the grid behind them.
  let valueBytes: Int
  let argumentBytes: [Int]
  let argumentAlignments: [Int]
  let maxThreads: Int
  let sharedBytes: Int
  /// Whether it waits by itself for the kernel before it (mtl_start), and may be set up while that one ends:
  /// half a microsecond or more less from each kernel to the next.
  let waits: Bool
  /// Bit by parameter: a constant reference whose value travels with the launch.
  let inlined: UInt64

  private let context: CudaContext
  private let memory: CudaMemory
  private let module: OpaquePointer
  private let lock = Mutex()
  private var dynamicLimit: Int

  init(_ context: CudaContext, _ memory: CudaMemory, _ kernel: Kernel, inlined: UInt64, image: [UInt8]) throws {
    self.context = context
    self.memory = memory
    self.inlined = inlined
    name = kernel.name
    let driver = context.driver
    var module: OpaquePointer?
    try context.check(
      image.withUnsafeBytes { driver.cuModuleLoadData(&module, $0.baseAddress!) }, "load kernel \(kernel.name)")
    self.module = module!
    var found: OpaquePointer?
    let parameters = kernel.parameters
    do {
      try context.check(driver.cuModuleGetFunction(&found, module!, "mtl_entry"), "load kernel \(kernel.name)")
      handle = found!
      let said = try CudaFunction.readArguments(context, module!, parameters.count)
      argumentBytes = said.map(Metal.argumentBytes)
      argumentAlignments = said.map(argumentAlignment)
      maxThreads = try CudaFunction.attribute(context, found!, CU.Function.maxThreads)
      sharedBytes = try CudaFunction.attribute(context, found!, CU.Function.sharedBytes)
      waits = try CudaFunction.attribute(context, found!, CU.Function.virtualArchitecture) >= 90
    } catch {
      _ = driver.cuModuleUnload(module!)
      throw error
    }
    dynamicLimit = max(0, 48 << 10 - sharedBytes)
    let bytes = argumentBytes
    slots = parameters.indices.compactMap { index in
      switch parameters[index].kind {
      case .buffer where inlined & (1 << UInt64(index)) != 0: Slot(kind: .inline, parameter: index, bytes: bytes[index])
      case .buffer: Slot(kind: .pointer, parameter: index, bytes: 0)
      case .threadgroup: Slot(kind: .threadgroup, parameter: index, bytes: 0)
      case .builtin: nil
      }
    }
    valueBytes = slots.reduce(48) { $0 + ($1.kind == .inline ? CudaFunction.aligned($1.bytes) : 16) }
  }

  // Unloading waits for the device.
  deinit {
    let context = context
    nonisolated(unsafe) let module = module
    memory.whenIdle {
      if (try? context.enter()) != nil { _ = context.driver.cuModuleUnload(module) }
    }
  }

  /// More than 48 KiB of threadgroup memory has to be asked for.
  func allow(dynamicShared bytes: Int) throws {
    guard bytes > 0 else { return }
    lock.acquire()
    defer { lock.release() }
    guard bytes > dynamicLimit else { return }
    let most = context.attribute(CU.Device.sharedMemoryOptIn) - sharedBytes
    guard bytes <= most else {
      throw EngineError.invalid(
        "Cannot run kernel \(name): \(bytes) bytes of threadgroup memory; this device has \(most) left for its arguments"
      )
    }
    try context.check(
      context.driver.cuFuncSetAttribute(handle, CU.Function.maxDynamicShared, Int32(bytes)),
      "give kernel \(name) threadgroup memory")
    dynamicLimit = bytes
  }

  static func aligned(_ bytes: Int) -> Int { (bytes + 15) & ~15 }

  private static func attribute(_ context: CudaContext, _ function: OpaquePointer, _ which: Int32) throws -> Int {
    var value: Int32 = 0
    try context.check(context.driver.cuFuncGetAttribute(&value, which, function), "ask about a kernel")
    return Int(value)
  }

  private static func readArguments(_ context: CudaContext, _ module: OpaquePointer, _ count: Int) throws -> [UInt32] {
    guard count > 0 else { return [] }
    var (address, bytes): (UInt, Int) = (0, 0)
    try context.check(
      context.driver.cuModuleGetGlobal(&address, &bytes, module, "mtl_argument_bytes"), "find a kernel's arguments")
    guard bytes >= 4 * count else {
      throw EngineError.failed("a kernel describes \(bytes / 4) of its \(count) arguments")
    }
    var sizes = [UInt32](repeating: 0, count: count)
    try context.check(context.driver.cuMemcpyDtoH(&sizes, address, 4 * count), "find a kernel's arguments")
    return sizes
  }
}
