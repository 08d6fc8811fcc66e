import CMetal
import Threading

/// One compiled kernel, loaded.
final class EmulatorPipeline: EnginePipeline, @unchecked Sendable {
  let maxTotalThreadsPerThreadgroup: Int
  let staticThreadgroupMemoryLength: Int
  let argumentBytes: [Int]
  let argumentAlignments: [Int]

  private let module: OpaquePointer
  private let emission: Emission
  private let kernel: Kernel
  /// By parameter, for messages.
  private let labels: [UnsafeMutablePointer<CChar>]

  init(path: String, kernel: Kernel, emission: Emission) throws {
    guard kernel.parameters.count <= Int(MTL_MOST_PARAMETERS) else {
      throw EngineError.failed("Cannot load kernel \(kernel.name): it has more than \(MTL_MOST_PARAMETERS) parameters")
    }
    var text = [CChar](repeating: 0, count: 512)
    guard let module = mtl_module_open(path, &text, text.count) else {
      let why = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
      throw EngineError.failed("Cannot load kernel \(kernel.name): \(why)")
    }
    self.module = module
    self.kernel = kernel
    self.emission = emission
    let bytes = mtl_module_argument_bytes(module)!
    argumentBytes = kernel.parameters.indices.map { Metal.argumentBytes(bytes[$0]) }
    argumentAlignments = kernel.parameters.indices.map { argumentAlignment(bytes[$0]) }
    staticThreadgroupMemoryLength = Int(mtl_module_threadgroup_bytes(module))
    maxTotalThreadsPerThreadgroup = min(1024, kernel.maxTotalThreads ?? 1024)
    labels = kernel.parameters.map { strdup(EmulatorPipeline.label($0)) }
  }

  deinit {
    mtl_module_close(module)
    for label in labels { free(label) }
  }

  /// Throws `EngineError.invalid` when the kernel broke a rule.
  func run(_ dispatch: EngineDispatch, on engine: EmulatorEngine, bytes: EmulatorBytes) throws {
    let name = strdup("\"\(kernel.name)\"\(dispatch.label.dropFirst(kernel.name.count))")
    defer { free(name) }
    var arguments = [mtl_argument](repeating: mtl_argument(), count: kernel.parameters.count)
    try bytes.reserve(dispatch.arguments)
    for index in arguments.indices {
      arguments[index].label = UnsafePointer(labels[index])
      if !dispatch.threadgroupBytes.isEmpty {
        arguments[index].threadgroup_bytes = UInt32(dispatch.threadgroupBytes[index])
      }
      switch dispatch.arguments[index] {
      case .buffer(let allocation, let offset)?:
        arguments[index].memory = allocation.memory(at: offset)
        arguments[index].bytes = UInt64(allocation.length - offset)
      case .bytes(let value)?:
        arguments[index].memory = bytes.place(value)
        arguments[index].bytes = UInt64(value.count)
      case nil: break
      }
      if case .buffer(_, _, _, isWritable: true) = kernel.parameters[index].kind { arguments[index].writable = true }
    }
    let made = withSizes(dispatch.threads, dispatch.threadsPerThreadgroup) {
      mtl_dispatch_make(module, name, engine.checks, $0, $1, arguments, UInt32(arguments.count))
    }
    guard let made else { throw EngineError.outOfMemory("Cannot run kernel \"\(kernel.name)\": there is no memory") }
    defer { mtl_dispatch_free(made) }
    let helpers = Int(clamping: min(mtl_dispatch_threadgroups(made), UInt64(engine.pool.threads)))
    nonisolated(unsafe) let shared = made
    engine.pool.forEach(helpers) { _, _ in mtl_dispatch_run(shared) }
    if let error = mtl_dispatch_error(made) { throw EngineError.invalid(located(String(cString: error))) }
  }

  private func withSizes<T>(_ threads: MTLSize, _ threadgroup: MTLSize, _ body: (UnsafePointer<UInt32>, UnsafePointer<UInt32>) -> T) -> T {
    func three(_ size: MTLSize) -> [UInt32] { [size.width, size.height, size.depth].map { UInt32(clamping: $0) } }
    return body(three(threads), three(threadgroup))
  }

  private static func label(_ parameter: Parameter) -> String {
    switch parameter.kind {
    case .buffer(let index, _, _, _): "argument \"\(parameter.name)\" [[buffer(\(index))]]"
    case .threadgroup(let index): "argument \"\(parameter.name)\" [[threadgroup(\(index))]]"
    case .builtin: "argument \"\(parameter.name)\""
    }
  }

  /// With places in the MSL source for "@{7:3}", line 7 and column 3 of the emitted text.
  private func located(_ message: String) -> String {
    var result = ""
    var rest = Substring(message)
    while let start = rest.find("@{") {
      result += rest[..<start.lowerBound]
      let after = rest[start.upperBound...]
      let end = after.firstIndex(of: "}") ?? after.endIndex
      let numbers = after[..<end].split(separator: ":").compactMap { Int($0) }
      if end < after.endIndex, numbers.count == 2 {
        result += located(line: numbers[0], column: numbers[1] > 0 ? numbers[1] : nil)
        rest = after[after.index(after: end)...]
      } else {
        result += rest[start]  // of a label
        rest = after
      }
    }
    return result + rest
  }

  private func located(line: Int, column: Int?) -> String {
    guard let place = emission.locate(line: line, column: column) else { return "line \(line) of the emitted text" }
    return "\(place.file):\(place.line)" + (column == nil ? "" : ":\(place.column)")
  }
}

/// Where values bound by setBytes lie while a dispatch runs: apart from each other, so that a stray
/// address tells what it strayed from.
final class EmulatorBytes {
  private static let gap = 64 << 10
  private var memory: UnsafeMutableRawPointer?
  private var room = 0
  private var used = 0

  deinit { release() }

  func reserve(_ arguments: [EngineArgument?]) throws {
    used = 0
    let wanted = arguments.reduce(0) { total, argument in
      guard case .bytes(let value)? = argument else { return total }
      return total + EmulatorBytes.span(value)
    }
    if wanted <= room { return }
    release()
    let length = max(wanted, 32 * EmulatorBytes.gap)
    guard let made = mtl_memory_allocate(UInt64(length)) else {
      throw EngineError.outOfMemory("Cannot run a kernel: there is no memory for its arguments")
    }
    memory = made
    room = length
  }

  func place(_ value: [UInt8]) -> UnsafeMutableRawPointer {
    let start = memory! + used
    value.withUnsafeBytes { start.copyMemory(from: $0.baseAddress!, byteCount: value.count) }
    used += EmulatorBytes.span(value)
    return start
  }

  private static func span(_ value: [UInt8]) -> Int { (value.count / gap + 1) * gap }

  private func release() {
    if let memory { mtl_memory_free(memory, UInt64(room)) }
    memory = nil
    room = 0
  }
}
