import CMetalFaiss
import CPUKernels

/// An additive quantizer: its codebooks as they were given, by coordinate, and products between them.
final class AdditiveCodec {
  /// What kernels see of it.
  let plain: UnsafePointer<cpu_additive>
  private let held: UnsafeMutablePointer<cpu_additive>
  private var numbers = Memory<Float>()
  private var cross = Memory<Float>()
  private var words = Memory<UInt64>()
  private var sizes = Memory<UInt32>()

  init(
    _ raw: mf_additive, _ nbits: UnsafePointer<UInt32>, _ codebooks: UnsafePointer<Float>?,
    _ norms: UnsafePointer<Float>?
  ) throws {
    let (d, m, splits) = (raw.d, raw.m, raw.splits)
    guard d >= 1, d <= 1 << 20 else { throw Failure.value("d must be 1 to 1,048,576, not \(d)") }
    guard m >= 1, m <= UInt32(CPU_ADDITIVE_MAX_BOOKS) else {
      throw Failure.value("m must be 1 to \(CPU_ADDITIVE_MAX_BOOKS), not \(m)")
    }
    guard splits >= 1, d % splits == 0, m % splits == 0 else {
      throw Failure.value("d \(d) and m \(m) are not divisible by splits \(splits)")
    }
    guard raw.norm <= CPU_NORM_RQ2X4.rawValue else { throw Failure.value("there is no norm \(raw.norm)") }
    guard raw.beam >= 1, raw.beam <= 1 << 12, raw.chunk >= 1 else {
      throw Failure.value("a beam of \(raw.beam) or a chunk of \(raw.chunk) is out of range")
    }
    try sizes.reserve(2 * Int(m) + 1, used: 0)
    let offsets = sizes.start + Int(m)
    offsets[0] = 0
    for i in 0..<Int(m) {
      guard nbits[i] >= 1, nbits[i] <= UInt32(CPU_ADDITIVE_MAX_BITS) else {
        throw Failure.value("nbits must be 1 to \(CPU_ADDITIVE_MAX_BITS), not \(nbits[i])")
      }
      guard raw.method == 0 || nbits[i] == nbits[0] else { throw Failure.value("codebooks differ in size") }
      sizes.start[i] = nbits[i]
      offsets[i + 1] = offsets[i] + 1 << nbits[i]
    }
    let dsub = Int(d / splits)
    let wanted = Int(offsets[Int(m)]) * dsub
    guard raw.codebooks == Double(wanted), let codebooks else {
      throw Failure.shape("\(raw.codebooks) numbers of codebooks where \(wanted) are needed")
    }
    if let at = firstRefused(codebooks, wanted, allowNaN: false, kernels: Engine.shared.kernels) {
      throw refusal(codebooks, at, d: dsub, what: "codebook row")
    }
    let bits = cpu_norm_bits(raw.norm)
    let wantedNorms = bits == 4 || bits == 8 ? 1 << Int(bits) : 0
    guard raw.norms == wantedNorms, wantedNorms == 0 || norms != nil else { throw Failure.shape("\(raw.norms) norms where \(wantedNorms) are needed") }
    if let norms, let at = firstRefused(norms, wantedNorms, allowNaN: false, kernels: Engine.shared.kernels) {
      throw refusal(norms, at, d: 1, what: "norm")
    }
    var tot = Int(bits)
    for i in 0..<Int(m) { tot += Int(nbits[i]) }
    var made = cpu_additive()
    made.d = d
    made.m = m
    made.splits = splits
    made.dsub = UInt32(dsub)
    made.searches = raw.method == 1
    made.norm = raw.norm
    made.code_size = UInt64((tot + 7) / 8)
    made.nbits = UnsafePointer(sizes.start)
    made.offsets = UnsafePointer(offsets)
    made.norm_min = raw.norm_min
    made.norm_max = raw.norm_max
    (made.beam, made.rounds, made.sweeps) = (raw.beam, raw.rounds, raw.sweeps)
    (made.changes, made.chunk, made.seed) = (raw.changes, raw.chunk, raw.seed)
    let rest = Int(cpu_additive_floats(&made))
    try numbers.reserve(wanted + wantedNorms + rest, used: 0)
    numbers.start.update(from: codebooks, count: wanted)
    made.codebooks = UnsafePointer(numbers.start)
    if let norms, wantedNorms > 0 {
      (numbers.start + wanted).update(from: norms, count: wantedNorms)
      made.norms = UnsafePointer(numbers.start + wanted)
    }
    try words.reserve(Int(cpu_additive_words(&made)), used: 0)
    let products = Int(cpu_additive_cross(&made))
    if products > 0 { try cross.reserve(products, used: 0) }
    cpu_additive_prepare(
      Engine.shared.kernels, &made, numbers.start + wanted + wantedNorms, words.start,
      products > 0 ? cross.start : nil)
    held = UnsafeMutablePointer<cpu_additive>.allocate(capacity: 1)
    held.initialize(to: made)
    plain = UnsafePointer(held)
  }

