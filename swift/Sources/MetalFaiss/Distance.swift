import CMetalFaiss
import CPUKernels

@_cdecl("mf_distance_pairwise")
public func distancePairwise(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ y: UnsafePointer<Float>?,
  _ out: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("compare") {
    let nx = try count(sizes.pointee.nx, "nx")
    let ny = try count(sizes.pointee.ny, "ny")
    let d = try count(sizes.pointee.d, "d", atLeast: 1)
    guard nx > 0, ny > 0, let x, let y, let out else { return }
    let engine = Engine.shared
    let metric = sizes.pointee.metric
    let argument = Double(sizes.pointee.metric_arg)
    let pair = engine.kernels.pointee.pair!
    let block = max(1, 8192 / max(d, 1))
    let threads = engine.pool.forEach(nx, parallel: nx * ny * d > 100_000) { i, _ in
      for j in stride(from: 0, to: ny, by: block) where !call.isCancelled {
        for j in j..<min(ny, j + block) {
          out[i * ny + j] = Float(pair(metric, argument, x + i * d, y + j * d, UInt32(d)))
        }
      }
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
    call.pointee.variants = MF_PAIRWISE_F64.rawValue
    call.pointee.scanned = Double(nx) * Double(ny)
  }
}

/// Keeps the k least (distance, id) of a scan in order of id, in a heap with the worst on top.
private func hammingSearch(
  _ kernels: UnsafePointer<cpu_kernels>, _ x: UnsafePointer<UInt8>, _ y: UnsafePointer<UInt8>, _ ny: Int, _ bytes: Int,
  _ k: Int, _ distances: UnsafeMutablePointer<Int32>, _ labels: UnsafeMutablePointer<Int64>
) {
  var held = 0
  func swap(_ a: Int, _ b: Int) {
    (distances[a], distances[b]) = (distances[b], distances[a])
    (labels[a], labels[b]) = (labels[b], labels[a])
  }
  func worse(_ a: Int, _ b: Int) -> Bool {
    distances[a] > distances[b] || (distances[a] == distances[b] && labels[a] > labels[b])
  }
  func sink(_ start: Int, _ count: Int) {
    var at = start
    while true {
      var child = 2 * at + 1
      if child >= count { return }
      if child + 1 < count, worse(child + 1, child) { child += 1 }
      if !worse(child, at) { return }
      swap(child, at)
      at = child
    }
  }
  let hamming = kernels.pointee.hamming!
  for j in 0..<ny {
    let distance = Int32(hamming(x, y + j * bytes, UInt32(bytes)))
    if held < k {
      (distances[held], labels[held]) = (distance, Int64(j))
      var at = held
      held += 1
      while at > 0, worse(at, (at - 1) / 2) {
        swap(at, (at - 1) / 2)
        at = (at - 1) / 2
      }
    } else if distance < distances[0] {
      (distances[0], labels[0]) = (distance, Int64(j))
      sink(0, held)
    }
  }
  for end in stride(from: held - 1, to: 0, by: -1) {
    swap(0, end)
    sink(0, end)
  }
  for i in held..<max(held, k) { (distances[i], labels[i]) = (Int32.max, -1) }
}

@_cdecl("mf_distance_hamming")
public func distanceHamming(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<UInt8>?, _ y: UnsafePointer<UInt8>?,
  _ distances: UnsafeMutablePointer<Int32>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("compare") {
    let nx = try count(sizes.pointee.nx, "nx")
    let ny = try count(sizes.pointee.ny, "ny")
    let bytes = try count(sizes.pointee.d, "d", atLeast: 1)
    let k = try count(sizes.pointee.k, "k", atLeast: 1)
    guard nx > 0, let x, let distances, let labels else { return }
    let engine = Engine.shared
    let empty = UnsafePointer(UnsafeMutablePointer<UInt8>(bitPattern: 64)!)
    let threads = engine.pool.forEach(nx, parallel: nx * ny * bytes > 100_000) { i, _ in
      if call.isCancelled { return }
      hammingSearch(engine.kernels, x + i * bytes, y ?? empty, ny, bytes, k, distances + i * k, labels + i * k)
    }
    try call.throwIfCancelled()
    call.pointee.threads = UInt32(threads)
    call.pointee.scanned = Double(nx) * Double(ny)
  }
}
