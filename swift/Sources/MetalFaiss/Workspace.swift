import CPUKernels

/// Where one worker packs rows and queries.
final class Workspace {
  private var rowPanels = Memory<UInt8>()
  private var starts = Memory<Float>()
  private var longest = Memory<Float>()
  private var roughest = Memory<Float>()
  private var queryPanels = Memory<UInt8>()
  private var norms = Memory<Float>()
  private var errors = Memory<Float>()
  private var biases = Memory<Float>()
  private var scratch = Memory<UInt32>()
  private var chosen = Memory<UInt32>()
  private var decoded = Memory<Float>()

  deinit {
    for bytes in [rowPanels, queryPanels] { free(bytes) }
    for floats in [starts, longest, roughest, norms, errors, biases, decoded] { free(floats) }
    for words in [scratch, chosen] { free(words) }
  }

  fileprivate var bytes: Int {
    let floats = [starts, longest, roughest, norms, errors, biases, decoded].reduce(0) { $0 + $1.capacity }
    return rowPanels.capacity + queryPanels.capacity + 4 * (floats + scratch.capacity + chosen.capacity)
  }

  private func free<T>(_ memory: Memory<T>) {
    var memory = memory
    memory.release()
  }

  func prepareScratch(d: Int) throws -> UnsafeMutablePointer<UInt32> {
    try scratch.reserve(16 * (d + 32), used: 0)
    return scratch.start
  }

  func rows(_ kernels: UnsafePointer<cpu_kernels>, variant: UInt32, n: Int, d: Int) throws -> cpu_rows {
    let panel = Int(kernels.pointee.panel)
    let panels = (n + panel - 1) / panel
    try rowPanels.reserve(cpu_rows_bytes(kernels, variant, UInt64(n), UInt32(d)), used: 0)
    try starts.reserve(panels * panel, used: 0)
    try longest.reserve(panels, used: 0)
    try roughest.reserve(panels, used: 0)
    return cpu_rows(
      n: UInt32(n), variant: variant, positions: nil, first: 0, init: starts.start, longest: longest.start,
      roughest: roughest.start, panels: rowPanels.start)
  }

  func queries(_ kernels: UnsafePointer<cpu_kernels>, variant: UInt32, n: Int, d: Int) throws -> cpu_queries {
    try queryPanels.reserve(cpu_queries_bytes(kernels, variant, UInt64(n), UInt32(d)), used: 0)
    try norms.reserve(n, used: 0)
    try errors.reserve(n, used: 0)
    try biases.reserve(n, used: 0)
    return cpu_queries(
      n: UInt32(n), variant: variant, index: nil, first: 0, norms: norms.start, errors: errors.start,
      center: 0, bias: biases.start, panels: queryPanels.start)
  }

  /// Room for numbers that codes stand for.
  func decoded(_ n: Int) throws -> UnsafeMutablePointer<Float> {
    try decoded.reserve(n, used: 0)
    return decoded.start
  }

  func positions(_ n: Int) throws -> UnsafeMutablePointer<UInt32> {
    try chosen.reserve(n, used: 0)
    return chosen.start
  }
}

/// One workspace a worker and one they share, and the first failure of any of them.
final class Workspaces {
  let shared = Workspace()
  private let each: [Workspace]
  private let lock = Mutex()
  private var failure: Error?

  init(threads: Int) { each = (0..<threads).map { _ in Workspace() } }

  func run(_ worker: Int, _ body: (Workspace) throws -> Void) {
    do {
      try body(each[worker])
    } catch {
      lock.acquire()
      failure = failure ?? error
      lock.release()
    }
  }

  func rethrow() throws {
    if let failure {
      self.failure = nil
      throw failure
    }
  }

  fileprivate var bytes: Int { each.reduce(shared.bytes) { $0 + $1.bytes } }
}

/// Workspaces of the last searches, for the next: fresh pages cost more than a small search.
final class WorkspaceShelf: @unchecked Sendable {
  /// What rests here is no index's memory: little, and for few searches at a time.
  private static let restingBytes = 4 << 20
  private static let resting = 2

  private let lock = Mutex()
  private var shelf: [Workspaces] = []

  func borrow(threads: Int) -> Workspaces {
    lock.acquire()
    defer { lock.release() }
    return shelf.popLast() ?? Workspaces(threads: threads)
  }

  func giveBack(_ workspaces: Workspaces) {
    guard workspaces.bytes <= Self.restingBytes else { return }
    lock.acquire()
    defer { lock.release() }
    if shelf.count < Self.resting { shelf.append(workspaces) }
  }
}