  deinit {
    held.deallocate()
    for floats in [numbers, cross] {
      var floats = floats
      floats.release()
    }
    words.release()
    sizes.release()
  }

  var codeSize: Int { Int(plain.pointee.code_size) }
  private var m: Int { Int(plain.pointee.m) }
  private var d: Int { Int(plain.pointee.d) }
  private var each: Int { Int(plain.pointee.m / plain.pointee.splits) }

  /// Runs a body over parts of n rows.
  private func inParts(_ n: Int, of step: Int, _ body: (Int, Int) throws -> Bool) throws {
    let items = (n + step - 1) / step
    var failed = [Bool](repeating: false, count: items)
    failed.withUnsafeMutableBufferPointer { failed in
      let failed = failed.baseAddress!
      Engine.shared.pool.forEach(items, parallel: items > 1) { item, _ in
        let from = item * step
        failed[item] = (try? body(from, min(step, n - from))) != true
      }
    }
    if failed.contains(true) { throw Failure.memory(step * d * 4) }
  }

  func encode(_ x: UnsafePointer<Float>, _ n: Int, _ codes: UnsafeMutablePointer<UInt8>, _ call: Call) throws {
    let kernels = Engine.shared.kernels
    var indices = Memory<UInt32>()
    defer { indices.release() }
    if plain.pointee.searches {
      try indices.reserve(n * m, used: 0)
      try search(x, n, indices.start, fresh: true, call)
      try inParts(n, of: 256) { from, count in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: d) { room in
          cpu_additive_write(
            kernels, plain, indices.start + from * m, UInt64(count), room.baseAddress!, codes + from * codeSize)
        }
        return true
      }
      return
    }
    try inParts(n, of: 256) { from, count in
      try withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count * m) { indices in
        try withUnsafeTemporaryAllocation(of: Float.self, capacity: d) { room in
          if call.isCancelled { return true }
          guard cpu_additive_beam(kernels, plain, x + from * d, UInt64(count), indices.baseAddress!) else {
            throw Failure.memory(count * m)
          }
          cpu_additive_write(
            kernels, plain, indices.baseAddress!, UInt64(count), room.baseAddress!, codes + from * codeSize)
          return true
        }
      }
    }
    try call.throwIfCancelled()
  }

  /// Betters the indices of rows by local search; fresh: from random ones, as faiss draws them.
  func search(
    _ x: UnsafePointer<Float>, _ n: Int, _ indices: UnsafeMutablePointer<UInt32>, fresh: Bool, _ call: Call
  ) throws {
    let a = plain.pointee
    guard a.searches, n > 0 else { return }
    let ksub = UInt32(1) << a.nbits[0]
    var pairs = Memory<Float>()
    var draws = Memory<UInt32>()
    defer {
      pairs.release()
      draws.release()
    }
    let (rounds, changes, chunk) = (Int(a.rounds), min(Int(a.changes), each), min(n, Int(a.chunk)))
    try pairs.reserve(Int(cpu_additive_pairs(plain)), used: 0)
    try draws.reserve(max(1, rounds * chunk * changes * 2), used: 0)
    var twister = cpu_twister()
    for part in 0..<Int(a.splits) {
      cpu_twister_start(&twister, a.seed)
      if fresh {
        for i in 0..<n { for j in 0..<each { indices[i * m + part * each + j] = cpu_twister_below(&twister, ksub) } }
      }
      try fillPairs(part, pairs.start)
      for from in stride(from: 0, to: n, by: chunk) {
        let count = min(chunk, n - from)
        for i in 0..<rounds * count * changes {
          draws.start[2 * i] = cpu_twister_below(&twister, UInt32(each))
          draws.start[2 * i + 1] = cpu_twister_below(&twister, ksub)
        }
        try inParts(count, of: 64) { at, some in
          if call.isCancelled { return true }
          return cpu_additive_search(
            Engine.shared.kernels, plain, UInt32(part), pairs.start, x + (from + at) * d, UInt64(some),
            indices + (from + at) * m, draws.start + at * 2 * changes, UInt64(count * 2 * changes), a.rounds)
        }
        try call.throwIfCancelled()
      }
    }
  }

  private func fillPairs(_ part: Int, _ pairs: UnsafeMutablePointer<Float>) throws {
    let kernels = Engine.shared.kernels
    let (ksub, dsub) = (1 << Int(plain.pointee.nbits[0]), UInt64(plain.pointee.dsub))
    let bytes = cpu_gemm_scratch(kernels, UInt64(each * ksub), UInt64((ksub + 15) / 16 * 16), dsub)
    Engine.shared.pool.forEach(each, parallel: true) { m, _ in
      withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 64) {
        cpu_additive_fill_pairs(kernels, plain, UInt32(part), UInt32(m), pairs, $0.baseAddress)
      }
    }
  }

  /// Throws unless indices are of rows of codebooks.
  func check(_ indices: UnsafePointer<UInt32>, _ n: Int) throws {
    for i in 0..<n * m where indices[i] >> plain.pointee.nbits[i % m] != 0 {
      throw Failure.value("row \(i / m) has index \(indices[i]) in codebook \(i % m)")
    }
  }
}

