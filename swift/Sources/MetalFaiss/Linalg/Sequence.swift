import CMetalFaiss
import CPUKernels

/// Numbers that one item of a loop takes: about a quarter of a core's second cache.
private let blockNumbers = 1 << 15

private func elementBytes(_ type: UInt32) throws -> Int {
  guard type <= 2 else { throw Failure.shape("there is no element type \(type)") }
  return type == 0 ? 4 : 2
}

@_cdecl("mf_linalg_layer_norm")
public func linalgLayerNorm(
  _ sizes: UnsafePointer<mf_linalg_rows>, _ x: UnsafePointer<UInt8>?, _ weight: UnsafePointer<Float>?,
  _ bias: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("normalize rows") {
    let sizes = sizes.pointee
    let rows = try count(sizes.rows, "rows")
    let columns = try count(sizes.columns, "columns", atLeast: 1)
    let period = try count(sizes.heads, "heads", atLeast: 1)
    _ = try elementBytes(sizes.type)
    guard rows > 0, let x, let out else { return }
    let engine = Engine.shared
    let kernel = cpu_sequence_table(engine.kernels)!.pointee.layer_norm!
    let block = max(1, blockNumbers / columns)
    let threads = engine.pool.forEach((rows + block - 1) / block, parallel: rows * columns > 2 * blockNumbers) {
      item, _ in
      if call.isCancelled { return }
      let first = item * block
      kernel(
        sizes.type, x, UInt64(first), UInt64(min(block, rows - first)), UInt64(columns), sizes.number, weight, bias,
        UInt64(period), out)
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}

@_cdecl("mf_linalg_soft_cap")
public func linalgSoftCap(
  _ sizes: UnsafePointer<mf_linalg_rows>, _ x: UnsafePointer<UInt8>?, _ out: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("cap") {
    let sizes = sizes.pointee
    let n = try count(sizes.rows, "rows") * count(sizes.columns, "columns")
    let bytes = try elementBytes(sizes.type)
    guard n > 0, let x, let out else { return }
    let engine = Engine.shared
    let kernel = cpu_sequence_table(engine.kernels)!.pointee.soft_cap!
    let threads = engine.pool.forEach((n + blockNumbers - 1) / blockNumbers, parallel: n > 2 * blockNumbers) {
      item, _ in
      if call.isCancelled { return }
      let from = item * blockNumbers
      kernel(sizes.type, x + from * bytes, UInt64(min(blockNumbers, n - from)), sizes.number, out + from * bytes)
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}

/// Outputs of up to four inputs at a time: xs, adds and outs are of input 0, those of the next `apart` further on.
private func linear(
  _ kernels: UnsafePointer<cpu_sequence_kernels>, _ w: UnsafePointer<Float>, _ rows: Int, _ d: Int, _ inputs: Int,
  _ x: UnsafePointer<Float>, _ apartX: Int, _ add: UnsafePointer<Float>?, _ apartAdd: Int,
  _ out: UnsafeMutablePointer<Float>, _ apartOut: Int
) {
  withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: 8) { from in
    withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Float>?.self, capacity: 4) { outs in
      let adds = from.baseAddress! + 4
      for first in stride(from: 0, to: inputs, by: 4) {
        let group = min(4, inputs - first)
        for q in 0..<group {
          from[q] = x + (first + q) * apartX
          if let add { adds[q] = add + (first + q) * apartAdd }
          outs[q] = out + (first + q) * apartOut
        }
        kernels.pointee.linear(
          w, UInt64(rows), UInt64(d), from.baseAddress!, add == nil ? nil : adds, outs.baseAddress!, UInt32(group))
      }
    }
  }
}

@_cdecl("mf_linalg_head_linear")
public func linalgHeadLinear(
  _ sizes: UnsafePointer<mf_linalg_rows>, _ x: UnsafePointer<UInt8>?, _ w: UnsafePointer<UInt8>?,
  _ out: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("multiply heads") {
    let sizes = sizes.pointee
    let batch = try count(sizes.rows, "rows")
    let heads = try count(sizes.heads, "heads", atLeast: 1)
    let d = try count(sizes.columns, "columns", atLeast: 1)
    let outputs = try count(sizes.outputs, "outputs")
    let bytes = try elementBytes(sizes.type)
    guard batch * outputs > 0, let x, let w, let out else { return }
    let engine = Engine.shared
    let kernels = cpu_sequence_table(engine.kernels)!
    let type = sizes.type
    // A head's matrix, inputs and outputs as floats, where they are not that.
    let scratch = type == 0 ? 0 : outputs * d + batch * (d + outputs)
    var memory = Memory<Float>()
    defer { memory.release() }
    try memory.reserve(scratch * engine.pool.threads, used: 0)
    let start = memory.start
    let threads = engine.pool.forEach(heads, parallel: batch * heads * outputs * d > 100_000) { head, worker in
      if call.isCancelled { return }
      let matrix = w + head * outputs * d * bytes
      if type == 0 {
        let own = UnsafeRawPointer(matrix).assumingMemoryBound(to: Float.self)
        let from = UnsafeRawPointer(x).assumingMemoryBound(to: Float.self) + head * d
        let to = UnsafeMutableRawPointer(out).assumingMemoryBound(to: Float.self) + head * outputs
        linear(kernels, own, outputs, d, batch, from, heads * d, nil, 0, to, heads * outputs)
        return
      }
      let weights = start + worker * scratch
      let (inputs, results) = (weights + outputs * d, weights + outputs * d + batch * d)
      kernels.pointee.widen(type, matrix, UInt64(outputs * d), weights)
      for b in 0..<batch {
        kernels.pointee.widen(type, x + (b * heads + head) * d * bytes, UInt64(d), inputs + b * d)
      }
      linear(kernels, weights, outputs, d, batch, inputs, d, nil, 0, results, outputs)
      for b in 0..<batch {
        let to = out + (b * heads + head) * outputs * bytes
        kernels.pointee.narrow(type, results + b * outputs, UInt64(outputs), to)
      }
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}

@_cdecl("mf_linalg_recurrent")
public func linalgRecurrent(
  _ sizes: UnsafePointer<mf_linalg_recurrence>, _ x: UnsafePointer<Float>?, _ weights: UnsafePointer<Float>?,
  _ out: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("scan") {
    let sizes = sizes.pointee
    let batch = try count(sizes.batch, "batch")
    let steps = try count(sizes.steps, "steps")
    let d = try count(sizes.d, "d", atLeast: 1)
    let chunk = try count(sizes.chunk, "chunk", atLeast: 1)
    guard batch * steps > 0, let x, let weights, let out else { return }
    let engine = Engine.shared
    let kernels = cpu_sequence_table(engine.kernels)!
    let (w, r, bias) = (weights, weights + d * d, weights + 2 * d * d)
    let initial = sizes.has_initial != 0 ? bias + d : nil
    // Sequences go together four by four, or fewer where threads would have none.
    let group = max(1, min(4, (batch + engine.pool.threads - 1) / engine.pool.threads))
    var most = 1
    for from in stride(from: 0, to: steps, by: sizes.precompute != 0 ? chunk : steps) {
      let to = sizes.precompute != 0 ? min(steps, from + chunk) : steps
      if sizes.precompute != 0 {
        // Inputs by W into the places of the states that they become part of.
        let rows = 64
        let blocks = (to - from + rows - 1) / rows
        let threads = engine.pool.forEach(batch * blocks) { item, _ in
          if call.isCancelled { return }
          let first = from + item % blocks * rows
          let at = (item / blocks * steps + first) * d
          linear(kernels, w, d, d, min(rows, to - first), x + at, d, bias, 0, out + at, d)
        }
        most = max(most, threads)
      }
      let threads = engine.pool.forEach((batch + group - 1) / group) { item, _ in
        let sequence = item * group
        let count = min(group, batch - sequence)
        for t in from..<to {
          if t % 64 == 0, call.isCancelled { return }
          let at = out + (sequence * steps + t) * d
          if sizes.precompute == 0 {
            linear(kernels, w, d, d, count, x + (sequence * steps + t) * d, steps * d, bias, 0, at, steps * d)
          }
          if t > 0 {
            linear(kernels, r, d, d, count, at - d, steps * d, at, steps * d, at, steps * d)
          } else if let initial {
            linear(kernels, r, d, d, count, initial + sequence * d, d, at, steps * d, at, steps * d)
          }
          for q in 0..<count { kernels.pointee.tanh_all(at + q * steps * d, UInt64(d)) }
        }
      }
      most = max(most, threads)
      try call.throwIfCancelled()
    }
    call.pointee.threads = UInt32(most)
  }
}
