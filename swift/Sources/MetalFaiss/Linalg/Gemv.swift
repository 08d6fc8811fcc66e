import CMetalFaiss
import CPUKernels

/// Multiply-adds that take about as long as waking a thread is worth.
private let shareable = 200_000
/// Numbers of a matrix that are read before a thread looks whether the call goes on.
private let polled = 1 << 20

@_cdecl("mf_linalg_gemv")
public func linalgGemv(
  _ product: UnsafePointer<mf_linalg_vectors>, _ w: UnsafeRawPointer?, _ x: UnsafeRawPointer?,
  _ bias: UnsafeRawPointer?, _ y: UnsafeMutableRawPointer?, _ call: Call
) -> Int32 {
  call.run("multiply") {
    let given = product.pointee
    let n = try count(given.n, "n")
    let k = try count(given.k, "k")
    let batch = try count(given.batch, "batch")
    let columns = given.columns != 0
    let line = try count(given.line, "line", atLeast: Double(columns ? n : k))
    let lineBias = try count(given.line_bias, "line_bias")
    guard n > 0, batch > 0 else { return }
    for (type, name) in [(given.type_w, "w"), (given.type_x, "x"), (given.type_bias, "bias")]
    where type > MF_BF16.rawValue {
      throw Failure.shape("type_\(name) must be 0 to 2, not \(type)")
    }
    guard let y, k == 0 || (w != nil && x != nil) else { throw Failure.shape("w, x or y is empty") }
    let bytes = { (type: UInt32) in type == 0 ? 4 : 2 }
    let out = UnsafeRawBufferPointer(start: y, count: batch * n * bytes(given.type_x))
    let rows = columns ? k : n
    for (data, count, name) in [
      (w, batch * rows * line * bytes(given.type_w), "w"), (x, batch * k * bytes(given.type_x), "x"),
      (bias, ((batch - 1) * lineBias + n) * bytes(given.type_bias), "bias"),
    ] where overlaps(UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : count), out) {
      throw Failure.value("y overlaps \(name)")
    }
    let engine = Engine.shared
    try Scratch.with(batch * k) { widened in
      if k > 0 { cpu_widen_all(given.type_x, x, UInt64(batch * k), widened) }
      let g = cpu_gemv(
        n: UInt64(n), k: UInt64(k), line: UInt64(line), line_bias: UInt64(lineBias), type_w: given.type_w,
        type_x: given.type_x, type_bias: given.type_bias, columns: columns, alpha: given.alpha, beta: given.beta,
        w: w, bias: bias, x: widened, y: y)
      let ran = try multiply(g, batch, engine, call)
      call.pointee.threads = UInt32(ran.threads)
      call.pointee.variants = ran.variant.rawValue
    }
  }
}

private func multiply(_ g: cpu_gemv, _ batch: Int, _ engine: Engine, _ call: Call) throws
  -> (threads: Int, variant: mf_linalg_variant)
{
  let (n, k) = (Int(g.n), Int(g.k))
  let parallel = engine.pool.threads > 1 && batch * n * k >= shareable
  // Outputs an item: rows are lines of their own, columns of a row want to be many.
  let least = g.columns ? 256 : 4
  let wanted = parallel ? 4 * engine.pool.threads : 1
  if parallel, batch * n < 2 * least * engine.pool.threads, k >= 64 * engine.pool.threads {
    return (try sum(g, batch, engine, call), MF_GEMV_SPLIT)
  }
  var each = max(least, (n * batch + wanted - 1) / wanted)
  each = max(least, min(each, polled / max(k, 1), 1 << 20) / least * least)
  let items = (n + each - 1) / each
  let threads = withUnsafePointer(to: g) { g in
    engine.pool.forEach(batch * items, parallel: parallel) { item, _ in
      if call.isCancelled { return }
      let first = item % items * each
      cpu_gemv_part(
        engine.kernels, g, UInt64(item / items), UInt64(first), UInt64(min(n, first + each)))
    }
  }
  try call.throwIfCancelled()
  return (threads, g.columns ? MF_GEMV_COLUMNS : MF_GEMV_ROWS)
}

/// Few outputs, many summands: threads share those, and the sums are added in order.
private func sum(_ g: cpu_gemv, _ batch: Int, _ engine: Engine, _ call: Call) throws -> Int {
  let (n, k) = (Int(g.n), Int(g.k))
  let parts = engine.pool.threads
  return try Scratch.with((parts + 1) * n) { sums in
    var took = 1
    for matrix in 0..<batch {
      let threads = withUnsafePointer(to: g) { g in
        engine.pool.forEach(parts) { part, _ in
          let p = part * k / parts
          cpu_gemv_sums(
            engine.kernels, g, UInt64(matrix), 0, UInt64(n), UInt64(p), UInt64((part + 1) * k / parts - p),
            sums + (part + 1) * n)
        }
      }
      try call.throwIfCancelled()
      took = max(took, threads)
      for i in 0..<n {
        sums[i] = sums[n + i]
        for part in 1..<parts { sums[i] += sums[(part + 1) * n + i] }
      }
      withUnsafePointer(to: g) { cpu_gemv_finish($0, UInt64(matrix), 0, UInt64(n), sums) }
    }
    return took
  }
}
