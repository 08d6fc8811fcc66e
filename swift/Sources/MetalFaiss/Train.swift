import CMetalFaiss
import CPUKernels

@_cdecl("mf_kmeans_parts")
public func kmeansParts(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ means: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("move centroids") {
    let n = try count(sizes.pointee.nx, "nx")
    let k = try count(sizes.pointee.ny, "ny", atLeast: 1)
    let d = try count(sizes.pointee.d, "d", atLeast: 1)
    let m = try count(sizes.pointee.k, "k", atLeast: 1)
    guard d % m == 0 else { throw Failure.value("d \(d) is not divisible by \(m) parts") }
    guard n < 1 << 32 else { throw Failure.value("nx must be below 2^32, not \(n)") }
    let dsub = d / m
    guard dsub <= Int(CPU_PARTS_NUMBERS), k <= 1 << 16 else {
      throw Failure.value("\(k) centroids of \(dsub) numbers are too many")
    }
    guard let means else { throw Failure.shape("means is empty") }
    // Blocks of rows depend on the shape alone: so do sums, not on the number of threads.
    let blocks = min(max(1, 16 / m), max(1, n / 4096))
    var (floats, sums, counts) = (Memory<Float>(), Memory<Double>(), Memory<UInt32>())
    defer {
      floats.release()
      sums.release()
      counts.release()
    }
    let partFloats = Int(cpu_part_floats(UInt32(dsub), UInt32(k)))
    try floats.reserve(m * partFloats, used: 0)
    try sums.reserve(m * blocks * k * dsub, used: 0)
    try counts.reserve(m * blocks * k, used: 0)
    sums.start.update(repeating: 0, count: m * blocks * k * dsub)
    counts.start.update(repeating: 0, count: m * blocks * k)
    let parts = (0..<m).map { part in
      var prepared = cpu_part()
      cpu_part_prepare(
        &prepared, means + part * k * dsub, UInt32(dsub), UInt32(k), floats.start + part * partFloats)
      return prepared
    }
    let engine = Engine.shared
    let add = engine.kernels.pointee.train.pointee.part_add!
    let (sum, total) = (sums.start, counts.start)
    let threads = parts.withUnsafeBufferPointer { parts in
      // Neighbouring parts of the same rows go together: they share cache lines.
      engine.pool.forEach(m * blocks, parallel: n * k * d > 100_000) { item, _ in
        if call.isCancelled { return }
        let (block, part) = (item / m, item % m)
        let (from, to) = (n * block / blocks, n * (block + 1) / blocks)
        let at = part * blocks + block
        guard let x, to > from else { return }
        add(
          parts.baseAddress! + part, x + from * d + part * dsub, UInt64(d), UInt64(to - from), sum + at * k * dsub,
          total + at * k)
      }
    }
    try call.throwIfCancelled()
    for centroid in 0..<m * k {
      let (part, own) = (centroid / k, centroid % k)
      var count = 0
      for block in 0..<blocks { count += Int(total[(part * blocks + block) * k + own]) }
      means[m * k * dsub + centroid] = Float(count)
      guard count > 0 else { continue }
      for c in 0..<dsub {
        var all = 0.0
        for block in 0..<blocks { all += sum[((part * blocks + block) * k + own) * dsub + c] }
        means[centroid * dsub + c] = Float(all / Double(count))
      }
    }
    call.pointee.threads = UInt32(threads)
  }
}

@_cdecl("mf_rotate_hadamard")
public func rotateHadamard(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ signs: UnsafePointer<Float>?,
  _ out: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("rotate") {
    let n = try count(sizes.pointee.nx, "nx")
    let wide = try count(sizes.pointee.ny, "ny", atLeast: 1)
    let d = try count(sizes.pointee.d, "d", atLeast: 1)
    guard wide & (wide - 1) == 0, d <= wide, wide <= 1 << 20 else {
      throw Failure.value("\(d) numbers do not become \(wide)")
    }
    guard n > 0, let x, let signs, let out else { return }
    let isBack = sizes.pointee.k == 1
    let (from, to) = isBack ? (wide, d) : (d, wide)
    let size = Float(wide)
    let factor = 1 / (size * size.squareRoot())
    let engine = Engine.shared
    let rotate = engine.kernels.pointee.train.pointee.hadamard!
    let block = 64
    let threads = engine.pool.forEach((n + block - 1) / block, parallel: n * wide > 100_000) { item, _ in
      if call.isCancelled { return }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: wide) { room in
        let row = room.baseAddress!
        for i in item * block..<min(n, (item + 1) * block) {
          row.update(from: x + i * from, count: from)
          if from < wide { (row + from).update(repeating: 0, count: wide - from) }
          rotate(row, UInt32(wide), signs, isBack, factor)
          (out + i * to).update(from: row, count: to)
        }
      }
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}
