import CMetalFaiss
import CPUKernels

@_cdecl("mf_kmeans_update")
public func kmeansUpdate(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ assign: UnsafePointer<Int64>?,
  _ weights: UnsafePointer<Float>?, _ means: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("update centroids") {
    let n = try count(sizes.pointee.nx, "nx")
    let k = try count(sizes.pointee.ny, "ny", atLeast: 1)
    let d = try count(sizes.pointee.d, "d", atLeast: 1)
    guard let means else { throw Failure.shape("means is empty") }
    guard n < 1 << 32 else { throw Failure.value("nx must be below 2^32, not \(n)") }
    // Rows by centroid, in order: sums do not depend on the number of threads.
    var starts = [Int](repeating: 0, count: k + 1)
    for i in 0..<n {
      let c = assign![i]
      guard c >= -1, c < Int64(k) else { throw Failure.value("row \(i) is assigned to \(c) of \(k) centroids") }
      if c >= 0 { starts[Int(c) + 1] += 1 }
    }
    for c in 0..<k { starts[c + 1] += starts[c] }
    var rows = Memory<UInt32>()
    try rows.reserve(max(1, starts[k]), used: 0)
    defer { rows.release() }
    var at = starts
    for i in 0..<n where assign![i] >= 0 {
      let c = Int(assign![i])
      rows.start[at[c]] = UInt32(i)
      at[c] += 1
    }
    let order = rows.start
    let engine = Engine.shared
    let accumulate = engine.kernels.pointee.accumulate!
    let totals = means + k * d
    let threads = starts.withUnsafeBufferPointer { starts in
      engine.pool.forEach(k, parallel: n * d > 100_000) { c, _ in
        if call.isCancelled { return }
        withUnsafeTemporaryAllocation(of: Double.self, capacity: d) { sums in
          sums.initialize(repeating: 0)
          let sum = sums.baseAddress!
          var total = 0.0
          var squares = 0.0
          for slot in starts[c]..<starts[c + 1] {
            let row = x! + Int(order[slot]) * d
            if let weights {
              let weight = Double(weights[Int(order[slot])])
              for j in 0..<d { sum[j] += weight * Double(row[j]) }
              total += weight
            } else {
              accumulate(row, 1, UInt32(d), sum, &squares)
              total += 1
            }
          }
          totals[c] = Float(total)
          if total > 0 { for j in 0..<d { means[c * d + j] = Float(sum[j] / total) } }
        }
      }
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}

@_cdecl("mf_kmeans_assign")
public func kmeansAssign(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ centroids: UnsafePointer<Float>?,
  _ distances: UnsafeMutablePointer<Float>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("assign") {
    let n = try count(sizes.pointee.nx, "nx")
    let k = try count(sizes.pointee.ny, "ny", atLeast: 1)
    let d = try count(sizes.pointee.d, "d", atLeast: 1)
    guard k <= 1 << 24, d <= 1 << 20 else { throw Failure.value("\(k) centroids of \(d) numbers are too many") }
    guard n > 0, let x, let centroids, let distances, let labels else { return }
    // A product quantizer of one part.
    var part = cpu_pq()
    (part.d, part.dsub, part.m, part.ksub) = (UInt32(d), UInt32(d), 1, UInt32(k))
    part.centroids = centroids
    var columns = Memory<Float>()
    try columns.reserve((k + 15) / 16 * 16 * d, used: 0)
    defer { columns.release() }
    cpu_pq_prepare(&part, columns.start)
    let engine = Engine.shared
    let nearest = engine.kernels.pointee.pq.pointee.nearest!
    let block = 2048
    let threads = withUnsafePointer(to: part) { part in
      engine.pool.forEach((n + block - 1) / block, parallel: n * k * d > 100_000) { item, _ in
        if call.isCancelled { return }
        for i in item * block..<min(n, (item + 1) * block) {
          let row = x + i * d
          let label = min(Int(nearest(part, 0, row)), k - 1)
          var sum: Float = 0
          for j in 0..<d {
            let apart = row[j] - centroids[label * d + j]
            sum += apart * apart
          }
          labels[i] = Int64(label)
          distances[i] = sum
        }
      }
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}

@_cdecl("mf_kmeans_least")
public func kmeansLeast(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ center: UnsafePointer<Float>?,
  _ least: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("compare") {
    let n = try count(sizes.pointee.nx, "nx")
    let d = try count(sizes.pointee.d, "d", atLeast: 1)
    guard n > 0, let x, let center, let least else { return }
    let engine = Engine.shared
    let direct = engine.kernels.pointee.direct_l2!
    let block = 4096
    let threads = engine.pool.forEach((n + block - 1) / block, parallel: n * d > 100_000) { item, _ in
      if call.isCancelled { return }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: Int(CPU_DIRECT_ROWS)) { sums in
        var query: UnsafePointer<Float>? = center
        let to = min(n, (item + 1) * block)
        for i in stride(from: item * block, to: to, by: Int(CPU_DIRECT_ROWS)) {
          let rows = min(Int(CPU_DIRECT_ROWS), to - i)
          let ahead = cpu_direct_ahead(nil, UInt64(to - i), UInt32(d))
          direct(x + i * d, nil, UInt32(rows), ahead, &query, 1, UInt32(d), sums.baseAddress!)
          for r in 0..<rows { least[i + r] = min(least[i + r], sums[r]) }
        }
      }
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
  }
}
