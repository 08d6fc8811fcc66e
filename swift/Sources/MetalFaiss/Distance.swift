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

@_cdecl("mf_distance_hamming")
public func distanceHamming(
  _ sizes: UnsafePointer<mf_sizes>, _ x: UnsafePointer<UInt8>?, _ y: UnsafePointer<UInt8>?,
  _ distances: UnsafeMutablePointer<Int32>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("compare") {
    let nx = try count(sizes.pointee.nx, "nx")
    let ny = try count(sizes.pointee.ny, "ny")
    let bytes = try count(sizes.pointee.d, "d", atLeast: 1)
    guard bytes <= 1 << 20 else { throw Failure.value("d must be at most 1,048,576, not \(bytes)") }
    var raw = mf_search()
    raw.nq = Double(nx)
    raw.k = sizes.pointee.k
    let request = try Request(&raw, ranged: false)
    guard nx > 0, let x, let distances, let labels else { return }
    let empty = UnsafePointer(UnsafeMutablePointer<UInt8>(bitPattern: 64)!)
    let search = BinarySearch(request, bytes: bytes, queries: x, call: call)
    try search.flat(y ?? empty, ny, .nearest(distances, labels))
  }
}
