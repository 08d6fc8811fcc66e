import CMetalFaiss
import CPUKernels

@_cdecl("mf_linalg_topk_svd")
public func linalgTopkSVD(
  _ options: UnsafePointer<mf_linalg_svd_options>, _ a: UnsafePointer<Float>?, _ start: UnsafePointer<Float>?,
  _ usv: UnsafeMutablePointer<Float>?, _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("decompose") {
    let given = options.pointee
    let m = try count(given.m, "m", atLeast: 1)
    let n = try count(given.n, "n", atLeast: 1)
    let k = try count(given.k, "k", atLeast: 1)
    guard k <= min(m, n) else { throw Failure.value("k must be at most \(min(m, n)), not \(k)") }
    guard given.tolerance >= 0 else { throw Failure.value("tolerance must not be negative, is \(given.tolerance)") }
    guard given.product <= CPU_SVD_TILED.rawValue else {
      throw Failure.value("product must be 0 to 2, not \(given.product)")
    }
    guard let a, let start, let usv else { throw Failure.shape("the matrix is empty") }
    let bad = Engine.shared.kernels.pointee.find_nonfinite(start, UInt64(n * k))
    guard bad == UInt64(n * k) else { throw Failure.value("of the start, \(nonfinite(start, Int(bad), k))") }
    var svd = cpu_svd(
      m: UInt64(m), n: UInt64(n), k: UInt64(k), iterations: given.iterations, band: given.band,
      product: cpu_svd_product(given.product), rotate: given.rayleigh_ritz != 0, tolerance: given.tolerance)
    let report = try Team.run(call) { status, at in
      switch status {
      case CPU_FACTOR_NONFINITE: nonfinite(a, at, n)
      case CPU_FACTOR_TOO_LONG: "a singular value is larger than a float32 holds"
      default: "its vectors did not become orthonormal"
      }
    } _: { kernels, team, report in
      cpu_topk_svd(kernels, team, &svd, a, start, usv, usv + m * k, usv + m * k + k, report)
    }
    result[0] = report.iterations
    result[1] = report.converged
    result[2] = report.rank
  }
}

@_cdecl("mf_linalg_eigen_symmetric")
public func linalgEigenSymmetric(
  _ n: UInt32, _ a: UnsafePointer<Double>?, _ values: UnsafeMutablePointer<Double>?,
  _ vectors: UnsafeMutablePointer<Double>?, _ call: Call
) -> Int32 {
  call.run("find eigenvalues") {
    guard n > 0, let a, let values, let vectors else { return }
    let size = Int(n)
    for i in 0..<size * size where !a[i].isFinite { throw Failure.value("row \(i / size) is not finite") }
    var scratch = Memory<Double>()
    try scratch.reserve(Int(cpu_eigen_scratch(UInt64(n))), used: 0)
    defer { scratch.release() }
    guard cpu_eigen_symmetric(UInt64(n), a, values, vectors, scratch.start) else {
      throw Failure.value("the iteration did not converge")
    }
    call.pointee.variants = MF_LINALG_EIGEN.rawValue
  }
}
