import CMetalFaiss
import CPUKernels

/// One product C = alpha op(A) op(B) + beta C, and how the pool shares it.
struct Product {
  let kernels: UnsafePointer<cpu_kernels>
  var a: cpu_matrix
  var b: cpu_matrix
  let m: Int
  let n: Int
  let k: Int
  let alpha: Float
  let beta: Float
  let c: UnsafeMutablePointer<Float>
  let lineC: Int

  /// Multiply-adds that take about as long as waking a thread is worth.
  private static let shareable = 300_000
  /// Summands between two looks whether the call goes on.
  private static let polled = 4096

  /// Returns the threads that took part and what ran.
  func run(_ pool: Pool, _ call: Call) throws -> (threads: Int, variant: mf_linalg_variant) {
    let parallel = pool.threads > 1 && Double(m) * Double(n) * Double(k) >= Double(Product.shareable)
    var (left, right) = (a, b)
    let flips = cpu_gemm_flips(kernels, UInt64(m), UInt64(n), &left, &right)
    let plan =
      flips
      ? withFlipped { cpu_gemm_plan_of(kernels, UInt64(n), UInt64(m), UInt64(k), $0, $1) }
      : cpu_gemm_plan_of(kernels, UInt64(m), UInt64(n), UInt64(k), &left, &right)
    let variant = plan.place_a || plan.place_b ? MF_GEMM_PLACED : MF_GEMM_PACKED
    // Few outputs, many summands: threads share those.
    let tiles = ((m + Int(plan.rows) - 1) / Int(plan.rows)) * ((n + Int(plan.width) - 1) / Int(plan.width))
    if parallel, tiles < 4 * pool.threads, k >= 256 * pool.threads { return (try sum(pool, call), MF_GEMM_SPLIT) }
    if !parallel || flips || plan.place_b { return (try cut(pool, call, parallel), variant) }
    return (try share(pool, call, plan), variant)
  }

  private func withFlipped<Result>(_ body: (UnsafePointer<cpu_matrix>, UnsafePointer<cpu_matrix>) -> Result) -> Result {
    var (left, right) = (b, a)
    left.transposed.toggle()
    right.transposed.toggle()
    return body(&left, &right)
  }

  /// C is cut along its longer side, and each piece is a product of its own.
  private func cut(_ pool: Pool, _ call: Call, _ parallel: Bool) throws -> Int {
    let longer = max(m, n)
    let step = 64
    let wanted = parallel ? 2 * pool.threads : 1
    let piece = min(longer, ((longer + wanted - 1) / wanted + step - 1) / step * step)
    let pieces = (longer + piece - 1) / piece
    let (tall, wide) = m >= n ? (piece, n) : (m, piece)
    let room = (cpu_gemm_scratch(kernels, UInt64(tall), UInt64(wide), UInt64(k)) / 4 + 31) / 16 * 16
    return try Scratch.with((parallel ? pool.threads : 1) * room) { scratch in
      let threads = pool.forEach(pieces, parallel: parallel) { item, worker in
        let i = m >= n ? item * piece : 0
        let j = m >= n ? 0 : item * piece
        add(
          i..<min(m, i + tall), j..<min(n, j + wide), 0..<k, beta, c + i * lineC + j, lineC, scratch + worker * room,
          call)
      }
      try call.throwIfCancelled()
      return threads
    }
  }

  /// A block of the product, summed over some of k, on this thread.
  private func add(
    _ rows: Range<Int>, _ columns: Range<Int>, _ summands: Range<Int>, _ beta: Float,
    _ out: UnsafeMutablePointer<Float>, _ line: Int, _ scratch: UnsafeMutablePointer<Float>, _ call: Call
  ) {
    let step = max(Product.polled, 1 << 28 / (rows.count * columns.count))
    for p in stride(from: summands.lowerBound, to: summands.upperBound, by: step) where !call.isCancelled {
      var (left, right) = (a, b)
      left.data = advance(a, row: rows.lowerBound, column: p)
      right.data = advance(b, row: p, column: columns.lowerBound)
      cpu_gemm(
        kernels, UInt64(rows.count), UInt64(columns.count), UInt64(min(step, summands.upperBound - p)), alpha, &left,
        &right, p == summands.lowerBound ? beta : 1, out, UInt64(line), scratch)
    }
  }

