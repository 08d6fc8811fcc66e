import CMetalFaiss
import CPUKernels

@_cdecl("mf_linalg_qr")
public func linalgQR(
  _ options: UnsafePointer<mf_linalg_qr_options>, _ a: UnsafePointer<Float>?, _ q: UnsafeMutablePointer<Float>?,
  _ r: UnsafeMutablePointer<Float>?, _ rank: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("decompose") {
    let m = try count(options.pointee.m, "m", atLeast: 1)
    let n = try count(options.pointee.n, "n", atLeast: 1)
    guard m >= n else { throw Failure.shape("the matrix has \(m) rows, and more columns: \(n)") }
    guard options.pointee.method <= CPU_QR_HOUSEHOLDER.rawValue else {
      throw Failure.value("method must be 0 to 3, not \(options.pointee.method)")
    }
    let wanted = options.pointee.tolerance
    guard !wanted.isNaN, wanted < 1 else { throw Failure.value("tolerance must be below 1, not \(wanted)") }
    let tolerance = wanted < 0 ? Double(n) * 0x1p-23 : wanted
    guard let a, let q, let r else { throw Failure.shape("the matrix is empty") }
    let report = try Team.run(call) { status, at in
      switch status {
      case CPU_FACTOR_NONFINITE: nonfinite(a, at, n)
      case CPU_FACTOR_TOO_LONG: "column \(at) is longer than a float32 holds"
      default: "its columns did not become orthonormal"
      }
    } _: { kernels, team, report in
      cpu_qr(
        kernels, team, cpu_qr_method(options.pointee.method), UInt64(m), UInt64(n), tolerance, a, q, r, report)
    }
    rank.pointee = report.rank
  }
}

@_cdecl("mf_linalg_project")
public func linalgProject(
  _ sizes: UnsafePointer<mf_sizes>, _ q: UnsafePointer<Float>?, _ v: UnsafePointer<Float>?,
  _ c: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("project") {
    let m = try count(sizes.pointee.nx, "nx")
    let n = try count(sizes.pointee.d, "d")
    guard n > 0, let c else { return }
    let block = Int(CPU_PROJECT_ROWS)
    let blocks = max(1, (m + block - 1) / block)
    var sums = Memory<Double>()
    try sums.reserve(blocks * n, used: 0)
    defer { sums.release() }
    let start = sums.start
    start.initialize(repeating: 0, count: blocks * n)
    let engine = Engine.shared
    let threads = engine.pool.forEach(blocks, parallel: m * n > 100_000) { item, _ in
      guard !call.isCancelled, let q, let v else { return }
      let row = item * block
      cpu_project_rows(engine.kernels, UInt64(min(block, m - row)), UInt64(n), q + row * n, v + row, start + item * n)
    }
    try call.throwIfCancelled()
    for j in 0..<n {
      var sum = 0.0
      for item in 0..<blocks { sum += start[item * n + j] }
      c[j] = Float(sum)
    }
    call.pointee.threads = UInt32(threads)
    call.pointee.variants = MF_LINALG_PROJECT.rawValue
  }
}

@_cdecl("mf_linalg_update")
public func linalgUpdate(
  _ sizes: UnsafePointer<mf_sizes>, _ q: UnsafePointer<Float>?, _ c: UnsafePointer<Float>?,
  _ v: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("update") {
    let m = try count(sizes.pointee.nx, "nx")
    let n = try count(sizes.pointee.d, "d")
    guard m > 0, let v, let out else { return }
    guard n > 0, let q, let c else {
      out.update(from: v, count: m)
      return
    }
    let block = Int(CPU_PROJECT_ROWS)
    let engine = Engine.shared
    let threads = engine.pool.forEach((m + block - 1) / block, parallel: m * n > 100_000) { item, _ in
      if call.isCancelled { return }
      let row = item * block
      cpu_update_rows(engine.kernels, UInt64(min(block, m - row)), UInt64(n), q + row * n, c, v + row, out + row)
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
    call.pointee.variants = MF_LINALG_UPDATE.rawValue
  }
}
