import CMetalFaiss
import CPUKernels

/// The pool, as factorizations in C see it: loops that stop between one and the next when the call does.
final class Team {
  private let pool: Pool
  private let call: Call
  private var threads = 1

  private init(_ pool: Pool, _ call: Call) {
    self.pool = pool
    self.call = call
  }

  /// Runs a factorization, and throws what its status stands for. `describe` names what is at `where`.
  static func run(
    _ call: Call, _ describe: (cpu_factor_status, Int) -> String,
    _ body: (UnsafePointer<cpu_kernels>, UnsafePointer<cpu_team>, UnsafeMutablePointer<cpu_report>) -> cpu_factor_status
  ) throws -> cpu_report {
    try call.throwIfCancelled()
    let engine = Engine.shared
    let team = Team(engine.pool, call)
    var report = cpu_report()
    let status = withExtendedLifetime(team) {
      var table = cpu_team(
        context: Unmanaged.passUnretained(team).toOpaque(),
        run: { context, count, body, state in
          Unmanaged<Team>.fromOpaque(context!).takeUnretainedValue().forEach(count, body!, state)
        })
      return body(engine.kernels, &table, &report)
    }
    call.pointee.threads = UInt32(team.threads)
    call.pointee.variants = report.variants
    switch status {
    case CPU_FACTOR_OK: return report
    case CPU_FACTOR_STOPPED: throw Failure.cancelled
    case CPU_FACTOR_MEMORY:
      throw Failure(status: MF_MEMORY, message: "its working memory is not available")
    default: throw Failure.value(describe(status, Int(report.where)))
    }
  }

  private func forEach(
    _ count: UInt64, _ body: @convention(c) (UnsafeMutableRawPointer?, UInt64) -> Void,
    _ state: UnsafeMutableRawPointer?
  ) -> Bool {
    if call.isCancelled { return false }
    nonisolated(unsafe) let state = state
    threads = max(threads, pool.forEach(Int(count)) { item, _ in body(state, UInt64(item)) })
    return !call.isCancelled
  }
}

/// What a row of a matrix is refused for.
func nonfinite(_ x: UnsafePointer<Float>, _ at: Int, _ columns: Int) -> String {
  let value = x[at].isNaN ? "NaN" : x[at] > 0 ? "Infinity" : "-Infinity"
  return "row \(at / columns) holds \(value) in column \(at % columns)"
}