  /// Blocks of C are shared; each chunk of B is packed once, by all.
  private func share(_ pool: Pool, _ call: Call, _ whole: cpu_gemm_plan) throws -> Int {
    var plan = whole
    let block = rowsShared(plan, pool.threads)
    plan.m_block = min(plan.m_block, UInt64(block))
    let parts = (m + block - 1) / block
    let packedA = (cpu_gemm_packed_a(&plan) + 15) / 16 * 16
    let packedB = (cpu_gemm_packed_b(&plan) + 15) / 16 * 16
    let width = Int(plan.width)
    let fixed = plan
    var took = 1
    try Scratch.with(packedB + pool.threads * packedA) { scratch in
      for j in stride(from: 0, to: n, by: Int(fixed.n_block)) {
        let panels = (min(n - j, Int(fixed.n_block)) + width - 1) / width
        let across = max(1, min(panels, pool.threads / parts))
        for p in stride(from: 0, to: k, by: Int(fixed.k_chunk)) {
          try call.throwIfCancelled()
          let depth = min(k - p, Int(fixed.k_chunk))
          pack(pool, fixed, p, depth, j, panels, scratch)
          let threads = pool.forEach(parts * across) { item, worker in
            if call.isCancelled { return }
            let row = item / across * block
            var part = cpu_gemm_part(
              i: UInt64(row), m: UInt64(min(block, m - row)), j: UInt64(j),
              first: UInt64(item % across * panels / across), last: UInt64((item % across + 1) * panels / across),
              p: UInt64(p), depth: UInt64(depth), alpha: alpha, beta: p == 0 ? beta : 1, c: c, line_c: UInt64(lineC))
            withOperands(fixed) { plan, a, b in
              cpu_gemm_rows(kernels, plan, a, b, scratch, &part, scratch + packedB + worker * packedA)
            }
          }
          took = max(took, threads)
        }
      }
    }
    try call.throwIfCancelled()
    return took
  }

  /// Rows of C an item: as many as a block of A has, fewer where threads would find nothing.
  private func rowsShared(_ plan: cpu_gemm_plan, _ threads: Int) -> Int {
    let step = Int(plan.rows)
    let blocks = (m + Int(plan.m_block) - 1) / Int(plan.m_block)
    let items = (blocks + threads - 1) / threads * threads
    return max(step, ((m + items - 1) / items + step - 1) / step * step)
  }

  private func withOperands(
    _ plan: cpu_gemm_plan,
    _ body: (UnsafePointer<cpu_gemm_plan>, UnsafePointer<cpu_matrix>, UnsafePointer<cpu_matrix>) -> Void
  ) {
    withUnsafePointer(to: plan) { plan in
      withUnsafePointer(to: a) { a in withUnsafePointer(to: b) { b in body(plan, a, b) } }
    }
  }

  private func pack(
    _ pool: Pool, _ plan: cpu_gemm_plan, _ p: Int, _ depth: Int, _ j: Int, _ panels: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let large = panels * Int(plan.width) * depth > 32_768
    let shares = large ? min(panels, 4 * pool.threads) : 1
    pool.forEach(shares, parallel: large) { item, _ in
      withOperands(plan) { plan, _, b in
        cpu_gemm_pack_b(
          kernels, plan, b, UInt64(p), UInt64(depth), UInt64(j), UInt64(item * panels / shares),
          UInt64((item + 1) * panels / shares), out)
      }
    }
  }

