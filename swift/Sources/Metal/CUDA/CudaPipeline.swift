import Threading

/// A kernel in the form that dispatches mostly want, and other forms once one is asked for: a reference to
/// constants either travels with the launch (setBytes) or is read through a pointer (setBuffer).
final class CudaPipeline: EnginePipeline, @unchecked Sendable {
  let context: CudaContext
  private let standard: CudaFunction
  /// Indices of parameters whose values can travel.
  private let references: [Int]
  private let build: @Sendable (UInt64) throws -> CudaFunction
  private let lock = Mutex()
  private var others: [CudaFunction] = []

  init(_ context: CudaContext, _ kernel: Kernel, build: @escaping @Sendable (UInt64) throws -> CudaFunction) throws {
    guard kernel.parameters.count <= 64 else {
      throw CompileFailure(
        log: "error: kernel \(kernel.name) has \(kernel.parameters.count) parameters; at most 64 work")
    }
    self.context = context
    self.build = build
    references = kernel.parameters.indices.filter { index in
      if case .buffer(_, isReference: true, isConstant: true, _) = kernel.parameters[index].kind { true } else { false }
    }
    let all = references.reduce(UInt64(0)) { $0 | 1 << UInt64($1) }
    do { standard = try build(all) } catch let failure as CompileFailure {
      // Large constants do not fit a launch's parameters; they come in buffers then.
      guard all != 0, failure.log.has("parameter space") else { throw failure }
      standard = try build(0)
    }
  }

  var maxTotalThreadsPerThreadgroup: Int { standard.maxThreads }
  var staticThreadgroupMemoryLength: Int { standard.sharedBytes }
  var argumentBytes: [Int] { standard.argumentBytes }
  var argumentAlignments: [Int] { standard.argumentAlignments }

  /// The form for these arguments; compiles it if it is the first to ask.
  func function(for arguments: [EngineArgument?]) throws -> CudaFunction {
    if references.isEmpty { return standard }
    var wanted: UInt64 = 0
    for index in references {
      if case .buffer = arguments[index] { continue }
      wanted |= 1 << UInt64(index)
    }
    if wanted == standard.inlined { return standard }
    lock.acquire()
    defer { lock.release() }
    if let known = others.first(where: { $0.inlined == wanted }) { return known }
    let made = try build(wanted)
    others.append(made)
    return made
  }
}