/// The codebooks of m × ksub rows that leave the least squared error.
private func fit(
  _ x: UnsafePointer<Float>, _ indices: UnsafePointer<UInt32>, _ n: Int, d: Int, m: Int, ksub: Int, lambda: Float,
  _ out: UnsafeMutablePointer<Float>, _ call: Call
) throws {
  let (engine, block) = (Engine.shared, Int(CPU_FIT_BLOCK))
  let size = Int(cpu_fit_rounded(UInt64(m * ksub)))
  let depth = Int(cpu_fit_rounded(UInt64(d)))
  var matrix = Memory<Double>()
  defer { matrix.release() }
  try matrix.reserve((size + depth) * size, used: 0)
  var held = cpu_fit(rows: UInt64(m * ksub), size: UInt64(size), depth: UInt64(depth), matrix: matrix.start)
  try withUnsafeMutablePointer(to: &held) { fit in
    cpu_fit_start(fit, x, indices, UInt64(n), UInt32(d), UInt32(m), UInt32(ksub), lambda)
    for at in 0..<size / block {
      try call.throwIfCancelled()
      guard cpu_fit_square(fit, UInt64(at)) else {
        throw Failure.value("no codebooks fit the rows: lambda is too small")
      }
      let below = (size + depth) / block - at - 1
      engine.pool.forEach(below, parallel: below > 1) { i, _ in
        cpu_fit_below(fit, UInt64(at), UInt64((at + 1 + i) * block))
      }
      engine.pool.forEach(below, parallel: below > 1) { i, _ in
        cpu_fit_rest(engine.kernels, fit, UInt64(at), UInt64((at + 1 + i) * block))
      }
    }
    engine.pool.forEach(depth / Int(CPU_FIT_ROWS), parallel: true) { i, _ in
      cpu_fit_solve(engine.kernels, fit, UInt64(i * Int(CPU_FIT_ROWS)))
    }
  }
  for row in 0..<m * ksub { for j in 0..<d { out[row * d + j] = Float(matrix.start[(size + j) * size + row]) } }
}

@_cdecl("mf_additive_create")
public func additiveCreate(
  _ raw: UnsafePointer<mf_additive>, _ nbits: UnsafePointer<UInt32>, _ codebooks: UnsafePointer<Float>?,
  _ norms: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("create") {
    let additive = try AdditiveCodec(raw.pointee, nbits, codebooks, norms)
    out.pointee = try HandleTable.shared.insert(Codec(additive))
  }
}

@_cdecl("mf_additive_search")
public func additiveSearch(
  _ handle: UInt32, _ n: Double, _ x: UnsafePointer<Float>?, _ indices: UnsafeMutablePointer<UInt32>?, _ call: Call
) -> Int32 {
  call.run("train") {
    let codec = try HandleTable.shared.find(handle, Codec.self)
    let n = try count(n, "n")
    guard let additive = codec.additive, additive.plain.pointee.searches else {
      throw Failure.value("the codec finds no codes by local search")
    }
    guard n > 0, let x, let indices else { return }
    try additive.check(indices, n)
    try additive.search(x, n, indices, fresh: false, call)
  }
}

@_cdecl("mf_additive_fit")
public func additiveFit(
  _ raw: UnsafePointer<mf_sizes>, _ x: UnsafePointer<Float>?, _ indices: UnsafePointer<UInt32>?,
  _ codebooks: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("train") {
    let (n, ksub) = (try count(raw.pointee.nx, "n"), try count(raw.pointee.ny, "rows of a codebook", atLeast: 1))
    let (d, m) = (try count(raw.pointee.d, "d", atLeast: 1), try count(raw.pointee.k, "m", atLeast: 1))
    guard ksub <= 1 << 16, m <= Int(CPU_ADDITIVE_MAX_BOOKS), d <= 1 << 20, m * ksub <= 1 << 14 else {
      throw Failure.value("\(m) codebooks of \(ksub) rows of \(d) are too many")
    }
    guard let x, let indices, let codebooks, n > 0 else { throw Failure.shape("there are no rows") }
    for i in 0..<n * m where indices[i] >= UInt32(ksub) {
      throw Failure.value("row \(i / m) has index \(indices[i]) of \(ksub)")
    }
    try fit(x, indices, n, d: d, m: m, ksub: ksub, lambda: raw.pointee.metric_arg, codebooks, call)
  }
}