  /// Each thread sums over its part of k; then the sums are added, in order.
  private func sum(_ pool: Pool, _ call: Call) throws -> Int {
    let parts = pool.threads
    let room = (cpu_gemm_scratch(kernels, UInt64(m), UInt64(n), UInt64(k)) / 4 + 31) / 16 * 16
    let count = (m * n + 15) / 16 * 16
    return try Scratch.with(parts * (room + count)) { scratch in
      let threads = pool.forEach(parts) { part, _ in
        add(
          0..<m, 0..<n, (part * k / parts)..<((part + 1) * k / parts), 0, scratch + part * count, n,
          scratch + parts * count + part * room, call)
      }
      try call.throwIfCancelled()
      for i in 0..<m {
        for j in 0..<n {
          var total: Float = 0
          for part in 0..<parts { total += scratch[part * count + i * n + j] }
          c[i * lineC + j] = beta == 0 ? total : beta * c[i * lineC + j] + total
        }
      }
      return threads
    }
  }

  private func advance(_ x: cpu_matrix, row: Int, column: Int) -> UnsafeRawPointer {
    let offset = x.transposed ? column * Int(x.line) + row : row * Int(x.line) + column
    return x.data + offset * (x.type == 0 ? 4 : 2)
  }
}

@_cdecl("mf_linalg_gemm")
public func linalgGemm(
  _ product: UnsafePointer<mf_linalg_product>, _ a: UnsafeRawPointer?, _ b: UnsafeRawPointer?,
  _ c: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("multiply") {
    let given = product.pointee
    let m = try count(given.m, "m")
    let n = try count(given.n, "n")
    let k = try count(given.k, "k")
    guard m > 0, n > 0 else { return }
    guard let c else { throw Failure.shape("c is empty") }
    let lineC = try count(given.line_c, "line_c", atLeast: Double(n))
    let left = try operand(a, "a", m, k, given.line_a, given.type_a, given.transpose_a)
    let right = try operand(b, "b", k, n, given.line_b, given.type_b, given.transpose_b)
    let out = UnsafeRawBufferPointer(start: c, count: ((m - 1) * lineC + n) * 4)
    for (operand, name) in [(left, "a"), (right, "b")] where overlaps(operand.bytes, out) {
      throw Failure.value("c overlaps \(name)")
    }
    let engine = Engine.shared
    if k == 0 {
      for i in 0..<m {
        for j in 0..<n { c[i * lineC + j] = given.beta == 0 ? 0 : given.beta * c[i * lineC + j] }
      }
      call.pointee.variants = MF_GEMM_PACKED.rawValue
      return
    }
    let ran = try Product(
      kernels: engine.kernels, a: left.matrix, b: right.matrix, m: m, n: n, k: k, alpha: given.alpha,
      beta: given.beta, c: c, lineC: lineC
    ).run(engine.pool, call)
    call.pointee.threads = UInt32(ran.threads)
    call.pointee.variants = ran.variant.rawValue
  }
}

/// An operand whose op() is rows × columns, and the memory it takes.
private func operand(
  _ data: UnsafeRawPointer?, _ name: String, _ rows: Int, _ columns: Int, _ line: Double, _ type: UInt32,
  _ transposed: UInt32
) throws -> (matrix: cpu_matrix, bytes: UnsafeRawBufferPointer) {
  guard type <= MF_BF16.rawValue else { throw Failure.shape("type_\(name) must be 0 to 2, not \(type)") }
  let (tall, wide) = transposed != 0 ? (columns, rows) : (rows, columns)
  let line = try count(line, "line_\(name)", atLeast: Double(wide))
  let elements = tall > 0 && wide > 0 ? (tall - 1) * line + wide : 0
  guard elements == 0 || data != nil else { throw Failure.shape("\(name) is empty") }
  let matrix = cpu_matrix(data: data, line: UInt64(line), type: type, transposed: transposed != 0)
  return (matrix, UnsafeRawBufferPointer(start: data, count: elements * (type == 0 ? 4 : 2)))
}

/// Whether two pieces of memory share a byte.
func overlaps(_ x: UnsafeRawBufferPointer, _ y: UnsafeRawBufferPointer) -> Bool {
  guard let x0 = x.baseAddress, let y0 = y.baseAddress, x.count > 0, y.count > 0 else { return false }
  return x0 < y0 + y.count && y0 < x0 + x.count
}
