import CMetalFaiss
import CPUKernels

/// Partial sums of blocks, and how they go together: in order, whoever made them.
private func sum(
  _ how: mf_linalg_summing, _ n: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>?, _ scale: Float,
  _ call: Call
) throws -> cpu_sum {
  let engine = Engine.shared
  let kernel = cpu_sequence_table(engine.kernels)!.pointee.sum!
  let block = Int(CPU_SUM_BLOCK)
  let blocks = (n + block - 1) / block
  var parts = [cpu_sum](repeating: cpu_sum(), count: blocks)
  let threads = parts.withUnsafeMutableBufferPointer { parts in
    let out = parts.baseAddress!
    return engine.pool.forEach(blocks, parallel: n > 4 * block) { item, _ in
      if call.isCancelled { return }
      let from = item * block
      let count = UInt64(min(block, n - from))
      kernel(how.terms, how.summation, x + from, y.map { $0 + from }, count, scale, out + item)
    }
  }
  try call.throwIfCancelled()
  call.pointee.threads = UInt32(threads)
  var total = cpu_sum()
  for i in 0..<blocks { cpu_sum_merge(how.summation, &total, &parts[i]) }
  // Kahan's is a float; what is left over is less than its last bit.
  if how.summation == 1 { (total.value, total.rest) = (Double(Float(total.value + total.rest)), 0) }
  return total
}

private func limbs(
  _ n: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>?, _ call: Call
) throws -> cpu_limbs {
  let engine = Engine.shared
  let block = Int(CPU_SUM_BLOCK)
  let blocks = (n + block - 1) / block
  let workers = engine.pool.threads
  var parts = [cpu_limbs](repeating: cpu_limbs(), count: workers)
  let threads = parts.withUnsafeMutableBufferPointer { parts in
    let out = parts.baseAddress!
    return engine.pool.forEach(blocks, parallel: n > block) { item, worker in
      if call.isCancelled { return }
      let from = item * block
      cpu_limbs_add(out + worker, x + from, y.map { $0 + from }, UInt64(min(block, n - from)))
    }
  }
  try call.throwIfCancelled()
  call.pointee.threads = UInt32(threads)
  var total = cpu_limbs()
  for i in 0..<workers { cpu_limbs_merge(&total, &parts[i]) }
  return total
}

/// The largest |x|; a NaN, if there is one.
private func largest(_ n: Int, _ x: UnsafePointer<Float>) -> Float {
  let engine = Engine.shared
  let kernel = cpu_sequence_table(engine.kernels)!.pointee.largest!
  let block = Int(CPU_SUM_BLOCK)
  let blocks = (n + block - 1) / block
  var parts = [UInt32](repeating: 0, count: blocks)
  parts.withUnsafeMutableBufferPointer { parts in
    let out = parts.baseAddress!
    engine.pool.forEach(blocks, parallel: n > 4 * block) { item, _ in
      out[item] = kernel(x + item * block, UInt64(min(block, n - item * block)))
    }
  }
  return Float(bitPattern: parts.max() ?? 0)
}

@_cdecl("mf_linalg_sum")
public func linalgSum(
  _ how: UnsafePointer<mf_linalg_summing>, _ x: UnsafePointer<Float>?, _ y: UnsafePointer<Float>?,
  _ out: UnsafeMutablePointer<Double>, _ call: Call
) -> Int32 {
  call.run("add up") {
    let how = how.pointee
    let n = try count(how.n, "n")
    guard how.terms <= 2, how.summation <= 3 else { throw Failure.value("there is no such sum") }
    for i in 0..<24 { out[i] = 0 }
    guard n > 0, let x else { return }
    guard how.terms != 1 || y != nil else { throw Failure.shape("y is empty") }
    if how.summation == 3 {
      let exact = try limbs(n, x, how.terms == 0 ? nil : how.terms == 1 ? y : x, call)
      out[3] = Double(exact.has_nan | exact.has_positive << 1 | exact.has_negative << 2)
      withUnsafeBytes(of: exact.limb) { bytes in
        for (i, limb) in bytes.bindMemory(to: Int64.self).enumerated() { out[4 + i] = Double(limb) }
      }
      var magnitude = how
      magnitude.summation = 0
      out[2] = try sum(magnitude, n, x, y, 1, call).magnitude
      return
    }
    guard how.terms == 2 else {
      var total = try sum(how, n, x, y, 1, call)
      if !(total.value + total.rest).isFinite, how.summation != 0 {
        // Compensation makes NaN of infinities.
        var plain = how
        plain.summation = 0
        total = try sum(plain, n, x, y, 1, call)
      }
      (out[0], out[1], out[2]) = (total.value, total.rest, total.magnitude)
      return
    }
    let most = largest(n, x)
    guard most.isFinite else {
      (out[0], out[2]) = (Double(most), Double(most))
      return
    }
    // A power of two brings the largest to [1, 2).
    let exponent = max(-126, most == 0 ? 0 : Int(most.exponent))
    let down = Float(sign: .plus, exponent: min(126, -exponent), significand: 1)
    let up = 1 / (Double(down) * Double(down))
    let total = try sum(how, n, x, y, down, call)
    (out[0], out[1], out[2]) = (total.value * up, total.rest * up, total.magnitude * up)
  }
}
