import CPUKernels

/// What runs things: the pool and the kernels in force.
final class Engine: @unchecked Sendable {
  nonisolated(unsafe) private static var current = Engine(threads: Engine.wantedThreads(), kernels: Engine.wantedTable())
  private static let lock = Mutex()

  let pool: Pool
  let kernels: UnsafePointer<cpu_kernels>
  let shelf = WorkspaceShelf()

  private init(threads: Int, kernels: UnsafePointer<cpu_kernels>) {
    pool = Pool(threads: threads)
    self.kernels = kernels
  }

  static var shared: Engine {
    lock.acquire()
    defer { lock.release() }
    return current
  }

  static func setThreads(_ threads: Int) {
    lock.acquire()
    defer { lock.release() }
    let old = current
    current = Engine(threads: threads, kernels: old.kernels)
    old.pool.stop()
  }

  /// False when this machine cannot run the table of that name.
  static func setTable(_ name: String) -> Bool {
    guard let table = tables().first(where: { String(cString: $0.pointee.name) == name }) else { return false }
    lock.acquire()
    defer { lock.release() }
    let old = current
    current = Engine(threads: old.pool.threads, kernels: table)
    old.pool.stop()
    return true
  }

  /// Tables that run here, best first.
  static func tables() -> [UnsafePointer<cpu_kernels>] {
    var found = [UnsafePointer<cpu_kernels>?](repeating: nil, count: 8)
    let count = cpu_tables(&found, 8)
    return found.prefix(Int(count)).compactMap { $0 }
  }

  static var cores: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  private static func wantedThreads() -> Int {
    if let text = getenv("METALFAISS_THREADS"), let threads = Int(String(cString: text)), threads > 0 {
      return min(threads, 1024)
    }
    return cores
  }

  private static func wantedTable() -> UnsafePointer<cpu_kernels> {
    let all = tables()
    guard let text = getenv("METALFAISS_ISA") else { return all[0] }
    return all.first { String(cString: $0.pointee.name) == String(cString: text) } ?? all[0]
  }
}
