import CPUKernels

/// Where one worker packs rows and queries.
final class Workspace {
  private var rowPanels = Memory<UInt8>()
  private var starts = Memory<Float>()
  private var longest = Memory<Float>()
  private var queryPanels = Memory<UInt8>()
  private var norms = Memory<Float>()
  private var biases = Memory<Float>()
  private var scratch = Memory<Float>()
  private var chosen = Memory<UInt32>()

  deinit {
    for bytes in [rowPanels, queryPanels] { free(bytes) }
    for floats in [starts, longest, norms, biases, scratch] { free(floats) }
    free(chosen)
  }

  private func free<T>(_ memory: Memory<T>) {
    var memory = memory
    memory.release()
  }

  func prepareScratch(_ kernels: UnsafePointer<cpu_kernels>, d: Int) throws -> UnsafeMutablePointer<Float> {
    try scratch.reserve(Int(kernels.pointee.panel) * (d + 2) + 64, used: 0)
    return scratch.start
  }

  func rows(_ kernels: UnsafePointer<cpu_kernels>, variant: UInt32, n: Int, d: Int) throws -> cpu_rows {
    let panel = Int(kernels.pointee.panel)
    let panels = (n + panel - 1) / panel
    try rowPanels.reserve(cpu_rows_bytes(kernels, variant, UInt64(n), UInt32(d)), used: 0)
    try starts.reserve(panels * panel, used: 0)
    try longest.reserve(panels, used: 0)
    return cpu_rows(
      n: UInt32(n), variant: variant, positions: nil, first: 0, init: starts.start, longest: longest.start,
      panels: rowPanels.start)
  }

  func queries(_ kernels: UnsafePointer<cpu_kernels>, variant: UInt32, n: Int, d: Int) throws -> cpu_queries {
    try queryPanels.reserve(cpu_queries_bytes(kernels, variant, UInt64(n), UInt32(d)), used: 0)
    try norms.reserve(n, used: 0)
    try biases.reserve(n, used: 0)
    return cpu_queries(
      n: UInt32(n), variant: variant, index: nil, first: 0, norms: norms.start, center: 0, bias: biases.start,
      panels: queryPanels.start)
  }

  func positions(_ n: Int) throws -> UnsafeMutablePointer<UInt32> {
    try chosen.reserve(n, used: 0)
    return chosen.start
  }
}

/// One workspace a worker, and the first failure of any of them.
final class Workspaces {
  private let each: [Workspace]
  private let lock = Mutex()
  private var failure: Error?

  init(_ pool: Pool) { each = (0..<pool.threads).map { _ in Workspace() } }

  func run(_ worker: Int, _ body: (Workspace) throws -> Void) {
    do {
      try body(each[worker])
    } catch {
      lock.acquire()
      failure = failure ?? error
      lock.release()
    }
  }

  func rethrow() throws { if let failure { throw failure } }
}
