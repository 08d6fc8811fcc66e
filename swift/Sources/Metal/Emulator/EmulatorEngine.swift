import CMetal
import Threading

/// Runs kernels on the processor: each compiled by clang, threadgroups over a pool, every thread a fiber.
final class EmulatorEngine: Engine, @unchecked Sendable {
  let name = "emulator"
  let deviceName: String
  let registryID: UInt64 = 0x656d_756c_6174_6f72
  let hasUnifiedMemory = true
  let maxBufferLength: Int
  let recommendedMaxWorkingSetSize: Int
  /// Whether accesses, barriers and races are checked.
  let checks: Bool

  let pool: Pool
  private let memory: EmulatorMemory
  private let lock = Mutex()
  private var madeCompiler: EmulatorCompiler?

  init(checks: Bool, threads: Int) {
    self.checks = checks
    pool = Pool(threads: threads)
    let limit = Int(clamping: mtl_memory_limit())
    memory = EmulatorMemory(limit: limit)
    maxBufferLength = limit
    recommendedMaxWorkingSetSize = limit / 4 * 3
    deviceName = checks ? "Metal emulator" : "Metal emulator without checks"
  }

  deinit { pool.stop() }

  func allocate(_ length: Int, _ storage: MTLStorageMode) throws -> Allocation {
    try EmulatorAllocation(memory, length, isVisible: storage != .private)
  }

  func wrap(_ start: UnsafeMutableRawPointer, _ length: Int, release: @escaping @Sendable () -> Void) throws -> Allocation? {
    EmulatorWrappedAllocation(start, length, release)
  }

  func check(_ translation: Translation, _ options: CompileSettings) throws {
    let emission = try translation.emit(.emulator(checks: checks), kernel: nil, constants: [:], inlineArguments: [])
    try compiler().check(emission, options)
  }

  func makePipeline(_ translation: Translation, _ kernel: Kernel, _ constants: [Int: FunctionConstant], _ options: CompileSettings) throws
    -> any EnginePipeline
  {
    let emission = try translation.emit(.emulator(checks: checks), kernel: kernel, constants: constants, inlineArguments: [])
    let compiler = try compiler()
    let path = try compiler.build(emission, options, checks: checks, name: kernel.name)
    do {
      return try EmulatorPipeline(path: path, kernel: kernel, emission: emission)
    } catch {
      // What the disk held may be damaged.
      compiler.forget(path)
      let again = try compiler.build(emission, options, checks: checks, name: kernel.name)
      return try EmulatorPipeline(path: again, kernel: kernel, emission: emission)
    }
  }

  func makeQueue(_ label: String?) throws -> any EngineQueue { try EmulatorQueue(self) }
  func makeEvent() throws -> any EngineEvent { EmulatorEvent() }

  // A processor's say nothing of a GPU.
  var facts: MetalDeviceFacts { MetalDeviceFacts() }
  func versions() -> [(name: String, version: String)] { [] }

  private func compiler() throws -> EmulatorCompiler {
    try lock.holding {
      if let madeCompiler { return madeCompiler }
      let made = try EmulatorCompiler()
      madeCompiler = made
      return made
    }
  }
}

/// As the environment asks for it.
func emulatorEngine() -> EmulatorEngine {
  let checks = environment("METALFAISS_EMULATOR_CHECKS") != "off"
  let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
  let wanted = environment("METALFAISS_THREADS").flatMap(Int.init) ?? cores
  return EmulatorEngine(checks: checks, threads: wanted > 0 ? min(wanted, 1024) : cores)
}
